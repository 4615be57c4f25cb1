use super::*;
use proptest::prelude::*;

fn options(tail: Option<usize>) -> LogOptions {
    LogOptions {
        stdout: true,
        stderr: true,
        follow: false,
        tail,
        since: None,
        until: None,
    }
}

async fn collect(mut entries: mpsc::Receiver<Result<LogEntry, Error>>) -> Vec<(Source, String)> {
    let mut all = Vec::new();
    while let Some(entry) = entries.recv().await {
        let entry = entry.unwrap();
        all.push((entry.source, String::from_utf8(entry.bytes.to_vec()).unwrap()));
    }
    all
}

#[tokio::test]
async fn what_is_written_is_read_line_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let log = LogWriter::open(&path, watch::Sender::new(Progress::default())).unwrap();
    log.write(Source::Stdout, b"one\ntw");
    log.write(Source::Stderr, b"error\n");
    log.write(Source::Stdout, b"o\nthree");
    log.end(Source::Stdout);
    let progress = watch::Sender::new(Progress::default());
    let all = collect(read(&path, options(None), progress.subscribe()).unwrap()).await;
    let texts: Vec<_> = all.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["one\n", "error\n", "two\n", "three"]);
    assert_eq!(all[1].0, Source::Stderr);
    let last = collect(read(&path, options(Some(2)), progress.subscribe()).unwrap()).await;
    assert_eq!(last, all[2..]);
    assert!(
        collect(read(&path, options(Some(0)), progress.subscribe()).unwrap())
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn following_ends_with_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let progress = watch::Sender::new(Progress::default());
    let log = LogWriter::open(&path, progress.clone()).unwrap();
    let mut follow = options(None);
    follow.follow = true;
    let mut entries = read(&path, follow, progress.subscribe()).unwrap();
    log.write(Source::Stdout, b"first\n");
    assert_eq!(&entries.recv().await.unwrap().unwrap().bytes[..], b"first\n");
    log.write(Source::Stdout, b"second\n");
    progress.send_modify(|progress| progress.ended = true);
    assert_eq!(&entries.recv().await.unwrap().unwrap().bytes[..], b"second\n");
    assert!(entries.recv().await.is_none());
}

#[tokio::test]
async fn a_missing_log_is_empty() {
    let progress = watch::Sender::new(Progress::default());
    let entries = read(Path::new("/nonexistent/log"), options(None), progress.subscribe()).unwrap();
    assert!(collect(entries).await.is_empty());
}

proptest! {
    #[test]
    fn no_byte_is_lost_however_it_is_cut(text in "([a-zé🦀]{0,40}\n?){0,40}", cuts in prop::collection::vec(1usize..5000, 1..20)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let log = LogWriter::open(&path, watch::Sender::new(Progress::default())).unwrap();
        let long = text.repeat(50);
        let mut rest = long.as_bytes();
        let mut cuts = cuts.iter().cycle();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            log.write(Source::Stdout, piece);
            rest = after;
        }
        log.end(Source::Stdout);
        let back: String = std::fs::read_to_string(&path)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str::<Line<'_>>(line).unwrap().log.into_owned())
            .collect();
        prop_assert_eq!(back, long);
    }
}

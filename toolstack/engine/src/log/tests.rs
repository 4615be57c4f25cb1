use super::*;
use crate::spec::{Config, HostConfig};
use crate::state::State;
use proptest::prelude::*;
use std::fs;
use uuid::Uuid;

const RUN: Uuid = Uuid::from_u128(1);

fn record(options: &[(&str, &str)]) -> Container {
    let options = options
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    Container {
        id: "ab".repeat(32),
        name: "web".to_owned(),
        created_at: Utc::now(),
        image_id: "sha256:0".to_owned(),
        config: Config {
            host: HostConfig {
                log: LogConfig {
                    driver: "json-file".to_owned(),
                    options,
                },
                ..HostConfig::default()
            },
            ..Config::default()
        },
        state: State::default(),
    }
}

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

fn open(record: &Container, folder: &Path, run: Run) -> LogWriter {
    LogWriter::open(record, folder, run, watch::Sender::default())
        .unwrap()
        .unwrap()
}

/// A log, and one who reads all that comes to it.
fn followed(record: &Container, folder: &Path) -> (LogWriter, Entries) {
    let progress = watch::Sender::new(Progress::default());
    let log = LogWriter::open(record, folder, Run::New(RUN), progress.clone())
        .unwrap()
        .unwrap();
    let mut follow = options(None);
    follow.follow = true;
    let entries = read(record, folder, follow, progress.subscribe()).unwrap();
    (log, entries)
}

async fn collect(mut entries: Entries) -> Vec<(Source, String)> {
    let mut all = Vec::new();
    while let Some(entry) = entries.recv().await {
        let entry = entry.unwrap();
        all.push((entry.source, String::from_utf8(entry.bytes.to_vec()).unwrap()));
    }
    all
}

async fn texts(record: &Container, folder: &Path) -> Vec<String> {
    let all = all(record, folder, None).await;
    all.into_iter().map(|(_, text)| text).collect()
}

async fn all(record: &Container, folder: &Path, tail: Option<usize>) -> Vec<(Source, String)> {
    let progress = watch::Sender::new(Progress::default());
    collect(read(record, folder, options(tail), progress.subscribe()).unwrap()).await
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap()
        .block_on(future)
}

#[tokio::test]
async fn what_is_written_is_read_line_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let record = record(&[]);
    let log = open(&record, folder.path(), Run::New(RUN));
    log.write(Source::Stdout, 0, b"one\ntw");
    log.write(Source::Stderr, 0, b"error\n");
    log.write(Source::Stdout, 6, b"o\nthree");
    log.finish();
    let lines = all(&record, folder.path(), None).await;
    let texts: Vec<_> = lines.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["one\n", "error\n", "two\n", "three"]);
    assert_eq!(lines[1].0, Source::Stderr);
    assert_eq!(all(&record, folder.path(), Some(2)).await, lines[2..]);
    assert!(all(&record, folder.path(), Some(0)).await.is_empty());
    assert!(!folder.path().join("log.position").exists());
}

/// One that writes faster than it is read would otherwise keep the reader for ever.
#[tokio::test]
async fn who_does_not_follow_gets_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let record = record(&[]);
    let log = open(&record, folder.path(), Run::New(RUN));
    let line = b"a line\n";
    let mut position = 0;
    let mut write = || {
        log.write(Source::Stdout, position, line);
        position += line.len() as u64;
    };
    let there = 2 * READER_ENTRIES;
    (0..there).for_each(|_| write());
    let progress = watch::Sender::new(Progress::default());
    let mut entries = read(&record, folder.path(), options(None), progress.subscribe()).unwrap();
    let mut count = 0;
    while let Some(entry) = entries.recv().await {
        entry.unwrap();
        write();
        count += 1;
    }
    assert_eq!(count, there);
    assert_eq!(all(&record, folder.path(), Some(1)).await.len(), 1);
}

#[tokio::test]
async fn following_ends_with_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let record = record(&[]);
    let (log, mut entries) = followed(&record, folder.path());
    log.write(Source::Stdout, 0, b"first\n");
    assert_eq!(&entries.recv().await.unwrap().unwrap().bytes[..], b"first\n");
    log.write(Source::Stdout, 6, b"second\nrest");
    log.finish();
    assert_eq!(&entries.recv().await.unwrap().unwrap().bytes[..], b"second\n");
    assert_eq!(&entries.recv().await.unwrap().unwrap().bytes[..], b"rest");
    assert!(entries.recv().await.is_none());
}

#[tokio::test]
async fn following_gets_all_of_every_file() {
    for files in ["1", "2", "5"] {
        let folder = tempfile::tempdir().unwrap();
        let record = record(&[("max-size", "2k"), ("max-file", files)]);
        let (log, mut entries) = followed(&record, folder.path());
        let mut position = 0;
        for number in 0..500 {
            let line = format!("line {number}\n");
            log.write(Source::Stdout, position, line.as_bytes());
            position += line.len() as u64;
            // Read at once: a follower may only miss what was deleted before it came to it.
            assert_eq!(entries.recv().await.unwrap().unwrap().bytes, line.as_bytes());
        }
        log.finish();
        assert!(entries.recv().await.is_none());
    }
}

#[tokio::test]
async fn a_missing_log_is_empty_and_none_cannot_be_read() {
    let nowhere = Path::new("/nonexistent");
    assert!(all(&record(&[]), nowhere, None).await.is_empty());
    assert!(all(&record(&[]), nowhere, Some(3)).await.is_empty());
    let mut none = record(&[]);
    none.config.host.log.driver = "none".to_owned();
    let progress = watch::Sender::new(Progress::default());
    let error = read(&none, nowhere, options(None), progress.subscribe()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotImplemented);
    assert!(
        LogWriter::open(&none, nowhere, Run::New(RUN), progress)
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn files_rotate_and_the_oldest_go() {
    let folder = tempfile::tempdir().unwrap();
    let record = record(&[("max-size", "1k"), ("max-file", "3")]);
    let log = open(&record, folder.path(), Run::New(RUN));
    let text: String = (0..100).map(|number| format!("line {number}\n")).collect();
    log.write(Source::Stdout, 0, text.as_bytes());
    log.finish();
    let names: Vec<_> = ["log.json", "log.json.1", "log.json.2", "log.json.3"]
        .iter()
        .map(|name| folder.path().join(name).exists())
        .collect();
    assert_eq!(names, [true, true, true, false]);
    for name in ["log.json.1", "log.json.2"] {
        let length = fs::metadata(folder.path().join(name)).unwrap().len();
        assert!((1000..1200).contains(&length), "{length}");
    }
    let lines = all(&record, folder.path(), None).await;
    let first = 100 - lines.len();
    assert!((20..50).contains(&lines.len()), "{}", lines.len());
    for (at, (_, text)) in lines.iter().enumerate() {
        assert_eq!(*text, format!("line {}\n", first + at));
    }
    assert_eq!(
        all(&record, folder.path(), Some(15)).await,
        lines[lines.len() - 15..]
    );
    assert_eq!(all(&record, folder.path(), Some(1000)).await, lines);
}

#[tokio::test]
async fn a_damaged_log_is_read_and_written_on() {
    let folder = tempfile::tempdir().unwrap();
    let record = record(&[]);
    let log = open(&record, folder.path(), Run::New(RUN));
    log.write(Source::Stdout, 0, b"before\n");
    log.finish();
    let path = path(folder.path());
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend(b"garbage\n\xff\xfe\n{\"log\":\"half of a li");
    fs::write(&path, &bytes).unwrap();
    let log = open(&record, folder.path(), Run::New(RUN));
    log.write(Source::Stdout, 0, b"after\n");
    log.finish();
    let texts = texts(&record, folder.path()).await;
    assert_eq!(texts, ["before\n", "after\n"]);
}

#[test]
fn a_position_that_cannot_be_written_is_kept_again_when_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let position = folder.path().join("log.position");
    fs::create_dir(&position).unwrap();
    let log = open(&record(&[]), folder.path(), Run::New(RUN));
    log.write(Source::Stdout, 0, b"one\n");
    assert_eq!(journal::read(folder.path()), None);
    fs::remove_dir(&position).unwrap();
    log.write(Source::Stdout, 4, b"two\n");
    assert_eq!(journal::read(folder.path()).unwrap().positions[0], 8);
}

#[tokio::test]
async fn the_beginning_of_a_line_survives_an_engine_that_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let record = record(&[]);
    drop({
        let log = open(&record, folder.path(), Run::New(RUN));
        log.write(Source::Stdout, 0, b"whole\nbegin");
        log
    });
    // Its guest is gone as well: the next run finds it.
    let log = open(&record, folder.path(), Run::New(Uuid::from_u128(2)));
    log.write(Source::Stdout, 0, b"next\n");
    log.finish();
    let texts = texts(&record, folder.path()).await;
    assert_eq!(texts, ["whole\n", "begin", "next\n"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_byte_is_lost_however_it_is_cut(text in "([a-zé🦀]{0,40}\n?){0,40}", cuts in prop::collection::vec(1usize..5000, 1..20)) {
        let folder = tempfile::tempdir().unwrap();
        let record = record(&[]);
        let log = open(&record, folder.path(), Run::New(RUN));
        let long = text.repeat(50);
        let mut at = 0;
        let mut cuts = cuts.iter().cycle();
        while at < long.len() {
            let end = long.len().min(at + cuts.next().unwrap());
            log.write(Source::Stdout, at as u64, &long.as_bytes()[at..end]);
            at = end;
        }
        log.finish();
        let back: String = block_on(texts(&record, folder.path())).concat();
        prop_assert_eq!(back, long);
    }

    /// An engine is killed after some write, perhaps before the journal says so or in the middle of a line; the next
    /// one gets again what the guest's ring still holds.
    #[test]
    fn no_byte_is_lost_or_doubled_by_a_kill(
        text in "([a-z]{0,60}\n?){1,60}",
        steps in prop::collection::vec((1usize..300, 0usize..200, 0u8..4, 0u64..40), 1..20),
        size in prop::sample::select(vec!["", "1k"]),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let record = match size {
            "" => record(&[]),
            size => record(&[("max-size", size), ("max-file", "1000")]),
        };
        let mut log = open(&record, folder.path(), Run::New(RUN));
        let bytes = text.as_bytes();
        let mut at = 0;
        // As it goes on, nobody is killed any more: a kill takes back what a step has brought.
        let calm = steps.iter().map(|step| (step.0, step.1, 0, step.3)).cycle();
        let mut steps = steps.iter().copied().chain(calm);
        while at < bytes.len() {
            let (length, again, kill, torn) = steps.next().unwrap();
            let end = bytes.len().min(at + length);
            let before = journal::read(folder.path()).unwrap();
            log.write(Source::Stdout, at as u64, &bytes[at..end]);
            at = end;
            match kill {
                0 => {}
                1 => {
                    drop(log);
                    log = open(&record, folder.path(), Run::TakenOver(RUN));
                    at = at.saturating_sub(again);
                }
                _ => {
                    drop(log);
                    // As if the journal had not been written yet, and the log only in part. A file is begun only when
                    // all of the one before is accounted for.
                    let file = fs::File::options().append(true).open(path(folder.path())).unwrap();
                    let metadata = file.metadata().unwrap();
                    if before.place.inode == std::os::unix::fs::MetadataExt::ino(&metadata) {
                        at = before.positions[0] as usize;
                        drop(journal::Journal::create(folder.path(), &before).unwrap());
                        file.set_len(metadata.len().saturating_sub(torn).max(before.place.length)).unwrap();
                    }
                    log = open(&record, folder.path(), Run::TakenOver(RUN));
                }
            }
        }
        log.finish();
        let back: String = block_on(texts(&record, folder.path())).concat();
        prop_assert_eq!(back, text);
    }
}

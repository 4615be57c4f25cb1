use super::*;
use std::sync::{Arc, Mutex};

/// Kind, transaction and payload of a request.
type Seen = (u32, u32, Vec<u8>);

fn text(payload: &[u8]) -> String {
    String::from_utf8_lossy(payload).replace('\0', "|")
}

/// A xenstored that writes down what it is asked and answers as it is told.
fn served(
    answer: impl Fn(&Seen) -> (u32, Vec<u8>) + Send + Sync + 'static,
) -> (Changes, Arc<Mutex<Vec<Seen>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (writes, answer) = (Arc::clone(&seen), Arc::new(answer));
    let open = move || {
        let (ours, mut theirs) = UnixStream::pair()?;
        let (seen, answer) = (Arc::clone(&writes), Arc::clone(&answer));
        thread::spawn(move || {
            loop {
                let mut head = [0; HEAD];
                if theirs.read_exact(&mut head).is_err() {
                    return;
                }
                let word = |at: usize| u32::from_ne_bytes(head[at..at + 4].try_into().unwrap());
                let mut payload = vec![0; word(12) as usize];
                theirs.read_exact(&mut payload).unwrap();
                let request = (word(0), word(8), payload);
                let (kind, payload) = answer(&request);
                seen.lock().unwrap().push(request);
                let head = [kind, word(4), word(8), payload.len() as u32];
                let head: Vec<u8> = head.iter().flat_map(|word| word.to_ne_bytes()).collect();
                if theirs.write_all(&[head, payload].concat()).is_err() {
                    return;
                }
            }
        });
        Ok(Wire::new(ours, usize::MAX))
    };
    (Changes::over(open).unwrap(), seen)
}

fn refuse(name: &str) -> (u32, Vec<u8>) {
    (XS_ERROR, format!("{name}\0").into_bytes())
}

fn agree(request: &Seen) -> (u32, Vec<u8>) {
    (request.0, b"OK\0".to_vec())
}

#[tokio::test]
async fn requests_are_as_xenstored_reads_them() {
    let (changes, seen) = served(agree);
    let requests = vec![
        Request::write("/a/b", "1"),
        Request::write("/a/c", ""),
        Request::set_permissions("/a", Access::Reader(7)),
        Request::set_permissions("/a", Access::Owner(7)),
        Request::remove("/d"),
        Request::introduce(7, 4097, 3),
    ];
    changes.make(requests).await.unwrap();
    let seen = seen.lock().unwrap();
    let seen: Vec<_> = seen
        .iter()
        .map(|(kind, number, payload)| (*kind, *number, text(payload)))
        .collect();
    let expected = [
        (XS_WRITE, "/a/b|1"),
        (XS_WRITE, "/a/c|"),
        (XS_SET_PERMS, "/a|n0|r7|"),
        (XS_SET_PERMS, "/a|n7|r0|"),
        (XS_RM, "/d|"),
        (XS_INTRODUCE, "7|4097|3|"),
    ];
    assert_eq!(
        seen,
        expected.map(|(kind, payload)| (kind, 0, payload.to_owned()))
    );
}

#[tokio::test]
async fn after_an_error_the_others_are_made() {
    let (changes, seen) = served(|request| match request.2.starts_with(b"/bad") {
        true => refuse("EACCES"),
        false => agree(request),
    });
    let requests = ["/first", "/bad", "/last"].map(|path| Request::write(path, "1"));
    let error = changes.make(requests.into()).await.unwrap_err();
    assert_eq!(error.to_string(), "xenstore: cannot write /bad");
    assert_eq!(seen.lock().unwrap().len(), 3);
    changes.make(vec![Request::write("/next", "1")]).await.unwrap();
}

#[tokio::test]
async fn what_is_not_there_need_not_be_removed() {
    let (changes, _) = served(|_| refuse("ENOENT"));
    changes.make(vec![Request::remove("/a")]).await.unwrap();
    assert!(changes.make(vec![Request::write("/a", "")]).await.is_err());
}

#[tokio::test]
async fn a_transaction_is_begun_anew_when_others_come_between() {
    let begun = Mutex::new(40);
    let (changes, seen) = served(move |request| match request.0 {
        XS_TRANSACTION_START => {
            let mut begun = begun.lock().unwrap();
            *begun += 1;
            (XS_TRANSACTION_START, format!("{begun}\0").into_bytes())
        }
        XS_TRANSACTION_END if request.1 == 41 => refuse("EAGAIN"),
        _ => agree(request),
    });
    changes
        .make_as_one(vec![Request::write("/a", "1"), Request::remove("/b")])
        .await
        .unwrap();
    let seen = seen.lock().unwrap();
    let numbers: Vec<_> = seen.iter().map(|(kind, number, _)| (*kind, *number)).collect();
    let once = |number| {
        [
            (XS_TRANSACTION_START, 0),
            (XS_WRITE, number),
            (XS_RM, number),
            (XS_TRANSACTION_END, number),
        ]
    };
    assert_eq!(numbers, [once(41), once(42)].concat());
}

#[tokio::test]
async fn of_a_transaction_all_is_made_or_nothing() {
    let (changes, seen) = served(|request| match request.0 {
        XS_TRANSACTION_START => (XS_TRANSACTION_START, b"9\0".to_vec()),
        XS_WRITE => refuse("ENOSPC"),
        _ => agree(request),
    });
    let error = changes.make_as_one(vec![Request::write("/a", "1")]).await;
    assert!(error.unwrap_err().to_string().contains("cannot write /a"));
    let last = seen.lock().unwrap().last().cloned().unwrap();
    assert_eq!(last, (XS_TRANSACTION_END, 9, b"F\0".to_vec()));
}

#[tokio::test]
async fn what_is_too_long_is_not_sent() {
    let (changes, seen) = served(agree);
    let long = "x".repeat(MAX_PAYLOAD);
    let requests = vec![Request::write("/a", ""), Request::write("/b", &long)];
    assert!(changes.make(requests).await.is_err());
    assert!(seen.lock().unwrap().is_empty());
    changes.make(vec![Request::write("/a", "")]).await.unwrap();
}

#[tokio::test]
async fn after_nonsense_there_is_a_new_connection() {
    let answered = Mutex::new(0);
    let (changes, _) = served(move |request| {
        let mut answered = answered.lock().unwrap();
        *answered += 1;
        match *answered {
            1 => (XS_RM, Vec::new()),
            2 => (XS_WRITE, vec![0; MAX_PAYLOAD + 1]),
            _ => agree(request),
        }
    });
    for _ in 0..2 {
        assert!(changes.make(vec![Request::write("/a", "1")]).await.is_err());
    }
    changes.make(vec![Request::write("/a", "1")]).await.unwrap();
    changes.make(Vec::new()).await.unwrap();
}

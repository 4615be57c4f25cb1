use crate::control::{Decoder, encode};
use crate::message::{Event, MAX_MESSAGE_BYTES, ProcessSpec, Request, RequestBody};
use crate::mux::Violation;
use proptest::collection::vec;
use proptest::prelude::*;

fn request() -> impl Strategy<Value = Request> {
    let body = prop_oneof![
        any::<u32>().prop_map(|version| RequestBody::Hello { version }),
        (any::<u32>(), any::<i32>()).prop_map(|(process, signal)| RequestBody::Signal { process, signal }),
        Just(RequestBody::Shutdown),
        (vec(any::<String>(), 0..20), any::<String>(), any::<Option<u32>>()).prop_map(
            |(args, cwd, stdin)| {
                RequestBody::Start {
                    process: Box::new(ProcessSpec {
                        args,
                        cwd,
                        stdin,
                        ..ProcessSpec::default()
                    }),
                }
            }
        ),
    ];
    (any::<u64>(), body).prop_map(|(id, body)| Request { id, body })
}

proptest! {
    #[test]
    fn messages_survive_any_cut(requests in vec(request(), 0..8), cuts in vec(1..200_usize, 1..50)) {
        let bytes: Vec<u8> = requests.iter().flat_map(|request| encode(request).unwrap()).collect();
        let mut decoder = Decoder::default();
        let mut decoded = Vec::new();
        let (mut rest, mut cuts) = (&bytes[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            decoder.push(now);
            rest = later;
            while let Some(request) = decoder.decode::<Request>().unwrap() {
                decoded.push(request);
            }
        }
        prop_assert_eq!(decoded, requests);
    }
}

#[test]
fn a_message_that_is_too_long_is_refused_by_its_length_alone() {
    let mut decoder = Decoder::default();
    decoder.push(&u32::MAX.to_le_bytes());
    assert_eq!(
        decoder.decode::<Event>(),
        Err(Violation::MessageTooLong(u32::MAX as usize))
    );
    let long = "x".repeat(MAX_MESSAGE_BYTES);
    assert!(matches!(encode(&long), Err(Violation::MessageTooLong(_))));
}

#[test]
fn what_is_no_message_is_a_violation() {
    for bad in [
        &b"\xff\xfe"[..],
        b"",
        b"{}",
        b"[[[[",
        b"{\"id\":1,\"body\":{\"type\":\"later\"}}",
    ] {
        let mut decoder = Decoder::default();
        decoder.push(&(bad.len() as u32).to_le_bytes());
        decoder.push(bad);
        assert!(
            matches!(decoder.decode::<Request>(), Err(Violation::Message(_))),
            "{bad:?}"
        );
    }
    // As deep as it is long: refused, not followed.
    let deep = "[".repeat(100_000);
    let mut decoder = Decoder::default();
    decoder.push(&(deep.len() as u32).to_le_bytes());
    decoder.push(deep.as_bytes());
    assert!(decoder.decode::<serde_json::Value>().is_err());
}

#[test]
fn unknown_fields_are_ignored_and_missing_ones_have_defaults() {
    let text = br#"{"id":7,"new":1,"body":{"type":"start","process":{"args":["a"],"later":[1]}}}"#;
    let mut decoder = Decoder::default();
    decoder.push(&(text.len() as u32).to_le_bytes());
    decoder.push(text);
    let request: Request = decoder.decode().unwrap().unwrap();
    let RequestBody::Start { process } = request.body else {
        panic!("{request:?}")
    };
    assert_eq!(process.args, ["a"]);
}

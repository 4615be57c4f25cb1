//! The bodies of the fuzz targets, a fixed number of times with what proptest makes up.

use proptest::collection::vec;
use proptest::prelude::*;

#[path = "../../fuzz/bodies/changes.rs"]
mod changes;
#[path = "../../fuzz/bodies/control.rs"]
mod control;
#[path = "../../fuzz/bodies/link.rs"]
mod link;

/// Bytes that often look like a message.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![
        Just(r#"{"id":1,"body":{"type":"hello","version":1}}"#),
        Just(
            r#"{"id":1,"body":{"type":"create","container":{"id":"c","root":{"lower":["xvda"]},"mounts":[]}}}"#
        ),
        Just(r#"{"id":1,"body":{"type":"start","process":{"args":["a"],"tty":{"rows":1,"columns":2}}}}"#),
        Just(r#"{"type":"reply","id":1,"result":{"Ok":{"type":"started","pid":1}}}"#),
        Just(r#"{"type":"reply","id":1,"result":{"Err":{"kind":"guest","message":"x"}}}"#),
        Just(
            r#"{"id":1,"body":{"type":"files","container":"c","job":{"job":"archive","path":"/","stream":9}}}"#
        ),
        Just(r#"{"type":"reply","id":1,"result":{"Ok":{"type":"path-stat","mode":7}}}"#),
        Just(r#"{"type":"reply","id":1,"result":{"Ok":{"type":"transferred","bytes":7}}}"#),
        Just(r#"{"type":"exited","process":1,"status":{"code":1}}"#),
        Just(r#"{"type":"reply","id":1,"result":{"Ok":{"type":"state","streams":[{"stream":1}]}}}"#),
    ];
    (text, vec((any::<prop::sample::Index>(), any::<u8>()), 0..3)).prop_map(|(text, changes)| {
        let mut bytes = text.as_bytes().to_vec();
        for (at, to) in changes {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn link_survives_any_script(script in vec(any::<u8>(), 0..1500)) {
        link::run(&script);
    }

    #[test]
    fn control_survives_any_bytes(bytes in prop_oneof![vec(any::<u8>(), 0..300), message()]) {
        control::run(&bytes);
    }

    #[test]
    fn changes_survive_any_bytes(bytes in vec(prop_oneof![Just(b'A'), Just(b'/'), Just(0), any::<u8>()], 0..400)) {
        changes::run(&bytes);
    }
}

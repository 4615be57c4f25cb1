//! The bodies of the fuzz targets, a fixed number of times with what proptest makes up.

use proptest::collection::vec;
use proptest::prelude::*;
use std::io::Write;

#[path = "../fuzz/bodies/mod.rs"]
pub mod bodies;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A layer, packed as its first byte says, with a few bytes changed.
fn packed() -> impl Strategy<Value = Vec<u8>> {
    let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (0..3_u8, vec(any::<u8>(), 0..200), changes).prop_map(|(choice, plain, changes)| {
        let mut bytes = vec![choice];
        match choice {
            0 => bytes.extend(&plain),
            1 => bytes.extend(gzip(&plain)),
            _ => bytes.extend(zstd::encode_all(&plain[..], 1).unwrap()),
        }
        for (at, to) in changes {
            let at = at.index(bytes.len());
            if at > 0 {
                bytes[at] = to;
            }
        }
        bytes
    })
}

/// Documents with a piece of each put out of shape.
fn document() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![
        Just(
            r#"{"architecture":"amd64","os":"linux","config":{"Env":["a=b"],"Volumes":{"/x":{}}},"rootfs":{"type":"layers","diff_ids":["sha256:00"]}}"#
        ),
        Just(
            r#"{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:aa","size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","size":1}]}"#
        ),
        Just(
            r#"{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","size":1,"platform":{"os":"linux","architecture":"amd64"}}]}"#
        ),
    ];
    let change = (any::<prop::sample::Index>(), any::<u8>());
    (text, vec(change, 0..3)).prop_map(|(text, changes)| {
        let mut bytes = text.as_bytes().to_vec();
        for (at, to) in changes {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        bytes
    })
}

/// A header and a token, both a little off.
fn challenge() -> impl Strategy<Value = Vec<u8>> {
    let header =
        r#"(Bearer|Basic|bearer) (realm="?[a-z:/. \\"]{0,30}"?,? ?(service|scope)=?"?[a-z]{0,9}"?)?"#;
    let token = r#"\{"(token|access_token)":("[ -~]{0,20}"|null|7)\}?"#;
    (header, token).prop_map(|(header, token)| {
        let length = u8::try_from(header.len()).unwrap_or(u8::MAX);
        [&[1, length][..], header.as_bytes(), token.as_bytes()].concat()
    })
}

fn instructions() -> impl Strategy<Value = Vec<u8>> {
    let config =
        r#"(\{"(Env|Labels|ExposedPorts|Cmd|OnBuild|WorkingDir)":(\["a=b"\]|\{"a":"b"\}|null|7|"x")\})?"#;
    let changes = r#"((ENV|LABEL|CMD|HEALTHCHECK|EXPOSE|VOLUME|ONBUILD|WORKDIR|USER) [a$\\{}:="' \n,0-9/-]{0,20}\n?){0,4}"#;
    (config, changes).prop_map(|(config, changes)| [config.as_bytes(), b"\0", changes.as_bytes()].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn tree_survives_any_layers(script in vec(any::<u8>(), 0..600)) {
        bodies::tree::run(&script);
    }

    #[test]
    fn names_survive_any_bytes(
        bytes in prop_oneof![
            vec(any::<u8>(), 0..100),
            "[a-z0-9./:@_-]{0,60}".prop_map(String::into_bytes),
            "[a-z.]{1,9}(:[0-9]{1,5})?/[a-z/]{1,9}(:[a-z0-9]{1,5})?(@sha256:[0-9a-f]{64})?".prop_map(String::into_bytes),
        ],
    ) {
        bodies::name::run(&bytes);
    }

    #[test]
    fn tar_headers_survive_any_script(script in vec(any::<u8>(), 0..2000)) {
        bodies::archive::run(&script);
    }

    #[test]
    fn archives_survive_any_script(script in vec(any::<u8>(), 0..600)) {
        bodies::load::run(&script);
    }

    #[test]
    fn entries_survive_any_bytes(bytes in vec(any::<u8>(), 0..300)) {
        bodies::entries::run(&bytes);
    }

    #[test]
    fn challenges_and_tokens_survive_any_bytes(
        bytes in prop_oneof![vec(any::<u8>(), 0..300), challenge()],
    ) {
        bodies::auth::run(&bytes);
    }

    #[test]
    fn changes_survive_any_text(bytes in prop_oneof![vec(any::<u8>(), 0..200), instructions()]) {
        bodies::dockerfile::run(&bytes);
    }

    #[test]
    fn documents_survive_any_bytes(bytes in prop_oneof![vec(any::<u8>(), 0..100), document()]) {
        bodies::config::run(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn indexes_have_all_of_any_tree(script in vec(any::<u8>(), 0..600)) {
        bodies::index::run(&script);
    }

    #[test]
    fn layers_survive_any_bytes(bytes in prop_oneof![vec(any::<u8>(), 0..300), packed()]) {
        bodies::layer::run(&bytes);
    }
}

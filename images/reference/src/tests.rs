use super::*;
use oci_spec::distribution::Reference as Oracle;
use proptest::prelude::*;

const HEX: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn parse(text: &str) -> Result<Reference, Error> {
    text.parse()
}

#[test]
fn names_are_completed() {
    let by_digest = format!("a@sha256:{HEX}");
    let by_both = format!("a:v@sha256:{HEX}");
    for (text, full, familiar) in [
        ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
        ("user/image", "docker.io/user/image:latest", "user/image:latest"),
        ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
        ("host:5000/a/b:v", "host:5000/a/b:v", "host:5000/a/b:v"),
        ("HOST/a", "HOST/a:latest", "HOST/a:latest"),
        ("a.b:5000", "docker.io/library/a.b:5000", "a.b:5000"),
        ("index.docker.io/a", "docker.io/library/a:latest", "a:latest"),
        // What is shown means the same.
        (
            "library/library/a/b",
            "docker.io/library/library/a/b:latest",
            "library/library/a/b:latest",
        ),
        (
            "docker.io/library/a/b",
            "docker.io/library/a/b:latest",
            "library/a/b:latest",
        ),
        (
            "docker.io/a.b/c",
            "docker.io/a.b/c:latest",
            "docker.io/a.b/c:latest",
        ),
        (&by_digest, &format!("docker.io/library/{by_digest}"), &by_digest),
        (&by_both, &format!("docker.io/library/{by_digest}"), &by_digest),
    ] {
        let reference = parse(text).unwrap();
        assert_eq!(reference.to_string(), full);
        assert_eq!(reference.familiar(), familiar);
        assert_eq!(parse(familiar).unwrap().to_string(), full);
    }
}

#[test]
fn a_text_has_parts_whatever_they_are() {
    for (text, name, tag, digest) in [
        ("a", "a", None, None),
        ("a:", "a", Some(""), None),
        ("a:b:c", "a:b", Some("c"), None),
        ("host:5000/a", "host:5000/a", None, None),
        ("host:5000/a:1", "host:5000/a", Some("1"), None),
        ("a:1@sha256:ab", "a", Some("1"), Some("sha256:ab")),
        ("host:5000/a@x/y:z", "host:5000/a", None, Some("x/y:z")),
    ] {
        let parts = Parts::of(text);
        assert_eq!(parts, Parts { name, tag, digest });
        assert_eq!(parts.is_bare(), tag.is_none() && digest.is_none());
    }
}

#[test]
fn what_was_written_is_known() {
    let bare = parse("a").unwrap();
    assert!(bare.is_bare());
    assert_eq!(bare.tag_or_digest(), "latest");
    assert_eq!(bare.complete().tag(), Some("latest"));
    let both = parse(&format!("a:v@sha256:{HEX}")).unwrap().complete();
    assert!(!both.is_bare());
    assert_eq!(both.tag(), Some("v"));
    assert_eq!(both.tag_or_digest(), format!("sha256:{HEX}"));
}

#[test]
fn what_is_no_name() {
    let long = "a".repeat(256);
    for text in [
        "",
        ":tag",
        "a:",
        "a@",
        "host.io/",
        "/a",
        "a//b",
        "a..b",
        "a___b",
        "a.-b",
        "a-",
        "a/../b",
        "a b",
        "a:b:c",
        "-a",
        "a:\u{e9}",
        "host:port/a",
        "host:/a",
        "-host.io/a",
        "a@sha256:zz",
        &format!("a@sha256:{}", HEX.to_uppercase()),
        &format!("a@md5:{HEX}"),
        &format!("a:{}", "t".repeat(129)),
        &long,
    ] {
        assert!(matches!(parse(text), Err(Error::Format(_))), "{text:?}");
    }
    let upper = parse("Upper").unwrap_err().to_string();
    assert_eq!(
        upper,
        "invalid reference format: repository name (library/Upper) must be lowercase"
    );
    let endless = parse(&"a/".repeat(100_000)).unwrap_err().to_string();
    assert!(endless.len() < 200, "{endless}");
    parse(&format!("host.io/{}:{}", &long[1..], "t".repeat(128))).unwrap();
}

/// Names and what is nearly one.
fn text() -> impl Strategy<Value = String> {
    let alphabet = "[aZ0._:/@-]{0,24}";
    let named = "([aB0.-]{1,6}(:[0-9]{0,3})?/)?[ab0_.-]{1,6}(/[ab0_.-]{1,6}){0,2}(:[aB0_.-]{0,4})?";
    let digest = prop_oneof![Just(String::new()), Just(format!("@sha256:{HEX}"))];
    prop_oneof![
        alphabet.prop_map(|text| text),
        ".{0,20}",
        (named, digest).prop_map(|(name, digest)| name + &digest),
    ]
}

proptest! {
    /// But for letters that are not of ASCII, which docker refuses in a tag, and for a first part with capitals, which docker
    /// takes for a registry, or with underscores, which no host has.
    #[test]
    fn as_others_read_them(text in text()) {
        let first = text.split('/').next().unwrap_or_default();
        prop_assume!(text.is_ascii() && !first.contains(|c: char| c.is_ascii_uppercase() || c == '_'));
        let theirs = Oracle::try_from(text.as_str()).ok();
        let ours = parse(&text).ok().map(Reference::complete);
        prop_assert_eq!(ours.is_some(), theirs.is_some());
        if let (Some(ours), Some(theirs)) = (ours, theirs) {
            prop_assert_eq!(ours.registry(), theirs.registry());
            prop_assert_eq!(ours.repository(), theirs.repository());
            prop_assert_eq!(ours.tag(), theirs.tag());
            prop_assert_eq!(ours.digest(), theirs.digest());
        }
    }

    #[test]
    fn what_is_shown_means_the_same(text in text()) {
        if let Ok(reference) = parse(&text) {
            for shown in [reference.to_string(), reference.familiar()] {
                let again = parse(&shown).expect("a name that was shown");
                prop_assert_eq!(again.to_string(), reference.to_string());
            }
        }
    }
}

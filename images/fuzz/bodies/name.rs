//! Names of images. One that is understood is shown in a way that means the same.

use crate::Name;

pub fn run(bytes: &[u8]) {
    let Ok(name) = String::from_utf8_lossy(bytes).parse::<Name>() else {
        return;
    };
    let shown = name.to_string();
    let again: Name = shown.parse().expect("a name that was shown");
    assert_eq!(again.to_string(), shown);
    assert_eq!(again.registry(), name.registry());
    assert_eq!(again.repository(), name.repository());
    assert!(name.tag().is_some() || name.digest().is_some());
    // It becomes part of URLs.
    assert!(
        shown
            .split(['/', ':', '@'])
            .all(|part| part != ".." && part != ".")
    );
    assert!(!shown.contains(|c: char| c.is_whitespace() || c.is_control()));
}

//! A tar of a guest, or for one: read to its end or refused, and what is given of a member is no more than was there, or
//! zeros.

use super::{Member, Reader};
use std::io::Read;

/// Of a member: one that is sparse may say that it has more than anybody can read.
const MOST: u64 = 1 << 16;

pub fn run(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let mut given = 0;
    while let Ok(Some(Member {
        path, link, xattrs, ..
    })) = reader.next_member()
    {
        let said = path.len() + link.len();
        let said = xattrs
            .iter()
            .fold(said, |said, (name, value)| said + name.len() + value.len());
        // A name is its header's, with what goes before it there, or an extension's.
        assert!(
            said <= bytes.len() + 512,
            "more is said of a member than there is"
        );
        let mut content = Vec::new();
        if reader.by_ref().take(MOST).read_to_end(&mut content).is_err() {
            return;
        }
        given += content.iter().filter(|byte| **byte != 0).count();
    }
    assert!(given <= bytes.len());
}

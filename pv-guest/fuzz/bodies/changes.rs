//! Lists of changes from any bytes: refused or understood, and what is understood is said again in the same way.

use crate::files::ChangeDecoder;

pub fn run(bytes: &[u8]) {
    let (mut decoder, mut again) = (ChangeDecoder::default(), Vec::new());
    let mut ended = 0;
    for chunk in bytes.chunks(100) {
        if decoder.push(chunk, |change| change.encode(&mut again)).is_err() {
            return;
        }
        ended += chunk.len();
    }
    let whole = decoder.finish().is_ok();
    assert!(again.len() <= ended && bytes.starts_with(&again));
    assert!(!whole || again == bytes);
}

//! Taking what a body does from the fuzzer's bytes.

/// Takes so many bytes, and what there is when there are less.
pub fn take<'a>(script: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (taken, rest) = script.split_at(most.min(script.len()));
    *script = rest;
    taken
}

pub fn byte(script: &mut &[u8]) -> u8 {
    take(script, 1).first().copied().unwrap_or(0)
}

//! A guest's console ring, looked at from outside (xen/io/console.h): xenconsoled takes what is written to it, but the bytes
//! stay in the ring until others come over them.

use crate::DomId;
use crate::grant::Grants;
use std::io;

/// The reserved grant of every guest's console, xen/grant_table.h.
const CONSOLE_REFERENCE: u32 = 0;
/// Of `struct xencons_interface`.
const OUT_AT: usize = 1024;
const OUT_BYTES: usize = 2048;
const OUT_PROD_AT: usize = 3084;

/// The last bytes that a guest has written, oldest first.
pub fn output(grants: &Grants, domid: DomId) -> io::Result<Vec<u8>> {
    let mapping = grants.map(domid, &[CONSOLE_REFERENCE])?;
    let mut page = [0_u8; 4096];
    // SAFETY: the mapping has a page and overlaps nothing of ours. The guest may write meanwhile: the copy is by raw
    // pointers through libc, and what it copies is any bytes.
    unsafe {
        libc::memcpy(
            page.as_mut_ptr().cast(),
            mapping.start().as_ptr().cast(),
            page.len(),
        )
    };
    Ok(unroll(&page))
}

/// The ring's bytes in the order in which they were written.
fn unroll(page: &[u8; 4096]) -> Vec<u8> {
    let word = page[OUT_PROD_AT..]
        .first_chunk::<4>()
        .copied()
        .unwrap_or_default();
    let written = u32::from_le_bytes(word) as usize;
    let ring = &page[OUT_AT..OUT_AT + OUT_BYTES];
    if written < OUT_BYTES {
        return ring[..written].to_vec();
    }
    let (newer, older) = ring.split_at(written % OUT_BYTES);
    [older, newer].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_is_read_in_order() {
        let mut page = [0; 4096];
        page[OUT_AT..OUT_AT + 5].copy_from_slice(b"hello");
        page[OUT_PROD_AT] = 5;
        assert_eq!(unroll(&page), b"hello");
        page[OUT_AT..OUT_AT + OUT_BYTES].fill(b'o');
        page[OUT_AT..OUT_AT + 3].copy_from_slice(b"new");
        page[OUT_PROD_AT..OUT_PROD_AT + 4].copy_from_slice(&(2 * 2048_u32 + 3).to_le_bytes());
        let read = unroll(&page);
        assert_eq!(read.len(), OUT_BYTES);
        assert!(read.ends_with(b"oonew") && read.starts_with(b"oo"));
    }
}

//! The index of a root file system, from trees with all that an inode can have.

use super::script::{byte, take};
use super::tree::{compare, member};
use super::ustar::{self, record_bytes, sign};

fn record(key: &str, value: &[u8]) -> Vec<u8> {
    ustar::record(record_bytes(key, value), key, value)
}

/// Times, owners and attributes at the edges of what their fields can have.
fn extensions(script: &mut &[u8], name: &[u8]) -> Vec<u8> {
    const NUMBERS: &[&str] = &["0", "1", "65535", "65536", "4294967295", "1700000000"];
    // Of others there is no room in an index, as there is none in the kernel.
    const NAMES: &[&str] = &[
        "user.a",
        "user.b",
        "trusted.a",
        "security.capability",
        "system.posix_acl_access",
        "system.posix_acl_default",
    ];
    let number = |script: &mut &[u8]| NUMBERS[usize::from(byte(script)) % NUMBERS.len()];
    let mut body = record("path", name);
    for key in ["uid", "gid", "mtime"] {
        if byte(script) > 128 {
            body.extend(record(key, number(script).as_bytes()));
        }
    }
    for _ in 0..byte(script) % 6 {
        let name = NAMES[usize::from(byte(script)) % NAMES.len()];
        let key = format!("SCHILY.xattr.{name}");
        // Around the end of a block of the file system, and beyond.
        let length = usize::from(byte(script)) << (byte(script) % 6);
        let value = vec![byte(script); length];
        body.extend(record(&key, &value));
    }
    member(b"x", b'x', &body, b"", body.len() as u64)
}

fn name(script: &mut &[u8]) -> Vec<u8> {
    let mut name = Vec::new();
    for _ in 0..=byte(script) % 3 {
        let length = [1, 1, 2, 7, 60, 200, 255][usize::from(byte(script)) % 7];
        let letter = [b'a', b'b', 0xff][usize::from(byte(script)) % 3];
        name.extend(vec![letter; length]);
        name.push(b'/');
    }
    name.pop();
    name
}

fn layer(script: &mut &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    for _ in 0..byte(script) % 32 {
        let name = name(script);
        tar.extend(extensions(script, &name));
        let length = [0, 1, 511, 512, 513, 4095, 4096, 9000][usize::from(byte(script)) % 8];
        tar.extend(match byte(script) % 10 {
            0..4 => member(b"f", b'0', &vec![b'x'; length], b"", length as u64),
            4..6 => member(b"d", b'5', b"", b"", 0),
            6 => {
                let target = vec![b't'; length.clamp(1, 90)];
                member(b"l", b'2', b"", &target, 0)
            }
            7 => member(b"p", b'6', b"", b"", 0),
            8 => device(script),
            _ => member(b"h", b'1', b"", b"a", 0),
        });
    }
    tar.extend([0; 1024]);
    tar
}

fn device(script: &mut &[u8]) -> Vec<u8> {
    let mut header = member(b"c", b"34"[usize::from(byte(script)) % 2], b"", b"", 0);
    for at in [329, 337] {
        let digits = take(script, 7);
        let digits: Vec<u8> = digits.iter().map(|digit| b'0' + digit % 8).collect();
        header[at..at + digits.len()].copy_from_slice(&digits);
    }
    sign(&mut header);
    header
}

pub fn run(mut script: &[u8]) {
    compare(&[layer(&mut script), layer(&mut script)]);
}

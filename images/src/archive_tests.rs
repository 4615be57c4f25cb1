use super::*;
use crate::fuzz_tests::bodies::ustar;
use std::io::Cursor;

/// A header as POSIX has it, with its checksum.
pub(crate) fn header(name: &[u8], flag: u8, size: u64, link: &[u8]) -> [u8; 512] {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name);
    header[100..107].copy_from_slice(b"0000644");
    header[108..115].copy_from_slice(b"0000000");
    header[116..123].copy_from_slice(b"0000000");
    header[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    header[136..147].copy_from_slice(b"00000000001");
    header[156] = flag;
    header[157..157 + link.len()].copy_from_slice(link);
    header[257..265].copy_from_slice(b"ustar\x0000");
    sign(header)
}

fn sign(mut header: [u8; 512]) -> [u8; 512] {
    ustar::sign(&mut header);
    header
}

pub(crate) fn member(name: &[u8], flag: u8, data: &[u8], link: &[u8]) -> Vec<u8> {
    let mut bytes = header(name, flag, data.len() as u64, link).to_vec();
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

pub(crate) fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (key, value) in records {
        body.extend(ustar::record(ustar::record_bytes(key, value), key, value));
    }
    member(b"PaxHeaders/x", b'x', &body, b"")
}

fn read(parts: &[Vec<u8>]) -> Result<Vec<Entry>, TreeError> {
    let mut archive = Archive::new(Cursor::new(parts.concat()));
    let mut entries = Vec::new();
    while let Some(entry) = archive.next_entry()? {
        entries.push(entry);
    }
    Ok(entries)
}

fn end() -> Vec<u8> {
    vec![0; 1024]
}

#[test]
fn extensions_belong_to_the_next_entry_alone() {
    let long = vec![b'n'; 300];
    let entries = read(&[
        pax(&[
            ("path", &long),
            ("uid", b"3000000"),
            ("mtime", b"1700000000.5"),
            ("SCHILY.xattr.security.capability", b"\x01\x00=\n\xff"),
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ("comment", b"whatever"),
        ]),
        member(b"short", b'0', b"data", b""),
        member(b"././@LongLink", b'L', &[&long[..], b"\0"].concat(), b""),
        member(b"././@LongLink", b'K', &[&long[..], b"\0"].concat(), b""),
        member(b"short", b'2', b"", b"target"),
        member(b"plain", b'0', b"", b""),
        end(),
    ])
    .unwrap();
    assert_eq!(entries[0].path, long);
    assert_eq!(entries[0].uid, 3_000_000);
    assert_eq!(
        (entries[0].mtime, entries[0].mtime_ns),
        (1_700_000_000, 500_000_000)
    );
    let capability = ("security.capability".to_owned(), b"\x01\x00=\n\xff".to_vec());
    assert_eq!(entries[0].xattrs, [capability]);
    assert_eq!((entries[0].offset, entries[0].bytes), (3 * 512, 4));
    assert_eq!((&entries[1].path, &entries[1].link), (&long, &long));
    assert_eq!(entries[2].path, b"plain");
    assert!(entries[2].xattrs.is_empty());
}

#[test]
fn prefixes_are_posix_only() {
    let mut header = header(b"name", b'0', 0, b"");
    header[345..348].copy_from_slice(b"dir");
    assert_eq!(read(&[sign(header).to_vec()]).unwrap()[0].path, b"dir/name");
    header[257..265].copy_from_slice(b"ustar  \0");
    assert_eq!(read(&[sign(header).to_vec()]).unwrap()[0].path, b"name");
}

#[test]
fn times_have_nanoseconds() {
    for (text, expected) in [
        ("7", (7, 0)),
        ("7.", (7, 0)),
        ("7.000000001", (7, 1)),
        ("7.1234567899", (7, 123_456_789)),
        ("7.5x", (7, 0)),
        ("-7", (-7, 0)),
        ("-7.5", (-8, 500_000_000)),
        ("-0.25", (-1, 750_000_000)),
        ("99999999999999999999", (0, 0)),
        ("", (0, 0)),
    ] {
        assert_eq!(time(text), expected, "{text}");
    }
}

#[test]
fn times_in_headers_have_a_sign() {
    assert_eq!(seconds(b"00000000017\0"), Some(15));
    for expected in [-1_i64, -86_400, i64::MIN, 0, i64::MAX] {
        let mut field = [if expected < 0 { 0xff } else { 0 }; 12];
        field[0] |= 0x80;
        field[4..].copy_from_slice(&expected.to_be_bytes());
        assert_eq!(seconds(&field), Some(expected));
        let mut header = header(b"file", b'0', 0, b"");
        header[136..148].copy_from_slice(&field);
        assert_eq!(read(&[sign(header).to_vec()]).unwrap()[0].mtime, expected);
    }
    assert_eq!(seconds(&[0xfe; 12]), None);
    assert_eq!(seconds(b"x"), None);
}

#[test]
fn numbers() {
    assert_eq!(number(b"0000644\0").unwrap(), 0o644);
    assert_eq!(number(b"   644 \0").unwrap(), 0o644);
    assert_eq!(number(b"\0\0\0\0").unwrap(), 0);
    assert_eq!(number(b"\x80\0\0\0\0\0\0\0\0\0\x01\0").unwrap(), 256);
    for bad in [
        &b"9"[..],
        b"0x1",
        b"-1",
        b"\xff\xff\xff\xff",
        b"\x81\0\0\0\0\0\0\0\0\0\0\0",
    ] {
        assert!(number(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn data_of_what_has_none_is_not_skipped_and_a_slash_makes_a_directory() {
    // A size that means nothing, as Go reads links and directories.
    let link = header(b"link", b'1', 1 << 32, b"file");
    let entries = read(&[
        member(b"file", 0, b"1", b""),
        link.to_vec(),
        member(b"dir/", b'0', b"", b""),
        end(),
    ]);
    let kinds: Vec<_> = entries.unwrap().iter().map(|entry| entry.kind).collect();
    assert_eq!(
        kinds,
        [EntryKind::File, EntryKind::HardLink, EntryKind::Directory]
    );
}

#[test]
fn sizes_over_the_header_s_field_come_from_pax() {
    let huge = header(b"huge", b'0', 0, b"").to_vec();
    let parts = [pax(&[("size", b"600")]), huge, vec![7; 1024], end()];
    let entries = read(&parts).unwrap();
    assert_eq!(entries[0].bytes, 600);
}

#[test]
fn what_would_be_misread_is_refused() {
    let sparse = |result: Result<Vec<Entry>, TreeError>| {
        assert!(matches!(result, Err(TreeError::Sparse(_))), "{result:?}");
    };
    sparse(read(&[member(b"holes", b'S', b"", b"")]));
    sparse(read(&[
        pax(&[("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0")]),
        member(b"GNUSparseFile.0/holes", b'0', b"", b""),
    ]));
    for broken in [
        // More data than there is, in a file and in an extension.
        vec![header(b"f", b'0', 4000, b"").to_vec(), vec![0; 512]],
        vec![header(b"f", b'L', 4000, b"").to_vec(), vec![0; 512]],
        vec![header(b"f", b'x', 1 << 32, b"").to_vec()],
        vec![header(b"f", b'0', 0, b"")[..300].to_vec()],
        vec![pax(&[("path", b"x")]), end()],
        vec![member(b"p", b'x', b"99 path=x\n", b"")],
        vec![member(b"p", b'x', b"5 a=", b"")],
        vec![member(b"p", b'x', b"18446744073709551616 path=x\n", b"")],
        vec![pax(&[("size", b"-1")]), member(b"f", b'0', b"", b"")],
        vec![pax(&[("uid", b"4294967296")]), member(b"f", b'0', b"", b"")],
        vec![vec![1; 512]],
    ] {
        let result = read(&broken);
        assert!(matches!(result, Err(TreeError::Tar(_))), "{result:?}");
    }
    let value = vec![0; MAX_XATTR_BYTES + 1];
    let result = read(&[
        pax(&[("SCHILY.xattr.user.x", &value)]),
        member(b"f", b'0', b"", b""),
    ]);
    assert!(matches!(result, Err(TreeError::Xattrs(_))), "{result:?}");
}

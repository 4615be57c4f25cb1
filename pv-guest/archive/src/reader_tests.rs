use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

#[path = "../../fuzz/bodies/members.rs"]
mod body;

/// One member, with as many bytes as come with it.
fn member(kind: u8, name: &str, mtime: &[u8; 12], content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(content.len() as u64);
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.as_mut_bytes()[136..148].copy_from_slice(mtime);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES), 0);
    bytes
}

const NO_TIME: &[u8; 12] = b"00000000000\0";

fn file(name: &str, content: &[u8]) -> Vec<u8> {
    member(b'0', name, NO_TIME, content)
}

fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let length = (1..)
            .map(|digits| rest + digits)
            .find(|length| length.to_string().len() + rest == *length)
            .unwrap();
        bytes.extend_from_slice(format!("{length} {key}=").as_bytes());
        bytes.extend_from_slice(value);
        bytes.push(b'\n');
    }
    member(b'x', "pax", NO_TIME, &bytes)
}

fn read_all(bytes: &[u8]) -> Result<Vec<(Member, Vec<u8>)>, Error> {
    let mut reader = Reader::new(bytes);
    let mut members = Vec::new();
    while let Some(member) = reader.next_member()? {
        let mut content = Vec::new();
        reader.read_to_end(&mut content).map_err(Error::Read)?;
        members.push((member, content));
    }
    Ok(members)
}

#[test]
fn a_value_may_be_any_bytes() {
    let acl = b"\x02\0\0\0\n12 x=y\n\0=";
    let records = [
        ("SCHILY.xattr.system.posix_acl_access", &acl[..]),
        ("path", b"two\nlines"),
        ("mtime", b"-1.25"),
    ];
    let bytes = [pax(&records), file("short", b"content"), file("next", b"")].concat();
    let members = read_all(&bytes).unwrap();
    let (first, content) = &members[0];
    assert_eq!(
        first.xattrs,
        [("system.posix_acl_access".to_owned(), acl.to_vec())]
    );
    assert_eq!(
        (&first.path[..], first.mtime),
        (&b"two\nlines"[..], (-2, 750_000_000))
    );
    assert_eq!(content, b"content");
    assert!(members[1].0.xattrs.is_empty());
}

#[test]
fn times_go_back_before_the_epoch() {
    let mut time = [0xff; 12];
    for seconds in [-1_i64, -86_400, i64::MIN, 0, i64::MAX] {
        time[..4].fill(if seconds < 0 { 0xff } else { 0 });
        time[0] |= 0x80;
        time[4..].copy_from_slice(&seconds.to_be_bytes());
        let members = read_all(&member(b'0', "a", &time, b"")).unwrap();
        assert_eq!(members[0].0.mtime, (seconds, 0));
    }
    for (text, expected) in [
        ("1.5", Some((1, 500_000_000))),
        ("-1.5", Some((-2, 500_000_000))),
        ("-0.5", Some((-1, 500_000_000))),
        ("-3", Some((-3, 0))),
        ("5000000000", Some((5_000_000_000, 0))),
        ("1.1234567899", Some((1, 123_456_789))),
        ("x", None),
        ("", None),
    ] {
        assert_eq!(super::time(text), expected, "{text}");
    }
}

#[test]
fn what_would_be_misread_is_refused() {
    let sparse = [("GNU.sparse.major", &b"1"[..]), ("GNU.sparse.minor", b"0")];
    let bytes = [pax(&sparse), file("GNUSparseFile.1/holes", b"1\n0\n")].concat();
    let refused = read_all(&bytes);
    assert!(matches!(refused, Err(Error::Sparse(_))), "{:?}", refused.err());
    for bytes in [
        pax(&[("path", b"x")]),
        file("a", &[1; 600])[..1000].to_vec(),
        file("a", b"")[..100].to_vec(),
        member(b'x', "pax", NO_TIME, b"99 path=x\n"),
    ] {
        assert!(matches!(read_all(&bytes), Err(Error::Read(_))));
    }
}

/// What comes without end is not kept.
#[test]
fn an_extension_is_limited() {
    for kind in *b"xXgLK" {
        let mut header = tar::Header::from_byte_slice(&member(kind, "a", NO_TIME, b"")).clone();
        header.set_size(MAX_EXTENSION_BYTES + 1);
        header.set_cksum();
        let endless = io::Cursor::new(header.as_bytes().to_vec()).chain(io::repeat(b'1'));
        assert!(matches!(Reader::new(endless).next_member(), Err(Error::Read(_))));
    }
}

/// GNU's own form: two pieces, as many holes, and a block of further pieces.
#[test]
fn pieces_of_a_file_are_put_where_they_belong() {
    let octal = |number: u64| format!("{number:011o}\0").into_bytes();
    let header = |pieces: &[(u64, u64)], real: u64, is_extended: bool, content: u64| {
        let mut bytes = member(b'S', "holes", NO_TIME, b"");
        for (index, (offset, length)) in pieces.iter().enumerate() {
            let at = 386 + 24 * index;
            bytes[at..at + 12].copy_from_slice(&octal(*offset));
            bytes[at + 12..at + 24].copy_from_slice(&octal(*length));
        }
        bytes[482] = is_extended.into();
        bytes[483..495].copy_from_slice(&octal(real));
        bytes[124..136].copy_from_slice(&octal(content));
        let mut header = tar::Header::from_byte_slice(&bytes).clone();
        header.set_cksum();
        header.as_bytes().to_vec()
    };
    let mut more = vec![0; BLOCK_BYTES];
    more[..12].copy_from_slice(&octal(2000));
    more[12..24].copy_from_slice(&octal(3));
    let mut content = b"abcxyz".to_vec();
    content.resize(BLOCK_BYTES, 0);
    let bytes = [
        header(&[(1000, 3)], 2500, true, 6),
        more,
        content.clone(),
        file("next", b"n"),
    ]
    .concat();
    let members = read_all(&bytes).unwrap();
    let mut expected = vec![0; 2500];
    expected[1000..1003].copy_from_slice(b"abc");
    expected[2000..2003].copy_from_slice(b"xyz");
    assert_eq!(members[0].0.kind, tar::EntryType::Regular);
    assert!(members[0].1 == expected);
    assert_eq!(members[1].1, b"n");
    for wrong in [
        header(&[(1000, 3), (1001, 3)], 2500, false, 6),
        header(&[(2000, 3), (1000, 3)], 2500, false, 6),
        header(&[(1000, 6)], 1005, false, 6),
        header(&[(1000, 6)], 2500, false, 7),
    ] {
        assert!(read_all(&[wrong, content.clone()].concat()).is_err());
    }
}

proptest! {
    /// As the `tar` crate reads what it writes.
    #[test]
    fn what_was_written_is_read(files in vec(("[a-z/]{1,200}", vec(any::<u8>(), 0..1500)), 0..6)) {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, content) in &files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o600);
            header.set_mtime(5);
            let name = format!("x{name}x");
            builder.append_data(&mut header, name, &content[..]).unwrap();
        }
        let members = read_all(&builder.into_inner().unwrap()).unwrap();
        prop_assert_eq!(members.len(), files.len());
        for ((member, read), (_, content)) in members.iter().zip(&files) {
            prop_assert!(member.path.ends_with(b"x") && member.mtime == (5, 0) && read == content);
        }
    }

    #[test]
    fn any_bytes_end_in_an_answer(bytes in vec(any::<u8>(), 0..2000), at in 0..600_usize, to in any::<u8>()) {
        body::run(&bytes);
        let mut changed = [pax(&[("path", b"long")]), file("a", &bytes)].concat();
        changed[at] = to;
        body::run(&changed);
    }
}

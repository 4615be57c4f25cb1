//! The file of a layer's entries: as it comes, and what stands in a whole one.

use crate::archive::Entry;
use crate::entries::{Next, Reader, Writer, same};
use std::io;

fn read(file: &[u8]) -> io::Result<(Vec<Entry>, u64)> {
    let mut reader = Reader::new(file)?;
    let mut entries = Vec::new();
    loop {
        match reader.next_entry()? {
            Next::Entry(entry) => entries.push(entry),
            Next::End(bytes) => return Ok((entries, bytes)),
        }
    }
}

pub fn run(bytes: &[u8]) {
    // Compressed, so that a fuzzer has not to guess how.
    let packed = [&b"hyper entries 2\n"[..], bytes].concat();
    let packed = zstd::encode_all(&packed[..], 1).expect("it is in memory");
    for file in [bytes, &packed] {
        assert!(same(file, file) || Reader::new(file).is_err() || read(file).is_err());
        let Ok((entries, tar_bytes)) = read(file) else {
            continue;
        };
        // What is understood is written so that it is understood again.
        let mut writer = Writer::new(Vec::new()).expect("it is in memory");
        for entry in entries.clone() {
            writer.add(entry).expect("it is in memory");
        }
        let again = writer.finish(tar_bytes).expect("it is in memory");
        assert_eq!(read(&again).expect("it was just written"), (entries, tar_bytes));
    }
}

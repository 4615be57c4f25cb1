//! How headers of a tar are written, for whoever reads one.

/// Keys and values of a pax header, of the form `LENGTH KEY=VALUE\n`: the length counts all of the record, and a value may
/// be any bytes. What is no record is `None`, and ends them.
pub fn pax_records(mut records: &[u8]) -> impl Iterator<Item = Option<(&[u8], &[u8])>> {
    std::iter::from_fn(move || {
        // Some writers pad with zeros.
        if records.first().is_none_or(|first| *first == 0) {
            return None;
        }
        let first = first_record(records);
        records = first.map_or(&[], |(_, rest)| rest);
        Some(first.map(|(record, _)| record))
    })
}

type Record<'a> = (&'a [u8], &'a [u8]);

/// The first, and what follows it.
fn first_record(records: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let space = records.iter().take(20).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
    if length <= space + 1 || length > records.len() {
        return None;
    }
    let (record, rest) = records.split_at(length);
    let record = record[space + 1..].strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some(((&record[..equals], &record[equals + 1..]), rest))
}

/// Text that fills its field or ends with a zero byte.
pub fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or(bytes)
}

//! What a tar's parts need to be understood: <https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html>.

/// Makes the checksum of a member's header right.
pub fn sign(member: &mut [u8]) {
    member[148..156].fill(b' ');
    let sum: u64 = member[..512].iter().map(|byte| u64::from(*byte)).sum();
    member[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// Bytes of an extended header's record, which count themselves.
pub fn record_bytes(key: &str, value: &[u8]) -> usize {
    let rest = key.len() + value.len() + 3;
    let digits = (1..).find(|digits| (rest + digits).to_string().len() == *digits);
    rest + digits.unwrap_or(1)
}

/// A record that says that it is so long.
pub fn record(told_bytes: usize, key: &str, value: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{told_bytes} {key}=").into_bytes();
    bytes.extend_from_slice(value);
    bytes.push(b'\n');
    bytes
}

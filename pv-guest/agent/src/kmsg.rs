//! The kernel's messages.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

/// Longest record that /dev/kmsg gives.
const MAX_RECORD_BYTES: usize = 8192;

/// Adds a message of ours.
pub fn log(message: &str) {
    if let Ok(mut kmsg) = File::options().write(true).open("/dev/kmsg") {
        // Each write is a record.
        let _ = kmsg.write_all(format!("<6>agent: {message}\n").as_bytes());
    }
}

/// Reads messages from the first one on.
pub struct Reader(File);

impl Reader {
    pub fn open() -> io::Result<Self> {
        File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg")
            .map(Self)
    }

    /// The next message as `dmesg` prints it; `None` when there is none yet.
    pub fn next_line(&mut self) -> io::Result<Option<String>> {
        let mut record = [0; MAX_RECORD_BYTES];
        loop {
            return match self.0.read(&mut record) {
                Ok(length) => Ok(Some(format(&String::from_utf8_lossy(&record[..length])))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
                // Messages were overwritten before we came to read them.
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => continue,
                Err(error) => Err(error),
            };
        }
    }
}

impl AsFd for Reader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// `6,123,4567890,-;text` as `[    4.567890] text`.
fn format(record: &str) -> String {
    let (prefix, rest) = record.split_once(';').unwrap_or(("", record));
    let text = rest.lines().next().unwrap_or("");
    let micros: u64 = prefix
        .split(',')
        .nth(2)
        .and_then(|time| time.parse().ok())
        .unwrap_or(0);
    format!("[{:5}.{:06}] {text}\n", micros / 1_000_000, micros % 1_000_000)
}

#[cfg(test)]
mod tests {
    #[test]
    fn records_are_formatted_as_dmesg_does() {
        assert_eq!(
            super::format("6,1,2345678,-;hello; you\n KEY=value\n"),
            "[    2.345678] hello; you\n"
        );
        assert_eq!(super::format("garbage"), "[    0.000000] garbage\n");
    }
}

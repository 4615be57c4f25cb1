//! Several block devices one behind the other, as one: the device mapper's linear target.
//!
//! Devices are made read-only and marked for removal while they are open: like an autoclear loop device, one that no
//! process and no backend holds vanishes by itself. What a daemon that was killed left between making and marking is
//! found by [`release_all`].

use crate::loop_device::LoopDevice;
use rustix::fs::{Mode, OFlags, open};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

/// linux/dm-ioctl.h: `_IOWR(0xfd, command, struct dm_ioctl)`, whose size is [`HEADER_BYTES`].
const DM_IOCTL: libc::c_ulong = 0xC138_FD00;
const DM_LIST_DEVICES: libc::c_ulong = 2;
const DM_DEV_CREATE: libc::c_ulong = 3;
const DM_DEV_REMOVE: libc::c_ulong = 4;
const DM_DEV_SUSPEND: libc::c_ulong = 6;
const DM_DEV_STATUS: libc::c_ulong = 7;
const DM_TABLE_LOAD: libc::c_ulong = 9;

const DM_READONLY_FLAG: u32 = 1 << 0;
const DM_BUFFER_FULL_FLAG: u32 = 1 << 8;
const DM_DEFERRED_REMOVE: u32 = 1 << 17;
/// The first with deferred removal.
const VERSION: [u32; 3] = [4, 27, 0];

const HEADER_BYTES: usize = 312;
const NAME_AT: usize = 48;
const NAME_BYTES: usize = 128;
/// `struct dm_target_spec`.
const TARGET_BYTES: usize = 40;
/// What a list of devices gets to begin with.
const LIST_BYTES: usize = 16 << 10;
const MAX_LIST_BYTES: usize = 16 << 20;

const CONTROL: &str = "/dev/mapper/control";
/// Devices with such names are ours.
const PREFIX: &str = "hyper-root-";

#[derive(Debug, thiserror::Error)]
pub enum LinearError {
    #[error("the device mapper cannot be used: is the module `dm_mod` loaded?")]
    Control(#[source] io::Error),
    #[error("cannot {what} the device {name}")]
    Device {
        what: &'static str,
        name: String,
        #[source]
        source: io::Error,
    },
}

/// A read-only device put together from others, held open.
#[derive(Debug)]
pub struct LinearDevice {
    number: Number,
    /// Before the parts: they are released after it.
    _held: OwnedFd,
    _parts: Vec<Arc<LoopDevice>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Number {
    major: u32,
    minor: u32,
}

impl Number {
    /// From `huge_encode_dev` of the kernel's kdev_t.h, in 32 bits the same as `new_encode_dev`.
    fn decode(device: u64) -> Self {
        Self {
            major: ((device >> 8) & 0xfff) as u32,
            minor: ((device & 0xff) | ((device >> 12) & 0xf_ff00)) as u32,
        }
    }

    fn path(self) -> PathBuf {
        PathBuf::from(format!("/dev/dm-{}", self.minor))
    }
}

/// One command: a `struct dm_ioctl` and what is behind it.
struct Request {
    bytes: Vec<u8>,
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}

impl Request {
    fn new(name: &str, flags: u32) -> Self {
        let mut request = Self {
            bytes: vec![0; HEADER_BYTES],
        };
        for (at, number) in VERSION.iter().enumerate() {
            request.put(4 * at, *number);
        }
        request.put(16, HEADER_BYTES as u32);
        request.put(28, flags);
        // Ours are shorter; the last byte stays zero.
        let name = &name.as_bytes()[..name.len().min(NAME_BYTES - 1)];
        request.bytes[NAME_AT..NAME_AT + name.len()].copy_from_slice(name);
        request
    }

    fn put(&mut self, at: usize, number: u32) {
        self.bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }

    /// Appends targets: sectors of each part, and its device.
    fn with_table(mut self, parts: &[(u64, String)]) -> Self {
        let mut sector = 0_u64;
        for (sectors, device) in parts {
            let parameters = format!("{device} 0\0");
            let length = (TARGET_BYTES + parameters.len()).next_multiple_of(8);
            let mut target = vec![0; length];
            target[..8].copy_from_slice(&sector.to_le_bytes());
            target[8..16].copy_from_slice(&sectors.to_le_bytes());
            target[20..24].copy_from_slice(&(length as u32).to_le_bytes());
            target[24..30].copy_from_slice(b"linear");
            target[TARGET_BYTES..TARGET_BYTES + parameters.len()].copy_from_slice(parameters.as_bytes());
            self.bytes.extend(target);
            sector += sectors;
        }
        self.put(20, parts.len() as u32);
        self
    }

    fn with_room(mut self, bytes: usize) -> Self {
        self.bytes.resize(bytes, 0);
        self
    }

    fn send(mut self, control: &OwnedFd, command: libc::c_ulong) -> io::Result<Vec<u8>> {
        self.put(12, self.bytes.len() as u32);
        // SAFETY: the kernel reads and writes as many bytes as `data_size` at offset 12 says, which is the buffer's length.
        let result = unsafe { libc::ioctl(control.as_raw_fd(), DM_IOCTL | command, self.bytes.as_mut_ptr()) };
        match result {
            0 => Ok(self.bytes),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

fn control() -> Result<OwnedFd, LinearError> {
    open(CONTROL, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| LinearError::Control(error.into()))
}

/// Names of all devices that begin so.
fn list(control: &OwnedFd, prefix: &str) -> io::Result<Vec<String>> {
    let mut room = LIST_BYTES;
    let answer = loop {
        let answer = Request::new("", 0)
            .with_room(room)
            .send(control, DM_LIST_DEVICES)?;
        if word(&answer, 28) & DM_BUFFER_FULL_FLAG == 0 {
            break answer;
        }
        room *= 2;
        if room > MAX_LIST_BYTES {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
    };
    Ok(names(&answer)
        .into_iter()
        .filter(|name| name.starts_with(prefix))
        .collect())
}

/// `struct dm_name_list`s: number, offset of the next, name.
fn names(answer: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = word(answer, 16) as usize;
    while at + 12 < answer.len() && long(answer, at) != 0 {
        let name = answer[at + 12..].split(|byte| *byte == 0).next().unwrap_or(&[]);
        names.push(String::from_utf8_lossy(name).into_owned());
        match word(answer, at + 8) as usize {
            0 => break,
            next => at += next,
        }
    }
    names
}

fn number(control: &OwnedFd, name: &str) -> io::Result<Number> {
    let answer = Request::new(name, 0).send(control, DM_DEV_STATUS)?;
    Ok(Number::decode(long(&answer, 40)))
}

fn hold(number: Number) -> io::Result<OwnedFd> {
    Ok(open(
        number.path(),
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}

/// Removes a device now, or as soon as nobody holds it.
fn remove(control: &OwnedFd, name: &str) -> io::Result<()> {
    Request::new(name, DM_DEFERRED_REMOVE)
        .send(control, DM_DEV_REMOVE)
        .map(drop)
}

impl LinearDevice {
    /// Puts parts together, the first first. `id` is for finding it again; it may be made several times. Blocks for a
    /// moment.
    pub fn create(id: &str, parts: Vec<Arc<LoopDevice>>) -> Result<Self, LinearError> {
        let control = control()?;
        let name = format!("{PREFIX}{id}-{}", &Uuid::new_v4().simple().to_string()[..8]);
        let failed = |what| {
            let name = name.clone();
            move |source| LinearError::Device { what, name, source }
        };
        let mut table = Vec::new();
        for part in &parts {
            let sectors = part.sectors().map_err(failed("measure the parts of"))?;
            table.push((sectors, part.number().to_string()));
        }
        let answer = Request::new(&name, 0)
            .send(&control, DM_DEV_CREATE)
            .map_err(failed("make"))?;
        let number = Number::decode(long(&answer, 40));
        let made = (|| {
            Request::new(&name, DM_READONLY_FLAG)
                .with_table(&table)
                .send(&control, DM_TABLE_LOAD)
                .map_err(failed("load the table of"))?;
            Request::new(&name, 0)
                .send(&control, DM_DEV_SUSPEND)
                .map_err(failed("activate"))?;
            hold(number).map_err(failed("open"))
        })();
        // Held, it goes when it is not any more; otherwise now.
        let removed = remove(&control, &name).map_err(failed("mark for removal"));
        let held = made?;
        removed?;
        Ok(Self {
            number,
            _held: held,
            _parts: parts,
        })
    }

    /// One that somebody still holds.
    pub fn find(id: &str) -> Result<Option<Self>, LinearError> {
        let control = control()?;
        let prefix = format!("{PREFIX}{id}-");
        for name in list(&control, &prefix).map_err(LinearError::Control)? {
            // One that is going meanwhile is none, also when its number is another's already.
            let Ok(found) = number(&control, &name) else {
                continue;
            };
            let Ok(held) = hold(found) else { continue };
            if number(&control, &name).is_ok_and(|now| now == found) {
                return Ok(Some(Self {
                    number: found,
                    _held: held,
                    _parts: Vec::new(),
                }));
            }
        }
        Ok(None)
    }

    pub fn path(&self) -> PathBuf {
        self.number.path()
    }

    /// Major and minor number as blkback wants them, in hexadecimal.
    pub(crate) fn physical(&self) -> String {
        format!("{:x}:{:x}", self.number.major, self.number.minor)
    }
}

/// Sees to it that no device of ours outlives its holders; gives the errors. Nothing to do where there is no device
/// mapper.
pub fn release_all() -> Vec<LinearError> {
    if !Path::new(CONTROL).exists() {
        return Vec::new();
    }
    let listed = control().and_then(|control| {
        let names = list(&control, PREFIX).map_err(LinearError::Control)?;
        Ok((control, names))
    });
    let (control, names) = match listed {
        Ok(listed) => listed,
        Err(error) => return vec![error],
    };
    let mut errors = Vec::new();
    for name in names {
        match remove(&control, &name) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => {}
            Err(source) => errors.push(LinearError::Device {
                what: "remove",
                name,
                source,
            }),
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_as_the_kernel_reads_them() {
        let table = Request::new("hyper-root-x", DM_READONLY_FLAG)
            .with_table(&[(16, "7:3".to_owned()), (1 << 33, "7:1000000".to_owned())]);
        let bytes = &table.bytes;
        assert_eq!(word(bytes, 20), 2, "targets");
        assert_eq!(word(bytes, 28), DM_READONLY_FLAG);
        let first = HEADER_BYTES;
        assert_eq!((long(bytes, first), long(bytes, first + 8)), (0, 16));
        assert_eq!(&bytes[first + 24..first + 31], b"linear\0");
        assert_eq!(&bytes[first + 40..first + 46], b"7:3 0\0");
        let second = first + word(bytes, first + 20) as usize;
        assert_eq!((long(bytes, second), long(bytes, second + 8)), (16, 1 << 33));
        assert_eq!(&bytes[second + 40..second + 52], b"7:1000000 0\0");
        assert_eq!(second % 8, 0);
        assert_eq!(bytes.len(), second + word(bytes, second + 20) as usize);
    }

    #[test]
    fn lists_are_read_to_their_end() {
        let mut answer = Request::new("", 0).bytes;
        assert!(names(&answer).is_empty());
        for (name, next) in [(&b"one\0"[..], 16_u32), (b"two\0", 0)] {
            answer.extend(7_u64.to_le_bytes());
            answer.extend(next.to_le_bytes());
            answer.extend(name);
        }
        assert_eq!(names(&answer), ["one", "two"]);
    }

    #[test]
    fn numbers_are_decoded() {
        let decoded = Number::decode(0xfd << 8 | 0x12);
        assert_eq!((decoded.major, decoded.minor), (0xfd, 0x12));
        assert_eq!(Number::decode(0x123 << 20 | 0xfd << 8 | 0x45).minor, 0x12345);
    }
}

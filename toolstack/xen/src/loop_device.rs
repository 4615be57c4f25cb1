//! Files as block devices.
//!
//! Devices are attached with autoclear: one that no process and no backend holds vanishes by itself, so a daemon that
//! is killed leaves none behind, and the disks of guests that run on stay.

use rustix::fs::{Mode, OFlags, open};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// linux/loop.h
const LOOP_CONFIGURE: libc::c_ulong = 0x4C0A;
const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4C82;
/// linux/fs.h: `_IOR(0x12, 114, size_t)`
const BLKGETSIZE64: libc::c_ulong = 0x8008_1272;
const LO_FLAGS_READ_ONLY: u32 = 1;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
const SECTOR_BYTES: u32 = 512;
/// linux/major.h
const LOOP_MAJOR: u32 = 7;

/// `struct loop_config` of linux/loop.h, with its `struct loop_info64`.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    sizelimit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
    reserved: [u64; 8],
}

#[derive(Debug, thiserror::Error)]
pub enum LoopError {
    #[error("cannot open {path}")]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("loop devices cannot be used: is the module `loop` loaded?")]
    Control(#[source] io::Error),
    #[error("cannot attach {path} to a loop device")]
    Attach {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// An attached loop device, held open.
#[derive(Debug)]
pub struct LoopDevice {
    number: u32,
    held: OwnedFd,
}

fn open_at(path: &Path, flags: OFlags) -> Result<OwnedFd, LoopError> {
    open(path, flags | OFlags::CLOEXEC, Mode::empty()).map_err(|error| LoopError::Open {
        path: path.to_owned(),
        source: error.into(),
    })
}

fn device_path(number: u32) -> PathBuf {
    PathBuf::from(format!("/dev/loop{number}"))
}

/// The file behind a loop device: its file system and inode.
fn backing(number: u32) -> Option<(u64, u64)> {
    let backing = fs::read_to_string(format!("/sys/block/loop{number}/loop/backing_file")).ok()?;
    let found = fs::metadata(backing.trim_end()).ok()?;
    Some((found.dev(), found.ino()))
}

impl LoopDevice {
    /// Attaches a file. Blocks for a moment.
    pub fn attach(path: &Path, read_only: bool) -> Result<Self, LoopError> {
        let access = if read_only { OFlags::RDONLY } else { OFlags::RDWR };
        let backing = open_at(path, access)?;
        let control = open_at(Path::new("/dev/loop-control"), OFlags::RDWR)?;
        loop {
            // SAFETY: takes no argument.
            let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
            let number = u32::try_from(number).map_err(|_| LoopError::Control(io::Error::last_os_error()))?;
            let device = open_at(&device_path(number), access)?;
            let mut file_name = [0; 64];
            let name = path.as_os_str().as_encoded_bytes();
            // The end tells more than the beginning.
            let name = &name[name.len().saturating_sub(file_name.len() - 1)..];
            file_name[..name.len()].copy_from_slice(name);
            let config = LoopConfig {
                fd: backing.as_raw_fd() as u32,
                block_size: SECTOR_BYTES,
                device: 0,
                inode: 0,
                rdevice: 0,
                offset: 0,
                sizelimit: 0,
                number: 0,
                encrypt_type: 0,
                encrypt_key_size: 0,
                flags: LO_FLAGS_AUTOCLEAR | if read_only { LO_FLAGS_READ_ONLY } else { 0 },
                file_name,
                crypt_name: [0; 64],
                encrypt_key: [0; 32],
                init: [0; 2],
                reserved: [0; 8],
            };
            // SAFETY: LOOP_CONFIGURE reads a `struct loop_config`, whose layout this is.
            if unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &config) } == 0 {
                return Ok(Self { number, held: device });
            }
            let error = io::Error::last_os_error();
            // Somebody else took this one meanwhile: ask for another.
            if error.raw_os_error() != Some(libc::EBUSY) {
                return Err(LoopError::Attach {
                    path: path.to_owned(),
                    source: error,
                });
            }
        }
    }

    /// The device a file is attached to already, by the file's identity.
    pub fn find(path: &Path) -> Option<Self> {
        let wanted = fs::metadata(path).ok()?;
        let wanted = (wanted.dev(), wanted.ino());
        for entry in fs::read_dir("/sys/block").ok()?.flatten() {
            let name = entry.file_name();
            let Some(number) = name
                .to_str()
                .and_then(|name| name.strip_prefix("loop")?.parse().ok())
            else {
                continue;
            };
            if backing(number) != Some(wanted) {
                continue;
            }
            let Ok(held) = File::open(device_path(number)) else {
                continue;
            };
            // It may have been cleared, and taken by another file, before it was held.
            if backing(number) == Some(wanted) {
                return Some(Self {
                    number,
                    held: held.into(),
                });
            }
        }
        None
    }

    /// Its length in units of 512 bytes.
    pub(crate) fn sectors(&self) -> io::Result<u64> {
        let mut bytes = 0_u64;
        // SAFETY: BLKGETSIZE64 writes a 64-bit number, which this is.
        match unsafe { libc::ioctl(self.held.as_raw_fd(), BLKGETSIZE64, &mut bytes) } {
            0 => Ok(bytes / u64::from(SECTOR_BYTES)),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// `major:minor`.
    pub(crate) fn number(&self) -> String {
        format!("{LOOP_MAJOR}:{}", self.number)
    }

    /// As `/dev/loop3`.
    pub fn path(&self) -> PathBuf {
        device_path(self.number)
    }

    /// Major and minor number as blkback wants them, in hexadecimal.
    pub(crate) fn physical(&self) -> String {
        format!("{LOOP_MAJOR:x}:{:x}", self.number)
    }
}

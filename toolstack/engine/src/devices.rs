//! Block devices for the disks of guests. What is read only is made once for all guests that have it, and vanishes with
//! the last of them.

use crate::error::{Error, ErrorKind};
use crate::plan::{DiskSource, PlannedDisk};
use images::RootDisk;
use std::collections::HashMap;
use std::hash::Hash;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use xen::{BlockDevice, Disk, DiskMode, LinearDevice, LoopDevice};

/// Devices that others may use too, while somebody does.
#[derive(Default)]
pub struct SharedDevices {
    files: Shared<PathBuf, LoopDevice>,
    roots: Shared<String, LinearDevice>,
}

struct Shared<K, D>(Mutex<HashMap<K, Weak<D>>>);

impl<K, D> Default for Shared<K, D> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq, D> Shared<K, D> {
    /// The device of this key, made if nobody has it; by one at a time.
    fn get(&self, key: K, make: impl FnOnce() -> Result<D, Error>) -> Result<Arc<D>, Error> {
        let mut devices = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(device) = devices.get(&key).and_then(Weak::upgrade) {
            return Ok(device);
        }
        let device = Arc::new(make()?);
        devices.retain(|_, device| device.strong_count() > 0);
        devices.insert(key, Arc::downgrade(&device));
        Ok(device)
    }
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Error {
    Error::from_source(ErrorKind::Failed, "", error)
}

fn attach(file: &Path, read_only: bool) -> Result<LoopDevice, Error> {
    LoopDevice::attach(file, read_only).map_err(|error| failed(&error))
}

impl SharedDevices {
    /// The device of a disk. `find`: a guest that runs has it, which an earlier engine has started.
    pub fn attach(&self, disk: &PlannedDisk, find: bool) -> Result<Disk, Error> {
        let device = match &disk.source {
            DiskSource::Root(root) => BlockDevice::Linear(self.root(root)?),
            DiskSource::File(file) if disk.read_only => BlockDevice::Loop(self.file(file)?),
            DiskSource::File(file) => {
                let found = if find { LoopDevice::find(file) } else { None };
                let device = found.map_or_else(|| attach(file, false), Ok)?;
                BlockDevice::Loop(Arc::new(device))
            }
        };
        let mode = match disk.read_only {
            true => DiskMode::ReadOnly,
            false => DiskMode::ReadWrite,
        };
        Ok(Disk { device, mode })
    }

    fn file(&self, file: &Path) -> Result<Arc<LoopDevice>, Error> {
        self.files.get(file.to_owned(), || {
            LoopDevice::find(file).map_or_else(|| attach(file, true), Ok)
        })
    }

    fn root(&self, root: &RootDisk) -> Result<Arc<LinearDevice>, Error> {
        self.roots.get(root.id.clone(), || {
            if let Some(found) = LinearDevice::find(&root.id).map_err(|error| failed(&error))? {
                return Ok(found);
            }
            let parts = std::iter::once(&root.index).chain(&root.layers);
            let parts = parts.map(|part| self.file(part)).collect::<Result<Vec<_>, _>>()?;
            LinearDevice::create(&root.id, parts).map_err(|error| failed(&error))
        })
    }
}

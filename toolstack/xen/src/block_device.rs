//! Block devices of dom0 that guests have as disks.

use crate::linear_device::LinearDevice;
use crate::loop_device::LoopDevice;
use std::path::PathBuf;
use std::sync::Arc;

/// A block device, held open.
#[derive(Debug, Clone)]
pub enum BlockDevice {
    Loop(Arc<LoopDevice>),
    Linear(Arc<LinearDevice>),
}

impl BlockDevice {
    pub fn path(&self) -> PathBuf {
        match self {
            Self::Loop(device) => device.path(),
            Self::Linear(device) => device.path(),
        }
    }

    pub(crate) fn physical(&self) -> String {
        match self {
            Self::Loop(device) => device.physical(),
            Self::Linear(device) => device.physical(),
        }
    }
}

//! Devices of a guest, as their two halves in xenstore.
//!
//! A hotplug script's part is done here: blkback starts on `physical-device`, netback on `hotplug-status`.

use crate::DomId;
use crate::block_device::BlockDevice;
use crate::store::{Access, StoreChange};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskMode {
    ReadOnly,
    ReadWrite,
}

/// A block device of a guest: the first is xvda.
#[derive(Debug, Clone)]
pub struct Disk {
    pub device: BlockDevice,
    pub mode: DiskMode,
}

/// A network interface of a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    pub mac: [u8; 6],
    /// The bridge of dom0 that it joins.
    pub bridge: String,
    /// Bytes; netback's default when absent.
    pub mtu: Option<u32>,
    /// What the guest may send; as much as it can when absent.
    pub bytes_per_second: Option<u64>,
}

/// How often netback lets a guest with a limit send again, as libxl has it.
const RATE_MICROSECONDS: u64 = 50_000;

/// xenbus states, xen/io/xenbus.h.
pub const INITIALISING: &str = "1";
pub const CONNECTED: &str = "4";
pub const CLOSING: &str = "5";
pub const CLOSED: &str = "6";

/// What to write for one device.
pub(crate) struct Nodes {
    pub granted: Vec<(String, Access)>,
    pub entries: Vec<(String, String)>,
    pub backend: String,
}

impl Nodes {
    /// The entries after the nodes that they are in.
    pub fn changes(&self) -> impl Iterator<Item = StoreChange> {
        let granted = self.granted.iter();
        let granted = granted.flat_map(|(path, access)| StoreChange::grant(path, *access));
        granted.chain(
            self.entries
                .iter()
                .map(|(path, value)| StoreChange::write(path, value)),
        )
    }
}

fn nodes(domid: DomId, kind: &str, number: u32, front: &[(&str, &str)], back: &[(&str, &str)]) -> Nodes {
    let frontend = format!("/local/domain/{domid}/device/{kind}/{number}");
    let backend = format!("/local/domain/0/backend/{kind}/{domid}/{number}");
    let mut entries = Vec::new();
    let mut put = |path: &str, pairs: &[(&str, &str)]| {
        entries.extend(
            pairs
                .iter()
                .map(|(key, value)| (format!("{path}/{key}"), (*value).to_owned())),
        );
    };
    put(
        &frontend,
        &[
            ("backend", &backend),
            ("backend-id", "0"),
            ("state", INITIALISING),
        ],
    );
    put(&frontend, front);
    put(&backend, back);
    put(
        &backend,
        &[
            ("frontend", &frontend),
            ("frontend-id", &domid.to_string()),
            ("online", "1"),
            ("state", INITIALISING),
        ],
    );
    Nodes {
        granted: vec![
            (frontend, Access::Owner(domid)),
            (backend.clone(), Access::Reader(domid)),
        ],
        entries,
        backend,
    }
}

/// What a guest's disks are counted up to: their names have one letter.
pub const MAX_DISKS: usize = 26;

/// Name of the disk of this index in the guest.
pub fn disk_name(index: usize) -> String {
    format!("xvd{}", char::from(b'a' + (index % MAX_DISKS) as u8))
}

/// As xen/docs/misc/vbd-interface.txt has it: major 202 and 16 minors for each of the first 16, 256 of a number space
/// of their own for the others.
fn disk_number(index: usize) -> u32 {
    let index = index as u32;
    match index {
        0..16 => (202 << 8) + 16 * index,
        _ => (1 << 28) + (index << 8),
    }
}

impl Disk {
    pub(crate) fn nodes(&self, domid: DomId, index: usize) -> Nodes {
        let number = disk_number(index);
        let path = self.device.path();
        let mode = match self.mode {
            DiskMode::ReadOnly => "r",
            DiskMode::ReadWrite => "w",
        };
        nodes(
            domid,
            "vbd",
            number,
            &[("virtual-device", &number.to_string()), ("device-type", "disk")],
            &[
                ("params", &path.to_string_lossy()),
                ("type", "phy"),
                ("dev", &disk_name(index)),
                ("device-type", "disk"),
                ("mode", mode),
                ("removable", "0"),
                ("bootable", "1"),
                ("discard-enable", "1"),
                ("physical-device-path", &path.to_string_lossy()),
                ("physical-device", &self.device.physical()),
                ("hotplug-status", "connected"),
            ],
        )
    }
}

impl Nic {
    pub(crate) fn nodes(&self, domid: DomId, index: usize) -> Nodes {
        let mac = self.mac.map(|byte| format!("{byte:02x}")).join(":");
        let mut nodes = nodes(
            domid,
            "vif",
            index as u32,
            &[("handle", &index.to_string()), ("mac", &mac)],
            &[
                ("handle", &index.to_string()),
                ("mac", &mac),
                ("bridge", &self.bridge),
                ("type", "vif"),
                // netback insists on the key, and gives it to nobody.
                ("script", ""),
            ],
        );
        if let Some(rate) = self.bytes_per_second {
            let bytes = rate / (1_000_000 / RATE_MICROSECONDS);
            let path = format!("{}/rate", nodes.backend);
            // Before its state, on which netback starts.
            nodes
                .entries
                .insert(0, (path, format!("{bytes},{RATE_MICROSECONDS}")));
        }
        nodes
    }
}

//! What a domain uses, as Xen and dom0's backends count it.

use crate::calls::CallError;
use crate::{DomId, Host};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// blkback counts in these, whatever the disk's own.
const SECTOR_BYTES: u64 = 512;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DomainUsage {
    pub cpu: Duration,
    pub vcpus: u32,
    pub memory_bytes: u64,
    pub disks: DiskUsage,
    /// By the number of the interface.
    pub nics: BTreeMap<u32, NicUsage>,
}

/// Of all its disks together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskUsage {
    pub reads: u64,
    pub read_bytes: u64,
    pub writes: u64,
    pub written_bytes: u64,
}

/// As the guest sees it: what dom0's side sends is what it receives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NicUsage {
    pub received_bytes: u64,
    pub received_packets: u64,
    pub received_errors: u64,
    pub received_dropped: u64,
    pub sent_bytes: u64,
    pub sent_packets: u64,
    pub sent_errors: u64,
    pub sent_dropped: u64,
}

impl Host {
    /// `None`: there is no such domain.
    pub async fn usage(self: &Arc<Self>, domid: DomId) -> Result<Option<DomainUsage>, CallError> {
        let Some(listed) = self.listed(domid).await? else {
            return Ok(None);
        };
        let counted = tokio::task::spawn_blocking(move || {
            (
                disks(Path::new("/sys/bus/xen-backend/devices"), domid),
                nics(Path::new("/sys/class/net"), domid),
            )
        });
        let (disks, nics) = counted.await.unwrap_or_default();
        Ok(Some(DomainUsage {
            cpu: Duration::from_nanos(listed.cpu_time_ns),
            vcpus: listed.vcpus,
            memory_bytes: listed.memory_bytes,
            disks,
            nics,
        }))
    }
}

/// A device that goes meanwhile counts nothing.
fn count(statistics: &Path, name: &str) -> u64 {
    let text = fs::read_to_string(statistics.join(name)).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// What follows `prefix` in the devices' names, and where each counts.
fn devices(folder: &Path, prefix: &str) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let rest = name.strip_prefix(prefix)?.to_owned();
            Some((rest, entry.path().join("statistics")))
        })
        .collect()
}

fn disks(folder: &Path, domid: DomId) -> DiskUsage {
    let mut usage = DiskUsage::default();
    for (_, statistics) in devices(folder, &format!("vbd-{domid}-")) {
        usage.reads += count(&statistics, "rd_req");
        usage.read_bytes += count(&statistics, "rd_sect") * SECTOR_BYTES;
        usage.writes += count(&statistics, "wr_req");
        usage.written_bytes += count(&statistics, "wr_sect") * SECTOR_BYTES;
    }
    usage
}

fn nics(folder: &Path, domid: DomId) -> BTreeMap<u32, NicUsage> {
    let nic = |statistics: &Path| NicUsage {
        received_bytes: count(statistics, "tx_bytes"),
        received_packets: count(statistics, "tx_packets"),
        received_errors: count(statistics, "tx_errors"),
        received_dropped: count(statistics, "tx_dropped"),
        sent_bytes: count(statistics, "rx_bytes"),
        sent_packets: count(statistics, "rx_packets"),
        sent_errors: count(statistics, "rx_errors"),
        sent_dropped: count(statistics, "rx_dropped"),
    };
    devices(folder, &format!("vif{domid}."))
        .iter()
        .filter_map(|(index, statistics)| Some((index.parse().ok()?, nic(statistics))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_of_one_domain_are_added_up() {
        let folder = tempfile::tempdir().unwrap();
        let put = |device: &str, name: &str, text: &str| {
            let statistics = folder.path().join(device).join("statistics");
            fs::create_dir_all(&statistics).unwrap();
            fs::write(statistics.join(name), text).unwrap();
        };
        put("vbd-7-51712", "rd_sect", "2\n");
        put("vbd-7-51728", "rd_sect", "3\n");
        put("vbd-7-51728", "wr_req", "9\n");
        put("vbd-77-51712", "rd_sect", "100\n");
        put("vif7.0", "tx_bytes", "11\n");
        put("vif7.10", "rx_bytes", "12\n");
        put("vif7.2", "rx_bytes", "13\n");
        put("vif77.1", "rx_bytes", "14\n");
        let disks = disks(folder.path(), 7);
        assert_eq!((disks.read_bytes, disks.writes), (5 * 512, 9));
        let nics = nics(folder.path(), 7);
        let counted = nics
            .iter()
            .map(|(index, nic)| (*index, nic.received_bytes, nic.sent_bytes));
        assert_eq!(counted.collect::<Vec<_>>(), [(0, 11, 0), (2, 0, 13), (10, 0, 12)]);
    }
}

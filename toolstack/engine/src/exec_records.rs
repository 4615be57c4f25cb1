//! Execs as they are recorded, so that their exit codes outlive the daemon that started them.

use crate::context::Context;
use crate::engine::ExecSpec;
use crate::error::Error;
use crate::records::Until;
use guest_protocol::message::ProcessId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub const KIND: &str = "exec";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecRecord {
    pub container: String,
    pub spec: ExecSpec,
    /// In its guest.
    pub process: ProcessId,
    pub pid: u32,
    /// Absent while it runs.
    pub exit_code: Option<i32>,
}

/// Written without waiting for the disk: a host that goes down takes the guest with it.
pub fn put(cx: &Context, id: &str, record: &ExecRecord) {
    let written = cx
        .records
        .change_until(Until::HostEnds, |on_disk| on_disk.put_document(KIND, id, record));
    if let Err(error) = written {
        tracing::error!(exec = id, %error, "an exec is not recorded");
    }
}

pub fn forget(cx: &Context, id: &str) {
    let removed = cx
        .records
        .change_until(Until::HostEnds, |on_disk| on_disk.remove_document(KIND, id));
    if let Err(error) = removed {
        tracing::error!(exec = id, %error, "the record of an exec is not removed");
    }
}

/// All there are, by container.
pub fn all(cx: &Context) -> Result<BTreeMap<String, Vec<(String, ExecRecord)>>, Error> {
    let mut all = BTreeMap::<String, Vec<_>>::new();
    for (id, record) in cx.records.documents::<ExecRecord>(KIND)? {
        all.entry(record.container.clone())
            .or_default()
            .push((id, record));
    }
    Ok(all)
}

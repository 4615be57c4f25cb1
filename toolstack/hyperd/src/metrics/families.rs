//! Which numbers there are.

use super::Measured;
use engine::{ContainerUsage, GuestUsage, HostSummary, NicUsage};
use prometheus_client::metrics::MetricType;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    Whole(u64),
    Seconds(f64),
}

/// One family of numbers. A counter's name gets `_total` behind it where it is written.
pub struct Family<T> {
    pub name: &'static str,
    pub help: &'static str,
    pub kind: MetricType,
    /// `None`: not known of this one.
    pub value: fn(&T) -> Option<Value>,
}

const fn counter<T>(name: &'static str, help: &'static str, value: fn(&T) -> Option<Value>) -> Family<T> {
    Family {
        name,
        help,
        kind: MetricType::Counter,
        value,
    }
}

pub const fn gauge<T>(name: &'static str, help: &'static str, value: fn(&T) -> Option<Value>) -> Family<T> {
    Family {
        name,
        help,
        kind: MetricType::Gauge,
        value,
    }
}

fn host(measured: &Measured, of: fn(&GuestUsage) -> u64) -> Option<Value> {
    measured.sample.host.as_ref().map(of).map(Value::Whole)
}

/// What a guest tells of its memory is bounded by what the container may have.
fn memory(measured: &Measured, of: fn(&ContainerUsage) -> u64) -> Option<Value> {
    let limit = measured.sample.memory_limit_bytes;
    measured
        .sample
        .guest
        .as_ref()
        .map(|guest| Value::Whole(of(guest).min(limit)))
}

#[allow(clippy::cast_precision_loss)]
fn micros(micros: u64) -> Value {
    Value::Seconds(micros as f64 / 1e6)
}

pub const OF_CONTAINERS: &[Family<Measured>] = &[
    gauge(
        "container_start_time_seconds",
        "When the container was started, in seconds since 1970",
        |of| {
            let started = of.container.state.started_at?.timestamp_millis();
            Some(micros(u64::try_from(started).ok()?.saturating_mul(1000)))
        },
    ),
    counter(
        "container_cpu_usage_seconds",
        "Time of the guest's virtual processors, as Xen counts it",
        |of| Some(Value::Seconds(of.sample.host.as_ref()?.cpu.as_secs_f64())),
    ),
    counter(
        "container_cpu_user_seconds",
        "Time of the container's processes, as the guest counts it",
        |of| of.sample.guest.map(|guest| micros(guest.user_cpu_us)),
    ),
    counter(
        "container_cpu_system_seconds",
        "Time that the guest's kernel worked for the container's processes, as it counts it",
        |of| of.sample.guest.map(|guest| micros(guest.system_cpu_us)),
    ),
    gauge(
        "container_spec_memory_limit_bytes",
        "Memory that the container may use",
        |of| Some(Value::Whole(of.sample.memory_limit_bytes)),
    ),
    gauge(
        "container_guest_memory_bytes",
        "Memory of the host that the guest has",
        |of| host(of, |host| host.memory_bytes),
    ),
    gauge(
        "container_memory_usage_bytes",
        "Memory that the container uses, caches of files among it",
        |of| memory(of, |guest| guest.memory_bytes),
    ),
    gauge(
        "container_memory_working_set_bytes",
        "Memory that the container uses, without what can be had back at once",
        |of| {
            memory(of, |guest| {
                guest.memory_bytes.saturating_sub(guest.inactive_file_bytes)
            })
        },
    ),
    gauge(
        "container_memory_rss",
        "Memory of the container's processes that no file is behind, in bytes",
        |of| memory(of, |guest| guest.anonymous_bytes),
    ),
    gauge(
        "container_memory_cache",
        "Memory that caches files, in bytes",
        |of| memory(of, |guest| guest.file_bytes),
    ),
    gauge("container_processes", "Processes in the container", |of| {
        of.sample.guest.map(|guest| Value::Whole(guest.processes))
    }),
    counter("container_fs_reads", "Reads of the guest's disks", |of| {
        host(of, |host| host.disks.reads)
    }),
    counter(
        "container_fs_reads_bytes",
        "Bytes read of the guest's disks",
        |of| host(of, |host| host.disks.read_bytes),
    ),
    counter("container_fs_writes", "Writes to the guest's disks", |of| {
        host(of, |host| host.disks.writes)
    }),
    counter(
        "container_fs_writes_bytes",
        "Bytes written to the guest's disks",
        |of| host(of, |host| host.disks.written_bytes),
    ),
];

pub const OF_NICS: &[Family<NicUsage>] = &[
    counter(
        "container_network_receive_bytes",
        "Bytes that the guest received",
        |nic| Some(Value::Whole(nic.received_bytes)),
    ),
    counter(
        "container_network_receive_packets",
        "Packets that the guest received",
        |nic| Some(Value::Whole(nic.received_packets)),
    ),
    counter(
        "container_network_receive_errors",
        "Errors while the guest received",
        |nic| Some(Value::Whole(nic.received_errors)),
    ),
    counter(
        "container_network_receive_packets_dropped",
        "Packets for the guest that were dropped",
        |nic| Some(Value::Whole(nic.received_dropped)),
    ),
    counter(
        "container_network_transmit_bytes",
        "Bytes that the guest sent",
        |nic| Some(Value::Whole(nic.sent_bytes)),
    ),
    counter(
        "container_network_transmit_packets",
        "Packets that the guest sent",
        |nic| Some(Value::Whole(nic.sent_packets)),
    ),
    counter(
        "container_network_transmit_errors",
        "Errors while the guest sent",
        |nic| Some(Value::Whole(nic.sent_errors)),
    ),
    counter(
        "container_network_transmit_packets_dropped",
        "Packets of the guest that were dropped",
        |nic| Some(Value::Whole(nic.sent_dropped)),
    ),
];

/// Without labels.
pub const OF_DAEMON: &[Family<HostSummary>] = &[
    gauge(
        "engine_daemon_engine_cpus_cpus",
        "Processors of the host",
        |summary| Some(Value::Whole(summary.host.cpus.into())),
    ),
    gauge(
        "engine_daemon_engine_memory_bytes",
        "Memory of the host",
        |summary| Some(Value::Whole(summary.memory.total_bytes)),
    ),
    gauge(
        "engine_daemon_engine_memory_free_bytes",
        "Memory of the host that no guest has",
        |summary| Some(Value::Whole(summary.memory.free_bytes)),
    ),
    gauge("engine_daemon_images", "Images", |summary| {
        u64::try_from(summary.images).ok().map(Value::Whole)
    }),
];

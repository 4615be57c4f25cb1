//! A container's cgroup: what it uses, and how much it may.

use guest_protocol::message::Usage;
use std::fs;
use std::io;
use std::path::Path;

/// Of the processors' time, as docker has it.
const PERIOD_US: u64 = 100_000;
/// The kernel takes no less.
const MIN_QUOTA_US: u64 = 1_000;

/// What a cgroup does not tell, for want of a controller, is 0.
pub fn usage(cgroup: &Path) -> Usage {
    let text = |name: &str| fs::read_to_string(cgroup.join(name)).unwrap_or_default();
    let whole = |name: &str| text(name).trim().parse().unwrap_or(0);
    let (memory, cpu) = (text("memory.stat"), text("cpu.stat"));
    let guest = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    Usage {
        memory_bytes: whole("memory.current"),
        inactive_file_bytes: value(&memory, "inactive_file "),
        anonymous_bytes: value(&memory, "anon "),
        file_bytes: value(&memory, "file "),
        memory_peak_bytes: whole("memory.peak"),
        guest_memory_bytes: value(&guest, "MemTotal:") << 10,
        guest_free_bytes: value(&guest, "MemAvailable:") << 10,
        processes: whole("pids.current"),
        user_cpu_us: value(&cpu, "user_usec "),
        system_cpu_us: value(&cpu, "system_usec "),
    }
}

fn value(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

pub fn limit_memory(cgroup: &Path, bytes: u64) -> io::Result<()> {
    fs::write(cgroup.join("memory.max"), bytes.to_string())
}

pub fn limit_cpus(cgroup: &Path, nano_cpus: u64) -> io::Result<()> {
    fs::write(cgroup.join("cpu.max"), cpu_max(nano_cpus))
}

fn cpu_max(nano_cpus: u64) -> String {
    match nano_cpus {
        0 => format!("max {PERIOD_US}"),
        // No host has so many processors that this overflows; a client may ask for them.
        nano_cpus => format!("{} {PERIOD_US}", (nano_cpus / 10_000).max(MIN_QUOTA_US)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_is_told() {
        assert_eq!(value("a 1\nanon 7\n", "anon "), 7);
        assert_eq!(value("MemTotal:  12 kB", "MemTotal:"), 12);
        assert_eq!(value("anon x", "anon "), 0);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("memory.current"), "4096\n").unwrap();
        fs::write(folder.path().join("memory.stat"), "anon 1\ninactive_file 2\n").unwrap();
        let usage = usage(folder.path());
        assert_eq!(
            (usage.memory_bytes, usage.inactive_file_bytes, usage.processes),
            (4096, 2, 0)
        );
        assert!(usage.guest_memory_bytes > 0);
    }

    #[test]
    fn processors_are_a_share_of_time() {
        assert_eq!(cpu_max(1_500_000_000), "150000 100000");
        assert_eq!(cpu_max(1), "1000 100000");
        assert_eq!(cpu_max(0), "max 100000");
    }
}

//! What runs in a container, from proc(5).

use guest_protocol::message::{MAX_LISTED_COMMAND_BYTES, MAX_LISTED_PROCESSES, ProcessInfo};
use std::fs;
use std::io::{self, Read};

/// The kernel's `USER_HZ`, in which it tells times.
const TICKS_PER_SECOND: u64 = 100;
const PAGE_BYTES: u64 = 4096;

/// All processes in the pid namespace of one, itself first.
pub fn list(first: i32) -> io::Result<Vec<ProcessInfo>> {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid"));
    let wanted = namespace(&first.to_string())?;
    let uptime_ms = uptime_ms();
    let mut list = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let name = entry.file_name();
        let Some(pid) = name
            .to_str()
            .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        else {
            continue;
        };
        // One that ends meanwhile is left out.
        if list.len() < MAX_LISTED_PROCESSES
            && namespace(pid).is_ok_and(|namespace| namespace == wanted)
            && let Some(info) = process(pid, uptime_ms)
        {
            list.push(info);
        }
    }
    list.sort_by_key(|info| info.pid);
    Ok(list)
}

fn uptime_ms() -> u64 {
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = text.split(' ').next().and_then(|text| text.parse::<f64>().ok());
    (seconds.unwrap_or(0.0) * 1000.0) as u64
}

fn process(pid: &str, uptime_ms: u64) -> Option<ProcessInfo> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mut command = Vec::new();
    if let Ok(file) = fs::File::open(format!("/proc/{pid}/cmdline")) {
        let _ = file
            .take(MAX_LISTED_COMMAND_BYTES as u64)
            .read_to_end(&mut command);
    }
    parse(&String::from_utf8_lossy(&stat), &status, &command, uptime_ms)
}

fn parse(stat: &str, status: &str, command: &[u8], uptime_ms: u64) -> Option<ProcessInfo> {
    // The name stands in parentheses and may itself have some.
    let (pid, rest) = stat.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // proc_pid_stat(5) counts from 1, and `fields` begins with its third.
    let number = |field: usize| {
        fields
            .get(field - 3)
            .and_then(|text| text.parse::<i64>().ok())
            .unwrap_or(0)
    };
    let count = |field: usize| number(field).max(0) as u64;
    // Real, effective, saved, file system.
    let effective = |key: &str| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
            .unwrap_or(0)
    };
    let started_ms = count(22) * 1000 / TICKS_PER_SECOND;
    let words: Vec<_> = command
        .split(|byte| *byte == 0)
        .map(String::from_utf8_lossy)
        .collect();
    Some(ProcessInfo {
        pid: pid.parse().ok()?,
        parent: count(4) as u32,
        group: count(5) as u32,
        session: count(6) as u32,
        uid: effective("Uid"),
        gid: effective("Gid"),
        state: fields.first()?.chars().take(1).collect(),
        nice: number(19),
        threads: count(20),
        terminal: number(7) as u32,
        started_ms_ago: uptime_ms.saturating_sub(started_ms),
        cpu_ms: (count(14) + count(15)) * 1000 / TICKS_PER_SECOND,
        virtual_bytes: count(23),
        resident_bytes: count(24) * PAGE_BYTES,
        name: name.to_owned(),
        command: words.join(" ").trim_end().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read() {
        let stat = "42 (a ) (b) S 1 40 40 34816 40 4194560 100 0 0 0 250 50 0 0 20 -5 3 0 1000 4096000 25 18446744073709551615";
        let status = "Name:\ta\nUid:\t0\t33\t0\t0\nGid:\t5\t6\t5\t5\n";
        let info = parse(stat, status, b"sh\0-c\0x y\0", 15_000).unwrap();
        assert_eq!((info.pid, info.parent, info.uid, info.gid), (42, 1, 33, 6));
        assert_eq!(
            (info.name.as_str(), info.command.as_str()),
            ("a ) (b", "sh -c x y")
        );
        assert_eq!(
            (info.cpu_ms, info.started_ms_ago, info.nice, info.threads),
            (3000, 5000, -5, 3)
        );
        assert_eq!(
            (info.virtual_bytes, info.resident_bytes, info.terminal),
            (4_096_000, 102_400, 34816)
        );
        assert_eq!(info.state, "S");
        for bad in ["", "x (y) S", "1 (y", "1 (y) "] {
            assert_eq!(parse(bad, "", b"", 0), None, "{bad}");
        }
    }

    #[test]
    fn oneself_is_among_the_processes() {
        let own = std::process::id();
        let list = list(own as i32).unwrap();
        let found = list.iter().find(|info| info.pid == own).unwrap();
        assert!(found.resident_bytes > 0 && found.threads > 0 && !found.command.is_empty());
    }
}

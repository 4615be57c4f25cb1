//! Ends of processes, and what is told of them.

use super::Agent;
use crate::error::Failure;
use guest_protocol::message::{Event, ExitStatus};
use rustix::process::{WaitOptions, wait};
use std::time::{SystemTime, UNIX_EPOCH};

impl Agent {
    /// Collects every child that ended, adopted ones too, of whatever process group.
    pub(super) fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let pid = pid.as_raw_nonzero().get();
            let signal = status.terminating_signal();
            let kills = oom_kills();
            let oom_killed = signal == Some(libc::SIGKILL) && kills > self.oom_kills;
            self.memory_changed |= kills > self.oom_kills;
            self.oom_kills = kills;
            let code = signal.map_or_else(|| status.exit_status().unwrap_or(255), |signal| 128 + signal);
            let Some(process) = self
                .processes
                .values_mut()
                .find(|process| process.pid == pid && process.exited.is_none())
            else {
                self.jobs.ended(pid, &mut self.mux);
                continue;
            };
            let status = ExitStatus {
                code,
                signal,
                oom_killed,
                at_ms: now_ms(),
            };
            process.end(status, &mut self.mux);
            if process.first {
                // The kernel has killed all others; a container does not start twice in one guest.
                crate::kmsg::log(&format!("container {} ended with {code}", process.container));
            }
        }
    }

    /// Tells of what the kernel has killed for want of memory, before the exits that come of it.
    pub(super) fn tell_kills(&mut self) -> Result<(), Failure> {
        if !std::mem::take(&mut self.memory_changed) {
            return Ok(());
        }
        let watched = self.containers.iter_mut();
        let hit: Vec<String> = watched
            .filter_map(|(id, running)| running.oom.as_mut()?.killed().then(|| id.clone()))
            .collect();
        hit.into_iter()
            .try_for_each(|container| self.send(&Event::OutOfMemory { container }))
    }

    /// Tells of each exit once its output has gone out.
    pub(super) fn tell_exits(&mut self) -> Result<(), Failure> {
        let mut events = Vec::new();
        for (id, process) in &mut self.processes {
            if let Some(status) = &process.exited
                && !process.told
                && process
                    .outputs
                    .iter()
                    .all(|output| self.mux.position(output.stream).is_none_or(|at| at.sent_end))
            {
                process.told = true;
                let event = Event::Exited {
                    process: *id,
                    status: status.clone(),
                };
                events.push((process.first, event));
            }
        }
        // The engine hears nothing more after a container's first process: others that ended with it go before.
        events.sort_by_key(|(first, _)| *first);
        events
            .iter()
            .map(|(_, event)| event)
            .try_for_each(|event| self.send(event))
    }
}

fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

/// How many processes the kernel has killed for want of memory.
pub(super) fn oom_kills() -> u64 {
    std::fs::read_to_string("/proc/vmstat")
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())
        .unwrap_or(0)
}

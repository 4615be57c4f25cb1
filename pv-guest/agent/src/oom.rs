//! What the kernel kills for want of memory.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// Counts the kills in one container's cgroup. Its descriptor is ready (`POLLPRI`) when something has changed.
pub struct Watch {
    events: File,
    kills: u64,
}

impl Watch {
    /// `None` where the kernel does not count them.
    pub fn open(cgroup: &Path) -> Option<Self> {
        let events = File::open(cgroup.join("memory.events")).ok()?;
        let mut watch = Self { events, kills: 0 };
        watch.kills = watch.count().ok()?;
        Some(watch)
    }

    fn count(&mut self) -> io::Result<u64> {
        self.events.seek(SeekFrom::Start(0))?;
        let mut text = String::new();
        (&mut self.events).take(4096).read_to_string(&mut text)?;
        Ok(kills(&text))
    }

    /// Whether some were killed since this was asked last. Takes the readiness of the descriptor.
    pub fn killed(&mut self) -> bool {
        let kills = self.count().unwrap_or(self.kills);
        let more = kills > self.kills;
        self.kills = kills;
        more
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

fn kills(events: &str) -> u64 {
    events
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn kills_are_found_among_the_events() {
        let text = "low 0\nhigh 0\nmax 0\noom 0\noom_kill 3\noom_group_kill 0\n";
        assert_eq!(super::kills(text), 3);
        assert_eq!(super::kills(""), 0);
    }
}

//! Whether a container does its work: what a check is, what its results come to, and docker's rules for both (moby
//! `daemon/health.go`). `monitor.rs` runs it.

mod monitor;

pub use monitor::watch;

use chrono::{DateTime, Utc};
use images::Healthcheck;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(30);
const START_INTERVAL: Duration = Duration::from_secs(5);
const RETRIES: u32 = 3;
/// Results that are shown.
const RESULTS: usize = 5;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    #[default]
    Starting,
    Healthy,
    Unhealthy,
}

impl fmt::Display for HealthStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        })
    }
}

/// How the last checks came out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    pub status: HealthStatus,
    pub failing_streak: u32,
    /// The oldest first.
    pub log: Vec<Probe>,
}

/// One run of a check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
    /// -1: it did not come to an end.
    pub exit_code: i32,
    pub output: String,
}

/// A check that is to be made, with docker's defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub command: Vec<String>,
    interval: Duration,
    pub timeout: Duration,
    start_period: Duration,
    start_interval: Duration,
    retries: u32,
}

impl Check {
    /// `None`: nothing is to be checked.
    pub fn of(config: &Healthcheck) -> Option<Self> {
        let (kind, rest) = config.test.split_first()?;
        let command = match kind.as_str() {
            "CMD" if !rest.is_empty() => rest.to_vec(),
            "CMD-SHELL" if !rest.is_empty() => {
                vec!["/bin/sh".to_owned(), "-c".to_owned(), rest.join(" ")]
            }
            _ => return None,
        };
        let or = |ns: i64, default| match u64::try_from(ns) {
            Ok(0) | Err(_) => default,
            Ok(ns) => Duration::from_nanos(ns),
        };
        Some(Self {
            command,
            interval: or(config.interval, INTERVAL),
            timeout: or(config.timeout, TIMEOUT),
            start_period: or(config.start_period, Duration::ZERO),
            start_interval: or(config.start_interval, START_INTERVAL),
            retries: u32::try_from(config.retries)
                .ok()
                .filter(|retries| *retries > 0)
                .unwrap_or(RETRIES),
        })
    }

    /// How long until the next one. `since`: how long it runs.
    pub fn pause(&self, status: HealthStatus, since: Duration) -> Duration {
        match status {
            HealthStatus::Starting if since < self.start_period => self.start_interval,
            _ => self.interval,
        }
    }
}

impl Health {
    /// Counts a result. `since_start`: how long the container ran when it was taken.
    pub fn take(&mut self, check: &Check, probe: Probe, since_start: Duration) {
        if probe.exit_code == 0 {
            self.failing_streak = 0;
            self.status = HealthStatus::Healthy;
        } else if self.status != HealthStatus::Starting || since_start >= check.start_period {
            self.failing_streak = self.failing_streak.saturating_add(1);
            if self.failing_streak >= check.retries {
                self.status = HealthStatus::Unhealthy;
            }
        }
        self.log.push(probe);
        let old = self.log.len().saturating_sub(RESULTS);
        self.log.drain(..old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use HealthStatus::{Healthy, Starting, Unhealthy};

    fn check(test: &[&str]) -> Option<Check> {
        Check::of(&Healthcheck {
            test: test.iter().map(|word| (*word).to_owned()).collect(),
            start_period: 10_000_000_000,
            retries: 2,
            ..Healthcheck::default()
        })
    }

    #[test]
    fn forms_of_a_check() {
        assert_eq!(check(&["CMD", "a", "b"]).unwrap().command, ["a", "b"]);
        assert_eq!(
            check(&["CMD-SHELL", "a b"]).unwrap().command,
            ["/bin/sh", "-c", "a b"]
        );
        for none in [&["NONE"][..], &[], &["CMD"], &["CMD-SHELL"], &["x", "y"]] {
            assert_eq!(check(none), None, "{none:?}");
        }
    }

    #[test]
    fn results_follow_dockers_rules() {
        let check = check(&["CMD", "x"]).unwrap();
        let mut health = Health::default();
        let mut take = |exit_code, seconds| {
            let now = Utc::now();
            let probe = Probe {
                start: now,
                end: now,
                exit_code,
                output: String::new(),
            };
            health.take(&check, probe, Duration::from_secs(seconds));
            (health.status, health.failing_streak, health.log.len())
        };
        // In the start period failures do not count, and after the first success it is over.
        assert_eq!(take(1, 5), (Starting, 0, 1));
        assert_eq!(take(0, 6), (Healthy, 0, 2));
        assert_eq!(take(1, 7), (Healthy, 1, 3));
        assert_eq!(take(-1, 8), (Unhealthy, 2, 4));
        assert_eq!(take(1, 20), (Unhealthy, 3, 5));
        assert_eq!(take(0, 30), (Healthy, 0, 5));
    }

    #[test]
    fn pauses_are_shorter_while_it_starts() {
        let check = check(&["CMD", "x"]).unwrap();
        let at = |status, seconds| check.pause(status, Duration::from_secs(seconds));
        assert_eq!(at(Starting, 1), START_INTERVAL);
        assert_eq!(at(Healthy, 1), INTERVAL);
        assert_eq!(at(Starting, 11), INTERVAL);
    }
}

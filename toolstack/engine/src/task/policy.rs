//! When a container is started again by itself, and after how long: docker's rules (moby `restartmanager`).

use crate::spec::RestartPolicy;
use std::time::Duration;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A run that lasted so long was no failure to start.
const GOOD_RUN: Duration = Duration::from_secs(10);

/// A run that is over.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Run {
    pub exit_code: i32,
    pub lasted: Duration,
    pub policy: RestartPolicy,
    pub auto_remove: bool,
}

/// Restarts since somebody started it by hand, and the pause before the last of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backoff {
    pub restarts: u32,
    pause: Duration,
}

impl Backoff {
    /// Of a run that an earlier daemon started.
    pub fn after(restarts: u32) -> Self {
        Self {
            restarts,
            pause: Duration::ZERO,
        }
    }

    /// Counts a restart; gives how long to wait before it.
    pub fn next(&mut self, lasted: Duration) -> Duration {
        self.restarts = self.restarts.saturating_add(1);
        self.pause = if self.pause.is_zero() || lasted >= GOOD_RUN {
            FIRST_PAUSE
        } else {
            (self.pause * 2).min(LONGEST_PAUSE)
        };
        self.pause
    }
}

/// Whether a run is followed by another. `restarts`: how many there were.
pub fn restarts(run: &Run, by_hand: bool, restarts: u32) -> bool {
    match run.policy.name.as_str() {
        "always" => true,
        "unless-stopped" => !by_hand,
        "on-failure" => {
            let most = run.policy.maximum_retry_count;
            run.exit_code != 0 && (most == 0 || restarts < most)
        }
        _ => false,
    }
}

/// Whether a daemon that starts also starts this container. `ran`: it did when the last daemon, or the host, ended.
pub fn starts_with_daemon(run: &Run, by_hand: bool, ran: bool, restarts_so_far: u32) -> bool {
    match run.policy.name.as_str() {
        "on-failure" => ran && !by_hand && restarts(run, by_hand, restarts_so_far),
        _ => restarts(run, by_hand, restarts_so_far),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(policy: &str, most: u32, exit_code: i32) -> Run {
        Run {
            exit_code,
            policy: RestartPolicy {
                name: policy.to_owned(),
                maximum_retry_count: most,
            },
            ..Run::default()
        }
    }

    #[test]
    fn each_policy_has_its_rule() {
        for (policy, most, code, by_hand, before, again) in [
            ("", 0, 1, false, 0, false),
            ("no", 0, 1, false, 0, false),
            ("always", 0, 0, false, 1000, true),
            ("unless-stopped", 0, 0, false, 1000, true),
            ("unless-stopped", 0, 0, true, 0, false),
            ("on-failure", 0, 0, false, 0, false),
            ("on-failure", 0, 3, false, 1000, true),
            ("on-failure", 2, 3, false, 1, true),
            ("on-failure", 2, 3, false, 2, false),
        ] {
            assert_eq!(
                restarts(&run(policy, most, code), by_hand, before),
                again,
                "{policy} {code}"
            );
        }
    }

    #[test]
    fn a_daemon_starts_what_should_run() {
        for (policy, code, by_hand, ran, starts) in [
            ("no", 137, false, true, false),
            ("always", 0, true, false, true),
            ("unless-stopped", 137, false, true, true),
            ("unless-stopped", 137, true, false, false),
            ("on-failure", 137, false, true, true),
            ("on-failure", 137, false, false, false),
            ("on-failure", 0, false, true, false),
        ] {
            let run = run(policy, 0, code);
            assert_eq!(
                starts_with_daemon(&run, by_hand, ran, 0),
                starts,
                "{policy} {code}"
            );
        }
    }

    #[test]
    fn pauses_double_up_to_a_minute_and_begin_anew_after_a_good_run() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u128> = (0..12)
            .map(|_| backoff.next(Duration::ZERO).as_millis())
            .collect();
        assert_eq!(
            pauses,
            [
                100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000
            ]
        );
        assert_eq!(backoff.next(GOOD_RUN), FIRST_PAUSE);
        assert_eq!(backoff.restarts, 13);
    }
}

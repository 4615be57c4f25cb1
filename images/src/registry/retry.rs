//! Trying again what may well succeed a moment later.

use std::time::Duration;

/// What a server may ask us to wait at most; longer is an answer of its own.
const MOST_ASKED: Duration = Duration::from_secs(60);

/// Waits that double, each with jitter, so that many clients of one registry do not return together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// At most before the second attempt.
    pub first: Duration,
    pub longest: Duration,
    pub attempts: u32,
}

impl Default for Retry {
    /// Some seconds in all: enough for a registry that restarts, short for one that is not there.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(15),
            attempts: 4,
        }
    }
}

/// The attempts at one thing.
#[derive(Debug)]
pub struct Attempts {
    retry: Retry,
    made: u32,
}

impl Retry {
    pub fn begin(&self) -> Attempts {
        Attempts {
            retry: self.clone(),
            made: 0,
        }
    }
}

impl Attempts {
    /// After a failure: waits, as long as the server asked if it did. `false`: there were enough attempts.
    pub async fn again(&mut self, asked: Option<Duration>) -> bool {
        self.made += 1;
        if self.made >= self.retry.attempts {
            return false;
        }
        let wait = match asked {
            Some(asked) if asked > MOST_ASKED => return false,
            Some(asked) => asked,
            None => jittered(self.most()),
        };
        tokio::time::sleep(wait).await;
        true
    }

    fn most(&self) -> Duration {
        let doubled = self.retry.first.saturating_mul(1 << (self.made - 1).min(16));
        doubled.min(self.retry.longest)
    }
}

/// From half of it to all of it.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(0.5 + rand::random::<f64>() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn waits_double_up_to_the_longest() {
        let retry = Retry {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(5),
            attempts: 6,
        };
        let mut attempts = retry.begin();
        for most in [1, 2, 4, 5, 5] {
            let begun = Instant::now();
            assert!(attempts.again(None).await);
            let waited = begun.elapsed();
            let most = Duration::from_secs(most);
            assert!(
                waited >= most / 2 && waited <= most + Duration::from_millis(2),
                "{waited:?}"
            );
        }
        assert!(!attempts.again(None).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_may_ask_for_a_wait_within_reason() {
        let begun = Instant::now();
        assert!(Retry::default().begin().again(Some(Duration::from_secs(7))).await);
        assert_eq!(begun.elapsed().as_secs(), 7);
        assert!(
            !Retry::default()
                .begin()
                .again(Some(Duration::from_secs(3600)))
                .await
        );
    }
}

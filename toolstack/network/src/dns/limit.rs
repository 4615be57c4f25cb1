//! A share of queries for each who asks.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

/// In a second, and at once after a pause: far more than programs ask, far less than would be noticed.
const RATE: f64 = 200.0;
const BURST: f64 = 1000.0;
/// Those that are kept; who has asked nothing for a while is forgotten first.
const MAX_ASKERS: usize = 4096;

#[derive(Debug, Default)]
pub struct Limit(HashMap<IpAddr, (f64, Instant)>);

impl Limit {
    /// Whether one may ask now.
    pub fn take(&mut self, asker: IpAddr, now: Instant) -> bool {
        if self.0.len() >= MAX_ASKERS && !self.0.contains_key(&asker) {
            self.0.retain(|_, (left, since)| {
                *left + now.saturating_duration_since(*since).as_secs_f64() * RATE < BURST
            });
        }
        let (left, since) = self.0.entry(asker).or_insert((BURST, now));
        *left = (*left + now.saturating_duration_since(*since).as_secs_f64() * RATE).min(BURST);
        *since = now;
        if *left < 1.0 {
            return false;
        }
        *left -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_flood_is_cut_and_others_are_not() {
        let (mut limit, now) = (Limit::default(), Instant::now());
        let (loud, quiet) = ("10.0.0.2".parse().unwrap(), "10.0.0.3".parse().unwrap());
        let answered = (0..5000).filter(|_| limit.take(loud, now)).count();
        assert_eq!(answered, BURST as usize);
        assert!(limit.take(quiet, now));
        assert!(limit.take(loud, now + Duration::from_secs(1)));
    }
}

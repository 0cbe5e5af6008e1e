//! The delay before the next attempt to connect.

use std::time::Duration;

/// Delays that double from the shortest to the longest. A quarter of each is random, so that the
/// clients of a restarted broker do not all connect at once.
#[derive(Debug, Default)]
pub struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// The next delay; `random` is in 0..1.
    pub fn next(&mut self, shortest: Duration, longest: Duration, random: f64) -> Duration {
        let full = shortest.saturating_mul(2_u32.saturating_pow(self.attempts)).min(longest);
        self.attempts = self.attempts.saturating_add(1);
        full.mul_f64(0.75 + 0.25 * random.clamp(0.0, 1.0))
    }

    /// The number of delays since the last reset.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Starts again with the shortest delay, because a connection has proved itself.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORTEST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(120);

    #[test]
    fn delays_double_from_the_shortest_to_the_longest_and_start_again_after_a_reset() {
        let mut backoff = Backoff::default();
        let delays: Vec<_> =
            (0..9).map(|_| backoff.next(SHORTEST, LONGEST, 1.0).as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 64, 120, 120]);
        backoff.reset();
        assert_eq!(backoff.next(SHORTEST, LONGEST, 0.0), Duration::from_millis(750));
    }

    #[test]
    fn other_bounds_hold_from_the_next_delay_on() {
        let mut backoff = Backoff::default();
        backoff.next(SHORTEST, LONGEST, 1.0);
        let shortest = Duration::from_millis(100);
        assert_eq!(backoff.next(shortest, LONGEST, 1.0), Duration::from_millis(200));
        assert_eq!(backoff.next(shortest, shortest, 1.0), shortest);
    }

    #[test]
    fn a_hundred_failures_do_not_overflow() {
        let mut backoff = Backoff::default();
        for _ in 0..100 {
            assert!(backoff.next(SHORTEST, LONGEST, 0.5) <= LONGEST);
        }
    }
}

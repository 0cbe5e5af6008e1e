//! Keep alive (MQTT 3.1.1, section 3.1.2.10): when to ask whether the broker is there, and when to
//! give it up.

use std::time::{Duration, Instant};

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing.
    Nothing,
    /// A PINGREQ.
    Ping,
    /// The broker did not answer the PINGREQ: the connection is dead.
    Dead,
}

/// Measures the real time since the last packet each way.
#[derive(Debug)]
pub struct KeepAlive {
    interval: Option<Duration>,
    sent: Instant,
    received: Instant,
    pinged: Option<Instant>,
}

impl KeepAlive {
    /// Starts with a new connection; an interval of zero switches it off.
    pub fn new(interval: Duration, now: Instant) -> Self {
        let interval = Some(interval).filter(|interval| !interval.is_zero());
        Self { interval, sent: now, received: now, pinged: None }
    }

    /// Bytes went out.
    pub fn sent(&mut self, now: Instant) {
        self.sent = now;
    }

    /// Bytes came in. Whatever they are, the broker is there.
    pub fn received(&mut self, now: Instant) {
        self.received = now;
        self.pinged = None;
    }

    /// When to call [`Self::check`] next.
    pub fn deadline(&self) -> Option<Instant> {
        let interval = self.interval?;
        Some(self.pinged.unwrap_or_else(|| self.sent.min(self.received)) + interval)
    }

    /// What is due at `now`. While nothing is read (`reading` is false) an answer cannot be seen, so
    /// the broker gets more time.
    pub fn check(&mut self, now: Instant, reading: bool) -> Due {
        let Some(deadline) = self.deadline() else {
            return Due::Nothing;
        };
        if now < deadline {
            return Due::Nothing;
        }
        if self.pinged.is_some() && reading {
            return Due::Dead;
        }
        self.pinged = Some(now);
        Due::Ping
    }

    /// The interval in seconds.
    pub fn seconds(&self) -> u64 {
        self.interval.map_or(0, |interval| interval.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_ping_is_due_when_either_way_is_silent_for_the_interval() {
        let start = Instant::now();
        let mut keep_alive = KeepAlive::new(10 * SECOND, start);
        keep_alive.sent(start + 9 * SECOND);
        assert_eq!(keep_alive.check(start + 9 * SECOND, true), Due::Nothing);
        assert_eq!(keep_alive.check(start + 10 * SECOND, true), Due::Ping);
    }

    #[test]
    fn a_broker_that_does_not_answer_a_ping_within_the_interval_is_dead() {
        let start = Instant::now();
        let mut keep_alive = KeepAlive::new(10 * SECOND, start);
        assert_eq!(keep_alive.check(start + 10 * SECOND, true), Due::Ping);
        keep_alive.sent(start + 10 * SECOND);
        assert_eq!(keep_alive.check(start + 19 * SECOND, true), Due::Nothing);
        assert_eq!(keep_alive.check(start + 20 * SECOND, true), Due::Dead);
    }

    #[test]
    fn anything_received_counts_as_an_answer() {
        let start = Instant::now();
        let mut keep_alive = KeepAlive::new(10 * SECOND, start);
        keep_alive.check(start + 10 * SECOND, true);
        keep_alive.sent(start + 10 * SECOND);
        keep_alive.received(start + 15 * SECOND);
        assert_eq!(keep_alive.deadline(), Some(start + 20 * SECOND));
        assert_eq!(keep_alive.check(start + 20 * SECOND, true), Due::Ping);
    }

    #[test]
    fn while_nothing_is_read_pings_go_on_and_the_broker_is_not_dead() {
        let start = Instant::now();
        let mut keep_alive = KeepAlive::new(SECOND, start);
        for second in 1..100 {
            assert_eq!(keep_alive.check(start + second * SECOND, false), Due::Ping);
        }
    }

    #[test]
    fn an_interval_of_zero_switches_it_off() {
        let start = Instant::now();
        let mut keep_alive = KeepAlive::new(Duration::ZERO, start);
        assert_eq!(keep_alive.deadline(), None);
        assert_eq!(keep_alive.check(start + 1000 * SECOND, true), Due::Nothing);
    }
}

//! Keep alive (MQTT 3.1.1, section 3.1.2.10): when to send a PINGREQ, and when to close the
//! connection because the broker is silent.

use std::time::{Duration, Instant};

/// The action that is due.
#[derive(Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing.
    Nothing,
    /// A PINGREQ.
    Ping,
    /// The broker did not respond to the PINGREQ: the connection is dead.
    Unanswered,
    /// The broker did not even accept the PINGREQ, or earlier data: the connection is dead.
    Stalled,
}

/// Whether a PINGRESP would be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Yes.
    On,
    /// No: the handlers are behind. That is not the broker's fault, and it may accept no data
    /// either while we read none.
    HandlersAreSlow,
    /// No: the broker does not accept the responses to its packets.
    BrokerTakesNothing,
}

#[derive(Debug)]
enum Ping {
    /// No PINGREQ is in flight.
    None,
    /// It is not written yet; it ends at byte `end` of the connection.
    Waiting { since: Instant, end: u64 },
    /// It is written.
    Asked { since: Instant },
}

/// Measures the time since the last packet in each direction.
#[derive(Debug)]
pub struct KeepAlive {
    interval: Option<Duration>,
    sent: Instant,
    received: Instant,
    ping: Ping,
}

impl KeepAlive {
    /// Starts with a new connection; an interval of zero disables it.
    pub fn new(interval: Duration, now: Instant) -> Self {
        let interval = Some(interval).filter(|interval| !interval.is_zero());
        Self { interval, sent: now, received: now, ping: Ping::None }
    }

    /// A PINGREQ was encoded; it ends at byte `end` of the connection.
    pub fn pinged(&mut self, end: u64, now: Instant) {
        self.ping = Ping::Waiting { since: now, end };
    }

    /// Bytes were written: `written` in total on this connection.
    pub fn wrote(&mut self, written: u64, now: Instant) {
        self.sent = now;
        if matches!(self.ping, Ping::Waiting { end, .. } if end <= written) {
            self.ping = Ping::Asked { since: now };
        }
    }

    /// Bytes arrived. They prove that the broker is alive, but a broker that accepts no data is
    /// still dead.
    pub fn received(&mut self, now: Instant) {
        self.received = now;
        if matches!(self.ping, Ping::Asked { .. }) {
            self.ping = Ping::None;
        }
    }

    /// The time since the last bytes arrived, or since the connection began.
    pub fn silence(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.received)
    }

    /// When to call [`Self::check`] next.
    pub fn deadline(&self) -> Option<Instant> {
        let since = match self.ping {
            Ping::None => self.sent.min(self.received),
            Ping::Waiting { since, .. } => self.sent.max(since),
            Ping::Asked { since } => since,
        };
        Some(since + self.interval?)
    }

    /// The action that is due at `now`. After sending the PINGREQ of [`Due::Ping`], call
    /// [`Self::pinged`].
    pub fn check(&mut self, now: Instant, reading: Reading) -> Due {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Due::Nothing;
        }
        match (&mut self.ping, reading) {
            // A pending PINGREQ is sent when the broker accepts data again; one is enough.
            (Ping::Waiting { since, .. }, Reading::HandlersAreSlow) => {
                *since = now;
                Due::Nothing
            }
            (Ping::Waiting { .. }, _) => Due::Stalled,
            (Ping::Asked { .. }, Reading::On) => Due::Unanswered,
            (Ping::None | Ping::Asked { .. }, _) => Due::Ping,
        }
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

    /// Sends the due PINGREQ, and writes it.
    fn ping(keep_alive: &mut KeepAlive, now: Instant, reading: Reading) {
        assert_eq!(keep_alive.check(now, reading), Due::Ping);
        keep_alive.pinged(2, now);
        keep_alive.wrote(2, now);
    }

    #[test]
    fn a_ping_is_due_when_either_way_is_silent_for_the_interval() {
        let start = Instant::now();
        let mut keep_alive = KeepAlive::new(10 * SECOND, start);
        keep_alive.wrote(1, start + 9 * SECOND);
        assert_eq!(keep_alive.check(start + 9 * SECOND, Reading::On), Due::Nothing);
        assert_eq!(keep_alive.check(start + 10 * SECOND, Reading::On), Due::Ping);
    }

    #[test]
    fn a_broker_that_does_not_answer_a_ping_within_the_interval_is_dead() {
        let start = Instant::now();
        let mut keep_alive = KeepAlive::new(10 * SECOND, start);
        ping(&mut keep_alive, start + 10 * SECOND, Reading::On);
        assert_eq!(keep_alive.check(start + 19 * SECOND, Reading::On), Due::Nothing);
        assert_eq!(keep_alive.check(start + 20 * SECOND, Reading::On), Due::Unanswered);
    }

    #[test]
    fn anything_received_counts_as_an_answer() {
        let start = Instant::now();
        let mut keep_alive = KeepAlive::new(10 * SECOND, start);
        ping(&mut keep_alive, start + 10 * SECOND, Reading::On);
        keep_alive.received(start + 15 * SECOND);
        assert_eq!(keep_alive.deadline(), Some(start + 20 * SECOND));
        assert_eq!(keep_alive.silence(start + 16 * SECOND), SECOND);
        assert_eq!(keep_alive.check(start + 20 * SECOND, Reading::On), Due::Ping);
    }

    #[test]
    fn while_handlers_are_slow_pings_go_on_and_the_broker_is_not_dead() {
        let start = Instant::now();
        let mut keep_alive = KeepAlive::new(SECOND, start);
        for second in 1..100 {
            ping(&mut keep_alive, start + second * SECOND, Reading::HandlersAreSlow);
        }
    }

    #[test]
    fn a_broker_that_sends_and_takes_nothing_gets_one_ping_and_is_dead_an_interval_later() {
        for reading in [Reading::On, Reading::BrokerTakesNothing] {
            let start = Instant::now();
            let mut keep_alive = KeepAlive::new(10 * SECOND, start);
            assert_eq!(keep_alive.check(start + 10 * SECOND, reading), Due::Ping);
            keep_alive.pinged(100, start + 10 * SECOND);
            for second in 10..20 {
                keep_alive.received(start + second * SECOND);
                assert_eq!(keep_alive.check(start + second * SECOND, reading), Due::Nothing);
            }
            assert_eq!(keep_alive.check(start + 20 * SECOND, reading), Due::Stalled);
        }
    }

    #[test]
    fn a_broker_that_takes_what_is_before_the_ping_little_by_little_is_not_dead() {
        let start = Instant::now();
        let mut keep_alive = KeepAlive::new(10 * SECOND, start);
        assert_eq!(keep_alive.check(start + 10 * SECOND, Reading::On), Due::Ping);
        keep_alive.pinged(1000, start + 10 * SECOND);
        for second in 11..100 {
            keep_alive.wrote(second.into(), start + second * SECOND);
            assert_eq!(keep_alive.check(start + second * SECOND, Reading::On), Due::Nothing);
        }
        // Once it is written, the response may take one interval.
        keep_alive.wrote(1000, start + 100 * SECOND);
        assert_eq!(keep_alive.check(start + 109 * SECOND, Reading::On), Due::Nothing);
        assert_eq!(keep_alive.check(start + 110 * SECOND, Reading::On), Due::Unanswered);
    }

    #[test]
    fn one_ping_waits_however_long_handlers_are_slow_and_nothing_is_taken() {
        let start = Instant::now();
        let mut keep_alive = KeepAlive::new(SECOND, start);
        assert_eq!(keep_alive.check(start + SECOND, Reading::HandlersAreSlow), Due::Ping);
        keep_alive.pinged(2, start + SECOND);
        for second in 2..100 {
            let now = start + second * SECOND;
            assert_eq!(keep_alive.check(now, Reading::HandlersAreSlow), Due::Nothing);
            assert!(keep_alive.deadline() > Some(now));
        }
    }

    #[test]
    fn an_interval_of_zero_switches_it_off() {
        let start = Instant::now();
        let mut keep_alive = KeepAlive::new(Duration::ZERO, start);
        assert_eq!(keep_alive.deadline(), None);
        assert_eq!(keep_alive.check(start + 1000 * SECOND, Reading::On), Due::Nothing);
    }
}

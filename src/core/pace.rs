//! How fast connections may follow each other, and the likely reasons for their failure. It
//! outlives the I/O threads: each explicit attempt starts a new one.

use std::time::{Duration, Instant};

use super::options::ConnectOptions;
use super::session::{Backoff, Suspect};

/// A packet is named as the suspected cause once it was unacknowledged at the early end of this
/// many connections in a row. The first could be chance, and the second could follow from what
/// ended the first.
const SUSPICIOUS: u32 = 3;

/// The distance between connections that threads of the application request, when the previous ones
/// ended early.
const APART: Duration = Duration::from_millis(500);

/// The delays between connections of one client.
#[derive(Debug, Default)]
pub struct Pace {
    backoff: Backoff,
    /// When the next automatic attempt is due.
    due: Option<Instant>,
    /// When a handler's connection last started without a delay.
    at_once: Option<Instant>,
    /// How many connections in a row ended early, and when the last one did.
    early: u32,
    ended: Option<Instant>,
    /// Whether the application itself ended the last connection early.
    cut_short: bool,
    suspect: Option<Suspect>,
    suspected: u32,
}

impl Pace {
    /// A connection ended, but not by the application. If it had proved itself, the delays start
    /// again with the shortest.
    ///
    /// Returns the unacknowledged packet, and how many connections in a row it was unacknowledged
    /// on, if that is suspicious.
    pub fn ended(
        &mut self,
        proved: bool,
        suspect: Option<Suspect>,
        now: Instant,
    ) -> Option<(Suspect, u32)> {
        if proved {
            self.backoff.reset();
            self.early = 0;
            self.suspect = None;
            return None;
        }
        self.early = self.early.saturating_add(1);
        self.ended = Some(now);
        self.suspected = if suspect == self.suspect { self.suspected.saturating_add(1) } else { 1 };
        self.suspect = suspect;
        self.suspect
            .clone()
            .map(|suspect| (suspect, self.suspected))
            .filter(|(_, times)| *times >= SUSPICIOUS)
    }

    /// The application ended a connection that had not proved itself.
    pub fn cut_short(&mut self) {
        self.cut_short = true;
    }

    /// Takes the next delay. `random` is in 0..1.
    pub fn delay(&mut self, options: &ConnectOptions, random: f64, now: Instant) -> Duration {
        let (shortest, longest) = (options.reconnect_delay_min, options.reconnect_delay_max);
        let delay = self.backoff.next(shortest, longest, random);
        self.due = Some(now + delay);
        delay
    }

    /// The delay of a connection that a handler requests. The first one after a proven connection
    /// has none, unless that happens too often; others wait as long as automatic attempts.
    pub fn for_handler(
        &mut self,
        options: &ConnectOptions,
        random: f64,
        now: Instant,
    ) -> Option<Duration> {
        if std::mem::take(&mut self.cut_short) {
            self.delay(options, random, now);
        }
        let wait = left(self.due, now)?;
        let shortest = options.reconnect_delay_min;
        let rare = self.at_once.is_none_or(|last| now.saturating_duration_since(last) >= shortest);
        if self.backoff.attempts() <= 1 && rare {
            self.at_once = Some(now);
            return None;
        }
        Some(wait)
    }

    /// The delay of a connection that another thread of the application requests: none, unless
    /// several connections in a row ended early.
    pub fn for_others(&mut self, now: Instant) -> Option<Duration> {
        self.cut_short = false;
        left(self.ended.filter(|_| self.early > 1).map(|ended| ended + APART), now)
    }
}

fn left(until: Option<Instant>, now: Instant) -> Option<Duration> {
    until.map(|until| until.saturating_duration_since(now)).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suspect(order: u64) -> Suspect {
        Suspect { order, ..Suspect::default() }
    }

    /// The start times, in seconds, of connections that end at once and that a handler makes again
    /// each time.
    fn beginnings(count: usize, mut end: impl FnMut(&mut Pace, Instant)) -> Vec<u64> {
        let options = ConnectOptions::new("broker", 1883);
        let (mut pace, start) = (Pace::default(), Instant::now());
        let mut now = start;
        let mut beginnings = Vec::new();
        for _ in 0..count {
            now += pace.for_handler(&options, 1.0, now).unwrap_or_default();
            beginnings.push((now - start).as_secs());
            end(&mut pace, now);
        }
        beginnings
    }

    #[test]
    fn handlers_get_one_connection_at_once_and_others_later_and_later() {
        let options = ConnectOptions::new("broker", 1883);
        let lost = |pace: &mut Pace, now| {
            pace.ended(false, None, now);
            pace.delay(&options, 1.0, now);
        };
        assert_eq!(beginnings(6, lost), [0, 0, 2, 6, 14, 30]);
        assert_eq!(beginnings(6, |pace, _| pace.cut_short()), [0, 0, 2, 6, 14, 30]);
    }

    #[test]
    fn connections_that_prove_themselves_and_end_are_two_a_second_at_most() {
        let options = ConnectOptions::new("broker", 1883);
        let lost = |pace: &mut Pace, now| {
            pace.ended(true, None, now);
            pace.delay(&options, 1.0, now);
        };
        assert_eq!(beginnings(7, lost), [0, 0, 1, 1, 2, 2, 3]);
    }

    #[test]
    fn other_threads_wait_a_moment_after_two_that_ended_early() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        assert_eq!(pace.for_others(now), None);
        pace.ended(false, None, now);
        assert_eq!(pace.for_others(now), None);
        pace.ended(false, None, now);
        assert_eq!(pace.for_others(now), Some(APART));
        assert_eq!(pace.for_others(now + APART), None);
        pace.ended(true, None, now);
        assert_eq!(pace.for_others(now), None);
    }

    #[test]
    fn what_is_unacknowledged_three_times_in_a_row_is_suspicious() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let mut times = |proved, suspect| {
            pace.ended(proved, suspect, now).map(|(suspect, times)| (suspect.order, times))
        };
        assert_eq!(times(false, Some(suspect(1))), None);
        assert_eq!(times(false, Some(suspect(1))), None);
        assert_eq!(times(false, Some(suspect(1))), Some((1, 3)));
        assert_eq!(times(false, Some(suspect(1))), Some((1, 4)));
        assert_eq!(times(false, Some(suspect(2))), None);
        assert_eq!(times(false, None), None);
        assert_eq!(times(false, Some(suspect(1))), None);
        assert_eq!(times(false, Some(suspect(1))), None);
        assert_eq!(times(true, None), None);
        assert_eq!(times(false, Some(suspect(1))), None);
    }
}

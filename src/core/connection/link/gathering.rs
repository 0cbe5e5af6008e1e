//! Delays reading for a moment so that many messages cost one wake-up of each thread.
//!
//! This works like interrupt moderation: a message that comes alone is read at once; those of a
//! stream are gathered for a bounded time after each read. The inputs are only the arrivals and the
//! time, so each rule can be tested in a few lines.

use std::time::{Duration, Instant};

/// The rate is measured over stretches of this many times the longest gathering.
const STRETCH: u32 = 4;

/// A stream has at least this many messages within the longest gathering: one, and the next one
/// that it is worth waiting for.
const STREAM: f64 = 2.0;

/// A batch is this many messages, or bytes. Larger batches save next to nothing, and their data
/// stays in the system's buffers.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 16 * 1024;

/// The same for messages that the broker wants acknowledged, before it is known how many it sends
/// without that: mosquitto 20, others fewer.
const FEW: usize = 10;

/// The largest read of a stretch brings at least the first part of what the rate promises, unless the
/// broker waits. Reads bring the second part of it on average only if it sends many at once.
const AT_LEAST: f64 = 0.9;
const AT_ONCE: f64 = 1.5;

/// How much longer than asked a thread sleeps: the kernel's timer slack is 50 µs, and waking up
/// takes some more. Where the other side waits for what follows a batch, it is taken off.
const OVERSLEEP: Duration = Duration::from_micros(60);

/// After the application has sent something, incoming data may be the response that it waits for.
const ANSWERED_WITHIN: Duration = Duration::from_millis(2);

/// If gathering leaves less than this part of the rate for so many stretches in a row, the broker is
/// waiting for what follows. In a single stretch, the machine may have been busy.
const SLOWED: f64 = 0.6;
const SLOW_STRETCHES: u32 = 3;

/// How long gathering then stops: doubled each time, up to the second value.
const SHORTEST_REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(3);

/// How long gathering lasts before the rate without it is measured again.
const TERM: Duration = Duration::from_secs(1);

/// What the broker waits for before it sends more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Awaits {
    /// Nothing.
    #[default]
    Nothing,
    /// Acknowledgements of its messages, after an unknown number of them.
    Acknowledgements,
    /// Messages of ours: so many are in flight at most.
    Messages { window: usize },
}

/// The result of one read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Arrival {
    /// Messages of any QoS, or acknowledgements of ours.
    pub packets: usize,
    /// What the broker waits for after some of them.
    pub awaits: Awaits,
    /// Bytes, of all packets.
    pub bytes: usize,
}

/// The rate of one connection's messages, or of its acknowledgements, and the time until which
/// reading is delayed.
#[derive(Debug)]
pub struct Gathering {
    longest: Duration,
    /// The current stretch: its start, and its packets and bytes so far.
    since: Instant,
    count: usize,
    bytes: usize,
    /// Its reads, the most packets of one, and what the broker waits for after some of them.
    reads: usize,
    largest: usize,
    awaits: Awaits,
    stream: Option<Stream>,
    rest: Duration,
    resting_until: Option<Instant>,
    sent: Option<Instant>,
    until: Option<Instant>,
}

/// Packets that arrive fast enough to be gathered.
#[derive(Debug)]
struct Stream {
    /// Packets per second before gathering began, and in the last stretch.
    before: f64,
    rate: f64,
    bytes_rate: f64,
    /// Stretches in a row with much less than before.
    slow: u32,
    /// The batch of messages that the broker wants acknowledged, and whether larger ones are tried.
    batch: usize,
    grows: bool,
    ends: Instant,
}

impl Gathering {
    /// Gathers for at most `longest`, and never if that is zero.
    pub fn new(longest: Duration, now: Instant) -> Self {
        Self {
            longest,
            since: now,
            count: 0,
            bytes: 0,
            reads: 0,
            largest: 0,
            awaits: Awaits::Nothing,
            stream: None,
            rest: SHORTEST_REST,
            resting_until: None,
            sent: None,
            until: None,
        }
    }

    /// Records the result of a read, and decides when to read next.
    pub fn arrived(&mut self, arrival: Arrival, now: Instant) {
        self.until = None;
        if self.longest.is_zero() || arrival.packets == 0 {
            return;
        }
        self.count += arrival.packets;
        self.bytes += arrival.bytes;
        self.reads += 1;
        self.largest = self.largest.max(arrival.packets);
        if arrival.awaits != Awaits::Nothing {
            self.awaits = arrival.awaits;
        }
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= self.longest * STRETCH {
            self.judge(elapsed, now);
            (self.since, self.count, self.bytes) = (now, 0, 0);
            (self.reads, self.largest, self.awaits) = (0, 0, Awaits::Nothing);
        }
        let Some(stream) = &self.stream else { return };
        if let Some(time) = stream.time(arrival).filter(|time| !time.is_zero()) {
            self.until = Some(now + time.min(self.longest));
        }
    }

    /// The application sent something: reads at once what follows.
    pub fn sent(&mut self, now: Instant) {
        self.sent = Some(now);
        self.until = None;
    }

    /// How long reading is still delayed.
    pub fn left(&self, now: Instant) -> Option<Duration> {
        let may_be_answered =
            self.sent.is_some_and(|sent| now.saturating_duration_since(sent) < ANSWERED_WITHIN);
        let left = self.until?.checked_duration_since(now)?;
        Some(left).filter(|left| !left.is_zero() && !may_be_answered)
    }

    /// Evaluates the stretch that ended.
    #[expect(clippy::cast_precision_loss, reason = "a few thousand packets")]
    fn judge(&mut self, elapsed: Duration, now: Instant) {
        let rate = self.count as f64 / elapsed.as_secs_f64();
        let bytes_rate = self.bytes as f64 / elapsed.as_secs_f64();
        let is_stream = rate * self.longest.as_secs_f64() >= STREAM;
        let Some(stream) = &mut self.stream else {
            if is_stream && self.resting_until.is_none_or(|until| until <= now) {
                self.stream = Some(Stream {
                    before: rate,
                    rate,
                    bytes_rate,
                    slow: 0,
                    batch: FEW,
                    grows: true,
                    ends: now + TERM,
                });
            }
            return;
        };
        (stream.rate, stream.bytes_rate) = (rate, bytes_rate);
        let is_slowed = self.awaits != Awaits::Nothing && rate < stream.before * SLOWED;
        stream.slow = if is_slowed { stream.slow + 1 } else { 0 };
        let average = self.count as f64 / self.reads as f64;
        stream.try_larger(average, self.largest, self.longest);
        if stream.slow >= SLOW_STRETCHES {
            self.resting_until = Some(now + self.rest);
            self.rest = (self.rest * 2).min(LONGEST_REST);
            self.stream = None;
        } else if stream.ends <= now {
            self.rest = SHORTEST_REST;
            self.stream = None;
        } else if !is_stream && !is_slowed {
            self.stream = None;
        }
    }
}

impl Stream {
    /// How long to wait after a read, if a wait is worth it.
    #[expect(clippy::cast_precision_loss, reason = "a few thousand packets")]
    fn time(&self, arrival: Arrival) -> Option<Duration> {
        // After as many packets at once, the next ones are there already, or come at once too.
        let (batch, enough) = match arrival.awaits {
            Awaits::Nothing => (BATCH, BATCH),
            Awaits::Acknowledgements => (self.batch, (self.batch * 2).min(BATCH)),
            Awaits::Messages { window } => ((window / 2).min(BATCH), window.min(BATCH)),
        };
        if arrival.packets >= enough || arrival.bytes >= BATCH_BYTES {
            return None;
        }
        let comes_within = (batch as f64 / self.rate).min(BATCH_BYTES as f64 / self.bytes_rate);
        let time = Duration::try_from_secs_f64(comes_within).ok()?;
        if arrival.awaits == Awaits::Nothing { Some(time) } else { time.checked_sub(OVERSLEEP) }
    }

    /// Finds out how many messages the broker sends without acknowledgements: the batch grows as
    /// long as a read brings what the rate promises. Then half of it is gathered, so that the
    /// broker has something to send meanwhile.
    #[expect(clippy::cast_precision_loss, reason = "a few thousand packets")]
    fn try_larger(&mut self, average: f64, largest: usize, longest: Duration) {
        if !self.grows {
            return;
        }
        let time = longest + OVERSLEEP;
        let promised = (self.batch as f64).min(self.before * time.as_secs_f64());
        if largest as f64 >= promised * AT_LEAST && average < promised * AT_ONCE {
            self.batch = (self.batch * 2).min(BATCH);
        } else {
            self.grows = false;
            self.batch = (largest / 2).max(FEW);
        }
    }
}

#[cfg(test)]
mod tests;

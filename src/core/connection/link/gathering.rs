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
const BATCH: u16 = 64;
const BATCH_BYTES: u16 = 16 * 1024;

/// The same for acknowledged messages. mosquitto sends 20 and waits: gathering half of them costs 0
/// to 4 % of the rate, gathering 16 costs 8 %.
const ACKNOWLEDGED_BATCH: u16 = 10;

/// After the application has sent something, incoming data may be the response that it waits for.
const ANSWERED_WITHIN: Duration = Duration::from_millis(2);

/// If gathering leaves less than this part of the rate, the broker is waiting for acknowledgements.
const SLOWED: f64 = 0.6;

/// How long gathering then stops: doubled each time, up to the second value.
const SHORTEST_REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(3);

/// How long gathering lasts before the rate without it is measured again.
const TERM: Duration = Duration::from_secs(1);

/// The result of one read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Arrival {
    /// Messages, of any QoS.
    pub messages: usize,
    /// Whether the broker waits for acknowledgements of some of them.
    pub acknowledged: bool,
    /// Bytes, of all packets.
    pub bytes: usize,
}

/// The message rate of one connection, and the time until which reading is delayed.
#[derive(Debug)]
pub struct Gathering {
    longest: Duration,
    /// The current stretch: its start, and its messages and bytes so far.
    since: Instant,
    count: usize,
    bytes: usize,
    /// Whether the broker waits for acknowledgements of some of them.
    acknowledged: bool,
    stream: Option<Stream>,
    rest: Duration,
    resting_until: Option<Instant>,
    sent: Option<Instant>,
    until: Option<Instant>,
}

/// Messages that arrive fast enough to be gathered.
#[derive(Debug)]
struct Stream {
    /// Messages per second before gathering began, and in the last stretch.
    before: f64,
    rate: f64,
    bytes_rate: f64,
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
            acknowledged: false,
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
        if self.longest.is_zero() || arrival.messages == 0 {
            return;
        }
        self.count += arrival.messages;
        self.bytes += arrival.bytes;
        self.acknowledged |= arrival.acknowledged;
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= self.longest * STRETCH {
            self.judge(elapsed, now);
            (self.since, self.count, self.bytes, self.acknowledged) = (now, 0, 0, false);
        }
        let most = if arrival.acknowledged { ACKNOWLEDGED_BATCH } else { BATCH };
        if arrival.messages >= most.into() || arrival.bytes >= BATCH_BYTES.into() {
            return;
        }
        let Some(stream) = &self.stream else { return };
        let batch_comes_within =
            (f64::from(most) / stream.rate).min(f64::from(BATCH_BYTES) / stream.bytes_rate);
        let part = (batch_comes_within / self.longest.as_secs_f64()).min(1.0);
        self.until = Some(now + self.longest.mul_f64(part));
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
    #[expect(clippy::cast_precision_loss, reason = "a few thousand messages")]
    fn judge(&mut self, elapsed: Duration, now: Instant) {
        let rate = self.count as f64 / elapsed.as_secs_f64();
        let bytes_rate = self.bytes as f64 / elapsed.as_secs_f64();
        let is_stream = rate * self.longest.as_secs_f64() >= STREAM;
        let Some(stream) = &mut self.stream else {
            if is_stream && self.resting_until.is_none_or(|until| until <= now) {
                self.stream = Some(Stream { before: rate, rate, bytes_rate, ends: now + TERM });
            }
            return;
        };
        (stream.rate, stream.bytes_rate) = (rate, bytes_rate);
        if self.acknowledged && rate < stream.before * SLOWED {
            self.resting_until = Some(now + self.rest);
            self.rest = (self.rest * 2).min(LONGEST_REST);
            self.stream = None;
        } else if stream.ends <= now {
            self.rest = SHORTEST_REST;
            self.stream = None;
        } else if !is_stream {
            self.stream = None;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const LONGEST: Duration = Duration::from_micros(500);

    fn messages(messages: usize) -> Arrival {
        Arrival { messages, acknowledged: false, bytes: messages * 70 }
    }

    fn of_qos_1(messages: usize) -> Arrival {
        Arrival { messages, acknowledged: true, bytes: messages * 70 }
    }

    /// Simulates a broker that sends a message every `gap` without waiting: returns the arrivals of
    /// each read.
    fn stream(
        gathering: &mut Gathering,
        gap: Duration,
        lasting: Duration,
        start: Instant,
    ) -> Reads {
        let (mut now, mut read, mut reads) = (start, 0, Reads::default());
        while now < start + lasting {
            now += gap.max(gathering.left(now).unwrap_or_default());
            let come = usize::try_from((now - start).as_nanos() / gap.as_nanos()).unwrap_or(0);
            let arrival = messages(come - read);
            read = come;
            gathering.arrived(arrival, now);
            reads.count += 1;
            reads.messages += arrival.messages;
            reads.longest = reads.longest.max(gathering.left(now).unwrap_or_default());
        }
        reads
    }

    #[derive(Debug, Default)]
    struct Reads {
        count: usize,
        messages: usize,
        longest: Duration,
    }

    #[test]
    fn messages_that_come_alone_are_read_at_once() {
        let start = Instant::now();
        let mut gathering = Gathering::new(LONGEST, start);
        let reads = stream(&mut gathering, Duration::from_millis(1), Duration::from_secs(1), start);
        assert_eq!((reads.count, reads.longest), (1000, Duration::ZERO));
    }

    #[test]
    fn those_of_a_stream_are_gathered_for_the_bounded_time() {
        let start = Instant::now();
        let mut gathering = Gathering::new(LONGEST, start);
        let reads =
            stream(&mut gathering, Duration::from_micros(50), Duration::from_secs(1), start);
        assert!(reads.messages > 19_900 && reads.count < 2_200, "{reads:?}");
        assert_eq!(reads.longest, LONGEST);
    }

    #[test]
    fn the_first_after_a_stream_is_read_at_once_and_so_is_the_next() {
        let start = Instant::now();
        let mut gathering = Gathering::new(LONGEST, start);
        stream(&mut gathering, Duration::from_micros(50), Duration::from_millis(50), start);
        let later = start + Duration::from_secs(2);
        assert_eq!(gathering.left(later), None);
        gathering.arrived(messages(1), later);
        assert_eq!(gathering.left(later), None);
    }

    #[test]
    fn a_read_that_is_a_batch_already_waits_for_nothing() {
        for batch in [messages(64), Arrival { bytes: 16 * 1024, ..messages(1) }, of_qos_1(10)] {
            let start = Instant::now();
            let mut gathering = Gathering::new(LONGEST, start);
            for step in 1..10 {
                let now = start + LONGEST * step;
                gathering.arrived(batch, now);
                assert_eq!(gathering.left(now), None);
            }
        }
    }

    #[test]
    fn nothing_is_gathered_while_the_application_may_wait_for_an_answer() {
        let start = Instant::now();
        let mut gathering = Gathering::new(LONGEST, start);
        stream(&mut gathering, Duration::from_micros(50), Duration::from_millis(50), start);
        let now = start + Duration::from_millis(51);
        gathering.sent(now);
        assert_eq!(gathering.left(now), None);
        gathering.arrived(messages(20), now + Duration::from_millis(1));
        assert_eq!(gathering.left(now + Duration::from_millis(1)), None);
        let later = now + ANSWERED_WITHIN;
        gathering.arrived(messages(20), later);
        assert!(gathering.left(later).is_some());
    }

    #[test]
    fn it_takes_no_longer_than_a_batch_takes_to_come() {
        let start = Instant::now();
        for bytes in [70, 4096] {
            let mut gathering = Gathering::new(LONGEST, start);
            let mut now = start;
            for _ in 0..1000 {
                now += Duration::from_micros(2);
                gathering.arrived(Arrival { bytes, ..messages(1) }, now);
            }
            let batch = if bytes == 70 { 64 } else { 4 };
            let expected = Duration::from_micros(2 * batch);
            let left = gathering.left(now).unwrap();
            assert!(left.abs_diff(expected) < expected / 50, "{left:?}, {expected:?}");
        }
    }

    #[test]
    fn where_the_time_is_zero_nothing_is_gathered() {
        let start = Instant::now();
        let mut gathering = Gathering::new(Duration::ZERO, start);
        let reads =
            stream(&mut gathering, Duration::from_micros(50), Duration::from_millis(50), start);
        assert_eq!(reads.longest, Duration::ZERO);
    }

    /// Simulates a broker that sends `window` QoS 1 messages, and more a while after they are
    /// acknowledged, which happens when reading resumes.
    fn lockstep(window: usize, answer: Duration, lasting: Duration) -> usize {
        let start = Instant::now();
        let mut gathering = Gathering::new(LONGEST, start);
        let (mut now, mut count) = (start, 0);
        while now < start + lasting {
            now += answer + gathering.left(now).unwrap_or_default();
            gathering.arrived(of_qos_1(window), now);
            count += window;
        }
        count
    }

    #[test]
    fn a_broker_that_waits_for_acknowledgements_is_hardly_slowed() {
        for (window, answer) in [(1, 100), (2, 100), (5, 100), (20, 100), (20, 1_000), (20, 5_000)]
        {
            let count = lockstep(window, Duration::from_micros(answer), Duration::from_secs(10));
            let freely = 10_000_000 / usize::try_from(answer).unwrap() * window;
            assert!(count * 100 > freely * 97, "{window}, {answer} µs: {count} of {freely}");
        }
    }
}

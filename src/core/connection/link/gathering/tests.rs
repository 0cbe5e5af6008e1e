#![allow(clippy::unwrap_used)]

use super::*;

const LONGEST: Duration = Duration::from_micros(500);

fn messages(packets: usize) -> Arrival {
    Arrival { packets, awaits: Awaits::Nothing, bytes: packets * 70 }
}

fn of_qos_1(packets: usize) -> Arrival {
    Arrival { awaits: Awaits::Acknowledgements, ..messages(packets) }
}

fn acknowledgements(packets: usize, window: usize) -> Arrival {
    Arrival { packets, awaits: Awaits::Messages { window }, bytes: packets * 4 }
}

/// Simulates a broker that sends a message every `gap` without waiting: returns the arrivals of
/// each read.
fn stream(gathering: &mut Gathering, gap: Duration, lasting: Duration, start: Instant) -> Reads {
    let (mut now, mut read, mut reads) = (start, 0, Reads::default());
    while now < start + lasting {
        now += gap.max(gathering.left(now).unwrap_or_default());
        let come = usize::try_from((now - start).as_nanos() / gap.as_nanos()).unwrap_or(0);
        let arrival = messages(come - read);
        read = come;
        gathering.arrived(arrival, now);
        reads.count += 1;
        reads.messages += arrival.packets;
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
    let reads = stream(&mut gathering, Duration::from_micros(50), Duration::from_secs(1), start);
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
    let large = Arrival { bytes: 16 * 1024, ..messages(1) };
    for batch in [messages(64), large, of_qos_1(64), acknowledgements(20, 20)] {
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
    let reads = stream(&mut gathering, Duration::from_micros(50), Duration::from_millis(50), start);
    assert_eq!(reads.longest, Duration::ZERO);
}

/// Simulates a broker that sends `window` packets at once, and more a while after the client has
/// answered, which happens when reading resumes.
fn lockstep(arrival: Arrival, answer: Duration, lasting: Duration) -> usize {
    let start = Instant::now();
    let mut gathering = Gathering::new(LONGEST, start);
    let (mut now, mut count) = (start, 0);
    while now < start + lasting {
        now += answer + gathering.left(now).unwrap_or_default();
        gathering.arrived(arrival, now);
        count += arrival.packets;
    }
    count
}

#[test]
fn a_broker_that_waits_for_what_follows_a_batch_is_hardly_slowed() {
    for (window, answer) in [(1, 100), (2, 100), (5, 100), (20, 100), (20, 1_000), (20, 5_000)] {
        for arrival in [of_qos_1(window), acknowledgements(window, window)] {
            let count = lockstep(arrival, Duration::from_micros(answer), Duration::from_secs(10));
            let freely = 10_000_000 / usize::try_from(answer).unwrap() * window;
            assert!(count * 100 > freely * 97, "{arrival:?}, {answer} µs: {count} of {freely}");
        }
    }
}

/// Simulates a broker that takes a time for each packet, and waits when `window` of them are
/// unanswered. Returns the number of packets and of reads.
fn pipelined(
    arrival: impl Fn(usize) -> Arrival,
    window: usize,
    each: Duration,
    lasting: Duration,
) -> (usize, usize) {
    let start = Instant::now();
    let mut gathering = Gathering::new(LONGEST, start);
    let (mut now, mut sent, mut count, mut reads) = (start, start, 0, 0);
    while now < start + lasting {
        now += gathering.left(now).map_or(Duration::ZERO, |left| left + OVERSLEEP);
        now = now.max(sent + each);
        let due = usize::try_from((now - sent).as_nanos() / each.as_nanos()).unwrap_or(0);
        let come = due.min(window);
        // A broker that had to wait begins anew.
        sent = if due > window { now } else { sent + each * u32::try_from(come).unwrap() };
        gathering.arrived(arrival(come), now);
        (count, reads) = (count + come, reads + 1);
    }
    (count, reads)
}

#[test]
fn half_of_what_may_be_unanswered_is_gathered() {
    let second = Duration::from_secs(1);
    for each in [11, 25] {
        let freely = 1_000_000 / usize::try_from(each).unwrap();
        let each = Duration::from_micros(each);
        for (window, batch) in [(20, 9), (1000, 18)] {
            let ours = |packets| acknowledgements(packets, window);
            let result =
                [pipelined(of_qos_1, window, each, second), pipelined(ours, window, each, second)];
            for (count, reads) in result {
                assert!(count * 100 > freely * 97, "{window}, {each:?}: {count} of {freely}");
                assert!(count > reads * batch, "{window}, {each:?}: {count} in {reads} reads");
            }
        }
    }
}

#[test]
fn one_slow_stretch_ends_nothing() {
    let start = Instant::now();
    let mut gathering = Gathering::new(LONGEST, start);
    let mut now = start;
    for step in 0..2000 {
        now += if step == 1000 { LONGEST * 20 } else { Duration::from_micros(50) };
        gathering.arrived(of_qos_1(1), now);
    }
    assert!(gathering.left(now).is_some());
}

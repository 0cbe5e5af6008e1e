#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::super::options::Overflow;
use super::super::packet::Publish;
use super::super::property::{Properties, Property, Value};
use super::super::qos::Qos;
use super::super::session::{Event, LogLevel};
use super::super::stats::Dropped;
use super::queue::{MOST_LINES, MOST_REPORTS};
use super::*;

fn message_of(qos: Qos, payload: Bytes) -> Event {
    let publish = Publish {
        topic: String::new(),
        payload,
        qos,
        retain: false,
        dup: false,
        mid: 0,
        properties: None,
    };
    Event::Message { publish, received: Instant::now(), receipt: None }
}

fn message(size: usize) -> Event {
    message_of(Qos::AtMostOnce, vec![0; size].into())
}

/// Messages of one QoS with numbers as payloads.
fn texts(qos: Qos, range: std::ops::Range<usize>) -> VecDeque<Event> {
    range.map(|number| message_of(qos, number.to_string().into())).collect()
}

fn report(mid: u16) -> Event {
    Event::published(mid, 0, None)
}

fn line() -> Event {
    Event::Log { level: LogLevel::Debug, text: "x".to_owned() }
}

/// A report that cannot be merged with others.
fn own_report(number: usize) -> Event {
    let mut properties = Properties::default();
    properties.set(Property::ReasonString, Value::Text(number.to_string())).unwrap();
    Event::published(1, 0, Some(properties))
}

/// Takes up to `most` events.
fn take(inbox: &Inbox, most: usize) -> Vec<Event> {
    inbox.take(most).0
}

/// Takes up to `most` events, and returns the packet identifiers of the reports.
fn mids(inbox: &Inbox, most: usize) -> Vec<u16> {
    let mids = |event| match event {
        Event::Published { mids, .. } => mids.iter().collect(),
        _ => Vec::new(),
    };
    take(inbox, most).into_iter().flat_map(mids).collect()
}

fn with(limits: &Limits) -> Inbox {
    let inbox = Inbox::default();
    inbox.set_limits(limits);
    inbox
}

fn inbox(messages: usize, bytes: usize) -> Inbox {
    with(&Limits { incoming_messages: messages, incoming_bytes: bytes, ..Limits::example() })
}

fn is_woken(inbox: &Inbox) -> bool {
    inbox.wakeup.wait(Some(Duration::ZERO))
}

/// An inbox with a limit on messages that drops some.
fn dropping(overflow: Overflow, incoming_messages: usize) -> Inbox {
    with(&Limits { incoming_messages, overflow, ..Limits::example() })
}

/// Pending messages, and their bytes.
fn sums(inbox: &Inbox) -> (usize, usize) {
    let waiting = inbox.waiting();
    (waiting.messages, waiting.bytes)
}

/// Takes all events, and returns the payloads of the messages.
fn payloads(inbox: &Inbox) -> Vec<String> {
    let events = take(inbox, usize::MAX).into_iter();
    let payload = |event| match event {
        Event::Message { publish, .. } => {
            Some(String::from_utf8(publish.payload.to_vec()).unwrap())
        }
        _ => None,
    };
    events.filter_map(payload).collect()
}

/// Takes all events, and returns the texts for the log.
fn notices(inbox: &Inbox) -> Vec<String> {
    let events = take(inbox, usize::MAX).into_iter();
    let text = |event| match event {
        Event::Notice { level: LogLevel::Warning, text, .. } => Some(text),
        _ => None,
    };
    events.filter_map(text).collect()
}

#[test]
fn the_dispatcher_is_woken_once_however_many_events_come() {
    let inbox = inbox(10, 1000);
    inbox.extend(&mut [message(1), message(1)].into());
    inbox.extend(&mut [message(1)].into());
    assert!(is_woken(&inbox) && !is_woken(&inbox));
    assert_eq!(take(&inbox, 100).len(), 3);
    assert!(!is_woken(&inbox));
    inbox.extend(&mut [message(1)].into());
    assert!(is_woken(&inbox));
}

#[test]
fn it_is_full_by_messages_or_by_bytes_and_has_room_at_half() {
    let inbox = inbox(4, 100);
    inbox.extend(&mut [message(99)].into());
    assert!(!inbox.is_full());
    inbox.extend(&mut [message(1)].into());
    assert!(inbox.is_full());
    inbox.take(1);
    inbox.extend(&mut [message(1), message(1), message(1)].into());
    assert!(inbox.is_full());
    inbox.take(2);
    assert!(!inbox.is_full());
}

#[test]
fn messages_and_reports_stay_and_lines_for_on_log_are_dropped_and_counted() {
    let inbox = inbox(2, 1000);
    inbox.extend(&mut (0..MOST_LINES + 10).map(|_| line()).collect());
    inbox.extend(&mut [message(1), report(7), message(1), line(), report(8), message(1)].into());
    assert_eq!(inbox.waiting().dropped, Dropped { messages: 0, log_lines: 11 });
    let events = take(&inbox, usize::MAX);
    assert!(matches!(&events[0], Event::Notice { text, .. } if text.contains("on_log")));
    assert!(matches!(
        events[events.len() - 5..],
        [
            Event::Message { .. },
            Event::Published { .. },
            Event::Message { .. },
            Event::Published { .. },
            Event::Message { .. }
        ]
    ));
    // There is room for lines again.
    inbox.extend(&mut [line()].into());
    assert_eq!(inbox.waiting().dropped.log_lines, 11);
}

#[test]
fn a_million_reports_in_a_row_take_no_room_and_are_told_in_their_order() {
    let inbox = inbox(2, 1000);
    let sent: Vec<u16> = (1..=u16::MAX).cycle().take(1_000_000).collect();
    for part in sent.chunks(3000) {
        inbox.extend(&mut part.iter().map(|mid| report(*mid)).collect());
    }
    assert!(!inbox.is_full() && !inbox.is_crowded());
    let mut seen = Vec::new();
    while seen.len() < sent.len() {
        let some = mids(&inbox, 512);
        assert_eq!(some.len(), 512.min(sent.len() - seen.len()));
        seen.extend(some);
    }
    assert!(seen == sent);
    assert!(take(&inbox, 512).is_empty());
}

#[test]
fn reports_that_are_not_in_a_row_fill_it_and_nothing_of_them_is_lost() {
    let inbox = inbox(2, 1000);
    let mut sent = Vec::new();
    while !inbox.is_crowded() {
        let next = if sent.len() % 2 == 0 { 1 } else { 9 };
        sent.push(next);
        inbox.extend(&mut [report(next)].into());
    }
    assert!(sent.len() > 500_000);
    assert_eq!(inbox.look().0, Some(Bound::Reports));
    // Messages already in flight are still queued.
    sent.extend([1, 9]);
    inbox.extend(&mut [report(1), report(9)].into());
    let mut seen = Vec::new();
    while inbox.is_crowded() {
        let (events, calm) = inbox.take(512);
        let some = events.iter().flat_map(|event| match event {
            Event::Published { mids, .. } => mids.iter().collect(),
            _ => Vec::new(),
        });
        seen.extend(some);
        assert_eq!(calm, !inbox.is_crowded());
    }
    assert!(!inbox.is_full());
    assert!(seen.len() * 3 > sent.len() && seen.len() * 3 < sent.len() * 2);
    seen.extend(mids(&inbox, usize::MAX));
    assert!(seen == sent);
}

#[test]
fn reports_of_different_things_are_a_bound_too() {
    let inbox = inbox(2, usize::MAX);
    let mut count = 0;
    while !inbox.is_full() {
        inbox.extend(&mut [own_report(count)].into());
        count += 1;
    }
    assert!((10_000..MOST_REPORTS / 50).contains(&count), "{count}");
    while count > 0 {
        count -= take(&inbox, usize::MAX).len();
    }
    assert!(!inbox.is_full() && !inbox.is_crowded());
    assert_eq!(sums(&inbox), (0, 0));
}

#[test]
fn reports_that_say_the_same_are_one_whatever_they_say() {
    let inbox = inbox(10, 10_000);
    inbox.extend(&mut [own_report(1), own_report(1), own_report(2), own_report(2)].into());
    let (_, bytes) = sums(&inbox);
    assert_eq!(take(&inbox, 1).len(), 1);
    assert_eq!(sums(&inbox).1, bytes);
    assert_eq!(take(&inbox, usize::MAX).len(), 2);
    assert_eq!(sums(&inbox), (0, 0));
}

#[test]
fn messages_that_are_dropped_between_reports_leave_no_more_than_their_bound() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
        let inbox = dropping(overflow, 10);
        let mut expected = Vec::new();
        for mid in (1..=u16::MAX).cycle().take(100_000) {
            inbox.extend(&mut [message(1), report(mid)].into());
            expected.push(mid);
        }
        assert!(!inbox.is_full(), "{overflow:?}");
        assert!(mids(&inbox, usize::MAX) == expected);
    }
}

#[test]
fn the_oldest_message_of_qos_0_makes_room_for_a_new_one() {
    let inbox = dropping(Overflow::DropOldest, 3);
    inbox.extend(&mut texts(Qos::AtMostOnce, 0..5));
    assert_eq!(inbox.waiting().messages, 3);
    assert!(!inbox.is_full());
    inbox.extend(&mut texts(Qos::AtLeastOnce, 5..6));
    assert_eq!(inbox.waiting().dropped.messages, 3);
    assert_eq!(payloads(&inbox), ["3", "4", "5"]);
}

#[test]
fn a_new_message_of_qos_0_is_dropped_where_those_before_it_stay() {
    let inbox = dropping(Overflow::DropNewest, 3);
    inbox.extend(&mut texts(Qos::AtMostOnce, 0..5));
    assert_eq!(inbox.waiting().dropped.messages, 2);
    assert!(!inbox.is_full());
    assert_eq!(payloads(&inbox), ["0", "1", "2"]);
    inbox.extend(&mut texts(Qos::AtMostOnce, 5..6));
    assert_eq!(payloads(&inbox), ["5"]);
}

#[test]
fn the_order_is_that_of_arrival_whatever_may_be_dropped() {
    for overflow in [Overflow::Block, Overflow::DropOldest, Overflow::DropNewest] {
        let inbox = dropping(overflow, 100);
        for number in 0..20 {
            let qos = if number % 3 == 0 { Qos::AtLeastOnce } else { Qos::AtMostOnce };
            inbox.extend(&mut texts(qos, number..number + 1));
            inbox.extend(&mut [report(1)].into());
        }
        let expected: Vec<_> = (0..20).map(|number| number.to_string()).collect();
        assert_eq!(payloads(&inbox), expected);
    }
}

#[test]
fn messages_of_qos_1_and_2_are_never_dropped_and_stop_the_reading() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
        let inbox = dropping(overflow, 4);
        inbox.extend(&mut texts(Qos::AtMostOnce, 0..2));
        inbox.extend(&mut texts(Qos::AtLeastOnce, 2..4));
        assert!(!inbox.is_full());
        inbox.extend(&mut texts(Qos::ExactlyOnce, 4..10));
        assert!(inbox.is_full());
        // A new QoS 0 message finds no room either.
        inbox.extend(&mut texts(Qos::AtMostOnce, 10..11));
        let kept = payloads(&inbox);
        let expected: Vec<_> = (2..10).map(|number| number.to_string()).collect();
        assert_eq!(kept[kept.len() - 8..], expected);
        assert_eq!(inbox.waiting().dropped.messages + kept.len() as u64, 11);
        assert!(!inbox.is_full());
    }
}

#[test]
fn an_inbox_full_of_qos_1_stops_the_reading_though_nothing_is_beyond_the_bound() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
        let inbox = dropping(overflow, 2);
        inbox.extend(&mut texts(Qos::AtLeastOnce, 0..2));
        assert!(inbox.is_full());
    }
}

#[test]
fn bytes_are_a_bound_as_well_and_a_message_larger_than_it_passes_alone() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
        let limits = Limits { incoming_bytes: 100, overflow, ..Limits::example() };
        let inbox = with(&limits);
        inbox.extend(&mut (0..9).map(|_| message(30)).collect());
        assert_eq!(sums(&inbox), (3, 90));
        inbox.take(usize::MAX);
        inbox.extend(&mut [message(500)].into());
        assert_eq!(sums(&inbox), (1, 500));
        assert!(inbox.is_full());
        inbox.extend(&mut [message(1)].into());
        let kept = if overflow == Overflow::DropOldest { (1, 1) } else { (1, 500) };
        assert_eq!(sums(&inbox), kept);
    }
}

#[test]
fn what_is_kept_does_not_keep_what_came_with_it() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
        let inbox = dropping(overflow, 2);
        let mut block = BytesMut::zeroed(100);
        let few = message_of(Qos::AtLeastOnce, block.split_to(10).freeze());
        let rest = block.freeze();
        inbox.extend(&mut [few, message_of(Qos::AtMostOnce, rest.clone())].into());
        inbox.extend(&mut texts(Qos::AtLeastOnce, 0..9));
        inbox.take(1);
        assert!(rest.is_unique(), "{overflow:?}");
    }
}

#[test]
fn dropping_is_told_once_when_it_begins_and_once_when_it_is_over() {
    let inbox = dropping(Overflow::DropNewest, 1);
    assert_eq!(inbox.look().1, None);
    for number in 0..1000 {
        inbox.extend(&mut texts(Qos::AtMostOnce, number..number + 1));
    }
    let [beginning] = &notices(&inbox)[..] else { panic!("one line is expected") };
    assert_eq!(beginning, "dropping QoS 0 messages: more arrive than the handlers can take");
    inbox.end_dropping(false);
    assert_eq!(notices(&inbox), Vec::<String>::new(), "it may go on");
    assert!(inbox.look().1.unwrap() > Instant::now() + Duration::from_millis(500));
    inbox.end_dropping(true);
    let text = "no longer dropping: 999 QoS 0 messages were discarded";
    assert_eq!(notices(&inbox), [text]);
    assert_eq!(inbox.look().1, None);
    inbox.end_dropping(true);
    assert_eq!(notices(&inbox), Vec::<String>::new());
    // The next drop period is reported separately, with its own count.
    inbox.extend(&mut texts(Qos::AtMostOnce, 0..3));
    inbox.end_dropping(true);
    assert!(notices(&inbox)[1].contains(" 2 QoS 0 messages"));
}

#[test]
fn what_is_to_be_said_about_dropping_comes_before_what_waits() {
    let inbox = dropping(Overflow::DropNewest, 1);
    inbox.extend(&mut texts(Qos::AtMostOnce, 0..2));
    assert!(matches!(take(&inbox, 2)[..], [Event::Notice { .. }, Event::Message { .. }]));
}

#[test]
fn a_batch_ends_at_a_number_of_events_or_beyond_a_mebibyte() {
    let inbox = inbox(20_000, usize::MAX);
    inbox.extend(&mut (0..8).map(|_| message(400_000)).collect());
    assert_eq!(take(&inbox, 2).len(), 2);
    assert_eq!(take(&inbox, 512).len(), 3);
    assert_eq!(take(&inbox, 512).len(), 3);
    assert_eq!(take(&inbox, 512).len(), 0);
    inbox.extend(&mut [message(5_000_000), message(5_000_000)].into());
    assert_eq!(take(&inbox, 512).len(), 1);
}

#[test]
fn properties_of_whatever_event_count() {
    let mut properties = Properties::default();
    for _ in 0..10 {
        let pair = Value::Pair("a".to_owned(), "b".repeat(1000));
        properties.set(Property::UserProperty, pair).unwrap();
    }
    let inbox = inbox(10, 10_000);
    inbox.extend(
        &mut [Event::ConnAck { session_present: false, code: 0, properties: Some(properties) }]
            .into(),
    );
    assert!(inbox.is_full());
    inbox.take(1);
    assert_eq!(sums(&inbox), (0, 0));
}

#[test]
fn new_limits_hold_for_what_waits() {
    let inbox = dropping(Overflow::DropNewest, 3);
    inbox.extend(&mut texts(Qos::AtMostOnce, 0..3));
    inbox.set_limits(&Limits { incoming_messages: 2, ..Limits::example() });
    assert!(inbox.is_full());
    inbox.extend(&mut texts(Qos::AtMostOnce, 3..4));
    assert_eq!(payloads(&inbox), ["0", "1", "2", "3"]);
}

#[test]
fn a_report_that_nobody_listens_to_wakes_nobody() {
    let inbox = Inbox::default();
    inbox.set_reporting(false);
    inbox.extend(&mut VecDeque::from([Event::published(1, 0, None)]));
    assert!(!is_woken(&inbox));
    inbox.set_reporting(true);
    inbox.extend(&mut VecDeque::from([Event::published(2, 0, None)]));
    assert!(is_woken(&inbox));
    assert_eq!(take(&inbox, usize::MAX), [Event::published(2, 0, None)]);
}

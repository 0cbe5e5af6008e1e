//! Accepted messages that exceed the limits of the next broker: they are kept for another broker,
//! and block no other message.

use flask_mqtt_core::core::delivery::{Delivery, State};
use flask_mqtt_core::core::error::ReturnCode;
use flask_mqtt_core::core::packet::Incoming;
use flask_mqtt_core::core::property::{Properties, Property};
use flask_mqtt_core::core::qos::Qos::{self, AtLeastOnce, AtMostOnce, ExactlyOnce};
use flask_mqtt_core::core::session::{Event, Field};
use flask_mqtt_core::core::stats::Waiting;

use super::disk::Disk;
use super::peer::Peer;
use super::peer_v5::{ack, numbers};
use super::values::{connack, published, subscriptions};

const NONE: [&str; 0] = [];
const QOS_1: [(Property, u32); 1] = [(Property::MaximumQoS, 1)];
const SMALL: [(Property, u32); 1] = [(Property::MaximumPacketSize, 20)];
const LARGE: &str = "larger than the broker takes";

/// Opens the next connection, and returns the output after the CONNECT, one line per packet.
fn reconnect(peer: &mut Peer, session_present: bool, list: &[(Property, u32)]) -> Vec<String> {
    if peer.session.is_open() {
        peer.session.lost();
    }
    peer.open();
    let properties = Some(numbers(list));
    let sent = peer.receive(Incoming::ConnAck { session_present, code: 0, properties });
    peer.session.take_events().retain(|event| !matches!(event, Event::ConnAck { .. }));
    sent
}

fn stats(peer: &Peer) -> (usize, usize, usize) {
    let stats = peer.session.stats(Waiting::default());
    (stats.in_flight, stats.queued, stats.set_aside)
}

fn dropped(peer: &Peer) -> u64 {
    peer.session.stats(Waiting::default()).counters.refused
}

/// The number of messages that a warning is about, and the text.
fn warning(peer: &mut Peer) -> (u64, String) {
    let mut events = peer.events();
    let Some(Event::Notice { text, fields, .. }) = events.pop() else { panic!("no warning") };
    assert!(events.is_empty(), "{events:?}");
    let count = fields.iter().find_map(|(name, field)| match field {
        Field::Number(count) if *name == "count" => Some(*count),
        _ => None,
    });
    (count.unwrap(), text)
}

#[test]
fn a_message_waits_for_a_broker_that_takes_it_and_is_reported_once() {
    for (list, code, rc, reason) in [
        (SMALL, 0x95, ReturnCode::PayloadSize, "Packet too large"),
        ([(Property::MaximumQoS, 0)], 0x9b, ReturnCode::NotSupported, "QoS not supported"),
        ([(Property::RetainAvailable, 0)], 0x9a, ReturnCode::NotSupported, "Retain not supported"),
    ] {
        let mut peer = Peer::v5(|_| {});
        let (_, _, delivery) =
            peer.session.publish("t", LARGE.as_bytes(), ExactlyOnce, true, None).unwrap();
        let delivery = delivery.unwrap();
        let waiter = delivery.waiter();
        assert_eq!(reconnect(&mut peer, false, &list), NONE);
        assert_eq!(
            (delivery.state(), rc),
            (State::SetAside(code), State::SetAside(code).return_code())
        );
        assert!(waiter.wait(Some(std::time::Duration::ZERO)), "who waits gets an answer");
        let (count, text) = warning(&mut peer);
        assert_eq!(count, 1);
        let end = format!("the first is message 1 on \"t\": {reason} (code {code})");
        assert!(text.ends_with(&end), "{text}");
        assert_eq!((stats(&peer), dropped(&peer)), ((0, 0, 1), 0));
        // The same broker again: no new warning.
        assert_eq!(reconnect(&mut peer, true, &list), NONE);
        assert_eq!((peer.events(), delivery.state()), (vec![], State::SetAside(code)));
        let sent = reconnect(&mut peer, false, &[]);
        assert_eq!(sent, [format!("PUBLISH q2 m1 {LARGE}")]);
        assert_eq!((delivery.state(), stats(&peer)), (State::Pending, (1, 0, 0)));
        peer.receive(Incoming::PubRec(ack(1, 0)));
        peer.receive(Incoming::PubComp(ack(1, 0)));
        assert_eq!(delivery.state(), State::Published);
        assert_eq!(peer.events().len(), 1);
        assert_eq!(peer.session.outgoing_bytes(), 0);
    }
}

#[test]
fn what_is_set_aside_holds_up_nothing_and_comes_in_its_place_later() {
    let mut peer = Peer::accepted(&[]);
    for payload in ["a", LARGE, "c"] {
        peer.publish(payload, AtLeastOnce);
    }
    peer.session.lost();
    peer.publish("d", AtLeastOnce);
    let sent = reconnect(&mut peer, true, &SMALL);
    assert_eq!(sent, ["PUBLISH q1 m1 dup a", "PUBLISH q1 m3 dup c", "PUBLISH q1 m4 d"]);
    peer.receive(Incoming::PubAck(ack(1, 0)));
    let sent = reconnect(&mut peer, true, &[]);
    let expected =
        [&format!("PUBLISH q1 m2 dup {LARGE}"), "PUBLISH q1 m3 dup c", "PUBLISH q1 m4 dup d"];
    assert_eq!(sent, expected);
}

#[test]
fn it_takes_no_room_in_the_window_or_the_queue_and_the_end_does_not_wait_for_it() {
    let mut peer = Peer::v5(|options| (options.limits.inflight, options.limits.queued) = (1, 2));
    for _ in 0..2 {
        peer.publish("x", ExactlyOnce);
    }
    assert_eq!(reconnect(&mut peer, false, &QOS_1), NONE);
    for payload in ["a", "b", "c"] {
        assert_eq!(peer.publish(payload, AtLeastOnce).0, ReturnCode::Success);
    }
    assert_eq!(peer.publish("d", AtLeastOnce).0, ReturnCode::QueueSize);
    assert_eq!((peer.sent(), stats(&peer)), (vec!["PUBLISH q1 m3 a".to_owned()], (1, 2, 2)));
    for mid in 3..=5 {
        peer.receive(Incoming::PubAck(ack(mid, 0)));
    }
    peer.session.finish();
    assert_eq!(peer.session.leaving(), 0);
    assert_eq!(peer.publish("later", ExactlyOnce).0, ReturnCode::NoConnection);
    assert_eq!(peer.session.leaving(), 0);
    // With a window of one they are sent one after the other.
    assert_eq!(reconnect(&mut peer, false, &[]), ["PUBLISH q2 m1 x"]);
    peer.receive(Incoming::PubRec(ack(1, 0)));
    assert_eq!(peer.receive(Incoming::PubComp(ack(1, 0))), ["PUBLISH q2 m2 x"]);
    assert_eq!(stats(&peer), (1, 1, 0));
}

#[test]
fn what_was_on_its_way_to_another_broker_is_set_aside_too() {
    let mut peer = Peer::accepted(&[]);
    peer.publish("sent", ExactlyOnce);
    peer.publish("released", ExactlyOnce);
    peer.receive(Incoming::PubRec(ack(2, 0)));
    assert_eq!(reconnect(&mut peer, false, &QOS_1), NONE);
    assert_eq!((stats(&peer), warning(&mut peer).0), ((0, 0, 2), 2));
    // An acknowledgement of a message that is set aside is ignored.
    peer.receive(Incoming::PubRec(ack(1, 0)));
    assert_eq!((peer.events(), stats(&peer)), (vec![], (0, 0, 2)));
    let sent = reconnect(&mut peer, false, &[]);
    assert_eq!(sent, ["PUBLISH q2 m1 dup sent", "PUBLISH q2 m2 dup released"]);
}

#[test]
fn half_of_what_may_wait_is_set_aside_and_what_is_beyond_is_given_up_with_a_report() {
    let mut peer = Peer::v5(|options| options.limits.outgoing_bytes = 40);
    let deliveries: Vec<_> = (0..4)
        .map(|_| {
            peer.session.publish("t", &[b'x'; 9], ExactlyOnce, false, None).unwrap().2.unwrap()
        })
        .collect();
    assert_eq!(peer.publish("", ExactlyOnce).0, ReturnCode::Again);
    reconnect(&mut peer, false, &QOS_1);
    assert_eq!((stats(&peer), dropped(&peer)), ((0, 0, 2), 2));
    let states: Vec<_> = deliveries.iter().map(Delivery::state).collect();
    assert_eq!(states[..2], [State::SetAside(0x9b); 2]);
    assert_eq!(states[2..], [State::Refused(0x9b); 2]);
    let reports: usize = peer
        .events()
        .iter()
        .filter(|event| matches!(event, Event::Published { .. }))
        .map(Event::count)
        .sum();
    assert_eq!(reports, 2);
    assert_eq!(peer.publish("next", AtLeastOnce).0, ReturnCode::Success);
}

#[test]
fn a_single_message_is_set_aside_however_large_it_is() {
    let mut peer = Peer::v5(|options| options.limits.outgoing_bytes = 40);
    peer.publish(&"x".repeat(50), AtLeastOnce);
    reconnect(&mut peer, false, &SMALL);
    assert_eq!(stats(&peer), (0, 0, 1));
}

#[test]
fn in_a_file_it_outlives_the_process() {
    let mut disk = Disk::default();
    let start = |disk: &mut Disk| {
        let mut peer = Peer::v5(|options| "me".clone_into(&mut options.client_id));
        peer.session.keep(disk.open());
        peer
    };
    let mut first = start(&mut disk);
    first.publish("x", ExactlyOnce);
    disk.store(&mut first.session);
    for _ in 0..2 {
        reconnect(&mut first, false, &QOS_1);
        disk.store(&mut first.session);
    }
    assert_eq!((disk.outgoing().len(), stats(&first)), (1, (0, 0, 1)));
    let mut second = start(&mut disk);
    assert_eq!(reconnect(&mut second, false, &QOS_1), NONE);
    disk.store(&mut second.session);
    // The message is kept when the file is closed and opened again.
    second.session.lost();
    assert!(second.session.close_file());
    second.session.keep(disk.open());
    disk.store(&mut second.session);
    assert_eq!(reconnect(&mut second, false, &[]), ["PUBLISH q2 m1 dup x"]);
    second.receive(Incoming::PubRec(ack(1, 0)));
    disk.store(&mut second.session);
    second.receive(Incoming::PubComp(ack(1, 0)));
    disk.store(&mut second.session);
    assert!(disk.outgoing().is_empty());
}

#[test]
fn a_file_that_comes_later_takes_what_is_set_aside() {
    let mut disk = Disk::default();
    let mut peer = Peer::v5(|options| "me".clone_into(&mut options.client_id));
    peer.publish("x", ExactlyOnce);
    reconnect(&mut peer, false, &QOS_1);
    peer.session.lost();
    peer.session.keep(disk.open());
    disk.store(&mut peer.session);
    assert_eq!((disk.outgoing().len(), stats(&peer)), (1, (0, 0, 1)));
    assert_eq!(reconnect(&mut peer, false, &[]), ["PUBLISH q2 m1 x"]);
    disk.store(&mut peer.session);
    assert_eq!(stats(&peer), (1, 0, 0));
}

#[test]
fn a_message_that_is_stored_when_the_broker_has_answered_is_set_aside_then() {
    let mut disk = Disk::default();
    let mut peer = Peer::v5(|options| "me".clone_into(&mut options.client_id));
    peer.session.keep(disk.open());
    peer.publish("x", ExactlyOnce);
    peer.publish("y", AtLeastOnce);
    reconnect(&mut peer, false, &QOS_1);
    disk.store(&mut peer.session);
    assert_eq!(peer.sent(), ["PUBLISH q1 m2 y"]);
    assert_eq!((warning(&mut peer).0, stats(&peer)), (1, (1, 0, 1)));
}

#[test]
fn what_a_broker_refuses_with_its_acknowledgement_is_over() {
    let mut peer = Peer::accepted(&[]);
    let delivery = peer.deliver(AtLeastOnce);
    peer.receive(Incoming::PubAck(ack(1, 0x97)));
    assert_eq!((delivery.state(), stats(&peer)), (State::Refused(0x97), (0, 0, 0)));
    assert_eq!(reconnect(&mut peer, true, &[]), NONE);
}

#[test]
fn brokers_of_mqtt_3_take_everything() {
    let mut peer = Peer::offline();
    peer.publish(LARGE, ExactlyOnce);
    peer.open();
    assert_eq!(peer.receive(connack(false, 0)), [format!("PUBLISH q2 m1 {LARGE}")]);
    peer.receive(Incoming::PubRec(1.into()));
    peer.receive(Incoming::PubComp(1.into()));
    assert!(peer.events().contains(&published(1)));
}

fn subscribe(peer: &mut Peer, filter: &str, identifier: Option<u32>) -> ReturnCode {
    let filters = subscriptions(vec![(filter.to_owned(), AtMostOnce)]);
    let properties = identifier.map_or_else(Properties::default, |number| {
        numbers(&[(Property::SubscriptionIdentifier, number)])
    });
    peer.session.subscribe(filters, properties, false).unwrap().0
}

#[test]
fn what_a_broker_does_not_offer_is_not_asked_for() {
    for (property, filter, identifier) in [
        (Property::SharedSubscriptionAvailable, "$share/g/a", None),
        (Property::WildcardSubscriptionAvailable, "a/+", None),
        (Property::WildcardSubscriptionAvailable, "a/#", None),
        (Property::SubscriptionIdentifierAvailable, "a", Some(1)),
    ] {
        let mut peer = Peer::v5(|_| {});
        subscribe(&mut peer, filter, identifier);
        subscribe(&mut peer, "plain", None);
        assert_eq!(reconnect(&mut peer, false, &[(property, 0)]), ["SUBSCRIBE m1 plain:0"]);
        let events = peer.events();
        assert!(
            matches!(&events[..], [Event::Notice { text, .. }] if text.contains(filter)),
            "{events:?}"
        );
        assert_eq!(subscribe(&mut peer, filter, identifier), ReturnCode::NotSupported);
        assert_eq!(subscribe(&mut peer, "other", None), ReturnCode::Success);
        peer.sent();
        assert_eq!(reconnect(&mut peer, false, &[(property, 1)]).len(), 3);
    }
}

#[test]
fn a_qos_that_fits_is_not_set_aside() {
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let mut peer = Peer::v5(|_| {});
        peer.publish("x", qos);
        let sent = reconnect(&mut peer, false, &QOS_1);
        assert_eq!(sent.len(), usize::from(qos == Qos::AtLeastOnce));
    }
}

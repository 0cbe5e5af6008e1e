//! The window of unacknowledged messages, and the bounds on the queue.

use super::values::connack;
use flask_mqtt_core::core::error::ReturnCode;
use flask_mqtt_core::core::packet::{Incoming, Publish};
use flask_mqtt_core::core::qos::Qos;

use super::peer::Peer;

const NONE: [&str; 0] = [];
/// The number of packet identifiers, without those reserved for SUBSCRIBE and UNSUBSCRIBE.
const MOST_MESSAGES: u16 = 65_535 - 255;
const FULL: (ReturnCode, u16) = (ReturnCode::Again, 0);

fn with_bytes(bytes: usize) -> Peer {
    Peer::with(|options| options.limits.outgoing_bytes = bytes)
}

/// Publishes `count` messages and returns the output.
fn publish(peer: &mut Peer, count: usize, qos: Qos) -> Vec<String> {
    for number in 1..=count {
        assert_eq!(peer.publish(&number.to_string(), qos).0, ReturnCode::Success);
    }
    peer.sent()
}

#[test]
fn twenty_messages_are_on_their_way_and_the_next_follow_one_by_one_in_order() {
    let mut peer = with_queue(20, 0);
    assert_eq!(publish(&mut peer, 23, Qos::AtLeastOnce).len(), 20);
    assert_eq!(peer.receive(Incoming::PubAck(5.into())), ["PUBLISH q1 m21 21"]);
    assert_eq!(peer.receive(Incoming::PubAck(1.into())), ["PUBLISH q1 m22 22"]);
    assert_eq!(peer.receive(Incoming::PubAck(1.into())), NONE);
    assert_eq!(peer.receive(Incoming::PubAck(22.into())), ["PUBLISH q1 m23 23"]);
}

#[test]
fn as_many_queued_as_in_flight_are_a_backlog() {
    let mut peer = with_queue(20, 0);
    publish(&mut peer, 39, Qos::AtLeastOnce);
    assert_eq!(peer.session.backlogged_window(), None);
    publish(&mut peer, 1, Qos::ExactlyOnce);
    assert_eq!(peer.session.backlogged_window(), Some(20));
    peer.receive(Incoming::PubAck(1.into()));
    assert_eq!(peer.session.backlogged_window(), None);
}

#[test]
fn a_qos_2_message_keeps_its_place_in_the_window_until_the_pubcomp() {
    let mut peer = with_queue(20, 0);
    publish(&mut peer, 21, Qos::ExactlyOnce);
    assert_eq!(peer.receive(Incoming::PubRec(1.into())), ["PUBREL m1"]);
    assert_eq!(peer.receive(Incoming::PubComp(1.into())), ["PUBLISH q2 m21 21"]);
}

#[test]
fn a_qos_0_message_overtakes_what_waits_for_the_window() {
    let mut peer = with_queue(20, 0);
    publish(&mut peer, 21, Qos::AtLeastOnce);
    peer.publish("now", Qos::AtMostOnce);
    assert_eq!(peer.sent(), ["PUBLISH q0 m0 now"]);
}

#[test]
fn answers_do_not_reach_a_message_that_waits_for_the_window() {
    let mut peer = with_queue(20, 0);
    publish(&mut peer, 21, Qos::ExactlyOnce);
    peer.publish("22", Qos::AtLeastOnce);
    for packet in
        [Incoming::PubRec(21.into()), Incoming::PubComp(21.into()), Incoming::PubAck(22.into())]
    {
        assert_eq!(peer.receive(packet), NONE);
    }
    assert_eq!(peer.events(), []);
    peer.receive(Incoming::PubRec(1.into()));
    assert_eq!(peer.receive(Incoming::PubComp(1.into())), ["PUBLISH q2 m21 21"]);
}

#[test]
fn the_window_is_as_full_after_a_reconnect_as_before() {
    let mut peer = with_queue(20, 0);
    publish(&mut peer, 25, Qos::AtLeastOnce);
    let again = peer.reconnect(false);
    assert_eq!(again.len(), 20);
    assert!(again.iter().all(|line| line.contains("dup")));
    assert_eq!(peer.receive(Incoming::PubAck(1.into())), ["PUBLISH q1 m21 21"]);
}

#[test]
fn what_waited_for_the_window_goes_out_after_what_is_sent_again() {
    let mut peer = with_queue(20, 0);
    publish(&mut peer, 20, Qos::AtLeastOnce);
    peer.receive(Incoming::PubAck(1.into()));
    peer.session.lost();
    peer.publish("new", Qos::AtLeastOnce);
    let sent = peer.connect(true);
    assert_eq!(sent.first().unwrap(), "PUBLISH q1 m2 dup 2");
    assert_eq!(sent.last().unwrap(), "PUBLISH q1 m21 new");
}

#[test]
fn publishing_offline_is_bounded_and_goes_on_when_the_broker_has_acknowledged() {
    let mut peer = with_bytes(10);
    assert_eq!(peer.publish("12345", Qos::AtLeastOnce), (ReturnCode::NoConnection, 1));
    assert_eq!(peer.publish("12345", Qos::ExactlyOnce), (ReturnCode::NoConnection, 2));
    assert_eq!(peer.publish("", Qos::AtLeastOnce), FULL);
    assert_eq!(peer.publish("", Qos::AtMostOnce), FULL);
    peer.connect(false);
    assert_eq!(peer.publish("", Qos::AtLeastOnce), FULL);
    peer.receive(Incoming::PubAck(1.into()));
    assert_eq!(peer.publish("", Qos::AtLeastOnce), (ReturnCode::Success, 3));
}

#[test]
fn what_is_not_written_counts_also_after_it_was_taken() {
    let mut peer = with_bytes(30);
    peer.connect(false);
    peer.publish("123456789012345678901234567890", Qos::AtMostOnce);
    assert_eq!(peer.publish("", Qos::AtMostOnce), FULL);
    let mut taken = bytes::BytesMut::new();
    peer.session.take_output(&mut taken);
    assert_eq!(peer.publish("", Qos::AtMostOnce), FULL);
    peer.session.wrote(taken.len(), peer.now);
    assert_eq!(peer.publish("", Qos::AtMostOnce).0, ReturnCode::Success);
}

#[test]
fn a_message_before_the_connack_counts_with_all_that_it_takes() {
    let mut peer = with_bytes(10_000);
    peer.open();
    let accepted = (0..10_000).take_while(|_| peer.publish("", Qos::AtMostOnce) != FULL).count();
    assert!(accepted * size_of::<Publish>() < 11_000, "{accepted} messages");
}

#[test]
fn qos_0_messages_before_the_connack_count_until_they_are_written_or_lost() {
    let mut peer = with_bytes(20);
    for accepted in [true, false] {
        peer.open();
        peer.publish("12345678901234567890", Qos::AtMostOnce);
        assert_eq!(peer.publish("", Qos::AtMostOnce), FULL);
        if accepted {
            peer.receive(connack(false, 0));
            assert_eq!(peer.session.outgoing_bytes(), 0);
        }
        peer.session.lost();
        assert_eq!(peer.session.outgoing_bytes(), 0);
    }
}

#[test]
fn a_message_larger_than_the_bound_is_accepted_when_nothing_waits() {
    let mut peer = with_bytes(10);
    peer.connect(false);
    let large = "x".repeat(1000);
    assert_eq!(peer.publish(&large, Qos::AtLeastOnce).0, ReturnCode::Success);
    peer.sent();
    assert_eq!(peer.publish("", Qos::AtLeastOnce), FULL);
    peer.receive(Incoming::PubAck(1.into()));
    assert_eq!(peer.publish(&large, Qos::AtMostOnce).0, ReturnCode::Success);
}

#[test]
fn with_almost_every_identifier_in_use_no_message_that_needs_one_is_accepted_until_one_is_free() {
    let mut peer = Peer::connected();
    for mid in 1..=MOST_MESSAGES {
        assert_eq!(peer.publish("", Qos::AtLeastOnce), (ReturnCode::Success, mid));
    }
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
        assert_eq!(peer.publish("", qos), FULL);
    }
    assert_eq!(peer.publish("", Qos::AtMostOnce).0, ReturnCode::Success);
    peer.receive(Incoming::PubAck(7.into()));
    assert_eq!(peer.publish("", Qos::AtLeastOnce).0, ReturnCode::Success);
    assert_eq!(peer.publish("", Qos::AtLeastOnce), FULL);
}

const QUEUE_FULL: (ReturnCode, u16) = (ReturnCode::QueueSize, 0);

fn with_queue(inflight: usize, queued: usize) -> Peer {
    let mut peer = Peer::with(|options| {
        options.limits.inflight = inflight;
        options.limits.queued = queued;
    });
    peer.connect(false);
    peer
}

#[test]
fn the_application_bounds_what_waits_beyond_the_messages_on_their_way() {
    let mut peer = with_queue(2, 3);
    assert_eq!(publish(&mut peer, 5, Qos::AtLeastOnce).len(), 2);
    assert_eq!(peer.publish("6", Qos::AtLeastOnce), QUEUE_FULL);
    assert_eq!(peer.publish("6", Qos::ExactlyOnce), QUEUE_FULL);
    assert_eq!(peer.publish("at most once", Qos::AtMostOnce).0, ReturnCode::Success);
    peer.sent();
    assert_eq!(peer.receive(Incoming::PubAck(1.into())), ["PUBLISH q1 m3 3"]);
    assert_eq!(peer.publish("6", Qos::ExactlyOnce).0, ReturnCode::Success);
    assert_eq!(peer.publish("7", Qos::AtLeastOnce), QUEUE_FULL);
}

#[test]
fn without_a_connection_every_message_waits() {
    let mut peer = with_queue(20, 2);
    peer.session.lost();
    for _ in 0..2 {
        assert_eq!(peer.publish("", Qos::AtLeastOnce).0, ReturnCode::NoConnection);
    }
    assert_eq!(peer.publish("", Qos::AtLeastOnce), QUEUE_FULL);
    assert_eq!(peer.connect(false).len(), 2);
    assert_eq!(peer.publish("", Qos::AtLeastOnce).0, ReturnCode::Success);
}

#[test]
fn without_a_bound_on_the_window_the_identifiers_bound_it() {
    let mut peer = with_queue(usize::MAX, 1);
    let most = usize::from(MOST_MESSAGES);
    assert_eq!(publish(&mut peer, most, Qos::AtLeastOnce).len(), most);
    assert_eq!(peer.publish("", Qos::AtLeastOnce), FULL);
}

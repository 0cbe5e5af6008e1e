//! The delivery reports of a published message, and how waiting for it ends.

use std::sync::Arc;

use bytes::BytesMut;
use flask_mqtt_core::core::delivery::{Delivery, State};
use flask_mqtt_core::core::error::ReturnCode;
use flask_mqtt_core::core::packet::Incoming;
use flask_mqtt_core::core::property::Property;
use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::wake::Completions;

use super::peer::Peer;
use super::peer_v5::{ack, numbers};
use super::values::connack;

/// A waiter for a message, with the number 7.
fn wait(delivery: &Delivery) -> Arc<Completions> {
    let completions = Arc::new(Completions::new().unwrap());
    assert!(delivery.listen(&completions, 7));
    completions
}

#[test]
fn a_message_is_published_when_it_is_acknowledged() {
    let mut peer = Peer::connected();
    let (first, second) = (peer.deliver(Qos::AtLeastOnce), peer.deliver(Qos::ExactlyOnce));
    let waits = [wait(&first), wait(&second)];
    peer.receive(Incoming::PubAck(1.into()));
    peer.receive(Incoming::PubRec(2.into()));
    assert_eq!((first.state(), second.state()), (State::Published, State::Pending));
    assert_eq!(waits.each_ref().map(|wait| wait.take()), [vec![7], vec![]]);
    peer.receive(Incoming::PubComp(2.into()));
    assert_eq!(second.state(), State::Published);
    assert_eq!(waits[1].take(), [7]);
}

#[test]
fn a_qos_0_message_is_published_when_its_last_byte_is_written() {
    let mut peer = Peer::connected();
    let deliveries = [peer.deliver(Qos::AtMostOnce), peer.deliver(Qos::AtMostOnce)];
    let waits = deliveries.each_ref().map(wait);
    let mut bytes = BytesMut::new();
    peer.session.take_output(&mut bytes);
    let one = bytes.len() / 2;
    for (count, published) in [(one - 1, [0, 0]), (1, [1, 0]), (one - 1, [0, 0]), (1, [0, 1])] {
        peer.session.wrote(count, peer.now);
        assert_eq!(waits.each_ref().map(|wait| wait.take().len()), published);
    }
    assert_eq!(deliveries.map(|delivery| delivery.state()), [State::Published; 2]);
}

#[test]
fn a_qos_0_message_is_lost_with_the_connection_unless_it_was_written() {
    let mut peer = Peer::connected();
    let written = peer.deliver(Qos::AtMostOnce);
    peer.sent();
    let lost = peer.deliver(Qos::AtMostOnce);
    let waiting = wait(&lost);
    peer.reconnect(false);
    peer.deliver(Qos::AtMostOnce);
    peer.sent();
    assert_eq!((written.state(), lost.state()), (State::Published, State::Lost));
    assert_eq!(lost.state().return_code(), ReturnCode::ConnectionLost);
    assert_eq!(waiting.take(), [7]);
}

#[test]
fn a_qos_0_message_from_before_the_connack_is_published_when_it_is_written() {
    let mut peer = Peer::connecting();
    let delivery = peer.deliver(Qos::AtMostOnce);
    let waiting = wait(&delivery);
    peer.session.receive(connack(false, 0), peer.now).unwrap();
    assert_eq!(delivery.state(), State::Pending);
    peer.sent();
    assert_eq!(delivery.state(), State::Published);
    assert_eq!(waiting.take(), [7]);
}

#[test]
fn a_qos_0_message_is_lost_where_no_connack_comes() {
    let mut peer = Peer::connecting();
    let delivery = peer.deliver(Qos::AtMostOnce);
    let waiting = wait(&delivery);
    peer.session.lost();
    assert_eq!(delivery.state(), State::Lost);
    assert_eq!(waiting.take(), [7]);
}

#[test]
fn a_qos_0_message_without_a_connection_has_no_delivery() {
    let mut peer = Peer::offline();
    let (.., delivery) = peer.session.publish("t", b"x", Qos::AtMostOnce, false, None).unwrap();
    assert!(delivery.is_none());
}

#[test]
fn a_message_is_waited_for_over_any_number_of_connections() {
    let mut peer = Peer::offline();
    let delivery = peer.deliver(Qos::AtLeastOnce);
    let waiting = wait(&delivery);
    assert!(!delivery.has_begun());
    for _ in 0..3 {
        peer.reconnect(true);
        assert!(delivery.has_begun());
        assert_eq!((delivery.state(), waiting.take()), (State::Pending, vec![]));
    }
    peer.receive(Incoming::PubAck(1.into()));
    assert_eq!((delivery.state(), waiting.take()), (State::Published, vec![7]));
}

#[test]
fn a_message_stays_published_when_another_one_has_its_identifier() {
    let mut peer = Peer::connected();
    let first = peer.deliver(Qos::AtLeastOnce);
    peer.receive(Incoming::PubAck(1.into()));
    for _ in 1..u16::MAX {
        peer.publish("", Qos::AtMostOnce);
    }
    peer.sent();
    assert_eq!(peer.publish("", Qos::AtLeastOnce), (ReturnCode::Success, 1));
    assert_eq!(first.state(), State::Published);
}

#[test]
fn a_refusal_of_the_broker_is_told() {
    for (code, return_code) in [
        (0x87, ReturnCode::AclDenied),
        (0x95, ReturnCode::PayloadSize),
        (0x9b, ReturnCode::NotSupported),
        (0x97, ReturnCode::Unknown),
    ] {
        for (qos, answer) in [
            (Qos::AtLeastOnce, Incoming::PubAck(ack(1, code))),
            (Qos::ExactlyOnce, Incoming::PubRec(ack(1, code))),
        ] {
            let mut peer = Peer::accepted(&[]);
            let delivery = peer.deliver(qos);
            let waiting = wait(&delivery);
            peer.session.receive(answer, peer.now).unwrap();
            assert_eq!(delivery.state(), State::Refused(code));
            assert_eq!(delivery.state().return_code(), return_code);
            assert_eq!(waiting.take(), [7]);
        }
    }
}

#[test]
fn a_broker_that_does_not_know_the_identifier_any_more_has_the_message() {
    let mut peer = Peer::accepted(&[]);
    let delivery = peer.deliver(Qos::ExactlyOnce);
    peer.session.receive(Incoming::PubRec(1.into()), peer.now).unwrap();
    peer.session.receive(Incoming::PubComp(ack(1, 0x92)), peer.now).unwrap();
    assert_eq!(delivery.state(), State::Published);
}

#[test]
fn what_the_limits_of_a_server_exclude_is_refused_or_set_aside() {
    for (qos, state) in
        [(Qos::AtMostOnce, State::Refused(0x9a)), (Qos::AtLeastOnce, State::SetAside(0x9a))]
    {
        let mut peer = Peer::v5(|_| {});
        peer.begin();
        let (.., delivery) = peer.session.publish("t", b"x", qos, true, None).unwrap();
        let delivery = delivery.unwrap();
        let waiting = wait(&delivery);
        peer.answer(false, numbers(&[(Property::RetainAvailable, 0)]));
        assert_eq!((delivery.state(), waiting.take()), (state, vec![7]));
    }
}

#[test]
fn who_asks_after_the_end_has_nothing_to_wait_for() {
    let mut peer = Peer::connected();
    let delivery = peer.deliver(Qos::AtLeastOnce);
    peer.receive(Incoming::PubAck(1.into()));
    let completions = Arc::new(Completions::new().unwrap());
    assert!(!delivery.listen(&completions, 7));
    assert!(completions.take().is_empty());
}

#[test]
fn everybody_who_waits_is_woken_except_who_gave_up() {
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
        let mut peer = Peer::connected();
        let delivery = peer.deliver(qos);
        let patient = wait(&delivery);
        let other = wait(&delivery);
        assert!(delivery.listen(&patient, 8) && delivery.listen(&patient, 9));
        delivery.forget(&patient, 8);
        delivery.forget(&other, 7);
        peer.sent();
        peer.receive(Incoming::PubAck(1.into()));
        assert_eq!((patient.take(), other.take()), (vec![7, 9], vec![]));
    }
}

#[test]
fn the_end_of_connecting_wakes_who_waits_and_the_message_is_kept() {
    let mut peer = Peer::connected();
    let delivery = peer.deliver(Qos::AtLeastOnce);
    let waiting = wait(&delivery);
    peer.session.lost();
    peer.session.release();
    assert_eq!((delivery.state(), waiting.take()), (State::Pending, vec![7]));
    let again = wait(&delivery);
    peer.connect(false);
    peer.receive(Incoming::PubAck(1.into()));
    assert_eq!((delivery.state(), again.take()), (State::Published, vec![7]));
}

#[test]
fn with_the_session_its_messages_are_lost() {
    let mut peer = Peer::connected();
    let deliveries = [peer.deliver(Qos::AtMostOnce), peer.deliver(Qos::ExactlyOnce)];
    let waits = deliveries.each_ref().map(wait);
    drop(peer);
    assert_eq!(deliveries.map(|delivery| delivery.state()), [State::Lost; 2]);
    assert_eq!(waits.map(|wait| wait.take()), [[7], [7]]);
}

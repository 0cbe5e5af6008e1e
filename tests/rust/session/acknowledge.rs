//! Acknowledgement by packet identifier, instead of the receipt of a message.

use super::values::connack;
use flask_mqtt_core::core::error::ReturnCode;
use flask_mqtt_core::core::packet::Incoming;
use flask_mqtt_core::core::qos::Qos::{self, AtLeastOnce, AtMostOnce, ExactlyOnce};

use super::peer::{Peer, message};

const NONE: [&str; 0] = [];

/// Acknowledges, and returns the return code and the output.
fn acknowledge(peer: &mut Peer, mid: u16, qos: Qos) -> (ReturnCode, Vec<String>) {
    let code = peer.session.acknowledge(mid, qos).unwrap();
    (code, peer.sent())
}

fn done(packet: &str) -> (ReturnCode, Vec<String>) {
    (ReturnCode::Success, vec![packet.to_owned()])
}

const NOT_FOUND: (ReturnCode, Vec<String>) = (ReturnCode::NotFound, Vec::new());
const OFFLINE: (ReturnCode, Vec<String>) = (ReturnCode::NoConnection, Vec::new());

/// Delivers a QoS 2 message to the application.
fn release(peer: &mut Peer, mid: u16) {
    assert_eq!(peer.receive(message(mid, ExactlyOnce, "a")), [format!("PUBREC m{mid}")]);
    assert_eq!(peer.receive(Incoming::PubRel(mid.into())), NONE);
}

#[test]
fn qos_1_gets_a_puback_once() {
    let mut peer = Peer::connected();
    peer.receive(message(5, AtLeastOnce, "a"));
    assert_eq!(acknowledge(&mut peer, 5, AtLeastOnce), done("PUBACK m5"));
    assert_eq!(acknowledge(&mut peer, 5, AtLeastOnce), NOT_FOUND);
    peer.receive(message(5, AtLeastOnce, "b"));
    assert_eq!(acknowledge(&mut peer, 5, AtLeastOnce), done("PUBACK m5"));
}

#[test]
fn qos_2_gets_a_pubcomp_once() {
    let mut peer = Peer::connected();
    release(&mut peer, 5);
    assert_eq!(acknowledge(&mut peer, 5, ExactlyOnce), done("PUBCOMP m5"));
    assert_eq!(acknowledge(&mut peer, 5, ExactlyOnce), NOT_FOUND);
}

#[test]
fn what_the_application_does_not_have_is_not_acknowledged() {
    let mut peer = Peer::connected();
    peer.receive(message(0, AtMostOnce, "a"));
    peer.receive(message(5, AtLeastOnce, "a"));
    peer.receive(message(6, ExactlyOnce, "a"));
    release(&mut peer, 7);
    for (mid, qos) in
        [(0, AtMostOnce), (5, AtMostOnce), (6, AtLeastOnce), (5, ExactlyOnce), (7, AtLeastOnce)]
    {
        assert_eq!(acknowledge(&mut peer, mid, qos), NOT_FOUND, "{mid}");
    }
    // A QoS 2 message is not delivered before its PUBREL.
    assert_eq!(acknowledge(&mut peer, 6, ExactlyOnce), NOT_FOUND);
}

#[test]
fn a_qos_1_message_of_an_earlier_connection_is_not_acknowledged() {
    let mut peer = Peer::connected();
    peer.receive(message(5, AtLeastOnce, "a"));
    peer.reconnect(true);
    assert_eq!(acknowledge(&mut peer, 5, AtLeastOnce), NOT_FOUND);
    peer.receive(message(5, AtLeastOnce, "a"));
    assert_eq!(acknowledge(&mut peer, 5, AtLeastOnce), done("PUBACK m5"));
}

#[test]
fn a_qos_2_message_that_the_broker_releases_again_is_acknowledged_on_the_new_connection() {
    let mut peer = Peer::connected();
    release(&mut peer, 5);
    peer.reconnect(true);
    assert_eq!(peer.receive(Incoming::PubRel(5.into())), NONE);
    assert_eq!(acknowledge(&mut peer, 5, ExactlyOnce), done("PUBCOMP m5"));
}

#[test]
fn a_qos_2_message_may_be_acknowledged_before_the_broker_releases_it_again() {
    let mut peer = Peer::connected();
    release(&mut peer, 5);
    peer.reconnect(true);
    assert_eq!(acknowledge(&mut peer, 5, ExactlyOnce), (ReturnCode::Success, Vec::new()));
    assert_eq!(peer.receive(Incoming::PubRel(5.into())), ["PUBCOMP m5"]);
}

#[test]
fn without_a_connection_nothing_goes_out_and_qos_2_counts_when_the_broker_asks_again() {
    let mut peer = Peer::connected();
    peer.receive(message(4, AtLeastOnce, "a"));
    release(&mut peer, 5);
    peer.session.lost();
    assert_eq!(acknowledge(&mut peer, 4, AtLeastOnce), OFFLINE);
    assert_eq!(acknowledge(&mut peer, 5, ExactlyOnce), OFFLINE);
    assert_eq!(acknowledge(&mut peer, 9, ExactlyOnce), OFFLINE);
    assert_eq!(peer.connect(true), NONE);
    assert_eq!(peer.receive(Incoming::PubRel(5.into())), ["PUBCOMP m5"]);
}

#[test]
fn before_the_connack_there_is_no_connection() {
    let mut peer = Peer::connected();
    peer.receive(message(5, AtLeastOnce, "a"));
    peer.session.lost();
    peer.open();
    assert_eq!(acknowledge(&mut peer, 5, AtLeastOnce), OFFLINE);
    assert_eq!(peer.receive(connack(true, 0)), NONE);
    assert_eq!(acknowledge(&mut peer, 5, AtLeastOnce), NOT_FOUND);
}

#[test]
fn where_the_broker_forgot_the_session_nothing_of_it_is_acknowledged() {
    let mut peer = Peer::connected();
    release(&mut peer, 5);
    peer.reconnect(false);
    assert_eq!(acknowledge(&mut peer, 5, ExactlyOnce), NOT_FOUND);
}

#[test]
fn the_receipt_does_not_acknowledge_a_second_time() {
    let mut peer = Peer::connected();
    peer.receive(message(5, AtLeastOnce, "a"));
    let first = peer.receipt();
    acknowledge(&mut peer, 5, AtLeastOnce);
    assert_eq!(peer.handled(first), NONE);
    release(&mut peer, 6);
    let second = peer.receipt();
    acknowledge(&mut peer, 6, ExactlyOnce);
    assert_eq!(peer.handled(second), NONE);
}

#[test]
fn all_identifiers_may_wait_and_are_acknowledged_in_any_order() {
    let mut peer = Peer::connected();
    for mid in 1..=u16::MAX {
        peer.receive(message(mid, AtLeastOnce, ""));
    }
    for mid in (1..=u16::MAX).rev() {
        assert_eq!(peer.session.acknowledge(mid, AtLeastOnce).unwrap(), ReturnCode::Success);
    }
    assert_eq!(peer.sent().len(), 65_535);
}

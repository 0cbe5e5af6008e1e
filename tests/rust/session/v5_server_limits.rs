//! The server limits in an MQTT 5 CONNACK.

use flask_mqtt_core::core::error::ReturnCode;
use flask_mqtt_core::core::packet::Incoming;
use flask_mqtt_core::core::property::{Properties, Property};
use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::session::Event;
use rumqttc::v5::mqttbytes::v5::{Connect, Packet};

use super::peer::{Peer, SECOND};
use super::peer_v5::{accepted, ack, numbers, text_of};

const NONE: [&str; 0] = [];

/// Responds to the CONNECT, and returns the output after it, one line per packet.
fn answer(peer: &mut Peer, session_present: bool, list: &[(Property, u32)]) -> Vec<String> {
    peer.open();
    let lines = peer.receive(accepted(session_present, numbers(list)));
    peer.session.take_events().retain(|event| !matches!(event, Event::ConnAck { .. }));
    lines
}

fn receive_maximum(number: u32) -> [(Property, u32); 1] {
    [(Property::ReceiveMaximum, number)]
}

/// The next CONNECT.
fn connect(peer: &mut Peer) -> Connect {
    peer.begin();
    match peer.v5_packets().remove(0) {
        Packet::Connect(connect, ..) => connect,
        other => panic!("{other:?} is no CONNECT"),
    }
}

fn published(mid: u16, code: u8) -> Event {
    Event::published(mid, code, None)
}

#[test]
fn the_receive_maximum_bounds_the_window() {
    let mut peer = Peer::accepted(&receive_maximum(2));
    for payload in ["a", "b", "c"] {
        peer.publish(payload, Qos::ExactlyOnce);
    }
    assert_eq!(peer.sent(), ["PUBLISH q2 m1 a", "PUBLISH q2 m2 b"]);
    assert_eq!(peer.receive(Incoming::PubRec(ack(1, 0))), ["PUBREL m1"]);
    assert_eq!(peer.receive(Incoming::PubComp(ack(1, 0))), ["PUBLISH q2 m3 c"]);
}

#[test]
fn a_receive_maximum_above_the_limit_of_the_application_does_not_widen_the_window() {
    let mut peer = Peer::v5(|options| options.limits.inflight = 1);
    peer.accept(false, &receive_maximum(65_535));
    peer.publish("a", Qos::AtLeastOnce);
    peer.publish("b", Qos::AtLeastOnce);
    assert_eq!(peer.sent(), ["PUBLISH q1 m1 a"]);
}

#[test]
fn a_qos_0_message_does_not_count() {
    let mut peer = Peer::accepted(&receive_maximum(1));
    peer.publish("a", Qos::AtLeastOnce);
    peer.publish("b", Qos::AtMostOnce);
    assert_eq!(peer.sent(), ["PUBLISH q1 m1 a", "PUBLISH q0 m0 b"]);
}

#[test]
fn with_a_smaller_receive_maximum_what_is_sent_again_follows_in_order_and_nothing_is_lost() {
    let mut peer = Peer::accepted(&[]);
    for payload in ["a", "b", "c", "d"] {
        peer.publish(payload, Qos::AtLeastOnce);
    }
    peer.session.lost();
    peer.publish("e", Qos::AtLeastOnce);
    assert_eq!(answer(&mut peer, true, &receive_maximum(1)), ["PUBLISH q1 m1 dup a"]);
    for (mid, next) in [(1, "m2 dup b"), (2, "m3 dup c"), (3, "m4 dup d"), (4, "m5 e")] {
        let sent = peer.receive(Incoming::PubAck(ack(mid, 0)));
        assert_eq!(sent, [format!("PUBLISH q1 {next}")]);
    }
    assert_eq!(peer.receive(Incoming::PubAck(ack(5, 0))), NONE);
    assert_eq!(peer.events().len(), 5);
    assert_eq!(peer.session.outgoing_bytes(), 0);
}

#[test]
fn what_is_released_is_released_again_at_once_whatever_the_receive_maximum() {
    let mut peer = Peer::accepted(&[]);
    for payload in ["a", "b", "c"] {
        peer.publish(payload, Qos::ExactlyOnce);
    }
    peer.receive(Incoming::PubRec(ack(2, 0)));
    peer.receive(Incoming::PubRec(ack(3, 0)));
    peer.session.lost();
    let sent = answer(&mut peer, true, &receive_maximum(1));
    assert_eq!(sent, ["PUBLISH q2 m1 dup a", "PUBREL m2", "PUBREL m3"]);
    for mid in [2, 3] {
        assert_eq!(peer.receive(Incoming::PubComp(ack(mid, 0))), NONE);
    }
    peer.publish("d", Qos::ExactlyOnce);
    assert_eq!(peer.sent(), NONE);
    assert_eq!(peer.receive(Incoming::PubRec(ack(1, 0))), ["PUBREL m1"]);
    assert_eq!(peer.receive(Incoming::PubComp(ack(1, 0))), ["PUBLISH q2 m4 d"]);
}

#[test]
fn a_receive_maximum_holds_for_its_connection_only() {
    let mut peer = Peer::accepted(&receive_maximum(1));
    peer.publish("a", Qos::AtLeastOnce);
    peer.publish("b", Qos::AtLeastOnce);
    peer.session.lost();
    assert_eq!(answer(&mut peer, true, &[]), ["PUBLISH q1 m1 dup a", "PUBLISH q1 m2 b"]);
}

#[test]
fn a_message_larger_than_the_maximum_packet_size_is_not_accepted() {
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
        let mut peer = Peer::accepted(&[(Property::MaximumPacketSize, 20)]);
        // Two bytes of header, three of topic, one of properties, and the identifier.
        let room = if qos == Qos::AtMostOnce { 14 } else { 12 };
        let refused = peer.publish(&"x".repeat(room + 1), qos);
        assert_eq!(refused, (ReturnCode::PayloadSize, 0));
        assert_eq!((peer.v5_bytes(), peer.session.outgoing_bytes()), (0, 0));
        assert_eq!(peer.publish(&"x".repeat(room), qos).0, ReturnCode::Success);
        assert_eq!(peer.v5_bytes(), 20);
    }
}

#[test]
fn a_topic_alias_does_not_make_a_packet_larger_than_the_broker_takes() {
    for payload in 0..20 {
        let mut peer =
            Peer::accepted(&[(Property::MaximumPacketSize, 25), (Property::TopicAliasMaximum, 5)]);
        let payload = vec![b'x'; payload];
        for _ in 0..3 {
            let published =
                peer.session.publish("sensors", &payload, Qos::AtMostOnce, false, None).unwrap();
            assert_eq!(published.0 == ReturnCode::Success, payload.len() <= 13);
            assert!(peer.v5_bytes() <= 25);
        }
    }
}

#[test]
fn a_qos_0_message_that_waited_for_the_connack_is_given_up_too() {
    for reporting in [true, false] {
        let mut peer = Peer::v5(|_| {});
        peer.session.set_reporting(reporting);
        peer.open();
        peer.publish(&"x".repeat(30), Qos::AtMostOnce);
        peer.publish("y", Qos::AtMostOnce);
        let list = numbers(&[(Property::MaximumPacketSize, 20)]);
        assert_eq!(peer.receive(accepted(false, list)), ["PUBLISH q0 m0 y"]);
        let events = peer.events();
        assert!(matches!(&events[1], Event::Notice { .. }), "{events:?}");
        assert_eq!(events.contains(&published(1, 0x95)), reporting);
        assert_eq!(events.contains(&published(2, 0)), reporting);
    }
}

#[test]
fn a_qos_and_a_retained_message_that_the_broker_does_not_support_are_not_accepted() {
    let refused = (ReturnCode::NotSupported, 0);
    let mut peer = Peer::accepted(&[(Property::MaximumQoS, 1), (Property::RetainAvailable, 0)]);
    assert_eq!(peer.publish("a", Qos::ExactlyOnce), refused);
    let (code, mid, _) = peer.session.publish("t", b"a", Qos::AtMostOnce, true, None).unwrap();
    assert_eq!((code, mid), refused);
    assert_eq!(peer.publish("a", Qos::AtLeastOnce).0, ReturnCode::Success);
    let mut peer = Peer::accepted(&[(Property::MaximumQoS, 0), (Property::RetainAvailable, 1)]);
    assert_eq!(peer.publish("a", Qos::AtLeastOnce), refused);
    let retained = peer.session.publish("t", b"a", Qos::AtMostOnce, true, None).unwrap();
    assert_eq!(retained.0, ReturnCode::Success);
}

#[test]
fn what_a_broker_said_is_forgotten_with_its_connection() {
    let mut peer = Peer::accepted(&[(Property::MaximumQoS, 0), (Property::MaximumPacketSize, 10)]);
    peer.session.lost();
    let offline = peer.publish("long enough", Qos::ExactlyOnce);
    assert_eq!(offline, (ReturnCode::NoConnection, 1));
    assert_eq!(answer(&mut peer, false, &[]), ["PUBLISH q2 m1 long enough"]);
}

#[test]
fn the_keep_alive_of_the_broker_replaces_ours() {
    for (seconds, deadline) in [(5, Some(5)), (0, None)] {
        let mut peer = Peer::v5(|options| options.keep_alive = 60);
        peer.accept(false, &[(Property::ServerKeepAlive, seconds)]);
        assert_eq!(peer.session.deadline(), deadline.map(|seconds| peer.now + seconds * SECOND));
        peer.session.lost();
        peer.accept(false, &[]);
        assert_eq!(peer.session.deadline(), Some(peer.now + 60 * SECOND));
    }
}

#[test]
fn the_identifier_that_the_broker_chose_is_used_from_then_on() {
    let mut peer = Peer::v5(|options| options.client_id = String::new());
    assert_eq!(connect(&mut peer).client_id, "");
    peer.answer(false, text_of(Property::AssignedClientIdentifier, "chosen"));
    peer.session.lost();
    assert_eq!(connect(&mut peer).client_id, "chosen");
    peer.answer(true, Properties::default());
    peer.session.lost();
    assert_eq!(connect(&mut peer).client_id, "chosen");
}

#[test]
fn the_identifier_of_the_application_is_used_whatever_the_broker_chooses() {
    let mut peer = Peer::v5(|options| options.client_id = "mine".to_owned());
    connect(&mut peer);
    peer.answer(false, text_of(Property::AssignedClientIdentifier, "chosen"));
    peer.session.lost();
    assert_eq!(connect(&mut peer).client_id, "mine");
}

#[test]
fn a_session_to_be_kept_does_not_expire_and_a_limit_is_announced() {
    let mut peer = Peer::v5(|options| {
        options.clean_session = false;
        options.limits.packet_size = 1000;
    });
    let connect = connect(&mut peer);
    let properties = connect.properties.unwrap();
    assert!(!connect.clean_start);
    assert_eq!(properties.session_expiry_interval, Some(u32::MAX));
    assert_eq!(properties.max_packet_size, Some(1000));
}

#[test]
fn mqtt_3_knows_no_server_limits() {
    let mut peer = Peer::connected();
    peer.receive(Incoming::PingResp);
    let properties = Some(numbers(&[(Property::PayloadFormatIndicator, 1)]));
    let (code, mid, _) =
        peer.session.publish("t", b"a", Qos::ExactlyOnce, true, properties).unwrap();
    assert_eq!((code, mid), (ReturnCode::Success, 1));
    assert_eq!(peer.sent(), ["PUBLISH q2 m1 a"]);
}

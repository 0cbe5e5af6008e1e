//! QoS 0, 1 and 2 to the broker, and retransmission on the next connection.

use super::values::{connack, published, unsuback};
use flask_mqtt_core::core::error::ReturnCode;
use flask_mqtt_core::core::packet::Incoming;
use flask_mqtt_core::core::qos::Qos;

use super::peer::Peer;

const NONE: [&str; 0] = [];

#[test]
fn packet_identifiers_start_at_1_and_a_qos_0_message_takes_one_too() {
    let mut peer = Peer::connected();
    assert_eq!(peer.publish("a", Qos::AtMostOnce), (ReturnCode::Success, 1));
    assert_eq!(peer.publish("b", Qos::AtLeastOnce), (ReturnCode::Success, 2));
    assert_eq!(peer.publish("c", Qos::ExactlyOnce), (ReturnCode::Success, 3));
    assert_eq!(peer.sent(), ["PUBLISH q0 m0 a", "PUBLISH q1 m2 b", "PUBLISH q2 m3 c"]);
}

#[test]
fn a_qos_1_message_is_published_when_the_puback_comes() {
    let mut peer = Peer::connected();
    peer.publish("a", Qos::AtLeastOnce);
    peer.sent();
    assert_eq!(peer.events(), []);
    assert_eq!(peer.receive(Incoming::PubAck(1.into())), NONE);
    assert_eq!(peer.events(), [published(1)]);
    assert_eq!(peer.session.outgoing_bytes(), 0);
}

#[test]
fn a_qos_2_message_is_published_when_the_pubcomp_comes() {
    let mut peer = Peer::connected();
    peer.publish("a", Qos::ExactlyOnce);
    assert_eq!(peer.sent(), ["PUBLISH q2 m1 a"]);
    assert_eq!(peer.receive(Incoming::PubRec(1.into())), ["PUBREL m1"]);
    assert_eq!(peer.events(), []);
    assert_eq!(peer.receive(Incoming::PubComp(1.into())), NONE);
    assert_eq!(peer.events(), [published(1)]);
    assert_eq!(peer.session.outgoing_bytes(), 0);
}

#[test]
fn a_pubrec_is_answered_every_time_it_comes() {
    let mut peer = Peer::connected();
    peer.publish("a", Qos::ExactlyOnce);
    peer.sent();
    for _ in 0..3 {
        assert_eq!(peer.receive(Incoming::PubRec(1.into())), ["PUBREL m1"]);
    }
    assert_eq!(peer.receive(Incoming::PubRec(777.into())), ["PUBREL m777"]);
}

#[test]
fn answers_that_nobody_waits_for_do_nothing() {
    let mut peer = Peer::connected();
    for packet in [
        Incoming::PubAck(7.into()),
        Incoming::PubComp(7.into()),
        Incoming::SubAck { mid: 7, granted: vec![0], properties: None },
        unsuback(7),
        Incoming::PingResp,
    ] {
        assert_eq!(peer.receive(packet), NONE);
    }
    assert_eq!(peer.events(), []);
}

#[test]
fn an_answer_of_the_wrong_kind_does_not_acknowledge_a_message() {
    let mut peer = Peer::connected();
    peer.publish("a", Qos::AtLeastOnce);
    peer.publish("b", Qos::ExactlyOnce);
    peer.sent();
    let wrong = [
        Incoming::PubRec(1.into()),
        Incoming::PubComp(1.into()),
        Incoming::SubAck { mid: 1, granted: vec![1], properties: None },
        Incoming::PubAck(2.into()),
        Incoming::PubComp(2.into()),
        unsuback(2),
    ];
    for packet in wrong {
        assert_eq!(peer.receive(packet), NONE);
    }
    assert_eq!(peer.events(), []);
    assert_eq!(peer.reconnect(true), ["PUBLISH q1 m1 dup a", "PUBLISH q2 m2 dup b"]);
}

#[test]
fn a_message_acknowledged_twice_is_published_once() {
    let mut peer = Peer::connected();
    peer.publish("a", Qos::AtLeastOnce);
    peer.receive(Incoming::PubAck(1.into()));
    peer.receive(Incoming::PubAck(1.into()));
    assert_eq!(peer.events(), [published(1)]);
}

#[test]
fn what_was_on_its_way_is_sent_again_with_dup_in_the_order_of_acceptance() {
    for session_present in [true, false] {
        let mut peer = Peer::connected();
        for (payload, qos) in [
            ("a", Qos::ExactlyOnce),
            ("b", Qos::AtLeastOnce),
            ("c", Qos::ExactlyOnce),
            ("d", Qos::AtLeastOnce),
        ] {
            peer.publish(payload, qos);
        }
        peer.receive(Incoming::PubAck(2.into()));
        assert_eq!(
            peer.reconnect(session_present),
            ["PUBLISH q2 m1 dup a", "PUBLISH q2 m3 dup c", "PUBLISH q1 m4 dup d"]
        );
    }
}

#[test]
fn the_order_of_acceptance_holds_where_the_identifiers_have_wrapped() {
    let mut peer = Peer::connected();
    for _ in 0..65_534 {
        peer.publish("", Qos::AtMostOnce);
        peer.sent();
    }
    for payload in ["a", "b", "c"] {
        peer.publish(payload, Qos::AtLeastOnce);
    }
    let again = ["PUBLISH q1 m65535 dup a", "PUBLISH q1 m1 dup b", "PUBLISH q1 m2 dup c"];
    assert_eq!(peer.reconnect(true), again);
}

#[test]
fn a_released_message_is_released_again_where_the_broker_kept_the_session() {
    let mut peer = Peer::connected();
    peer.publish("a", Qos::ExactlyOnce);
    peer.publish("b", Qos::AtLeastOnce);
    peer.receive(Incoming::PubRec(1.into()));
    assert_eq!(peer.reconnect(true), ["PUBREL m1", "PUBLISH q1 m2 dup b"]);
    peer.receive(Incoming::PubComp(1.into()));
    assert_eq!(peer.events(), [published(1)]);
}

#[test]
fn a_released_message_is_published_again_where_the_broker_forgot_the_session() {
    let mut peer = Peer::connected();
    peer.publish("a", Qos::ExactlyOnce);
    peer.receive(Incoming::PubRec(1.into()));
    assert_eq!(peer.reconnect(false), ["PUBLISH q2 m1 dup a"]);
    assert_eq!(peer.receive(Incoming::PubComp(1.into())), NONE);
    assert_eq!(peer.events(), []);
    assert_eq!(peer.receive(Incoming::PubRec(1.into())), ["PUBREL m1"]);
    peer.receive(Incoming::PubComp(1.into()));
    assert_eq!(peer.events(), [published(1)]);
}

#[test]
fn an_acknowledged_message_is_not_sent_again() {
    let mut peer = Peer::connected();
    peer.publish("a", Qos::AtLeastOnce);
    peer.publish("b", Qos::ExactlyOnce);
    peer.receive(Incoming::PubAck(1.into()));
    peer.receive(Incoming::PubRec(2.into()));
    peer.receive(Incoming::PubComp(2.into()));
    assert_eq!(peer.reconnect(true), NONE);
    assert_eq!(peer.reconnect(false), NONE);
}

#[test]
fn a_message_keeps_its_identifier_over_any_number_of_connections() {
    let mut peer = Peer::connected();
    peer.publish("a", Qos::AtLeastOnce);
    for _ in 0..3 {
        assert_eq!(peer.reconnect(false), ["PUBLISH q1 m1 dup a"]);
    }
    assert_eq!(peer.publish("b", Qos::AtLeastOnce), (ReturnCode::Success, 2));
}

#[test]
fn offline_qos_0_is_dropped_and_the_others_are_sent_for_the_first_time_later() {
    let mut peer = Peer::offline();
    assert_eq!(peer.publish("a", Qos::AtMostOnce), (ReturnCode::NoConnection, 1));
    assert_eq!(peer.publish("b", Qos::ExactlyOnce), (ReturnCode::NoConnection, 2));
    assert_eq!(peer.publish("c", Qos::AtLeastOnce), (ReturnCode::NoConnection, 3));
    assert_eq!(peer.sent(), NONE);
    assert_eq!(peer.connect(false), ["PUBLISH q2 m2 b", "PUBLISH q1 m3 c"]);
}

#[test]
fn what_is_published_before_the_connack_goes_out_after_it() {
    let mut peer = Peer::connecting();
    assert_eq!(peer.publish("a", Qos::AtMostOnce), (ReturnCode::Success, 1));
    assert_eq!(peer.publish("b", Qos::AtLeastOnce), (ReturnCode::Success, 2));
    assert_eq!(peer.sent(), NONE);
    let sent = peer.receive(connack(false, 0));
    assert_eq!(sent, ["PUBLISH q0 m0 a", "PUBLISH q1 m2 b"]);
}

#[test]
fn a_qos_0_message_is_lost_with_the_connection_and_the_others_are_not() {
    let mut peer = Peer::connecting();
    peer.publish("a", Qos::AtMostOnce);
    peer.publish("b", Qos::AtLeastOnce);
    assert_eq!(peer.reconnect(false), ["PUBLISH q1 m2 b"]);
    peer.publish("c", Qos::AtMostOnce);
    assert_eq!(peer.reconnect(false), ["PUBLISH q1 m2 dup b"]);
}

#[test]
fn the_flags_topic_and_payload_arrive_as_they_were_given() {
    let mut peer = Peer::connected();
    peer.session.publish("a/ü", b"\0\xff", Qos::AtLeastOnce, true, None).unwrap();
    let [rumqttc::mqttbytes::v4::Packet::Publish(publish)] = &peer.packets()[..] else {
        panic!("one PUBLISH is expected")
    };
    assert_eq!((publish.topic.as_str(), &publish.payload[..]), ("a/ü", &b"\0\xff"[..]));
    assert!(publish.retain && !publish.dup);
}

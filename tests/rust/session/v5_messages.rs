//! Reason codes and properties of messages, of acknowledgements and of DISCONNECT.

use flask_mqtt_core::core::error::{Error, ReturnCode};
use flask_mqtt_core::core::packet::{Ack, Incoming, Publish};
use flask_mqtt_core::core::property::{Properties, Property, Value};
use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::session::{End, Event, LogLevel};
use rumqttc::v5::mqttbytes::v5::{DisconnectReasonCode, Packet};

use super::peer::{Peer, message};
use super::peer_v5::{ack, message_to, numbers, text_of};

const NONE: [&str; 0] = [];

fn user_property(name: &str, value: &str) -> Properties {
    let mut properties = Properties::default();
    let pair = Value::Pair(name.to_owned(), value.to_owned());
    properties.set(Property::UserProperty, pair).unwrap();
    properties
}

fn refused(mid: u16, code: u8) -> Ack {
    Ack { mid, code, properties: Some(text_of(Property::ReasonString, "no")) }
}

fn disconnect(code: u8, properties: Properties) -> Incoming {
    Incoming::Disconnect { code, properties: Some(properties) }
}

#[test]
fn the_answers_to_a_message_carry_their_code_and_properties_to_the_application() {
    let mut peer = Peer::accepted(&[]);
    peer.publish("a", Qos::AtLeastOnce);
    peer.publish("b", Qos::ExactlyOnce);
    peer.sent();
    let properties = Some(user_property("a", "b"));
    let nobody = Ack { mid: 1, code: 0x10, properties: properties.clone() };
    peer.receive(Incoming::PubAck(nobody));
    assert_eq!(peer.receive(Incoming::PubRec(ack(2, 0x10))), ["PUBREL m2"]);
    peer.receive(Incoming::PubComp(ack(2, 0)));
    let none = Some(Properties::default());
    assert_eq!(
        peer.events(),
        [Event::published(1, 0x10, properties), Event::published(2, 0, none),]
    );
}

#[test]
fn a_message_that_the_broker_refuses_is_over() {
    for (qos, answer) in [
        (Qos::AtLeastOnce, Incoming::PubAck(refused(1, 0x87))),
        (Qos::ExactlyOnce, Incoming::PubRec(refused(1, 0x87))),
    ] {
        let mut peer = Peer::accepted(&[(Property::ReceiveMaximum, 1)]);
        peer.publish("a", qos);
        peer.publish("b", qos);
        peer.sent();
        assert_eq!(peer.receive(answer), [format!("PUBLISH q{} m2 b", qos as u8)]);
        let properties = Some(text_of(Property::ReasonString, "no"));
        let text = "the broker does not take message 1 on \"t\": Not authorized (code 135)";
        assert_eq!(
            peer.events(),
            [
                Event::notice(LogLevel::Error, "message_refused", text)
                    .with("mid", 1)
                    .with("topic", "t")
                    .with("rc", 0x87)
                    .with("error", "Not authorized"),
                Event::published(1, 0x87, properties),
            ]
        );
        assert_eq!(peer.session.outgoing_bytes(), 2);
        peer.session.lost();
        let sent = peer.connect(true);
        assert_eq!(sent, [format!("PUBLISH q{} m2 dup b", qos as u8)]);
    }
}

#[test]
fn a_pubrec_that_refuses_what_nobody_knows_or_what_is_released_does_nothing() {
    let mut peer = Peer::accepted(&[]);
    peer.publish("a", Qos::ExactlyOnce);
    peer.receive(Incoming::PubRec(ack(1, 0)));
    for mid in [1, 7] {
        assert_eq!(peer.receive(Incoming::PubRec(refused(mid, 0x92))), NONE);
    }
    assert_eq!(peer.events(), []);
    assert_eq!(peer.reconnect(true), ["PUBREL m1"]);
}

#[test]
fn a_message_that_the_broker_had_completed_already_is_not_called_refused() {
    let mut peer = Peer::accepted(&[]);
    peer.publish("a", Qos::ExactlyOnce);
    peer.receive(Incoming::PubRec(ack(1, 0)));
    assert_eq!(peer.reconnect(true), ["PUBREL m1"]);
    peer.receive(Incoming::PubComp(ack(1, 0x92)));
    let properties = Some(Properties::default());
    assert_eq!(peer.events(), [Event::published(1, 0x92, properties)]);
}

#[test]
fn a_message_keeps_its_properties_when_it_is_sent_again() {
    let mut properties = user_property("a", "1");
    properties.set(Property::ContentType, Value::Text("text".to_owned())).unwrap();
    properties.set(Property::MessageExpiryInterval, Value::Number(60)).unwrap();
    let mut peer = Peer::accepted(&[]);
    peer.session.publish("t", b"x", Qos::AtLeastOnce, false, Some(properties)).unwrap();
    for sent in [peer.v5_packets(), {
        peer.session.lost();
        peer.accept(true, &[])
    }] {
        let [Packet::Publish(publish)] = &sent[..] else { panic!("{sent:?}") };
        let properties = publish.properties.as_ref().unwrap();
        assert_eq!(properties.content_type.as_deref(), Some("text"));
        assert_eq!(properties.message_expiry_interval, Some(60));
        assert_eq!(properties.user_properties, [("a".to_owned(), "1".to_owned())]);
    }
}

#[test]
fn properties_that_a_message_cannot_have_are_an_error_and_nothing_is_sent() {
    let mut peer = Peer::accepted(&[]);
    for (property, number) in
        [(Property::SubscriptionIdentifier, 1), (Property::WillDelayInterval, 1)]
    {
        let properties = Some(numbers(&[(property, number)]));
        let error = peer.session.publish("t", b"x", Qos::AtLeastOnce, false, properties);
        assert!(matches!(error, Err(Error::Property { .. })), "{error:?}");
    }
    assert_eq!((peer.sent().len(), peer.session.outgoing_bytes()), (0, 0));
}

#[test]
fn the_properties_of_a_message_arrive_whatever_its_qos() {
    let mut properties = user_property("a", "1");
    for number in [3, 700] {
        properties.set(Property::SubscriptionIdentifier, Value::Number(number)).unwrap();
    }
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let Incoming::Publish(publish) = message_to("t", properties.clone()) else { panic!() };
        let mid = u16::from(qos != Qos::AtMostOnce);
        let mut peer = Peer::accepted(&[]);
        peer.receive(Incoming::Publish(Publish { qos, mid, ..publish }));
        if qos == Qos::ExactlyOnce {
            peer.receive(Incoming::PubRel(ack(1, 0)));
        }
        let events = peer.events();
        let [Event::Message { publish, .. }] = &events[..] else { panic!("{events:?}") };
        assert_eq!(publish.properties, Some(properties.clone()));
    }
}

#[test]
fn before_mqtt_5_there_are_no_properties() {
    let mut peer = Peer::connected();
    peer.receive(message(0, Qos::AtMostOnce, "a"));
    peer.publish("a", Qos::AtLeastOnce);
    peer.receive(Incoming::PubAck(1.into()));
    peer.session.report_end(ReturnCode::ConnectionLost);
    for event in peer.events() {
        let properties = match event {
            Event::Message { publish, .. } => publish.properties,
            Event::Published { properties, .. } => properties,
            Event::Disconnected(End { properties, reason, .. }) => {
                assert_eq!(reason, None);
                properties
            }
            other => panic!("{other:?} is not expected"),
        };
        assert_eq!(properties, None);
    }
}

#[test]
fn a_refusal_of_mqtt_5_is_reported_with_its_code_and_properties() {
    let mut peer = Peer::v5(|_| {});
    peer.open();
    let properties = Some(text_of(Property::ReasonString, "who are you?"));
    let answer =
        Incoming::ConnAck { session_present: false, code: 0x86, properties: properties.clone() };
    let error = peer.refuse(answer);
    assert_eq!(
        error.to_string(),
        "connection refused by the broker: Bad User Name or Password (code 134)"
    );
    assert_eq!(error.return_code(), ReturnCode::ConnectionRefused);
    assert_eq!(peer.events(), [Event::ConnAck { session_present: false, code: 0x86, properties }]);
}

#[test]
fn a_disconnect_of_the_broker_ends_the_connection_and_is_reported_once() {
    let mut peer = Peer::accepted(&[]);
    let properties = text_of(Property::ReasonString, "good night");
    let error = peer.refuse(disconnect(0x8b, properties.clone()));
    assert_eq!(
        error.to_string(),
        "connection ended by the broker: Server shutting down (code 139): good night"
    );
    peer.session.lost();
    peer.session.report_end(error.return_code());
    let end = |reason, properties| {
        Event::Disconnected(End { code: ReturnCode::ConnectionLost, reason, properties })
    };
    assert_eq!(peer.events(), [end(Some(0x8b), Some(properties))]);
    peer.connect(false);
    peer.session.lost();
    peer.session.report_end(ReturnCode::ConnectionLost);
    assert_eq!(peer.events(), [end(None, None)]);
}

#[test]
fn a_disconnect_before_the_connack_is_a_protocol_error() {
    let mut peer = Peer::v5(|_| {});
    peer.open();
    let error = peer.refuse(disconnect(0, Properties::default()));
    assert!(matches!(error, Error::Protocol(_)), "{error}");
}

#[test]
fn our_disconnect_says_what_it_was_told_once() {
    let mut peer = Peer::accepted(&[]);
    peer.session.set_disconnect(4, numbers(&[(Property::SessionExpiryInterval, 10)]));
    peer.session.disconnect(true).unwrap();
    let sent = peer.v5_packets();
    let [Packet::Disconnect(disconnect)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(disconnect.reason_code, DisconnectReasonCode::DisconnectWithWillMessage);
    let properties = disconnect.properties.as_ref().unwrap();
    assert_eq!(properties.session_expiry_interval, Some(10));
    peer.session.lost();
    peer.accept(false, &[]);
    peer.session.disconnect(true).unwrap();
    assert_eq!(peer.v5_bytes(), 2);
}

#[test]
fn a_disconnect_of_mqtt_3_has_neither_code_nor_properties() {
    let mut peer = Peer::connected();
    peer.session.set_disconnect(4, numbers(&[(Property::SessionExpiryInterval, 10)]));
    peer.session.disconnect(true).unwrap();
    assert_eq!(peer.sent(), ["DISCONNECT"]);
}

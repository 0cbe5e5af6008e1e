//! Reports about packets: `on_publish` for QoS 0, `on_log`, and errors of the caller.

use super::values::{connack, published, subscriptions, unsuback};
use bytes::BytesMut;
use flask_mqtt_core::core::error::Error;
use flask_mqtt_core::core::options::{ConnectOptions, Credentials, Will};
use flask_mqtt_core::core::packet::Incoming;
use flask_mqtt_core::core::property::{Properties, Property, Value};
use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::session::{Event, LogLevel};

use super::peer::{Peer, message};

fn reporting() -> Peer {
    let mut peer = Peer::connected();
    peer.session.set_reporting(true);
    peer
}

/// A session that waits for the CONNACK, with logging.
fn logging() -> Peer {
    let mut peer = Peer::offline();
    peer.session.set_logging(true);
    peer.open();
    peer
}

fn log(peer: &mut Peer) -> Vec<String> {
    let text = |event| match event {
        Event::Log { level: LogLevel::Debug, text } => Some(text),
        _ => None,
    };
    peer.events().into_iter().filter_map(text).collect()
}

#[test]
fn a_qos_0_message_is_reported_when_its_last_byte_is_written() {
    let mut peer = reporting();
    peer.publish("a", Qos::AtMostOnce);
    peer.publish("b", Qos::AtMostOnce);
    let mut bytes = BytesMut::new();
    peer.session.take_output(&mut bytes);
    let one = bytes.len() / 2;
    for (count, expected) in [(one - 1, vec![]), (1, vec![1]), (one, vec![2])] {
        peer.session.wrote(count, peer.now);
        let expected: Vec<_> = expected.into_iter().map(published).collect();
        assert_eq!(peer.events(), expected);
    }
}

#[test]
fn the_order_of_writing_holds_over_several_buffers_and_other_packets() {
    let mut peer = reporting();
    for _ in 0..3 {
        peer.publish("a", Qos::AtMostOnce);
        peer.publish("b", Qos::AtLeastOnce);
        peer.sent();
    }
    assert_eq!(peer.events(), [1, 3, 5].map(published));
}

#[test]
fn a_qos_0_message_that_is_not_written_is_not_reported() {
    let mut peer = reporting();
    peer.publish("a", Qos::AtMostOnce);
    peer.session.lost();
    peer.publish("b", Qos::AtMostOnce);
    peer.connect(false);
    peer.publish("c", Qos::AtMostOnce);
    peer.sent();
    assert_eq!(peer.events(), [published(3)]);
}

#[test]
fn what_an_earlier_connection_wrote_reports_nothing_on_a_later_one() {
    let mut peer = reporting();
    peer.publish("written", Qos::AtMostOnce);
    peer.sent();
    peer.reconnect(false);
    peer.publish("a", Qos::AtMostOnce);
    peer.session.take_output(&mut BytesMut::new());
    peer.session.wrote(1, peer.now);
    assert_eq!(peer.events(), []);
}

#[test]
fn a_qos_0_message_from_before_the_connack_is_reported_when_it_is_written() {
    let mut peer = Peer::connecting();
    peer.session.set_reporting(true);
    peer.publish("a", Qos::AtMostOnce);
    assert_eq!(peer.events(), []);
    peer.receive(connack(false, 0));
    assert_eq!(peer.events()[1..], [published(1)]);
}

#[test]
fn without_reporting_only_acknowledged_messages_are_reported() {
    let mut peer = Peer::connected();
    peer.publish("a", Qos::AtMostOnce);
    peer.publish("b", Qos::AtLeastOnce);
    peer.sent();
    peer.receive(Incoming::PubAck(2.into()));
    assert_eq!(peer.events(), [published(2)]);
}

#[test]
fn an_event_of_the_owners_keeps_its_place() {
    let mut peer = Peer::connected();
    let notice = Event::notice(LogLevel::Warning, "kind", "late");
    peer.receive(message(0, Qos::AtMostOnce, "a"));
    peer.session.report(notice.clone());
    peer.receive(message(0, Qos::AtMostOnce, "b"));
    assert_eq!(peer.events()[1], notice);
}

#[test]
fn without_logging_there_are_no_texts() {
    let mut peer = Peer::connected();
    peer.publish("a", Qos::AtMostOnce);
    peer.subscribe("a", Qos::AtMostOnce);
    peer.receive(Incoming::PingResp);
    assert_eq!(peer.events(), []);
}

#[test]
fn connecting_and_subscribing_are_logged_in_the_words_of_paho() {
    let mut peer = logging();
    peer.receive(connack(false, 0));
    let filters = vec![("a".to_owned(), Qos::AtLeastOnce), ("b/#".to_owned(), Qos::ExactlyOnce)];
    peer.session.subscribe(subscriptions(filters), Properties::default(), false).unwrap();
    peer.receive(Incoming::SubAck { mid: 1, granted: vec![1, 2], properties: None });
    peer.unsubscribe("c");
    peer.receive(unsuback(2));
    peer.tick(true).unwrap();
    peer.receive(Incoming::PingResp);
    peer.session.disconnect(true).unwrap();
    assert_eq!(
        log(&mut peer),
        [
            "Sending CONNECT (u0, p0, wr0, wq0, wf0, c1, k60) client_id=b''",
            "Received CONNACK (0, 0)",
            "Sending SUBSCRIBE (d0, m1) [(b'a', 1), (b'b/#', 2)]",
            "Received SUBACK",
            "Sending UNSUBSCRIBE (d0, m2) [b'c']",
            "Received UNSUBACK (Mid: 2)",
            "Sending PINGREQ",
            "Received PINGRESP",
            "Sending DISCONNECT",
        ]
    );
}

#[test]
fn a_connect_with_everything_is_logged_with_its_flags_and_without_its_password() {
    let mut peer = Peer::with(|options| {
        options.client_id = "ü".to_owned();
        options.clean_session = false;
        options.brokers[0].credentials =
            Some(Credentials { username: "u".to_owned(), password: Some("secret".into()) });
        options.will = Some(Will {
            topic: "w".to_owned(),
            payload: bytes::Bytes::new(),
            qos: Qos::ExactlyOnce,
            retain: true,
            properties: Properties::default(),
        });
    });
    peer.session.set_logging(true);
    peer.begin();
    let text = r"Sending CONNECT (u1, p1, wr1, wq2, wf1, c0, k60) client_id=b'\xc3\xbc'";
    assert_eq!(log(&mut peer), [text]);
}

#[test]
fn a_refusal_is_logged_with_its_code() {
    let mut peer = logging();
    peer.refuse(connack(true, 5));
    assert_eq!(log(&mut peer)[1], "Received CONNACK (1, 5)");
}

#[test]
fn what_is_published_is_logged_in_the_words_of_paho() {
    let mut peer = Peer::connected();
    peer.session.set_logging(true);
    for (payload, qos) in [(&b"12345"[..], Qos::AtLeastOnce), (b"xy", Qos::ExactlyOnce)] {
        peer.session.publish("a", payload, qos, false, None).unwrap();
    }
    peer.session.publish("a", b"", Qos::AtMostOnce, true, None).unwrap();
    for packet in
        [Incoming::PubAck(1.into()), Incoming::PubRec(2.into()), Incoming::PubComp(2.into())]
    {
        peer.receive(packet);
    }
    assert_eq!(
        log(&mut peer),
        [
            "Sending PUBLISH (d0, q1, r0, m1), 'b'a'', ... (5 bytes)",
            "Sending PUBLISH (d0, q2, r0, m2), 'b'a'', ... (2 bytes)",
            "Sending PUBLISH (d0, q0, r1, m3), 'b'a'' (NULL payload)",
            "Received PUBACK (Mid: 1)",
            "Received PUBREC (Mid: 2)",
            "Sending PUBREL (Mid: 2)",
            "Received PUBCOMP (Mid: 2)",
        ]
    );
}

#[test]
fn a_message_sent_again_is_logged_with_dup() {
    let mut peer = Peer::connected();
    peer.publish("x", Qos::AtLeastOnce);
    peer.session.lost();
    peer.session.set_logging(true);
    peer.open();
    peer.receive(connack(false, 0));
    let text = "Sending PUBLISH (d1, q1, r0, m1), 'b't'', ... (1 bytes)";
    assert_eq!(log(&mut peer)[2], text);
}

#[test]
fn what_is_received_is_logged_in_the_words_of_paho() {
    let mut peer = Peer::connected();
    peer.session.set_logging(true);
    peer.receive(message(0, Qos::AtMostOnce, ""));
    peer.receive(message(1, Qos::AtLeastOnce, "12345"));
    peer.receive(message(2, Qos::ExactlyOnce, "12"));
    peer.receive(Incoming::PubRel(2.into()));
    let events = peer.events();
    let receipts = events.iter().filter_map(|event| match event {
        Event::Message { receipt, .. } => *receipt,
        _ => None,
    });
    for receipt in receipts {
        peer.handled(receipt);
    }
    events.into_iter().rev().for_each(|event| peer.session.take_events().push_front(event));
    assert_eq!(
        log(&mut peer),
        [
            "Received PUBLISH (d0, q0, r0, m0), 't', ...  (0 bytes)",
            "Received PUBLISH (d0, q1, r0, m1), 't', ...  (5 bytes)",
            "Received PUBLISH (d0, q2, r0, m2), 't', ...  (2 bytes)",
            "Sending PUBREC (Mid: 2)",
            "Received PUBREL (Mid: 2)",
            "Sending PUBACK (Mid: 1)",
            "Sending PUBCOMP (Mid: 2)",
        ]
    );
}

#[test]
fn a_received_publish_is_logged_before_its_message_is_reported() {
    let mut peer = Peer::connected();
    peer.session.set_logging(true);
    peer.receive(message(0, Qos::AtMostOnce, "a"));
    assert!(matches!(peer.events()[..], [Event::Log { .. }, Event::Message { .. }]));
}

#[test]
fn a_wrong_call_is_an_error_and_changes_nothing() {
    let mut peer = Peer::connected();
    for topic in ["", "a/+", "#", "a\0b", &"x".repeat(65_536)] {
        let error = peer.session.publish(topic, b"", Qos::AtLeastOnce, false, None).unwrap_err();
        assert!(matches!(error, Error::Topic { .. }), "{error}");
    }
    for filter in ["", "a/#/b", "a#", "a+"] {
        let filters =
            vec![("fine".to_owned(), Qos::AtMostOnce), (filter.to_owned(), Qos::AtMostOnce)];
        let error = peer
            .session
            .subscribe(subscriptions(filters), Properties::default(), false)
            .unwrap_err();
        assert!(matches!(error, Error::Filter { .. }), "{error}");
        let error =
            peer.session.unsubscribe(vec![filter.to_owned()], Properties::default()).unwrap_err();
        assert!(matches!(error, Error::Filter { .. }), "{error}");
    }
    let payload = vec![0; 268_435_455];
    let error = peer.session.publish("t", &payload, Qos::AtMostOnce, false, None).unwrap_err();
    assert!(matches!(error, Error::PayloadTooLarge(268_435_455)), "{error}");
    assert_eq!((peer.sent().len(), peer.events().len()), (0, 0));
    assert_eq!(peer.publish("a", Qos::AtMostOnce).1, 1);
    assert_eq!(peer.reconnect(false).len(), 0);
}

#[test]
fn a_qos_outside_0_to_2_is_an_error_that_names_it() {
    for value in [-1, 3, i64::MAX] {
        let error = Qos::try_from(value).unwrap_err();
        assert!(error.to_string().contains(&value.to_string()));
    }
}

#[test]
fn options_that_no_connect_can_carry_are_errors_that_name_them() {
    let long = || "x".repeat(65_536);
    let error = |change: &dyn Fn(&mut ConnectOptions)| {
        let mut options = ConnectOptions::new("broker", 1883);
        change(&mut options);
        options.validate().unwrap_err().to_string()
    };
    let credentials = |username, password| Some(Credentials { username, password });
    let will = |topic: &str, payload: String| {
        let topic = topic.to_owned();
        let (payload, properties) = (payload.into(), Properties::default());
        Some(Will { topic, payload, qos: Qos::AtMostOnce, retain: false, properties })
    };
    assert!(error(&|options| options.client_id = long()).contains("client_id"));
    assert!(
        error(&|options| options.brokers[0].credentials = credentials(long(), None))
            .contains("username")
    );
    let password = error(&|options| {
        options.brokers[0].credentials = credentials(String::new(), Some(long().into()));
    });
    assert!(password.contains("password") && !password.contains("xxx"));
    assert!(error(&|options| options.will = will("t", long())).contains("will payload"));
    assert!(error(&|options| options.will = will("a/#", String::new())).contains("a/#"));
}

#[test]
fn enhanced_authentication_is_refused_before_anything_is_sent() {
    let mut options = ConnectOptions::new("broker", 1883);
    let method = Value::Text("SCRAM-SHA-1".to_owned());
    options.properties.set(Property::AuthenticationMethod, method).unwrap();
    let error = options.validate().unwrap_err().to_string();
    let expected = "enhanced authentication (AUTH) is not supported";
    assert_eq!(error, format!("property AuthenticationMethod \"SCRAM-SHA-1\": {expected}"));
}

//! CONNECT, CONNACK, keep alive and DISCONNECT.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flask_mqtt_core::core::error::{Error, ReturnCode};
use flask_mqtt_core::core::options::{ConnectOptions, Credentials, Will};
use flask_mqtt_core::core::packet::Incoming;
use flask_mqtt_core::core::property::Properties;
use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::session::Event;
use rumqttc::mqttbytes::v4::{LastWill, Login, Packet};

use super::peer::{Peer, SECOND, message};
use super::values::connack;

const NONE: [&str; 0] = [];

fn answer(code: u8) -> Incoming {
    connack(false, code)
}

/// A connected session with a keep alive of 10 s.
fn kept_alive() -> Peer {
    let mut peer = Peer::with(|options| options.keep_alive = 10);
    peer.connect(false);
    peer
}

#[test]
fn a_connect_carries_the_options() {
    let mut peer = Peer::with(|options| {
        options.client_id = "me".to_owned();
        options.clean_session = false;
        options.keep_alive = 7;
        options.brokers[0].credentials =
            Some(Credentials { username: "user".to_owned(), password: Some("pass".into()) });
        options.will = Some(Will {
            topic: "gone".to_owned(),
            payload: Bytes::from_static(b"bye"),
            qos: Qos::AtLeastOnce,
            retain: true,
            properties: Properties::default(),
        });
    });
    peer.begin();
    let [Packet::Connect(connect)] = &peer.packets()[..] else { panic!("one CONNECT is expected") };
    assert_eq!((connect.client_id.as_str(), connect.keep_alive), ("me", 7));
    assert!(!connect.clean_session);
    assert_eq!(connect.login, Some(Login::new("user", "pass")));
    let will = LastWill::new("gone", "bye", Qos::AtLeastOnce.into(), true);
    assert_eq!(connect.last_will, Some(will));
}

#[test]
fn new_options_hold_from_the_next_connection_on() {
    let mut peer = kept_alive();
    let mut options = ConnectOptions::new("broker", 1883);
    options.keep_alive = 20;
    peer.session.configure(Arc::new(options));
    assert_eq!(peer.session.deadline(), Some(peer.now + 10 * SECOND));
    peer.reconnect(false);
    assert_eq!(peer.session.deadline(), Some(peer.now + 20 * SECOND));
}

#[test]
fn a_session_is_connected_from_the_connack_to_the_loss() {
    let mut peer = Peer::offline();
    let state = |peer: &Peer| (peer.session.is_open(), peer.session.is_connected());
    assert_eq!(state(&peer), (false, false));
    peer.open();
    assert_eq!(state(&peer), (true, false));
    peer.receive(connack(true, 0));
    assert_eq!(state(&peer), (true, true));
    assert_eq!(
        peer.events(),
        [Event::ConnAck { session_present: true, code: 0, properties: None }]
    );
    peer.session.lost();
    assert_eq!(state(&peer), (false, false));
}

#[test]
fn a_refusal_is_reported_and_ends_the_connection() {
    for (code, meaning) in [
        (1, "unacceptable protocol version"),
        (2, "client identifier rejected"),
        (3, "server unavailable"),
        (4, "bad user name or password"),
        (5, "not authorized"),
    ] {
        let mut peer = Peer::connecting();
        peer.subscribe("a", Qos::AtMostOnce);
        peer.publish("x", Qos::AtLeastOnce);
        let error = peer.refuse(answer(code));
        assert_eq!(error.return_code(), ReturnCode::ConnectionRefused);
        assert!(error.to_string().contains(meaning), "{error}");
        assert_eq!(
            peer.events(),
            [Event::ConnAck { session_present: false, code, properties: None }]
        );
        assert!(!peer.session.is_connected());
        assert_eq!(peer.sent(), NONE);
    }
}

#[test]
fn a_second_connack_is_a_protocol_error() {
    let mut peer = Peer::connected();
    let error = peer.refuse(answer(0));
    assert_eq!(error.return_code(), ReturnCode::Protocol);
    assert_eq!(peer.events(), []);
}

#[test]
fn any_other_packet_before_the_connack_is_a_protocol_error() {
    for packet in [
        message(0, Qos::AtMostOnce, "a"),
        Incoming::PubAck(1.into()),
        Incoming::PubRel(1.into()),
        Incoming::SubAck { mid: 1, granted: vec![0], properties: None },
        Incoming::PingResp,
    ] {
        let mut peer = Peer::connecting();
        assert!(matches!(peer.refuse(packet), Error::Protocol(_)));
        assert_eq!((peer.events().len(), peer.sent().len()), (0, 0));
    }
}

#[test]
fn a_broker_that_does_not_answer_the_connect_in_time_is_given_up() {
    let mut peer = Peer::with(|options| {
        options.connect_timeout = Duration::from_secs(1);
        options.handshake_timeout = Duration::from_millis(2500);
    });
    // The earlier handshakes took some of the time.
    let due = peer.now + Duration::from_millis(1500);
    peer.session.opened(peer.now, due);
    assert_eq!(peer.session.deadline(), Some(due));
    peer.session.tick(peer.now + Duration::from_millis(1499), true).unwrap();
    let error = peer.session.tick(due, true).unwrap_err();
    assert_eq!(error.to_string(), "no CONNACK from broker:1883 within 2.5 s (handshake_timeout)");
}

#[test]
fn the_handshake_timeout_is_over_with_the_connack() {
    let mut peer = Peer::with(|options| options.keep_alive = 0);
    peer.connect(false);
    assert_eq!(peer.session.deadline(), None);
    peer.session.tick(peer.now + 1000 * SECOND, true).unwrap();
}

#[test]
fn without_a_connection_nothing_is_due() {
    let mut peer = kept_alive();
    peer.session.lost();
    assert_eq!(peer.session.deadline(), None);
    peer.session.tick(peer.now + 1000 * SECOND, true).unwrap();
    assert_eq!(peer.sent(), NONE);
}

#[test]
fn a_pingreq_goes_out_after_the_keep_alive_and_its_answer_keeps_the_connection() {
    let mut peer = kept_alive();
    let start = peer.now;
    for _ in 0..3 {
        assert_eq!(peer.tick(true).unwrap(), ["PINGREQ"]);
        peer.session.read(1, peer.now);
        assert_eq!(peer.receive(Incoming::PingResp), NONE);
    }
    assert_eq!(peer.now - start, 30 * SECOND);
}

#[test]
fn a_broker_that_does_not_answer_a_pingreq_is_given_up() {
    let mut peer = kept_alive();
    peer.tick(true).unwrap();
    let error = peer.tick(true).unwrap_err();
    assert_eq!(error.return_code(), ReturnCode::KeepAlive);
    assert_eq!(error.to_string(), "the broker did not answer PINGREQ within 10 s (keep alive)");
}

#[test]
fn half_a_packet_is_an_answer_too() {
    let mut peer = kept_alive();
    peer.tick(true).unwrap();
    peer.session.read(1, peer.now + 9 * SECOND);
    assert_eq!(peer.tick(true).unwrap(), ["PINGREQ"]);
}

#[test]
fn a_client_that_only_sends_asks_whether_the_broker_is_there() {
    let mut peer = kept_alive();
    peer.now += 9 * SECOND;
    peer.publish("a", Qos::AtMostOnce);
    peer.sent();
    assert_eq!(peer.session.deadline(), Some(peer.now + SECOND));
}

#[test]
fn a_client_that_only_receives_tells_the_broker_that_it_is_there() {
    let mut peer = kept_alive();
    peer.session.read(1, peer.now + 9 * SECOND);
    assert_eq!(peer.session.deadline(), Some(peer.now + 10 * SECOND));
}

#[test]
fn while_nothing_is_read_pings_go_on_and_the_answer_has_time_until_reading_goes_on() {
    let mut peer = kept_alive();
    for _ in 0..5 {
        assert_eq!(peer.tick(false).unwrap(), ["PINGREQ"]);
    }
    assert_eq!(peer.session.deadline(), Some(peer.now + 10 * SECOND));
    assert!(peer.tick(true).is_err());
}

#[test]
fn keep_alive_starts_anew_with_every_connection() {
    let mut peer = kept_alive();
    peer.tick(true).unwrap();
    peer.reconnect(false);
    assert_eq!(peer.tick(true).unwrap(), ["PINGREQ"]);
}

#[test]
fn a_disconnect_goes_out_after_what_waits_and_not_without_a_connection() {
    let mut peer = Peer::connected();
    peer.publish("a", Qos::AtMostOnce);
    peer.session.disconnect(true).unwrap();
    assert_eq!(peer.sent(), ["PUBLISH q0 m0 a", "DISCONNECT"]);
    peer.session.lost();
    peer.session.disconnect(true).unwrap();
    assert_eq!(peer.sent(), NONE);
    peer.open();
    peer.session.disconnect(true).unwrap();
    assert_eq!(peer.sent(), ["DISCONNECT"]);
}

#[test]
fn what_was_not_written_is_gone_with_the_connection() {
    let mut peer = Peer::connected();
    peer.publish("a", Qos::AtMostOnce);
    peer.session.lost();
    assert_eq!((peer.session.has_output(), peer.session.outgoing_bytes()), (false, 0));
    assert_eq!(peer.connect(false), NONE);
}

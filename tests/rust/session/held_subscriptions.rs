//! Subscriptions that are held: kept, and sent when they are no longer held.

use flask_mqtt_core::core::error::ReturnCode;
use flask_mqtt_core::core::qos::Qos;

use super::peer::Peer;
use super::values::connack;

const NONE: [&str; 0] = [];

#[test]
fn held_subscriptions_are_sent_when_they_are_no_longer_held() {
    let mut peer = Peer::offline();
    peer.subscribe("a", Qos::AtLeastOnce);
    peer.session.hold(true).unwrap();
    assert_eq!(peer.connect(false), NONE);
    assert_eq!(peer.subscribe("b", Qos::AtMostOnce), (ReturnCode::Success, None));
    assert_eq!(peer.subscribe_again("c", Qos::AtMostOnce), (ReturnCode::Success, None));
    assert_eq!(peer.sent(), NONE);
    assert_eq!(peer.reconnect(true), NONE);
    peer.session.hold(false).unwrap();
    assert_eq!(peer.sent(), ["SUBSCRIBE m1 a:1", "SUBSCRIBE m2 b:0", "SUBSCRIBE m3 c:0"]);
    assert_eq!(peer.subscribe("d", Qos::AtMostOnce), (ReturnCode::Success, Some(4)));
}

#[test]
fn a_held_session_publishes() {
    let mut peer = Peer::offline();
    peer.session.hold(true).unwrap();
    peer.subscribe("a", Qos::AtLeastOnce);
    peer.connect(false);
    assert_eq!(peer.publish("x", Qos::AtLeastOnce), (ReturnCode::Success, 1));
    assert_eq!(peer.sent(), ["PUBLISH q1 m1 x"]);
}

#[test]
fn held_subscriptions_begin_the_next_connection_where_there_is_none() {
    let mut peer = Peer::offline();
    peer.session.hold(true).unwrap();
    assert_eq!(peer.subscribe("a", Qos::AtLeastOnce), (ReturnCode::NoConnection, None));
    peer.session.hold(false).unwrap();
    assert_eq!(peer.connect(false), ["SUBSCRIBE m1 a:1"]);

    let mut peer = Peer::connecting();
    peer.session.hold(true).unwrap();
    assert_eq!(peer.subscribe("a", Qos::AtLeastOnce), (ReturnCode::Success, None));
    peer.session.hold(false).unwrap();
    assert_eq!(peer.receive(connack(false, 0)), ["SUBSCRIBE m1 a:1"]);
}

#[test]
fn of_unsubscribe_and_subscribe_while_held_the_last_one_counts() {
    let mut peer = Peer::offline();
    peer.session.hold(true).unwrap();
    peer.connect(false);
    peer.subscribe("a", Qos::AtMostOnce);
    assert_eq!(peer.unsubscribe("a"), (ReturnCode::Success, None));
    peer.unsubscribe("b");
    peer.subscribe("b", Qos::AtMostOnce);
    // The session of the next connection may have a subscription to the first one.
    assert_eq!(peer.reconnect(false), NONE);
    peer.session.hold(false).unwrap();
    assert_eq!(peer.sent(), ["UNSUBSCRIBE m1 a", "SUBSCRIBE m2 b:0"]);
    assert_eq!(peer.reconnect(true), ["UNSUBSCRIBE m1 a", "SUBSCRIBE m3 b:0"]);
}

#[test]
fn a_connection_that_is_subscribed_stays_so_when_it_is_held_and_can_be_unsubscribed() {
    let mut peer = Peer::connected();
    peer.subscribe("a", Qos::AtMostOnce);
    peer.subscribe("b", Qos::AtMostOnce);
    peer.sent();
    peer.session.hold(true).unwrap();
    assert_eq!(peer.sent(), NONE);
    assert_eq!(peer.unsubscribe("a"), (ReturnCode::Success, Some(3)));
    assert_eq!(peer.sent(), ["UNSUBSCRIBE m3 a"]);
    peer.session.hold(false).unwrap();
    assert_eq!(peer.sent(), NONE);
}

#[test]
fn the_child_of_a_held_session_is_not_held() {
    let mut peer = Peer::offline();
    peer.session.hold(true).unwrap();
    peer.subscribe("a", Qos::AtLeastOnce);
    peer.session = peer.session.for_child(std::time::Instant::now());
    assert_eq!(peer.connect(false), ["SUBSCRIBE m1 a:1"]);
}

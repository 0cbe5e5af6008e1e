//! SUBSCRIBE, how subscriptions outlive connections, and which of them are missing.

use flask_mqtt_core::core::error::ReturnCode;
use flask_mqtt_core::core::packet::Incoming;
use flask_mqtt_core::core::property::Properties;
use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::session::{Event, Missing};

use super::peer::Peer;
use super::values::{connack, suback, subscriptions, unsuback};

const NONE: [&str; 0] = [];

#[test]
fn subscribing_sends_a_subscribe_and_its_answer_is_reported_once() {
    let mut peer = Peer::connected();
    let filters = vec![("a".to_owned(), Qos::AtMostOnce), ("b/#".to_owned(), Qos::ExactlyOnce)];
    assert_eq!(
        peer.session.subscribe(subscriptions(filters), Properties::default(), false).unwrap(),
        (ReturnCode::Success, Some(1))
    );
    assert_eq!(peer.sent(), ["SUBSCRIBE m1 a:0 b/#:2"]);
    let answer = Incoming::SubAck { mid: 1, granted: vec![0, 128], properties: None };
    peer.receive(answer.clone());
    peer.receive(answer);
    assert_eq!(
        peer.events(),
        [Event::Subscribed { mid: 1, granted: vec![0, 128], properties: None }]
    );
}

#[test]
fn an_heir_has_the_subscriptions_and_no_messages() {
    let mut peer = Peer::connected();
    peer.subscribe("a", Qos::AtLeastOnce);
    peer.session.publish("t", b"x", Qos::AtLeastOnce, false, None).unwrap();
    peer.session = peer.session.for_child(std::time::Instant::now());
    assert!(!peer.session.is_open());
    assert_eq!(peer.session.outgoing_bytes(), 0);
    assert_eq!(peer.reconnect(false), ["SUBSCRIBE m1 a:1"]);
}

#[test]
fn every_connection_begins_with_one_subscribe_per_filter_in_the_order_of_subscription() {
    for session_present in [false, true] {
        let mut peer = Peer::connected();
        let filters = vec![("b".to_owned(), Qos::AtMostOnce), ("a".to_owned(), Qos::ExactlyOnce)];
        peer.session.subscribe(subscriptions(filters), Properties::default(), false).unwrap();
        peer.subscribe("c", Qos::AtLeastOnce);
        peer.receive(suback(2));
        let first = ["SUBSCRIBE m3 b:0", "SUBSCRIBE m4 a:2", "SUBSCRIBE m5 c:1"];
        assert_eq!(peer.reconnect(session_present), first);
        let second = ["SUBSCRIBE m6 b:0", "SUBSCRIBE m7 a:2", "SUBSCRIBE m8 c:1"];
        assert_eq!(peer.reconnect(session_present), second);
    }
}

#[test]
fn a_filter_subscribed_to_offline_is_subscribed_to_on_the_next_connection() {
    let mut peer = Peer::offline();
    assert_eq!(peer.subscribe("a", Qos::AtLeastOnce), (ReturnCode::NoConnection, None));
    assert_eq!(peer.connect(false), ["SUBSCRIBE m1 a:1"]);
}

#[test]
fn subscriptions_come_before_messages() {
    let mut peer = Peer::connected();
    peer.publish("x", Qos::AtLeastOnce);
    peer.subscribe("a", Qos::AtMostOnce);
    peer.session.lost();
    peer.publish("y", Qos::AtLeastOnce);
    let sent = ["SUBSCRIBE m4 a:0", "PUBLISH q1 m1 dup x", "PUBLISH q1 m3 y"];
    assert_eq!(peer.connect(false), sent);
}

#[test]
fn a_subscribe_before_the_connack_keeps_its_identifier_and_is_sent_once() {
    let mut peer = Peer::connecting();
    assert_eq!(peer.subscribe("a", Qos::AtLeastOnce), (ReturnCode::Success, Some(1)));
    assert_eq!(peer.sent(), NONE);
    assert_eq!(peer.receive(connack(false, 0)), ["SUBSCRIBE m1 a:1"]);
    peer.events();
    peer.receive(suback(1));
    assert_eq!(peer.events(), [Event::Subscribed { mid: 1, granted: vec![0], properties: None }]);
}

#[test]
fn a_subscribe_before_a_connack_that_never_comes_is_restored_with_the_others() {
    let mut peer = Peer::connecting();
    peer.subscribe("a", Qos::AtLeastOnce);
    assert_eq!(peer.reconnect(false), ["SUBSCRIBE m2 a:1"]);
}

#[test]
fn the_last_qos_of_a_filter_is_the_one_that_is_restored() {
    let mut peer = Peer::connected();
    peer.subscribe("a", Qos::AtMostOnce);
    peer.subscribe("a", Qos::ExactlyOnce);
    assert_eq!(peer.sent(), ["SUBSCRIBE m1 a:0", "SUBSCRIBE m2 a:2"]);
    assert_eq!(peer.reconnect(false), ["SUBSCRIBE m3 a:2"]);
}

#[test]
fn the_on_connect_handler_does_not_subscribe_twice_to_what_was_restored() {
    let mut peer = Peer::offline();
    peer.subscribe("a", Qos::AtMostOnce);
    peer.subscribe("b", Qos::AtMostOnce);
    peer.connect(false);
    assert_eq!(peer.subscribe_again("a", Qos::AtMostOnce), (ReturnCode::Success, Some(1)));
    assert_eq!(peer.subscribe_again("b", Qos::AtMostOnce), (ReturnCode::Success, Some(2)));
    assert_eq!(peer.sent(), NONE);
    peer.receive(suback(1));
    assert_eq!(peer.subscribe_again("a", Qos::AtMostOnce), (ReturnCode::Success, Some(1)));
    assert_eq!(peer.sent(), NONE);
}

#[test]
fn a_list_is_not_sent_again_when_all_of_it_was_and_is_when_a_part_was_not() {
    let list = |names: &[&str]| -> Vec<_> {
        names.iter().map(|name| ((*name).to_owned(), Qos::AtMostOnce)).collect()
    };
    let mut peer = Peer::offline();
    peer.session.subscribe(subscriptions(list(&["a", "b"])), Properties::default(), false).unwrap();
    peer.connect(false);
    let (code, mid) = peer
        .session
        .subscribe(subscriptions(list(&["a", "b"])), Properties::default(), true)
        .unwrap();
    assert_eq!((code, peer.sent().len()), (ReturnCode::Success, 0));
    assert!(mid.is_some());
    peer.session.subscribe(subscriptions(list(&["a", "c"])), Properties::default(), true).unwrap();
    assert_eq!(peer.sent(), ["SUBSCRIBE m3 a:0 c:0"]);
}

#[test]
fn the_on_connect_handler_sends_what_is_new_or_has_another_qos() {
    let mut peer = Peer::offline();
    peer.subscribe("a", Qos::AtMostOnce);
    peer.connect(false);
    peer.subscribe_again("a", Qos::AtLeastOnce);
    peer.subscribe_again("b", Qos::AtMostOnce);
    assert_eq!(peer.sent(), ["SUBSCRIBE m2 a:1", "SUBSCRIBE m3 b:0"]);
    assert_eq!(peer.reconnect(false), ["SUBSCRIBE m4 a:1", "SUBSCRIBE m5 b:0"]);
}

#[test]
fn an_application_that_subscribes_again_is_obeyed() {
    let mut peer = Peer::connected();
    peer.subscribe("a", Qos::AtMostOnce);
    peer.subscribe("a", Qos::AtMostOnce);
    assert_eq!(peer.sent(), ["SUBSCRIBE m1 a:0", "SUBSCRIBE m2 a:0"]);
}

#[test]
fn requests_before_the_connack_go_out_in_the_order_of_the_calls() {
    let mut peer = Peer::connecting();
    peer.subscribe("a", Qos::AtMostOnce);
    peer.unsubscribe("a");
    peer.subscribe("b", Qos::AtMostOnce);
    let sent = ["SUBSCRIBE m1 a:0", "UNSUBSCRIBE m2 a", "SUBSCRIBE m3 b:0"];
    assert_eq!(peer.receive(connack(false, 0)), sent);
}

#[test]
fn the_answer_to_a_subscribe_of_an_earlier_connection_is_not_awaited() {
    let mut peer = Peer::connected();
    peer.subscribe("a", Qos::AtMostOnce);
    peer.reconnect(true);
    peer.receive(suback(1));
    assert_eq!(peer.events(), []);
    peer.receive(suback(2));
    assert_eq!(peer.events().len(), 1);
}

#[test]
fn an_answer_of_the_wrong_kind_does_not_answer_a_request() {
    let mut peer = Peer::connected();
    peer.subscribe("a", Qos::AtMostOnce);
    peer.unsubscribe("b");
    peer.receive(unsuback(1));
    peer.receive(suback(2));
    assert_eq!(peer.events(), []);
    peer.receive(suback(1));
    peer.receive(unsuback(2));
    assert_eq!(peer.events().len(), 2);
}

#[test]
fn subscribes_without_an_answer_do_not_use_up_the_identifiers() {
    let mut peer = Peer::connected();
    peer.subscribe("a", Qos::AtMostOnce);
    for _ in 0..=u16::MAX {
        assert_eq!(peer.reconnect(false).len(), 1);
    }
}

#[test]
fn what_is_not_subscribed_is_missing_until_the_broker_grants_it() {
    let missing = |unanswered: &[&str], refused: &[&str]| {
        let named = |names: &[&str]| -> (usize, Vec<String>) {
            (names.len(), names.iter().map(|&name| name.to_owned()).collect())
        };
        Missing { unanswered: named(unanswered), refused: named(refused) }
    };
    let mut peer = Peer::offline();
    peer.subscribe("a", Qos::AtMostOnce);
    assert_eq!(peer.session.health(peer.now).missing, missing(&["a"], &[]));
    peer.connect(false);
    let filters = vec![("b".to_owned(), Qos::AtMostOnce), ("c".to_owned(), Qos::AtMostOnce)];
    peer.session.subscribe(subscriptions(filters), Properties::default(), false).unwrap();
    peer.receive(suback(1));
    assert_eq!(peer.session.health(peer.now).missing, missing(&["b", "c"], &[]));
    peer.receive(Incoming::SubAck { mid: 2, granted: vec![0x80, 1], properties: None });
    assert_eq!(peer.session.health(peer.now).missing, missing(&[], &["b"]));
    // Only the answer to the latest SUBSCRIBE counts.
    peer.subscribe("b", Qos::AtMostOnce);
    peer.subscribe("b", Qos::AtLeastOnce);
    peer.receive(suback(3));
    assert_eq!(peer.session.health(peer.now).missing, missing(&["b"], &[]));
    peer.receive(suback(4));
    assert_eq!(peer.session.health(peer.now).missing, missing(&[], &[]));
    peer.session.lost();
    assert_eq!(peer.session.health(peer.now).missing, missing(&["a", "b", "c"], &[]));
    peer.session.hold(true).unwrap();
    assert_eq!(peer.session.health(peer.now).missing, missing(&[], &[]));
    assert_eq!(peer.session.wanted().collect::<Vec<_>>(), ["a", "b", "c"]);
}

#[test]
fn only_some_of_the_missing_filters_are_named() {
    let mut peer = Peer::offline();
    for number in 0..100 {
        peer.subscribe(&number.to_string(), Qos::AtMostOnce);
    }
    let (count, named) = peer.session.health(peer.now).missing.unanswered;
    assert_eq!((count, named.len()), (100, 10));
}

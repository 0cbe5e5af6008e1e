//! SUBSCRIBE and UNSUBSCRIBE, and how subscriptions outlive connections.

use super::values::{connack, subscriptions, unsuback};
use flask_mqtt_core::core::error::ReturnCode;
use flask_mqtt_core::core::packet::Incoming;
use flask_mqtt_core::core::property::Properties;
use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::session::{Event, Missing};

use super::peer::Peer;

const NONE: [&str; 0] = [];
const ACCEPTED: Incoming = Incoming::ConnAck { session_present: false, code: 0, properties: None };

fn suback(mid: u16) -> Incoming {
    Incoming::SubAck { properties: None, mid, granted: vec![0] }
}

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
fn unsubscribing_sends_an_unsubscribe_and_its_answer_is_reported_once() {
    let mut peer = Peer::connected();
    assert_eq!(peer.unsubscribe("a"), (ReturnCode::Success, Some(1)));
    assert_eq!(peer.sent(), ["UNSUBSCRIBE m1 a"]);
    peer.receive(unsuback(1));
    peer.receive(unsuback(1));
    assert_eq!(
        peer.events(),
        [Event::Unsubscribed { mid: 1, codes: Vec::new(), properties: None }]
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
    assert_eq!(peer.receive(ACCEPTED), ["SUBSCRIBE m1 a:1"]);
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
fn what_is_unsubscribed_from_is_not_restored() {
    let mut peer = Peer::connected();
    peer.subscribe("a", Qos::AtMostOnce);
    peer.subscribe("b", Qos::AtMostOnce);
    peer.unsubscribe("a");
    peer.receive(unsuback(3));
    assert_eq!(peer.reconnect(false), ["SUBSCRIBE m4 b:0"]);
}

#[test]
fn the_on_connect_handler_subscribes_again_to_what_was_unsubscribed_from() {
    let mut peer = Peer::connected();
    peer.subscribe("a", Qos::AtMostOnce);
    peer.unsubscribe("a");
    peer.subscribe_again("a", Qos::AtMostOnce);
    assert_eq!(peer.sent(), ["SUBSCRIBE m1 a:0", "UNSUBSCRIBE m2 a", "SUBSCRIBE m3 a:0"]);
}

#[test]
fn an_unsubscribe_without_a_connection_goes_out_to_the_session_that_the_broker_has_kept() {
    let mut peer = Peer::connected();
    peer.subscribe("a", Qos::AtMostOnce);
    peer.subscribe("b", Qos::AtMostOnce);
    peer.session.lost();
    assert_eq!(peer.unsubscribe("a"), (ReturnCode::NoConnection, None));
    assert_eq!(peer.connect(true), ["UNSUBSCRIBE m3 a", "SUBSCRIBE m4 b:0"]);
    peer.receive(unsuback(3));
    let told = Event::Unsubscribed { mid: 3, codes: Vec::new(), properties: None };
    assert!(peer.events().contains(&told));
    assert_eq!(peer.reconnect(true), ["SUBSCRIBE m5 b:0"]);
}

#[test]
fn an_unsubscribe_without_a_connection_is_not_sent_where_there_is_no_session() {
    let mut peer = Peer::connected();
    peer.subscribe("a", Qos::AtMostOnce);
    peer.session.lost();
    peer.unsubscribe("a");
    assert_eq!(peer.connect(false), NONE);
    assert_eq!(peer.reconnect(true), NONE);
}

#[test]
fn an_unsubscribe_before_the_first_connection_reaches_the_session_of_an_earlier_process() {
    let mut peer = Peer::offline();
    assert_eq!(peer.unsubscribe("old"), (ReturnCode::NoConnection, None));
    assert_eq!(peer.connect(true), ["UNSUBSCRIBE m1 old"]);
}

#[test]
fn of_unsubscribe_and_subscribe_without_a_connection_the_last_one_counts() {
    let mut peer = Peer::connected();
    peer.subscribe("a", Qos::AtMostOnce);
    peer.session.lost();
    peer.unsubscribe("a");
    peer.subscribe("a", Qos::AtLeastOnce);
    peer.subscribe("b", Qos::AtMostOnce);
    peer.unsubscribe("b");
    assert_eq!(peer.connect(true), ["UNSUBSCRIBE m2 b", "SUBSCRIBE m3 a:1"]);
}

#[test]
fn an_unsubscribe_without_an_answer_that_was_made_without_a_connection_is_sent_again() {
    let mut peer = Peer::offline();
    peer.unsubscribe("a");
    assert_eq!(peer.connect(true), ["UNSUBSCRIBE m1 a"]);
    assert_eq!(peer.reconnect(true), ["UNSUBSCRIBE m1 a"]);
}

#[test]
fn filters_that_wait_for_an_unsubscribe_are_bounded_and_it_is_told_where_that_matters() {
    for (session_present, count) in [(true, 1), (false, 0)] {
        let mut peer = Peer::offline();
        for number in 0..=10_000 {
            peer.unsubscribe(&number.to_string());
        }
        let notices = |peer: &mut Peer| {
            let events = peer.events();
            events.iter().filter(|event| matches!(event, Event::Notice { .. })).count()
        };
        peer.open();
        let sent = peer.receive(connack(session_present, 0));
        assert_eq!(sent.len(), if session_present { 10_000 } else { 0 });
        assert_eq!(notices(&mut peer), count);
        peer.session.lost();
        peer.open();
        peer.receive(connack(session_present, 0));
        assert_eq!(notices(&mut peer), 0);
    }
}

#[test]
fn an_unsubscribe_before_the_connack_goes_out_after_it_and_the_filter_is_not_restored() {
    let mut peer = Peer::connected();
    peer.subscribe("a", Qos::AtMostOnce);
    peer.session.lost();
    peer.open();
    assert_eq!(peer.unsubscribe("a"), (ReturnCode::Success, Some(2)));
    assert_eq!(peer.receive(ACCEPTED), ["UNSUBSCRIBE m2 a"]);
    peer.receive(unsuback(2));
    assert_eq!(peer.reconnect(false), NONE);
}

#[test]
fn requests_before_the_connack_go_out_in_the_order_of_the_calls() {
    let mut peer = Peer::connecting();
    peer.subscribe("a", Qos::AtMostOnce);
    peer.unsubscribe("a");
    peer.subscribe("b", Qos::AtMostOnce);
    let sent = ["SUBSCRIBE m1 a:0", "UNSUBSCRIBE m2 a", "SUBSCRIBE m3 b:0"];
    assert_eq!(peer.receive(ACCEPTED), sent);
}

#[test]
fn an_unsubscribe_without_an_answer_is_sent_again_until_it_is_answered() {
    let mut peer = Peer::connected();
    peer.subscribe("a", Qos::AtMostOnce);
    peer.unsubscribe("a");
    for _ in 0..2 {
        assert_eq!(peer.reconnect(true), ["UNSUBSCRIBE m2 a"]);
    }
    peer.receive(unsuback(2));
    assert_eq!(
        peer.events(),
        [Event::Unsubscribed { mid: 2, codes: Vec::new(), properties: None }]
    );
    assert_eq!(peer.reconnect(true), NONE);
}

#[test]
fn an_unanswered_unsubscribe_does_not_undo_a_later_subscribe() {
    let mut peer = Peer::connected();
    peer.unsubscribe("a");
    peer.subscribe("a", Qos::AtMostOnce);
    assert_eq!(peer.reconnect(true), ["UNSUBSCRIBE m1 a", "SUBSCRIBE m3 a:0"]);
    assert_eq!(peer.reconnect(true), ["UNSUBSCRIBE m1 a", "SUBSCRIBE m4 a:0"]);
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
fn what_was_unsubscribed_from_before_the_connack_can_be_subscribed_to_again_after_it() {
    let mut peer = Peer::connecting();
    peer.subscribe("a", Qos::AtMostOnce);
    peer.unsubscribe("a");
    peer.receive(ACCEPTED);
    peer.subscribe_again("a", Qos::AtMostOnce);
    assert_eq!(peer.sent(), ["SUBSCRIBE m3 a:0"]);
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
    assert_eq!(peer.receive(ACCEPTED), ["SUBSCRIBE m1 a:1"]);
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

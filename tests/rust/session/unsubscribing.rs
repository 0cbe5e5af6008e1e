//! UNSUBSCRIBE, on a connection and without one.

use flask_mqtt_core::core::error::ReturnCode;
use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::session::Event;

use super::peer::Peer;
use super::values::{connack, unsuback};

const NONE: [&str; 0] = [];

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
    assert_eq!(peer.receive(connack(false, 0)), ["UNSUBSCRIBE m2 a"]);
    peer.receive(unsuback(2));
    assert_eq!(peer.reconnect(false), NONE);
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
fn what_was_unsubscribed_from_before_the_connack_can_be_subscribed_to_again_after_it() {
    let mut peer = Peer::connecting();
    peer.subscribe("a", Qos::AtMostOnce);
    peer.unsubscribe("a");
    peer.receive(connack(false, 0));
    peer.subscribe_again("a", Qos::AtMostOnce);
    assert_eq!(peer.sent(), ["SUBSCRIBE m3 a:0"]);
}

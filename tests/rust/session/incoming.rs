//! QoS 0, 1 and 2 from the broker: acknowledged after the handler, QoS 2 delivered once.

use super::values::connack;
use flask_mqtt_core::core::error::Error;
use flask_mqtt_core::core::packet::{Incoming, Publish};
use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::session::{Event, Receipt};

use super::peer::{Peer, message};

const NONE: [&str; 0] = [];

#[test]
fn a_qos_0_message_is_delivered_and_needs_no_answer() {
    let mut peer = Peer::connected();
    assert_eq!(peer.receive(message(0, Qos::AtMostOnce, "a")), NONE);
    assert_eq!(peer.messages(), [("a".to_owned(), None)]);
}

#[test]
fn a_message_comes_with_its_flags_and_the_time_it_was_read() {
    let mut peer = Peer::connected();
    let publish = Publish {
        topic: "a/b".to_owned(),
        payload: bytes::Bytes::from_static(b"x"),
        qos: Qos::AtMostOnce,
        retain: true,
        dup: false,
        mid: 0,
        properties: None,
    };
    peer.receive(Incoming::Publish(publish.clone()));
    let received = peer.now;
    assert_eq!(peer.events(), [Event::Message { publish, received, receipt: None }]);
}

#[test]
fn the_puback_goes_out_when_the_message_is_handled_and_not_before() {
    let mut peer = Peer::connected();
    assert_eq!(peer.receive(message(5, Qos::AtLeastOnce, "a")), NONE);
    let receipt = peer.receipt();
    assert_eq!(peer.handled(receipt), ["PUBACK m5"]);
}

#[test]
fn a_qos_2_message_is_delivered_on_pubrel_and_the_pubcomp_waits_until_it_is_handled() {
    let mut peer = Peer::connected();
    assert_eq!(peer.receive(message(5, Qos::ExactlyOnce, "a")), ["PUBREC m5"]);
    assert_eq!(peer.events(), []);
    assert_eq!(peer.receive(Incoming::PubRel(5.into())), NONE);
    let receipt = peer.receipt();
    assert_eq!(peer.handled(receipt), ["PUBCOMP m5"]);
}

#[test]
fn a_qos_2_message_sent_twice_before_the_pubrel_is_delivered_once() {
    let mut peer = Peer::connected();
    peer.receive(message(5, Qos::ExactlyOnce, "a"));
    assert_eq!(peer.receive(message(5, Qos::ExactlyOnce, "a")), ["PUBREC m5"]);
    assert_eq!(peer.reconnect(true), NONE);
    assert_eq!(peer.receive(message(5, Qos::ExactlyOnce, "a")), ["PUBREC m5"]);
    peer.receive(Incoming::PubRel(5.into()));
    assert_eq!(peer.messages().len(), 1);
}

#[test]
fn a_pubrel_sent_twice_delivers_once_and_each_gets_its_pubcomp_when_the_message_is_handled() {
    let mut peer = Peer::connected();
    peer.receive(message(5, Qos::ExactlyOnce, "a"));
    peer.receive(Incoming::PubRel(5.into()));
    assert_eq!(peer.receive(Incoming::PubRel(5.into())), NONE);
    let receipt = peer.receipt();
    assert_eq!(peer.handled(receipt), ["PUBCOMP m5", "PUBCOMP m5"]);
}

#[test]
fn a_pubrel_after_the_message_was_handled_gets_a_pubcomp_and_delivers_nothing() {
    let mut peer = Peer::connected();
    peer.receive(message(5, Qos::ExactlyOnce, "a"));
    peer.receive(Incoming::PubRel(5.into()));
    let receipt = peer.receipt();
    peer.handled(receipt);
    assert_eq!(peer.receive(Incoming::PubRel(5.into())), ["PUBCOMP m5"]);
    assert_eq!(peer.events(), []);
}

#[test]
fn a_pubrel_of_an_unknown_message_gets_a_pubcomp() {
    let mut peer = Peer::connected();
    assert_eq!(peer.receive(Incoming::PubRel(9.into())), ["PUBCOMP m9"]);
    assert_eq!(peer.events(), []);
}

#[test]
fn an_identifier_is_free_for_the_next_message_when_the_pubcomp_is_out() {
    let mut peer = Peer::connected();
    for payload in ["a", "b"] {
        peer.receive(message(5, Qos::ExactlyOnce, payload));
        peer.receive(Incoming::PubRel(5.into()));
        let messages = peer.messages();
        assert_eq!(messages[0].0, payload);
        assert_eq!(peer.handled(messages[0].1.unwrap()), ["PUBCOMP m5"]);
    }
}

#[test]
fn a_puback_does_not_go_to_a_later_connection() {
    let mut peer = Peer::connected();
    peer.receive(message(5, Qos::AtLeastOnce, "a"));
    let receipt = peer.receipt();
    peer.session.lost();
    assert_eq!(peer.handled(receipt), NONE);
    peer.open();
    assert_eq!(peer.handled(receipt), NONE);
    peer.receive(connack(true, 0));
    assert_eq!(peer.handled(receipt), NONE);
}

#[test]
fn a_pubcomp_goes_to_a_later_connection_when_the_broker_released_the_message_there_again() {
    let mut peer = Peer::connected();
    peer.receive(message(5, Qos::ExactlyOnce, "a"));
    peer.receive(Incoming::PubRel(5.into()));
    let receipt = peer.receipt();
    peer.reconnect(true);
    assert_eq!(peer.receive(Incoming::PubRel(5.into())), NONE);
    assert_eq!(peer.events(), []);
    assert_eq!(peer.handled(receipt), ["PUBCOMP m5"]);
}

#[test]
fn a_pubcomp_waits_for_the_pubrel_of_the_present_connection() {
    let mut peer = Peer::connected();
    peer.receive(message(5, Qos::ExactlyOnce, "a"));
    peer.receive(Incoming::PubRel(5.into()));
    let receipt = peer.receipt();
    peer.reconnect(true);
    assert_eq!(peer.handled(receipt), NONE);
    assert_eq!(peer.receive(Incoming::PubRel(5.into())), ["PUBCOMP m5"]);
    assert_eq!(peer.events(), []);
}

#[test]
fn a_handled_message_that_comes_again_before_its_pubcomp_went_out_is_not_delivered_again() {
    let mut peer = Peer::connected();
    peer.receive(message(5, Qos::ExactlyOnce, "a"));
    peer.receive(Incoming::PubRel(5.into()));
    let receipt = peer.receipt();
    peer.session.lost();
    peer.handled(receipt);
    peer.reconnect(true);
    let Incoming::Publish(publish) = message(5, Qos::ExactlyOnce, "a") else { unreachable!() };
    let again = Incoming::Publish(Publish { dup: true, ..publish });
    assert_eq!(peer.receive(again), ["PUBREC m5"]);
    assert_eq!(peer.receive(Incoming::PubRel(5.into())), ["PUBCOMP m5"]);
    assert_eq!(peer.events(), []);
}

#[test]
fn another_message_with_the_identifier_of_a_handled_one_is_delivered() {
    let mut peer = Peer::connected();
    peer.receive(message(5, Qos::ExactlyOnce, "a"));
    peer.receive(Incoming::PubRel(5.into()));
    let receipt = peer.receipt();
    peer.reconnect(true);
    peer.handled(receipt);
    peer.receive(message(5, Qos::ExactlyOnce, "b"));
    peer.receive(Incoming::PubRel(5.into()));
    assert_eq!(peer.messages()[0].0, "b");
}

#[test]
fn a_message_handled_late_does_not_complete_another_one_with_its_identifier() {
    let mut peer = Peer::connected();
    peer.receive(message(1, Qos::ExactlyOnce, "old"));
    peer.receive(Incoming::PubRel(1.into()));
    let old = peer.receipt();
    peer.reconnect(false);
    peer.receive(message(1, Qos::ExactlyOnce, "new"));
    peer.receive(Incoming::PubRel(1.into()));
    let new = peer.receipt();
    assert_eq!(peer.handled(old), NONE);
    assert_eq!(peer.handled(new), ["PUBCOMP m1"]);
}

#[test]
fn messages_that_the_broker_forgot_before_their_pubrel_are_delivered_in_order() {
    let mut peer = Peer::connected();
    for (mid, payload) in [(9, "a"), (3, "b"), (700, "c")] {
        peer.receive(message(mid, Qos::ExactlyOnce, payload));
    }
    peer.session.lost();
    peer.open();
    assert_eq!(peer.receive(connack(false, 0)), NONE);
    let events = peer.events();
    assert_eq!(events[0], Event::ConnAck { session_present: false, code: 0, properties: None });
    let payloads: Vec<_> = events[1..]
        .iter()
        .map(|event| match event {
            Event::Message { publish, receipt: None, .. } => &publish.payload[..],
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(payloads, [b"a", b"b", b"c"]);
}

#[test]
fn messages_that_the_broker_kept_wait_for_their_pubrel() {
    let mut peer = Peer::connected();
    peer.receive(message(5, Qos::ExactlyOnce, "a"));
    peer.session.lost();
    peer.open();
    peer.receive(connack(true, 0));
    assert_eq!(peer.events().len(), 1);
    peer.receive(Incoming::PubRel(5.into()));
    assert_eq!(peer.messages().len(), 1);
}

#[test]
fn a_refused_connect_delivers_nothing_and_forgets_nothing() {
    let mut peer = Peer::connected();
    peer.receive(message(5, Qos::ExactlyOnce, "a"));
    peer.session.lost();
    peer.open();
    peer.refuse(connack(false, 3));
    assert_eq!(peer.events().len(), 1);
    peer.reconnect(true);
    peer.receive(Incoming::PubRel(5.into()));
    assert_eq!(peer.messages().len(), 1);
}

#[test]
fn qos_2_messages_without_a_pubrel_are_bounded_in_bytes() {
    let mut peer = Peer::with(|options| options.limits.incoming_bytes = 10);
    peer.connect(false);
    assert_eq!(peer.receive(message(1, Qos::ExactlyOnce, "1234")), ["PUBREC m1"]);
    assert_eq!(peer.receive(message(2, Qos::ExactlyOnce, "1234")), ["PUBREC m2"]);
    assert!(matches!(peer.refuse(message(3, Qos::ExactlyOnce, "")), Error::Protocol(_)));
}

#[test]
fn a_pubrel_makes_room_for_the_next_qos_2_message() {
    let mut peer = Peer::with(|options| options.limits.incoming_bytes = 10);
    peer.connect(false);
    for mid in 1..100 {
        assert_eq!(peer.receive(message(mid, Qos::ExactlyOnce, "12345678")).len(), 1);
        peer.receive(Incoming::PubRel(mid.into()));
    }
    peer.receive(message(200, Qos::ExactlyOnce, &"x".repeat(1000)));
}

#[test]
fn a_receipt_given_back_twice_or_made_up_sends_no_second_pubcomp() {
    let mut peer = Peer::connected();
    peer.receive(message(5, Qos::ExactlyOnce, "a"));
    let early = Receipt { mid: 5, qos: Qos::ExactlyOnce, connection: 1, number: 1 };
    assert_eq!(peer.handled(early), NONE);
    peer.receive(Incoming::PubRel(5.into()));
    let receipt = peer.receipt();
    assert_eq!(peer.handled(receipt), ["PUBCOMP m5"]);
    assert_eq!(peer.handled(receipt), NONE);
}

#[test]
fn messages_that_the_broker_forgot_do_not_count_any_more() {
    let mut peer = Peer::with(|options| options.limits.incoming_bytes = 10);
    peer.connect(false);
    for _ in 0..3 {
        assert_eq!(peer.receive(message(1, Qos::ExactlyOnce, "12345678")), ["PUBREC m1"]);
        peer.reconnect(false);
    }
}

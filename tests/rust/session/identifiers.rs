//! Requests and messages when packet identifiers run out: each request is sent as soon as one is
//! free, in the order of the calls, and is acknowledged.

use bytes::Bytes;
use flask_mqtt_core::core::error::ReturnCode::{self, NoConnection, QueueSize, Success};
use flask_mqtt_core::core::packet::{Incoming, Publish};
use flask_mqtt_core::core::property::{Properties, Property};
use flask_mqtt_core::core::qos::Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use flask_mqtt_core::core::session::{Event, Kept, KeptOutgoing};

use super::disk::Disk;
use super::peer::Peer;
use super::peer_v5::{accepted, numbers};
use super::values::{connack, suback, subscriptions, unsuback};

const NONE: [&str; 0] = [];
const MOST_MESSAGES: u16 = 65_535 - 255;
const WAITS: (ReturnCode, Option<u16>) = (Success, None);

fn requests(sent: &[String]) -> Vec<&str> {
    let is_request = |packet: &&str| packet.contains("SUBSCRIBE");
    sent.iter().map(String::as_str).filter(is_request).collect()
}

/// A session with a message for every packet identifier in its file, and a limited window.
fn full(window: usize) -> Peer {
    let mut peer = Peer::with(|options| {
        options.limits.inflight = window;
        "me".clone_into(&mut options.client_id);
    });
    let message = |mid: u16| KeptOutgoing {
        order: mid.into(),
        publish: Publish {
            topic: "t".to_owned(),
            payload: Bytes::new(),
            qos: AtLeastOnce,
            retain: false,
            dup: false,
            mid,
            properties: None,
        },
        released: false,
    };
    let outgoing = (1..=u16::MAX).map(message).collect();
    let client_id = "me".to_owned();
    peer.session.keep(Kept { client_id, outgoing, ..Disk::default().open() });
    peer
}

#[test]
fn messages_that_wait_offline_leave_identifiers_for_subscriptions() {
    let mut peer = Peer::offline();
    for _ in 0..MOST_MESSAGES {
        assert_eq!(peer.publish("", AtLeastOnce).0, NoConnection);
    }
    assert_eq!(peer.publish("", AtLeastOnce), (ReturnCode::Again, 0));
    peer.subscribe("a", AtMostOnce);
    assert_eq!(requests(&peer.connect(false)), ["SUBSCRIBE m65281 a:0"]);
    assert_eq!(peer.subscribe("b", AtMostOnce), (Success, Some(65_282)));
    assert_eq!(peer.unsubscribe("a"), (Success, Some(65_283)));
    for (answer, told) in [(suback(65_281), 0), (suback(65_282), 1), (unsuback(65_283), 2)] {
        peer.receive(answer);
        assert_eq!(peer.events().len(), 1, "{told}");
    }
}

#[test]
fn messages_of_qos_0_need_none() {
    let mut peer = full(20);
    peer.connect(false);
    for _ in 0..3 {
        let (code, mid) = peer.publish("x", AtMostOnce);
        assert!(code == Success && mid > 0);
    }
    assert_eq!(peer.sent().len(), 3);
    assert_eq!(peer.publish("x", ExactlyOnce), (ReturnCode::Again, 0));
}

#[test]
fn requests_wait_for_those_of_messages_from_a_file_and_go_out_in_order() {
    let mut peer = full(20);
    peer.subscribe("offline", AtMostOnce);
    peer.connect(false);
    assert_eq!(peer.subscribe("a", AtLeastOnce), WAITS);
    assert_eq!(peer.unsubscribe("a"), WAITS);
    assert_eq!(peer.subscribe("a", ExactlyOnce), WAITS);
    assert_eq!(peer.sent(), NONE);
    for (mid, request) in
        [(3, "SUBSCRIBE m3 offline:0"), (1, "SUBSCRIBE m1 a:1"), (2, "UNSUBSCRIBE m2 a")]
    {
        assert_eq!(requests(&peer.receive(Incoming::PubAck(mid.into()))), [request]);
        assert_eq!(requests(&peer.receive(Incoming::PingResp)), NONE);
    }
    // The acknowledgement of a request frees an identifier, too.
    assert_eq!(requests(&peer.receive(unsuback(2))), ["SUBSCRIBE m2 a:2"]);
    peer.events();
    for mid in [2, 3, 1] {
        peer.receive(suback(mid));
        assert_eq!(peer.events(), [Event::Subscribed { mid, granted: vec![0], properties: None }]);
    }
}

#[test]
fn more_filters_than_there_are_identifiers_are_all_subscribed_to_on_one_connection() {
    let mut peer = Peer::offline();
    for number in 0..70_000 {
        peer.subscribe(&number.to_string(), AtMostOnce);
    }
    let mut sent = peer.connect(false);
    assert_eq!(sent.len(), 65_535);
    // An unsent request is not duplicated, and is sent with its latest options.
    assert_eq!(peer.subscribe_again("69999", AtMostOnce), WAITS);
    assert_eq!(peer.unsubscribe("69998"), WAITS);
    assert_eq!(peer.subscribe("69997", AtLeastOnce), WAITS);
    for mid in 1..=4_467 {
        sent.extend(peer.receive(suback(mid)));
    }
    assert!(!sent.iter().any(|packet| packet.contains(" 69998:")));
    let subscribed =
        |number: &i32| sent.iter().any(|packet| packet.contains(&format!(" {number}:")));
    assert!([0, 65_534, 65_535, 69_996, 69_999].iter().all(subscribed));
    let last: Vec<_> = sent[sent.len() - 5..].to_vec();
    assert_eq!(
        last,
        [
            "SUBSCRIBE m4462 69996:0",
            "SUBSCRIBE m4463 69997:1",
            "SUBSCRIBE m4464 69999:0",
            "UNSUBSCRIBE m4465 69998",
            "SUBSCRIBE m4466 69997:1",
        ]
    );
    assert_eq!(peer.receive(suback(4_468)), NONE);
}

#[test]
fn what_waits_when_the_connection_ends_goes_out_on_the_next_one() {
    let mut peer = full(65_535);
    peer.connect(true);
    assert_eq!(peer.unsubscribe("a"), WAITS);
    assert_eq!(peer.subscribe("b", AtMostOnce), WAITS);
    assert_eq!(peer.subscribe("a", AtMostOnce), WAITS);
    peer.session.lost();
    assert_eq!(peer.subscribe("c", AtMostOnce), (NoConnection, None));
    assert_eq!(requests(&peer.connect(true)), NONE);
    let mut sent = Vec::new();
    for mid in 1..=5 {
        sent.extend(peer.receive(Incoming::PubAck(mid.into())));
    }
    let expected = ["UNSUBSCRIBE m1 a", "SUBSCRIBE m2 b:0", "SUBSCRIBE m3 a:0", "SUBSCRIBE m4 c:0"];
    assert_eq!(requests(&sent), expected);
    assert_eq!(requests(&peer.reconnect(true))[0], "UNSUBSCRIBE m1 a");
}

#[test]
fn filters_unsubscribed_from_offline_follow_too() {
    let mut peer = full(65_535);
    for number in 0..3 {
        peer.unsubscribe(&format!("a{number}"));
    }
    peer.connect(true);
    peer.subscribe("a1", AtMostOnce);
    let mut sent = Vec::new();
    for mid in 1..=3 {
        sent.extend(peer.receive(Incoming::PubAck(mid.into())));
    }
    // Of the two, the last request counts.
    let expected = ["UNSUBSCRIBE m1 a0", "UNSUBSCRIBE m2 a2", "SUBSCRIBE m3 a1:0"];
    assert_eq!(requests(&sent), expected);
}

#[test]
fn a_message_given_up_makes_way_for_a_request() {
    let mut peer = Peer::connected();
    peer.session.keep(Disk::default().open());
    let delivery = peer.deliver(AtLeastOnce);
    for _ in 1..=u16::MAX {
        peer.subscribe("a", AtMostOnce);
    }
    peer.sent();
    assert!(peer.session.withdraw(1, &delivery));
    assert_eq!(peer.sent(), ["SUBSCRIBE m1 a:0"]);
}

#[test]
fn so_many_may_wait_and_what_is_refused_is_not_remembered() {
    let mut peer = full(20);
    peer.connect(false);
    for _ in 0..65_535 {
        assert_eq!(peer.subscribe("a", AtMostOnce), WAITS);
    }
    assert_eq!(peer.subscribe("b", AtMostOnce), (QueueSize, None));
    assert_eq!(peer.unsubscribe("a"), (QueueSize, None));
    assert_eq!(peer.publish("x", AtMostOnce).0, Success);
    peer.reconnect(false);
    let mut sent = Vec::new();
    for mid in 1..=3 {
        sent.extend(peer.receive(Incoming::PubAck(mid.into())));
    }
    assert_eq!(requests(&sent), ["SUBSCRIBE m1 a:0"]);
}

#[test]
fn requests_before_the_connack_that_are_too_large_for_the_broker_go_out_filter_by_filter() {
    let mut peer = Peer::v5(|_| {});
    peer.open();
    let filters = ["some/filter/a", "some/filter/b"];
    let wanted = filters.iter().map(|filter| ((*filter).to_owned(), AtMostOnce)).collect();
    let gone = ["other/filter/c", "other/filter/d", "far/too/long/for/this/broker"];
    let gone = gone.iter().map(|filter| (*filter).to_owned()).collect();
    let (subscribe, unsubscribe) = (
        peer.session.subscribe(subscriptions(wanted), Properties::default(), false).unwrap(),
        peer.session.unsubscribe(gone, Properties::default()).unwrap(),
    );
    assert_eq!((subscribe, unsubscribe), ((Success, Some(1)), (Success, Some(2))));
    let sent = peer.receive(accepted(true, numbers(&[(Property::MaximumPacketSize, 25)])));
    assert_eq!(
        sent,
        [
            "UNSUBSCRIBE m3 other/filter/c",
            "UNSUBSCRIBE m4 other/filter/d",
            "SUBSCRIBE m5 some/filter/a:0",
            "SUBSCRIBE m6 some/filter/b:0",
        ]
    );
    let events = peer.events();
    let is_notice = |event: &&Event| matches!(event, Event::Notice { .. });
    assert_eq!(events.iter().filter(is_notice).count(), 1, "{events:?}");
    // Another broker may accept it.
    peer.session.lost();
    peer.open();
    let sent = peer.receive(accepted(true, Properties::default()));
    assert!(sent.iter().any(|packet| packet.ends_with("far/too/long/for/this/broker")), "{sent:?}");
}

#[test]
fn what_is_unsubscribed_from_while_the_connection_ends_is_not_subscribed_to_again() {
    let mut peer = Peer::connected();
    peer.subscribe("a", AtMostOnce);
    peer.session.finish();
    assert_eq!(peer.unsubscribe("a"), (NoConnection, None));
    peer.session.lost();
    peer.open();
    assert_eq!(peer.receive(connack(true, 0)), ["UNSUBSCRIBE m2 a"]);
}

#[test]
fn holding_many_times_leaves_one_request_that_waits_for_an_identifier() {
    let mut peer = full(3);
    peer.connect(true);
    for _ in 0..3 {
        peer.session.hold(true).unwrap();
        assert_eq!(peer.subscribe("a", AtMostOnce), WAITS);
        peer.session.hold(false).unwrap();
    }
    assert_eq!(requests(&peer.sent()), NONE);
    assert_eq!(requests(&peer.receive(Incoming::PubAck(1.into()))), ["SUBSCRIBE m1 a:0"]);
    assert_eq!(requests(&peer.receive(Incoming::PubAck(2.into()))), NONE);
}

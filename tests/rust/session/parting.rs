//! An intended disconnect: which messages are sent before it, and that no packet follows
//! DISCONNECT.

use flask_mqtt_core::core::error::ReturnCode;
use flask_mqtt_core::core::packet::Incoming;
use flask_mqtt_core::core::property::Properties;
use flask_mqtt_core::core::qos::Qos::{self, AtLeastOnce, AtMostOnce, ExactlyOnce};

use super::peer::{Peer, message};
use super::values::{connack, subscriptions};

const NONE: [&str; 0] = [];

fn publish(peer: &mut Peer, payload: &str, qos: Qos) -> ReturnCode {
    peer.session.publish("t", payload.as_bytes(), qos, false, None).unwrap().0
}

fn receipts(peer: &mut Peer) -> Vec<flask_mqtt_core::core::session::Receipt> {
    use flask_mqtt_core::core::session::Event;
    let receipt = |event| if let Event::Message { receipt, .. } = event { receipt } else { None };
    peer.events().into_iter().filter_map(receipt).collect()
}

#[test]
fn nothing_follows_a_disconnect() {
    let mut peer = Peer::connected();
    peer.receive(message(5, AtLeastOnce, "a"));
    assert_eq!(peer.receive(message(6, ExactlyOnce, "a")), ["PUBREC m6"]);
    peer.receive(Incoming::PubRel(6.into()));
    peer.receive(message(7, ExactlyOnce, "a"));
    let receipts = receipts(&mut peer);
    assert_eq!(receipts.len(), 2);
    publish(&mut peer, "before", AtMostOnce);
    peer.session.disconnect(true).unwrap();
    assert_eq!(peer.sent().last().map(String::as_str), Some("DISCONNECT"));
    for receipt in receipts {
        peer.session.handled(receipt).unwrap();
    }
    for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
        assert_eq!(publish(&mut peer, "t", qos), ReturnCode::NoConnection);
    }
    let wanted = subscriptions(vec![("a".to_owned(), AtMostOnce)]);
    let result = peer.session.subscribe(wanted, Properties::default(), false).unwrap();
    assert_eq!(result, (ReturnCode::NoConnection, None));
    let result = peer.session.unsubscribe(vec!["a".to_owned()], Properties::default()).unwrap();
    assert_eq!(result, (ReturnCode::NoConnection, None));
    // Later packets of the broker get no response either.
    assert_eq!(peer.receive(message(8, ExactlyOnce, "a")), NONE);
    assert_eq!(peer.receive(Incoming::PubRel(7.into())), NONE);
    peer.session.tick(peer.now + std::time::Duration::from_secs(1000), true).unwrap();
    peer.session.disconnect(true).unwrap();
    assert_eq!(peer.sent(), NONE);
    assert!(!peer.session.is_connected() && peer.session.is_open());
}

#[test]
fn what_is_published_when_the_end_is_wanted_goes_with_the_next_connection() {
    let mut peer = Peer::with(|options| options.limits.inflight = 1);
    peer.connect(false);
    for payload in ["one", "two"] {
        assert_eq!(publish(&mut peer, payload, AtLeastOnce), ReturnCode::Success);
    }
    assert_eq!(peer.sent(), ["PUBLISH q1 m1 one"]);
    peer.session.finish();
    assert_eq!(publish(&mut peer, "late", AtLeastOnce), ReturnCode::NoConnection);
    assert_eq!(publish(&mut peer, "lost", AtMostOnce), ReturnCode::NoConnection);
    assert_eq!(peer.session.leaving(), 2);
    // Handlers that return now are in time, and earlier messages are still sent.
    assert_eq!(peer.receive(message(5, AtMostOnce, "a")), NONE);
    assert_eq!(peer.receive(Incoming::PubAck(1.into())), ["PUBLISH q1 m2 two"]);
    assert_eq!(peer.session.leaving(), 1);
    assert_eq!(peer.receive(Incoming::PubAck(2.into())), NONE);
    assert_eq!(peer.session.leaving(), 0);
    peer.session.disconnect(true).unwrap();
    assert_eq!(peer.sent(), ["DISCONNECT"]);
    assert_eq!(peer.reconnect(false), ["PUBLISH q1 m3 late"]);
    assert_eq!(publish(&mut peer, "on", AtMostOnce), ReturnCode::Success);
}

#[test]
fn what_waits_for_the_connack_when_the_end_is_wanted_goes_out_with_it() {
    let mut peer = Peer::connecting();
    publish(&mut peer, "held", AtMostOnce);
    publish(&mut peer, "kept", AtLeastOnce);
    peer.session.finish();
    assert_eq!(publish(&mut peer, "lost", AtMostOnce), ReturnCode::NoConnection);
    assert_eq!(peer.session.leaving(), 2);
    let sent = peer.receive(connack(false, 0));
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert!(sent.iter().any(|line| line.contains("held")));
    assert!(sent.iter().any(|line| line.contains("kept")));
}

#[test]
fn what_is_unsubscribed_from_when_the_end_is_wanted_is_not_subscribed_to_again() {
    let mut peer = Peer::connected();
    peer.subscribe("a", AtMostOnce);
    assert_eq!(peer.sent(), ["SUBSCRIBE m1 a:0"]);
    peer.session.finish();
    assert_eq!(peer.unsubscribe("a"), (ReturnCode::NoConnection, None));
    peer.session.disconnect(true).unwrap();
    assert_eq!(peer.sent(), ["DISCONNECT"]);
    assert_eq!(peer.reconnect(true), ["UNSUBSCRIBE m2 a"]);
    assert_eq!(peer.reconnect(false), ["UNSUBSCRIBE m2 a"]);
}

#[test]
fn what_waits_for_the_connack_and_is_not_wanted_any_more_is_unsubscribed_from_where_the_session_is_new()
 {
    let mut peer = Peer::connecting();
    peer.subscribe("a", AtMostOnce);
    peer.session.finish();
    peer.unsubscribe("a");
    peer.unsubscribe("b");
    assert_eq!(peer.receive(connack(false, 0)), ["SUBSCRIBE m1 a:0", "UNSUBSCRIBE m2 a"]);
}

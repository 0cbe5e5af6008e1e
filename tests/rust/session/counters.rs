//! The session's counters, over all connections.

use flask_mqtt_core::core::options::Limits;
use flask_mqtt_core::core::packet::Incoming;
use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::stats::{Counters, Waiting};

use super::peer::{Peer, message};

fn counters(peer: &Peer) -> Counters {
    peer.session.stats(Waiting::default()).counters
}

#[test]
fn a_message_with_qos_2_is_received_once_however_often_it_comes() {
    let mut peer = Peer::connected();
    peer.receive(message(1, Qos::ExactlyOnce, "a"));
    peer.receive(message(1, Qos::ExactlyOnce, "a"));
    assert_eq!(counters(&peer).received.messages, [0, 0, 0]);
    peer.receive(Incoming::PubRel(1.into()));
    peer.receive(Incoming::PubRel(1.into()));
    assert_eq!(counters(&peer).received.messages, [0, 0, 1]);
    // A QoS 1 message is redelivered as a new one.
    peer.receive(message(1, Qos::AtLeastOnce, "a"));
    peer.receive(message(1, Qos::AtLeastOnce, "a"));
    peer.receive(message(0, Qos::AtMostOnce, "a"));
    assert_eq!(counters(&peer).received.messages, [1, 2, 1]);
}

#[test]
fn a_message_is_published_when_it_is_written_or_acknowledged() {
    let mut peer = Peer::connected();
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        peer.publish("a", qos);
    }
    assert_eq!(counters(&peer).published.messages, [0, 0, 0]);
    peer.sent();
    assert_eq!(counters(&peer).published.messages, [1, 0, 0]);
    peer.receive(Incoming::PubAck(2.into()));
    peer.receive(Incoming::PubRec(3.into()));
    assert_eq!(counters(&peer).published.messages, [1, 1, 0]);
    peer.receive(Incoming::PubComp(3.into()));
    peer.receive(Incoming::PubComp(3.into()));
    assert_eq!(counters(&peer).published.messages, [1, 1, 1]);
}

#[test]
fn what_is_sent_again_counts_as_repeated_also_when_the_window_delays_it() {
    let mut peer = Peer::with(|options| options.limits.inflight = 2);
    peer.connect(false);
    for _ in 0..3 {
        peer.publish("a", Qos::AtLeastOnce);
    }
    peer.sent();
    assert_eq!(counters(&peer).repeated, 0);
    peer.session.limit(Limits { inflight: 1, ..Limits::example() });
    peer.reconnect(true);
    assert_eq!(counters(&peer).repeated, 1);
    peer.receive(Incoming::PubAck(1.into()));
    assert_eq!(counters(&peer).repeated, 2);
    peer.receive(Incoming::PubAck(2.into()));
    assert_eq!((counters(&peer).repeated, counters(&peer).published.messages), (2, [0, 2, 0]));
}

#[test]
fn a_message_with_qos_0_that_is_not_written_is_lost_with_its_connection() {
    let mut peer = Peer::connecting();
    peer.publish("a", Qos::AtMostOnce);
    assert_eq!(peer.session.stats(Waiting::default()).unwritten, 1);
    peer.session.lost();
    assert_eq!((counters(&peer).unsent, counters(&peer).offline), (1, 0));
    peer.publish("a", Qos::AtMostOnce);
    peer.connect(false);
    peer.publish("a", Qos::AtMostOnce);
    peer.publish("b", Qos::AtLeastOnce);
    peer.session.lost();
    assert_eq!((counters(&peer).unsent, counters(&peer).offline), (2, 1));
    assert_eq!(counters(&peer).published.messages, [0, 0, 0]);
}

#[test]
fn only_a_connection_that_follows_a_lost_one_is_a_reconnect() {
    let mut counters = Counters::default();
    counters.failed("refused".to_owned(), false);
    counters.connected();
    counters.connected();
    assert_eq!((counters.connections, counters.reconnects, counters.failed_attempts), (2, 0, 1));
    counters.failed("lost".to_owned(), true);
    counters.failed("refused".to_owned(), false);
    counters.connected();
    assert_eq!((counters.connections, counters.reconnects, counters.failed_attempts), (3, 1, 2));
    assert!(counters.last_error.is_some_and(|(text, _)| text == "refused"));
}

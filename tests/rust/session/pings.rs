//! PINGREQs that the application asks for, and how long the broker has been silent.

use std::time::Duration;

use super::peer::{Peer, SECOND};
use flask_mqtt_core::core::delivery::State;
use flask_mqtt_core::core::packet::Incoming;

const NONE: [&str; 0] = [];

#[test]
fn a_ping_is_answered_by_the_broker() {
    let mut peer = Peer::connected();
    let answer = peer.session.ping().unwrap().unwrap();
    assert_eq!(peer.sent(), ["PINGREQ"]);
    assert_eq!(answer.state(), State::Pending);
    peer.receive(Incoming::PingResp);
    assert_eq!(answer.state(), State::Published);
}

#[test]
fn who_asks_while_a_ping_is_unanswered_waits_for_the_same_answer() {
    let mut peer = Peer::connected();
    let answers: Vec<_> = (0..3).map(|_| peer.session.ping().unwrap().unwrap()).collect();
    assert_eq!(peer.sent(), ["PINGREQ"]);
    peer.receive(Incoming::PingResp);
    assert!(answers.iter().all(|answer| answer.state() == State::Published));
    let next = peer.session.ping().unwrap().unwrap();
    assert_eq!((peer.sent(), next.state()), (vec!["PINGREQ".to_owned()], State::Pending));
}

#[test]
fn the_ping_of_the_keep_alive_counts_too() {
    let mut peer = Peer::connected();
    assert_eq!(peer.tick(true).unwrap(), ["PINGREQ"]);
    let answer = peer.session.ping().unwrap().unwrap();
    assert_eq!(peer.sent(), NONE);
    peer.receive(Incoming::PingResp);
    assert_eq!(answer.state(), State::Published);
}

#[test]
fn an_answer_that_nobody_asked_for_counts_for_nothing() {
    let mut peer = Peer::connected();
    peer.receive(Incoming::PingResp);
    let answer = peer.session.ping().unwrap().unwrap();
    assert_eq!(answer.state(), State::Pending);
}

#[test]
fn a_ping_is_lost_with_its_connection_and_there_is_none_without() {
    let mut peer = Peer::connected();
    let answer = peer.session.ping().unwrap().unwrap();
    peer.session.lost();
    assert_eq!(answer.state(), State::Lost);
    assert!(peer.session.ping().unwrap().is_none());
    peer.connect(false);
    assert_eq!(peer.session.ping().unwrap().unwrap().state(), State::Pending);
    peer.session.finish();
    assert!(peer.session.ping().unwrap().is_none());
}

#[test]
fn silence_is_the_time_since_the_broker_sent_anything() {
    let mut peer = Peer::offline();
    assert_eq!(peer.session.health(peer.now).silence, None);
    peer.connect(false);
    peer.session.read(4, peer.now);
    peer.now += 3 * SECOND;
    assert_eq!(peer.session.health(peer.now).silence, Some(3 * SECOND));
    peer.session.read(2, peer.now);
    assert_eq!(peer.session.health(peer.now).silence, Some(Duration::ZERO));
    peer.session.lost();
    assert_eq!(peer.session.health(peer.now).silence, None);
}

//! A broker that requests more responses than it reads, or sends more than was asked for.

use bytes::BytesMut;
use flask_mqtt_core::core::error::ReturnCode;
use flask_mqtt_core::core::packet::Incoming;
use flask_mqtt_core::core::qos::Qos;

use super::disk::Disk;
use super::peer::{Peer, SECOND, message};

const MEBIBYTE: usize = 1024 * 1024;

/// Sends packets that each need a response of four bytes, and reads no response.
fn ask(peer: &mut Peer, packet: &Incoming, times: usize) {
    for _ in 0..times {
        peer.session.receive(packet.clone(), peer.now).unwrap();
    }
}

#[test]
fn nothing_more_is_to_be_read_while_a_mebibyte_of_answers_waits() {
    for packet in [
        Incoming::PubRel(9.into()),
        Incoming::PubRec(9.into()),
        message(9, Qos::ExactlyOnce, "again"),
    ] {
        let mut peer = Peer::connected();
        ask(&mut peer, &packet, MEBIBYTE / 4 - 1);
        assert!(!peer.session.is_clogged());
        ask(&mut peer, &packet, 1);
        assert!(peer.session.is_clogged());
        let mut output = BytesMut::new();
        peer.session.take_output(&mut output);
        assert!(peer.session.is_clogged());
        peer.session.wrote(output.len(), peer.now);
        assert!(!peer.session.is_clogged());
        // A broker that reads this little may send no more than before.
        ask(&mut peer, &packet, output.len() / 4);
        assert!(peer.session.is_clogged());
        assert_eq!(peer.written().len(), MEBIBYTE);
        assert!(!peer.session.is_clogged());
    }
}

#[test]
fn nothing_more_is_to_be_read_while_a_mebibyte_of_answers_waits_for_the_file() {
    let mut disk = Disk::default();
    let mut peer = Peer::with(|_| ());
    peer.session.keep(disk.open());
    peer.connect(false);
    ask(&mut peer, &Incoming::PubRel(9.into()), MEBIBYTE / 4);
    assert!(peer.session.is_clogged());
    disk.store(&mut peer.session);
    assert_eq!(peer.written().len(), MEBIBYTE);
    assert!(!peer.session.is_clogged());
}

#[test]
fn nothing_more_is_to_be_read_while_as_many_bytes_as_may_wait_for_the_file_though_handled() {
    let mut disk = Disk::default();
    let mut peer = Peer::with(|options| options.limits.incoming_bytes = 1000);
    peer.session.keep(disk.open());
    peer.connect(false);
    for mid in 1..=10 {
        assert!(!peer.session.is_clogged());
        peer.receive(message(mid, Qos::ExactlyOnce, &"x".repeat(100)));
        peer.receive(Incoming::PubRel(mid.into()));
        let receipt = peer.receipt();
        peer.handled(receipt);
    }
    assert!(peer.session.is_clogged());
    let (operations, number) = peer.session.take_journal();
    assert!(peer.session.is_clogged() && !operations.is_empty());
    peer.session.stored(number).unwrap();
    assert!(!peer.session.is_clogged());
}

#[test]
fn answers_to_messages_that_were_handled_count_too() {
    let mut peer = Peer::connected();
    for _ in 0..MEBIBYTE / 4 {
        peer.session.receive(message(1, Qos::AtLeastOnce, "x"), peer.now).unwrap();
        let receipt = peer.receipt();
        peer.session.handled(receipt).unwrap();
    }
    assert!(peer.session.is_clogged());
}

#[test]
fn what_the_application_sends_is_no_reason_not_to_read() {
    let mut peer = Peer::connected();
    let payload = "x".repeat(MEBIBYTE);
    for _ in 0..5 {
        assert_eq!(peer.publish(&payload, Qos::AtMostOnce).0, ReturnCode::Success);
        assert_eq!(peer.publish(&payload, Qos::ExactlyOnce).0, ReturnCode::Success);
    }
    for number in 0..2_000 {
        peer.subscribe(&format!("{number}/{}", "a".repeat(600)), Qos::AtMostOnce);
    }
    assert!(!peer.session.is_clogged());
}

#[test]
fn a_new_connection_has_no_answers_of_the_last_one() {
    let mut peer = Peer::connected();
    ask(&mut peer, &Incoming::PubRel(9.into()), MEBIBYTE / 4);
    peer.reconnect(false);
    assert!(!peer.session.is_clogged());
}

#[test]
fn a_broker_that_takes_nothing_for_the_keep_alive_is_given_up_though_it_sends() {
    let mut peer = Peer::with(|options| options.keep_alive = 10);
    peer.connect(false);
    ask(&mut peer, &Incoming::PubRel(9.into()), MEBIBYTE / 4);
    for second in 0..20 {
        peer.session.read(1, peer.now + second * SECOND);
        peer.session.tick(peer.now + second * SECOND, true).unwrap();
    }
    let bytes = peer.session.outgoing_bytes();
    assert_eq!(bytes, MEBIBYTE + 2, "one PINGREQ waits, and not one for each read");
    let error = peer.session.tick(peer.now + 20 * SECOND, true).unwrap_err();
    assert_eq!(error.return_code(), ReturnCode::KeepAlive);
    let text = "the broker accepted no data for 10 s (keep alive)";
    assert_eq!(error.to_string(), text);
}

#[test]
fn while_handlers_are_slow_a_broker_may_take_nothing() {
    let mut peer = Peer::with(|options| options.keep_alive = 10);
    peer.connect(false);
    ask(&mut peer, &Incoming::PubRel(9.into()), MEBIBYTE / 4);
    for second in 0..1000 {
        peer.session.tick(peer.now + second * SECOND, false).unwrap();
    }
    // From then on it has the full time again.
    assert!(peer.session.deadline().unwrap() > peer.now + 999 * SECOND);
}

#[test]
fn answers_that_nobody_waits_for_change_nothing_however_many_come() {
    let mut peer = Peer::connected();
    for packet in [
        Incoming::PubAck(7.into()),
        Incoming::PubComp(7.into()),
        Incoming::SubAck { mid: 7, granted: vec![0; 1000], properties: None },
        Incoming::UnsubAck { mid: 7, codes: vec![0; 1000], properties: None },
        Incoming::PingResp,
    ] {
        ask(&mut peer, &packet, 10_000);
    }
    assert_eq!(peer.events(), []);
    assert_eq!(peer.session.outgoing_bytes(), 0);
}

#[test]
fn a_suback_with_more_codes_than_filters_is_a_protocol_error() {
    let mut peer = Peer::connected();
    let (_, mid) = peer.subscribe("a", Qos::AtMostOnce);
    let mid = mid.unwrap();
    let error = peer.refuse(Incoming::SubAck { mid, granted: vec![0; 2], properties: None });
    assert_eq!(error.to_string(), "protocol error: an answer of 2 codes to a request of 1 filters");
}

#[test]
fn an_unsuback_with_more_codes_than_filters_is_a_protocol_error() {
    let mut peer = Peer::connected();
    let mid = peer.unsubscribe("a").1.unwrap();
    let error = peer.refuse(Incoming::UnsubAck { mid, codes: vec![0; 2], properties: None });
    assert_eq!(error.return_code(), ReturnCode::Protocol);
}

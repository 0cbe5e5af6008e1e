//! A broker that reuses a packet identifier right after its PUBREL, without waiting for the
//! PUBCOMP: each message is delivered once, and each PUBREL gets its PUBCOMP.

use std::collections::HashSet;

use flask_mqtt_core::core::error::ReturnCode;
use flask_mqtt_core::core::packet::{Incoming, Publish};
use flask_mqtt_core::core::qos::Qos::{AtLeastOnce, ExactlyOnce};
use flask_mqtt_core::core::session::Receipt;
use proptest::prelude::*;

use super::disk::Disk;
use super::peer::{Peer, message};
use super::values::connack;

const NONE: [&str; 0] = [];

fn dup(mid: u16, payload: &str) -> Incoming {
    let Incoming::Publish(publish) = message(mid, ExactlyOnce, payload) else { unreachable!() };
    Incoming::Publish(Publish { dup: true, ..publish })
}

/// Sends a message to the session, and releases it at once.
fn give(peer: &mut Peer, mid: u16, payload: &str) -> Receipt {
    assert_eq!(peer.receive(message(mid, ExactlyOnce, payload)), [format!("PUBREC m{mid}")]);
    assert_eq!(peer.receive(Incoming::PubRel(mid.into())), NONE);
    let messages = peer.messages();
    let [(given, Some(receipt))] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!(given, payload);
    *receipt
}

#[test]
fn three_messages_with_one_identifier_while_the_first_is_handled_are_three_messages() {
    let mut peer = Peer::connected();
    let receipts = ["a", "b", "c"].map(|payload| give(&mut peer, 5, payload));
    assert_eq!(receipts.map(|receipt| receipt.number).into_iter().collect::<HashSet<_>>().len(), 3);
    for receipt in receipts {
        assert_eq!(peer.handled(receipt), ["PUBCOMP m5"]);
        assert_eq!(peer.handled(receipt), NONE);
    }
    give(&mut peer, 5, "d");
}

#[test]
fn pubcomps_of_one_identifier_go_out_in_the_order_of_the_pubrels() {
    let mut peer = Peer::connected();
    let [a, b, c] = ["a", "b", "c"].map(|payload| give(&mut peer, 5, payload));
    assert_eq!(peer.handled(c), NONE);
    assert_eq!(peer.handled(a), ["PUBCOMP m5"]);
    assert_eq!(peer.handled(b), ["PUBCOMP m5", "PUBCOMP m5"]);
    assert_eq!(peer.receive(Incoming::PubRel(5.into())), ["PUBCOMP m5"]);
}

#[test]
fn what_comes_with_the_dup_flag_or_before_its_pubrel_is_a_repetition() {
    let mut peer = Peer::connected();
    let a = give(&mut peer, 5, "a");
    assert_eq!(peer.receive(dup(5, "a")), ["PUBREC m5"]);
    assert_eq!(peer.receive(Incoming::PubRel(5.into())), NONE);
    assert_eq!(peer.messages(), []);
    peer.receive(message(5, ExactlyOnce, "b"));
    assert_eq!(peer.receive(message(5, ExactlyOnce, "b")), ["PUBREC m5"]);
    peer.receive(Incoming::PubRel(5.into()));
    let b = peer.receipt();
    assert_eq!(peer.handled(a), ["PUBCOMP m5"; 2]);
    assert_eq!(peer.handled(b), ["PUBCOMP m5"]);
}

#[test]
fn a_pubrel_that_is_repeated_while_the_message_is_handled_gets_its_pubcomp_too() {
    let mut peer = Peer::connected();
    let a = give(&mut peer, 5, "a");
    assert_eq!(peer.receive(Incoming::PubRel(5.into())), NONE);
    assert_eq!(peer.handled(a), ["PUBCOMP m5"; 2]);
    // No state is left: the next message is a new one.
    let b = give(&mut peer, 5, "b");
    for _ in 0..1_000 {
        assert_eq!(peer.receive(Incoming::PubRel(5.into())), NONE);
    }
    assert_eq!(peer.handled(b), ["PUBCOMP m5"; 17]);
}

#[test]
fn on_another_connection_a_message_is_a_repetition_until_a_pubrel_came_there() {
    let mut peer = Peer::connected();
    let a = give(&mut peer, 5, "a");
    peer.reconnect(true);
    peer.receive(message(5, ExactlyOnce, "a"));
    assert_eq!(peer.receive(Incoming::PubRel(5.into())), NONE);
    assert_eq!(peer.messages(), []);
    let b = give(&mut peer, 5, "b");
    assert_eq!(peer.handled(a), ["PUBCOMP m5"]);
    assert_eq!(peer.handled(b), ["PUBCOMP m5"]);
}

#[test]
fn after_a_reconnect_each_pubrel_gets_its_pubcomp_whatever_is_handled_by_then() {
    for handled_before in [false, true] {
        let mut peer = Peer::connected();
        let [a, b] = ["a", "b"].map(|payload| give(&mut peer, 5, payload));
        if handled_before {
            peer.handled(b);
        }
        peer.reconnect(true);
        for _ in 0..2 {
            assert_eq!(peer.receive(Incoming::PubRel(5.into())), NONE);
        }
        if handled_before {
            assert_eq!(peer.handled(a), ["PUBCOMP m5", "PUBCOMP m5"]);
        } else {
            assert_eq!(peer.handled(a), ["PUBCOMP m5"]);
            assert_eq!(peer.handled(b), ["PUBCOMP m5"]);
        }
        give(&mut peer, 5, "c");
    }
}

#[test]
fn where_the_broker_forgot_the_session_receipts_from_before_complete_nothing() {
    let mut peer = Peer::connected();
    let [a, b] = ["a", "b"].map(|payload| give(&mut peer, 5, payload));
    peer.reconnect(false);
    let c = give(&mut peer, 5, "c");
    assert_eq!((peer.handled(a), peer.handled(b)), (vec![], vec![]));
    assert_eq!(peer.handled(c), ["PUBCOMP m5"]);
}

#[test]
fn by_its_identifier_the_oldest_is_acknowledged() {
    let mut peer = Peer::connected();
    let [a, b] = ["a", "b"].map(|payload| give(&mut peer, 5, payload));
    assert_eq!(peer.session.acknowledge(5, ExactlyOnce).unwrap(), ReturnCode::Success);
    assert_eq!(peer.sent(), ["PUBCOMP m5"]);
    assert_eq!(peer.handled(a), NONE);
    assert_eq!(peer.handled(b), ["PUBCOMP m5"]);
    assert_eq!(peer.session.acknowledge(5, ExactlyOnce).unwrap(), ReturnCode::NotFound);
}

#[test]
fn at_qos_1_each_message_gets_its_puback() {
    let mut peer = Peer::connected();
    for payload in ["a", "b", "c"] {
        peer.receive(message(5, AtLeastOnce, payload));
    }
    let receipts: Vec<_> = peer.messages().iter().map(|message| message.1.unwrap()).collect();
    for receipt in &receipts {
        assert_eq!(peer.handled(*receipt), ["PUBACK m5"]);
    }
    assert_eq!(peer.handled(receipts[0]), NONE);
    peer.receive(message(5, AtLeastOnce, "d"));
    peer.receive(message(5, AtLeastOnce, "e"));
    peer.reconnect(true);
    peer.receive(message(5, AtLeastOnce, "d"));
    let last = peer.messages().pop().and_then(|message| message.1).unwrap();
    assert_eq!((peer.handled(last), peer.handled(last)), (vec!["PUBACK m5".to_owned()], vec![]));
}

fn kept(disk: &mut Disk) -> Peer {
    let mut peer = Peer::with(|options| "me".clone_into(&mut options.client_id));
    peer.session.keep(disk.open());
    peer
}

/// Sends a message to the session, stores it, and releases it.
fn give_stored(peer: &mut Peer, disk: &mut Disk, payload: &str) -> Receipt {
    peer.receive(message(5, ExactlyOnce, payload));
    disk.store(&mut peer.session);
    assert_eq!(peer.sent(), ["PUBREC m5"]);
    peer.receive(Incoming::PubRel(5.into()));
    peer.receipt()
}

#[test]
fn with_a_file_each_outlives_the_process_until_it_is_handled_itself() {
    let mut disk = Disk::default();
    let mut first = kept(&mut disk);
    first.connect(true);
    disk.store(&mut first.session);
    let [_, b, _] = ["a", "b", "c"].map(|payload| give_stored(&mut first, &mut disk, payload));
    first.session.handled(b).unwrap();
    disk.store(&mut first.session);
    assert_eq!(first.sent(), NONE);

    let mut second = kept(&mut disk);
    second.open();
    second.receive(connack(true, 0));
    second.session.take_events().pop_front();
    second.receive(Incoming::PubRel(5.into()));
    let messages = second.messages();
    let payloads: Vec<_> = messages.iter().map(|message| message.0.as_str()).collect();
    assert_eq!(payloads, ["a", "c"]);
    for (_, receipt) in messages {
        second.session.handled(receipt.unwrap()).unwrap();
    }
    disk.store(&mut second.session);
    assert_eq!(second.sent(), ["PUBCOMP m5"]);
    assert!(disk.incoming().is_empty());
}

#[test]
fn a_file_that_comes_later_or_is_opened_again_changes_none_of_it() {
    let mut disk = Disk::default();
    let mut peer = Peer::with(|options| "me".clone_into(&mut options.client_id));
    peer.connect(true);
    let [a, b] = ["a", "b"].map(|payload| give(&mut peer, 5, payload));
    peer.receive(message(5, ExactlyOnce, "c"));
    peer.session.lost();
    for _ in 0..2 {
        peer.session.keep(disk.open());
        disk.store(&mut peer.session);
        assert!(peer.session.close_file());
    }
    assert_eq!(disk.incoming().len(), 1);
    peer.connect(true);
    for _ in 0..2 {
        peer.receive(Incoming::PubRel(5.into()));
    }
    let c = peer.receipt();
    assert_eq!(peer.handled(a), ["PUBCOMP m5"]);
    assert_eq!(peer.handled(b), NONE);
    assert_eq!(peer.handled(c), ["PUBCOMP m5"]);
}

/// Actions on three identifiers.
#[derive(Debug, Clone)]
enum Step {
    /// A new message, once the previous one is released.
    Publish(u16),
    /// A retransmission of it, or of its PUBREL.
    Repeat(u16),
    Release(u16),
    /// The application handles its n-th message.
    Handle(usize),
    Acknowledge(u16),
    /// The broker keeps the session, and repeats PUBRELs without a PUBCOMP.
    Reconnect,
}

fn step() -> impl Strategy<Value = Step> {
    let mid = || 1..4_u16;
    prop_oneof![
        6 => mid().prop_map(Step::Publish),
        1 => mid().prop_map(Step::Repeat),
        6 => mid().prop_map(Step::Release),
        4 => (0..6_usize).prop_map(Step::Handle),
        1 => mid().prop_map(Step::Acknowledge),
        1 => Just(Step::Reconnect),
    ]
}

/// A broker with at most one unreleased message per identifier, and any number of released ones.
#[derive(Default)]
struct World {
    sent: Vec<String>,
    /// By identifier: the unreleased message.
    unreleased: [Option<String>; 4],
    /// By identifier: PUBRELs of this connection without a PUBCOMP, and messages without one.
    owed: [usize; 4],
    incomplete: [usize; 4],
    delivered: Vec<(u16, String)>,
    unhandled: Vec<(u16, Receipt)>,
}

impl World {
    fn take(&mut self, sent: &[String]) {
        for packet in sent {
            let mid = packet.strip_prefix("PUBCOMP m").map(|mid| mid.parse::<usize>().unwrap());
            if let Some(mid) = mid {
                assert!(self.owed[mid] > 0, "a PUBCOMP without a PUBREL");
                self.owed[mid] -= 1;
                self.incomplete[mid] -= 1;
            }
        }
    }

    fn fetch(&mut self, peer: &mut Peer) {
        for (payload, receipt) in peer.messages() {
            let receipt = receipt.unwrap();
            self.delivered.push((receipt.mid, payload));
            self.unhandled.push((receipt.mid, receipt));
        }
    }

    fn release(&mut self, peer: &mut Peer, mid: u16) {
        self.owed[usize::from(mid)] += 1;
        let sent = peer.receive(Incoming::PubRel(mid.into()));
        self.take(&sent);
        self.fetch(peer);
    }

    fn step(&mut self, peer: &mut Peer, step: &Step) {
        match *step {
            Step::Publish(mid) if self.unreleased[usize::from(mid)].is_none() => {
                let payload = self.sent.len().to_string();
                self.sent.push(payload.clone());
                let sent = peer.receive(message(mid, ExactlyOnce, &payload));
                assert_eq!(sent, [format!("PUBREC m{mid}")]);
                self.unreleased[usize::from(mid)] = Some(payload);
                self.incomplete[usize::from(mid)] += 1;
            }
            Step::Repeat(mid) => {
                let Some(payload) = self.unreleased[usize::from(mid)].clone() else { return };
                assert_eq!(peer.receive(dup(mid, &payload)), [format!("PUBREC m{mid}")]);
            }
            Step::Release(mid) if self.unreleased[usize::from(mid)].take().is_some() => {
                self.release(peer, mid);
            }
            Step::Handle(place) if place < self.unhandled.len() => {
                let (_, receipt) = self.unhandled.remove(place);
                let sent = peer.handled(receipt);
                self.take(&sent);
            }
            Step::Acknowledge(mid) => {
                let place = self.unhandled.iter().position(|(other, _)| *other == mid);
                let code = peer.session.acknowledge(mid, ExactlyOnce).unwrap();
                assert_eq!(code == ReturnCode::Success, place.is_some());
                if let Some(place) = place {
                    // The receipt of the earlier message has no effect any more.
                    let (_, receipt) = self.unhandled.remove(place);
                    let sent = peer.sent();
                    self.take(&sent);
                    assert_eq!(peer.handled(receipt), NONE);
                }
            }
            Step::Reconnect => {
                peer.reconnect(true);
                self.owed = [0; 4];
                for mid in 1..4_u16 {
                    let waits = usize::from(self.unreleased[usize::from(mid)].is_some());
                    for _ in 0..self.incomplete[usize::from(mid)] - waits {
                        // It may release the waiting one: the broker cannot tell them apart.
                        self.release(peer, mid);
                    }
                }
            }
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn every_message_is_delivered_once_in_order_and_every_pubrel_is_answered(
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut peer = Peer::connected();
        let mut world = World::default();
        for step in &steps {
            world.step(&mut peer, step);
        }
        for mid in 1..4 {
            world.step(&mut peer, &Step::Release(mid));
        }
        while !world.unhandled.is_empty() {
            world.step(&mut peer, &Step::Handle(0));
        }
        prop_assert_eq!(world.owed, [0; 4]);
        let number = |payload: &String| payload.parse::<usize>().unwrap();
        for mid in 1..4 {
            let of_mid = world.delivered.iter().filter(|message| message.0 == mid);
            prop_assert!(of_mid.is_sorted_by_key(|message| number(&message.1)));
        }
        let mut delivered: Vec<_> = world.delivered.into_iter().map(|message| message.1).collect();
        delivered.sort_by_key(number);
        prop_assert_eq!(&delivered, &world.sent);
    }
}

#[test]
fn nothing_more_is_to_be_read_while_so_many_are_not_acknowledged_and_the_broker_is_not_to_blame() {
    let most = 2 * (1 << 16);
    let mut peer = Peer::connected();
    for _ in 0..most {
        assert!(!peer.session.is_clogged());
        peer.session.receive(message(5, ExactlyOnce, ""), peer.now).unwrap();
        peer.session.receive(Incoming::PubRel(5.into()), peer.now).unwrap();
        peer.written();
    }
    assert!(peer.session.is_clogged());
    // An unanswered ping does not end a connection while nothing is read.
    for _ in 0..4 {
        peer.tick(true).unwrap();
    }
    peer.session.acknowledge(5, ExactlyOnce).unwrap();
    assert!(!peer.session.is_clogged());
    peer.reconnect(true);
    for _ in 1..most {
        peer.session.acknowledge(5, ExactlyOnce).unwrap();
    }
    assert_eq!(peer.session.acknowledge(5, ExactlyOnce).unwrap(), ReturnCode::NotFound);
}

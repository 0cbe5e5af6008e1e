//! What a session keeps beyond the end of the process, and what it sends only once that is stored.

use super::peer::{Peer, message};
use super::values::{connack, published};

use flask_mqtt_core::core::delivery::State;
use flask_mqtt_core::core::error::ReturnCode;
use flask_mqtt_core::core::packet::Incoming;
use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::session::{Event, Operation, Receipt};

use super::disk::Disk;

const ONCE: Qos = Qos::ExactlyOnce;
const LEAST: Qos = Qos::AtLeastOnce;

/// A session with a client identifier and a new file.
fn peer(disk: &mut Disk) -> Peer {
    let mut peer = Peer::with(|options| "me".clone_into(&mut options.client_id));
    peer.session.keep(disk.open());
    peer
}

/// As [`peer`], accepted by a broker.
fn connected(disk: &mut Disk, session_present: bool) -> Peer {
    let mut peer = peer(disk);
    peer.connect(session_present);
    disk.store(&mut peer.session);
    peer
}

/// The file of a process whose broker has a QoS 2 message and waits for the PUBREL.
fn with_a_released_message() -> Disk {
    let mut disk = Disk::default();
    let mut first = connected(&mut disk, false);
    first.publish("x", ONCE);
    disk.store(&mut first.session);
    first.receive(Incoming::PubRec(1.into()));
    disk.store(&mut first.session);
    disk
}

#[test]
fn a_message_goes_out_when_it_is_stored_and_not_before() {
    let mut disk = Disk::default();
    let mut peer = connected(&mut disk, false);
    let delivery = peer.deliver(LEAST);
    let storing = delivery.storing();
    assert_eq!((peer.sent(), storing.state()), (vec![], State::Pending));
    disk.store(&mut peer.session);
    assert_eq!(peer.sent(), ["PUBLISH q1 m1 x"]);
    assert_eq!((storing.state(), delivery.state()), (State::Published, State::Pending));
}

#[test]
fn a_message_of_qos_0_waits_for_no_file() {
    let mut disk = Disk::default();
    let mut peer = connected(&mut disk, false);
    peer.publish("x", Qos::AtMostOnce);
    assert_eq!(peer.sent(), ["PUBLISH q0 m0 x"]);
    assert!(!peer.session.has_journal());
}

#[test]
fn what_waits_to_be_stored_counts_among_the_bytes_that_wait_and_the_queue() {
    let mut disk = Disk::default();
    let mut peer = Peer::with(|options| options.limits.queued = 1);
    peer.session.keep(disk.open());
    assert_eq!(peer.publish("x", LEAST).0, ReturnCode::NoConnection);
    assert!(peer.session.outgoing_bytes() > 0);
    assert_eq!(peer.publish("x", LEAST).0, ReturnCode::QueueSize);
}

#[test]
fn the_next_process_sends_what_was_stored_in_order_and_never_takes_its_identifiers() {
    let mut disk = Disk::default();
    let mut first = peer(&mut disk);
    for payload in ["a", "b", "c"] {
        first.publish(payload, LEAST);
    }
    disk.store(&mut first.session);
    first.publish("lost", LEAST);

    let mut second = peer(&mut disk);
    assert_eq!(second.publish("new", LEAST).1, 4);
    disk.store(&mut second.session);
    let sent = second.connect(false);
    assert_eq!(
        sent,
        ["PUBLISH q1 m1 dup a", "PUBLISH q1 m2 dup b", "PUBLISH q1 m3 dup c", "PUBLISH q1 m4 new"]
    );
    second.receive(Incoming::PubAck(1.into()));
    assert_eq!(second.events(), [published(1)]);
    disk.store(&mut second.session);
    assert_eq!(disk.outgoing().len(), 3);
}

#[test]
fn more_than_the_window_waits_in_order() {
    let mut disk = Disk::default();
    let mut first = peer(&mut disk);
    for number in 0..30 {
        first.publish(&number.to_string(), LEAST);
    }
    disk.store(&mut first.session);
    let mut second = peer(&mut disk);
    let mut sent = second.connect(true);
    for mid in 1..=30 {
        sent.extend(second.receive(Incoming::PubAck(mid.into())));
    }
    let expected: Vec<_> =
        (0..30).map(|number| format!("PUBLISH q1 m{} dup {number}", number + 1)).collect();
    assert_eq!(sent, expected);
}

#[test]
fn the_pubrel_goes_out_when_it_is_stored_that_the_broker_has_the_message() {
    let mut disk = Disk::default();
    let mut peer = connected(&mut disk, false);
    peer.publish("x", ONCE);
    disk.store(&mut peer.session);
    assert_eq!(peer.sent(), ["PUBLISH q2 m1 x"]);
    assert!(peer.receive(Incoming::PubRec(1.into())).is_empty());
    assert!(peer.receive(Incoming::PubRec(1.into())).is_empty(), "once more");
    disk.store(&mut peer.session);
    assert_eq!(peer.sent(), ["PUBREL m1"]);
    assert_eq!(peer.receive(Incoming::PubRec(1.into())), ["PUBREL m1"]);
}

#[test]
fn a_pubrel_that_waits_is_not_sent_on_the_next_connection_before_it_is_stored() {
    let mut disk = Disk::default();
    let mut peer = connected(&mut disk, false);
    peer.publish("x", ONCE);
    disk.store(&mut peer.session);
    peer.receive(Incoming::PubRec(1.into()));
    assert!(peer.reconnect(true).is_empty());
    disk.store(&mut peer.session);
    assert_eq!(peer.sent(), ["PUBREL m1"]);
}

#[test]
fn the_next_process_releases_what_the_broker_had() {
    let mut disk = with_a_released_message();
    assert_eq!(peer(&mut disk).connect(true), ["PUBREL m1"]);
}

#[test]
fn where_the_broker_forgot_the_session_a_released_message_is_sent_anew_and_that_is_kept_too() {
    let mut disk = with_a_released_message();
    let mut second = peer(&mut disk);
    assert_eq!(second.connect(false), ["PUBLISH q2 m1 dup x"]);
    disk.store(&mut second.session);
    assert_eq!(peer(&mut disk).connect(true), ["PUBLISH q2 m1 dup x"]);
}

#[test]
fn with_another_client_identifier_the_broker_has_another_session() {
    let mut disk = with_a_released_message();
    let mut second = Peer::with(|options| "you".clone_into(&mut options.client_id));
    second.session.keep(disk.open());
    assert_eq!(second.connect(true), ["PUBLISH q2 m1 dup x"]);
    disk.store(&mut second.session);
    let mut third = Peer::with(|options| "you".clone_into(&mut options.client_id));
    third.session.keep(disk.open());
    second.receive(Incoming::PubRec(1.into()));
    assert_eq!(third.connect(true), ["PUBLISH q2 m1 dup x"], "the same session");
}

#[test]
fn the_pubrec_goes_out_when_the_message_is_stored_and_the_pubcomp_when_its_end_is() {
    let mut disk = Disk::default();
    let mut peer = connected(&mut disk, false);
    assert!(peer.receive(message(7, ONCE, "x")).is_empty());
    disk.store(&mut peer.session);
    assert_eq!(peer.sent(), ["PUBREC m7"]);
    assert!(peer.receive(Incoming::PubRel(7.into())).is_empty());
    let receipt = peer.receipt();
    assert!(peer.handled(receipt).is_empty());
    disk.store(&mut peer.session);
    assert_eq!(peer.sent(), ["PUBCOMP m7"]);
    assert!(disk.incoming().is_empty());
}

#[test]
fn a_message_that_was_not_handled_is_given_to_the_next_process_on_its_pubrel() {
    let mut disk = Disk::default();
    let mut first = connected(&mut disk, false);
    first.receive(message(7, ONCE, "x"));
    disk.store(&mut first.session);
    first.receive(Incoming::PubRel(7.into()));
    let mut second = connected(&mut disk, true);
    assert!(
        second.receive(message(7, ONCE, "x")).contains(&"PUBREC m7".to_owned()),
        "a repetition"
    );
    second.receive(Incoming::PubRel(7.into()));
    let receipt = second.receipt();
    second.handled(receipt);
    disk.store(&mut second.session);
    assert_eq!(second.sent(), ["PUBCOMP m7"]);
}

/// The next process, and the receipt of the message that it delivers when the broker accepts it.
fn restored(disk: &mut Disk, session_present: bool) -> (Peer, Receipt) {
    let mut peer = peer(disk);
    peer.open();
    peer.receive(connack(session_present, 0));
    disk.store(&mut peer.session);
    let given = peer.events().into_iter().find_map(|event| match event {
        Event::Message { receipt, .. } => receipt,
        _ => None,
    });
    (peer, given.expect("a message is given out"))
}

#[test]
fn what_the_broker_forgot_is_kept_until_it_is_handled() {
    let mut disk = Disk::default();
    let mut first = connected(&mut disk, false);
    first.receive(message(7, ONCE, "x"));
    disk.store(&mut first.session);
    for session_present in [false, true] {
        let (_, receipt) = restored(&mut disk, session_present);
        assert_eq!(receipt.mid, 7, "given out, and not handled");
    }
    let (mut last, receipt) = restored(&mut disk, true);
    last.receive(message(7, ONCE, "another"));
    disk.store(&mut last.session);
    last.receive(Incoming::PubRel(7.into()));
    assert!(last.handled(receipt).is_empty(), "no broker waits for it");
    disk.store(&mut last.session);
    assert_eq!(disk.incoming(), ["another"]);
    let another = last.receipt();
    last.handled(another);
    disk.store(&mut last.session);
    assert_eq!((disk.incoming().len(), last.sent()), (0, vec!["PUBCOMP m7".to_owned()]));
}

#[test]
fn what_cannot_be_stored_is_given_up_and_what_else_was_noted_stays() {
    let mut disk = Disk::default();
    let mut peer = connected(&mut disk, false);
    peer.publish("a", LEAST);
    disk.store(&mut peer.session);
    peer.receive(Incoming::PubAck(1.into()));
    let storing = peer.deliver(LEAST).storing();
    let (mut operations, _) = peer.session.take_journal();
    peer.session.not_stored(&mut operations);
    assert_eq!(operations, [Operation::Removed { order: 1 }]);
    assert_eq!((storing.state(), peer.session.outgoing_bytes() > 100), (State::Lost, false));
    assert_eq!(peer.publish("b", LEAST).1, 3, "the next one is another");
    disk.store(&mut peer.session);
    assert_eq!(peer.sent(), ["PUBLISH q1 m3 b"]);
}

#[test]
fn a_message_can_be_withdrawn_until_it_is_stored() {
    let mut disk = Disk::default();
    let mut peer = connected(&mut disk, false);
    let (first, second) = (peer.deliver(LEAST), peer.deliver(LEAST));
    assert!(peer.session.withdraw(1, &first));
    assert!(!peer.session.withdraw(1, &first), "it is gone");
    assert!(!peer.session.withdraw(2, &first), "it is another one's");
    disk.store(&mut peer.session);
    assert_eq!(peer.sent(), ["PUBLISH q1 m2 x"]);
    assert!(!peer.session.withdraw(2, &second), "it is stored");
    assert_eq!((first.state(), disk.outgoing().len()), (State::Lost, 1));
}

#[test]
fn what_is_withdrawn_before_it_is_on_its_way_to_the_file_leaves_nothing_behind() {
    let mut disk = Disk::default();
    let mut peer = connected(&mut disk, false);
    let delivery = peer.deliver(LEAST);
    assert!(peer.session.withdraw(1, &delivery));
    let (operations, number) = peer.session.take_journal();
    assert_eq!(operations, []);
    peer.session.stored(number).unwrap();
    peer.session.lost();
    assert!(peer.session.close_file());
    assert_eq!(peer.session.counters().not_stored, 1);
}

#[test]
fn a_message_that_was_sent_before_there_was_a_file_outlives_one_that_cannot_be_written() {
    let mut disk = Disk::default();
    let mut peer = Peer::connected();
    peer.publish("x", LEAST);
    peer.sent();
    peer.session.lost();
    peer.session.keep(disk.open());
    let (mut operations, number) = peer.session.take_journal();
    peer.session.not_stored(&mut operations);
    peer.session.stored(number).unwrap();
    assert!(peer.session.close_file());
    assert_eq!(peer.session.counters().not_stored, 0, "it is still there");
    disk.open();
    peer.session.keep(disk.open());
    disk.store(&mut peer.session);
    assert_eq!(disk.outgoing(), ["x"]);
}

#[test]
fn a_message_that_was_accepted_before_there_was_a_file_is_sent_though_that_cannot_be_written() {
    let mut disk = Disk::default();
    let mut peer = peer(&mut disk);
    assert!(peer.session.close_file());
    let deliveries = [peer.deliver(LEAST), peer.deliver(ONCE)];
    peer.session.keep(disk.open());
    let (mut operations, number) = peer.session.take_journal();
    peer.session.not_stored(&mut operations);
    peer.session.stored(number).unwrap();
    assert_eq!(peer.session.counters().not_stored, 0);
    for delivery in &deliveries {
        assert_eq!(delivery.storing().state(), State::Published, "nobody waits for the file");
        assert!(!peer.session.withdraw(1, delivery));
    }
    assert_eq!(peer.connect(false), ["PUBLISH q1 m1 x", "PUBLISH q2 m2 x"]);
}

#[test]
fn a_message_that_was_accepted_before_there_was_a_file_is_not_withdrawn_for_one() {
    let mut disk = Disk::default();
    let mut peer = peer(&mut disk);
    assert!(peer.session.close_file());
    let delivery = peer.deliver(LEAST);
    peer.session.keep(disk.open());
    assert!(!peer.session.withdraw(1, &delivery));
    assert_eq!(delivery.storing().state(), State::Published);
    assert_eq!(peer.connect(false), ["PUBLISH q1 m1 x"]);
    disk.store(&mut peer.session);
    assert_eq!(
        (disk.outgoing().len(), peer.sent().len()),
        (1, 0),
        "it is in the file, and not sent twice"
    );
    peer.receive(Incoming::PubAck(1.into()));
    disk.store(&mut peer.session);
    assert_eq!(disk.outgoing().len(), 0);
}

#[test]
fn what_came_while_the_file_was_closed_is_in_it_when_it_is_opened_again() {
    let mut disk = Disk::default();
    let mut peer = connected(&mut disk, false);
    peer.session.lost();
    assert!(peer.session.close_file());
    peer.connect(true);
    peer.receive(message(7, ONCE, "x"));
    peer.session.lost();
    peer.session.keep(disk.open());
    disk.store(&mut peer.session);
    assert_eq!(disk.incoming(), ["x"]);
}

#[test]
fn a_file_that_is_closed_and_opened_again_goes_on_with_what_happened_since() {
    let mut disk = Disk::default();
    let mut peer = connected(&mut disk, false);
    let delivery = peer.deliver(LEAST);
    peer.receive(message(7, ONCE, "x"));
    disk.store(&mut peer.session);
    peer.receive(Incoming::PubRel(7.into()));
    let receipt = peer.receipt();
    assert!(!peer.session.close_file(), "there is a connection");
    peer.session.lost();
    assert!(peer.session.close_file());
    peer.handled(receipt);
    assert_eq!(peer.publish("without a file", LEAST), (ReturnCode::NoConnection, 2));

    peer.session.keep(disk.open());
    disk.store(&mut peer.session);
    assert_eq!((disk.outgoing().len(), disk.incoming().len()), (2, 0));
    assert_eq!(peer.connect(true), ["PUBLISH q1 m1 dup x", "PUBLISH q1 m2 without a file"]);
    peer.receive(Incoming::PubAck(1.into()));
    assert_eq!(delivery.state(), State::Published);
}

#[test]
fn what_another_process_has_sent_meanwhile_is_not_sent_again() {
    let mut disk = Disk::default();
    let mut one = peer(&mut disk);
    let delivery = one.deliver(ONCE);
    disk.store(&mut one.session);
    assert!(one.session.close_file());
    let mut other = connected(&mut disk, false);
    other.receive(Incoming::PubRec(1.into()));
    disk.store(&mut other.session);
    other.receive(Incoming::PubComp(1.into()));
    disk.store(&mut other.session);
    one.publish("own", ONCE);
    one.session.keep(disk.open());
    disk.store(&mut one.session);
    assert_eq!(one.connect(true), ["PUBLISH q2 m2 own"]);
    assert_eq!(delivery.state(), State::Lost, "what became of it is not known here");
}

#[test]
fn without_a_file_nothing_is_noted() {
    let mut peer = Peer::connected();
    peer.publish("x", ONCE);
    peer.receive(message(7, ONCE, "x"));
    peer.receive(Incoming::PubRel(7.into()));
    assert!(!peer.session.has_journal() && !peer.session.is_kept());
}

#[test]
fn nothing_waits_for_what_was_given_up() {
    let mut disk = Disk::default();
    let mut peer = connected(&mut disk, false);
    peer.publish("x", LEAST);
    let (mut operations, number) = peer.session.take_journal();
    peer.session.not_stored(&mut operations);
    assert!(operations.is_empty());
    peer.session.stored(number).unwrap();
    assert_eq!(peer.receive(Incoming::PubRel(9.into())), ["PUBCOMP m9"]);
    peer.session.lost();
    assert!(peer.session.close_file());
}

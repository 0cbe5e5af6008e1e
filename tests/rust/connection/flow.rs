//! Bounds and order when one side is slower than the other.

use super::values::{published, subscriptions};
use std::io::{ErrorKind, Write};
use std::time::Duration;

use flask_mqtt_core::core::error::ReturnCode;
use flask_mqtt_core::core::property::Properties;
use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::session::Event;
use rumqttc::mqttbytes::v4::Packet;

use super::support::{App, Broker, Connection, PATIENCE, PINGRESP, publish, wait_for, wait_over};

/// Sends large messages until the client accepts no more. Returns how many were sent, the last one
/// perhaps in part, and the rest of that one.
fn flood(connection: &mut Connection, most: u32) -> (u32, Vec<u8>) {
    let stream = &mut connection.stream;
    stream.set_nonblocking(true).unwrap();
    for number in 0..most {
        let mut payload = number.to_be_bytes().to_vec();
        payload.resize(60_000, 0);
        let bytes = publish(&payload);
        let mut rest = &bytes[..];
        // Room may come back a moment later, so one refusal is only a hint; the pings take seconds.
        while !rest.is_empty() {
            match stream.write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    stream.set_nonblocking(false).unwrap();
                    return (number + 1, rest.to_vec());
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    panic!("the client took {most} messages that nobody fetched");
}

#[test]
fn a_full_inbox_stops_reading_and_pings_go_on_and_nothing_is_lost() {
    let broker = Broker::new();
    let mut options = broker.options();
    options.keep_alive = 1;
    options.limits.incoming_messages = 10;
    let (app, mut connection) = App::connected(&broker, options);
    let (count, rest) = flood(&mut connection, 5000);
    for _ in 0..3 {
        assert_eq!(connection.read(), Some(Packet::PingReq));
    }
    let writer = std::thread::spawn(move || {
        connection.send(&rest);
        connection.send(PINGRESP);
        connection
    });
    for number in 0..count {
        assert_eq!(app.messages(1)[0][..4], number.to_be_bytes());
    }
    let mut connection = writer.join().unwrap();
    connection.send(&publish(b"still here"));
    assert_eq!(app.messages(1), [b"still here"]);
}

#[test]
fn an_inbox_full_of_bytes_stops_reading_too() {
    let broker = Broker::new();
    let mut options = broker.options();
    options.limits.incoming_bytes = 1_000_000;
    let (app, mut connection) = App::connected(&broker, options);
    let (count, rest) = flood(&mut connection, 5000);
    let writer = std::thread::spawn(move || connection.send(&rest));
    assert_eq!(app.messages(count as usize).len(), count as usize);
    writer.join().unwrap();
}

#[test]
fn publishing_is_bounded_and_there_is_room_again_when_the_broker_reads() {
    let broker = Broker::new();
    let (app, mut connection) = App::connected(&broker, broker.options());
    app.fill();
    let reader = std::thread::spawn(move || connection.read_to_end());
    let code = loop {
        let room = app.client.room();
        let (code, ..) = app.client.publish("t", b"x", Qos::AtMostOnce, false, None).unwrap();
        if code != ReturnCode::Again {
            break code;
        }
        wait_over(&room);
    };
    assert_eq!(code, ReturnCode::Success);
    app.disconnect();
    reader.join().unwrap();
}

#[test]
fn an_acknowledgement_makes_room_too() {
    let broker = Broker::new();
    let mut options = broker.options();
    options.limits.outgoing_bytes = 1;
    let (app, mut connection) = App::connected(&broker, options);
    app.client.publish("t", b"x", Qos::AtLeastOnce, false, None).unwrap();
    assert!(matches!(connection.read(), Some(Packet::Publish(_))));
    let (code, ..) = app.client.publish("t", b"y", Qos::AtLeastOnce, false, None).unwrap();
    assert_eq!(code, ReturnCode::Again);
    let room = app.client.room();
    connection.send(&[0x40, 2, 0, 1]);
    wait_over(&room);
    app.wait(|event| *event == published(1));
    let (code, ..) = app.client.publish("t", b"y", Qos::AtLeastOnce, false, None).unwrap();
    assert_eq!(code, ReturnCode::Success);
}

#[test]
fn events_are_taken_in_order_and_a_wake_up_says_that_there_are_some() {
    let broker = Broker::new();
    let (app, mut connection) = App::connected(&broker, broker.options());
    assert!(app.client.wakeup().wait(Some(PATIENCE)));
    assert_eq!(app.client.take(10), []);
    connection.send(&[publish(b"a"), publish(b"b"), publish(b"c")].concat());
    assert!(app.client.wakeup().wait(Some(PATIENCE)));
    assert_eq!(app.messages(3), [b"a", b"b", b"c"]);
}

#[test]
fn take_gives_the_oldest_and_not_more_than_asked_for() {
    let broker = Broker::new();
    let (app, mut connection) = App::connected(&broker, broker.options());
    app.client.listen(true, true);
    for _ in 0..3 {
        app.client.publish("t", b"x", Qos::AtMostOnce, false, None).unwrap();
        connection.read();
    }
    let first = app.client.take(1);
    assert!(matches!(&first[..], [Event::Log { text, .. }] if text.contains("m1")), "{first:?}");
    assert_eq!(app.client.take(0), []);
    app.wait(|event| *event == published(1));
    app.wait(|event| *event == published(3));
}

#[test]
fn a_wake_up_without_an_event_is_possible() {
    let app = App::new();
    app.client.wakeup().give();
    assert!(app.client.wakeup().wait(Some(PATIENCE)));
    assert_eq!(app.client.take(10), []);
}

#[test]
fn what_many_threads_publish_arrives_complete() {
    let broker = Broker::new();
    let (app, mut connection) = App::connected(&broker, broker.options());
    let reader = std::thread::spawn(move || connection.read_to_end());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    app.client.publish("t", b"x", Qos::AtMostOnce, false, None).unwrap();
                }
            });
        }
    });
    app.disconnect();
    assert_eq!(reader.join().unwrap().len(), 4001);
}

#[test]
fn where_reports_pile_up_nothing_is_read_and_qos_0_waits_until_half_of_them_are_told() {
    const REQUESTS: usize = 40_000;
    let broker = Broker::new();
    let (app, mut connection) = App::connected(&broker, broker.options());
    app.client.listen(false, true);
    let answering = std::thread::spawn(move || {
        for _ in 0..REQUESTS {
            let Some(Packet::Subscribe(subscribe)) = connection.read() else { panic!() };
            let [high, low] = subscribe.pkid.to_be_bytes();
            connection.send(&[0x90, 3, high, low, 0]);
        }
        connection
    });
    for _ in 0..REQUESTS {
        let wanted = subscriptions(vec![("a".to_owned(), Qos::AtMostOnce)]);
        let (code, _) = app
            .client
            .session(|session| session.subscribe(wanted, Properties::default(), false))
            .unwrap();
        assert_eq!(code, ReturnCode::Success);
    }
    let publish = |qos| app.client.publish("t", b"x", qos, false, None).unwrap().0;
    wait_for("a refusal", || (publish(Qos::AtMostOnce) == ReturnCode::Again).then_some(()));
    // No reports are created before something is read.
    assert_eq!(publish(Qos::AtLeastOnce), ReturnCode::Success);
    wait_for("its bytes to be written", || app.client.is_stuck().then_some(()));
    // Without listeners no reports are created.
    app.client.listen(false, false);
    assert_eq!(publish(Qos::AtMostOnce), ReturnCode::Success);
    app.client.listen(false, true);
    let mut answers = 0;
    let mut take = || {
        let events = app.client.take(512);
        let is_answer = |event: &&Event| matches!(event, Event::Subscribed { .. });
        answers += events.iter().filter(is_answer).count();
        answers
    };
    // It is given for other reasons too, so a waiter checks again.
    let mut room = app.client.room();
    while publish(Qos::AtMostOnce) == ReturnCode::Again {
        while !room.wait(Some(Duration::ZERO)) {
            assert!(take() < REQUESTS);
        }
        room = app.client.room();
    }
    wait_for("all answers", || (take() == REQUESTS).then_some(()));
    answering.join().unwrap();
}

//! Malicious brokers: how much they can make the client keep, and for how long.

use std::io::ErrorKind;
use std::io::Write;
use std::time::{Duration, Instant};

use flask_mqtt_core::core::options::{ConnectOptions, Protocol};
use flask_mqtt_core::core::session::Session;
use rumqttc::mqttbytes::v4::Packet;

use super::support::{ACCEPTED, App, Broker, Connection, publish, wait_for};

const MEBIBYTE: usize = 1024 * 1024;

/// Sends a block repeatedly until the client ends the connection. The client reads only some of it.
fn pour(connection: &mut Connection, block: &[u8], most: usize) {
    let stream = &mut connection.stream;
    for _ in 0..most {
        if let Err(error) = stream.write_all(block) {
            let kinds = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
            assert!(kinds.contains(&error.kind()), "{error}");
            return;
        }
    }
    panic!("the client took {most} blocks without an end");
}

#[test]
fn a_broker_that_wants_answers_and_takes_none_is_not_read_any_more_and_then_given_up() {
    let message = [&[0x34, 5, 0, 1, b't', 0, 9][..]].concat();
    for packet in [&[0x62, 2, 0, 9][..], &[0x50, 2, 0, 9], &message] {
        let broker = Broker::new();
        let mut options = broker.options();
        options.keep_alive = 1;
        let (app, mut connection) = App::connected(&broker, options);
        pour(&mut connection, &packet.repeat(10_000), 3_000);
        let (code, notice) = app.wait_lost();
        assert_eq!(code, 16);
        assert!(notice.contains("accepted no data"), "{notice}");
        broker.accept();
    }
}

#[test]
fn a_broker_that_takes_its_answers_after_all_gets_every_one() {
    let broker = Broker::new();
    let (app, mut connection) = App::connected(&broker, broker.options());
    let releases = [0x62, 2, 0, 9].repeat(10_000);
    let mut writer = connection.stream.try_clone().unwrap();
    writer.set_write_timeout(None).unwrap();
    let sender = std::thread::spawn(move || {
        for _ in 0..300 {
            writer.write_all(&releases).unwrap();
        }
    });
    for _ in 0..3_000_000 {
        let Some(Packet::PubComp(_)) = connection.read() else { panic!("a PUBCOMP is expected") };
    }
    sender.join().unwrap();
    connection.send(&publish(b"still here"));
    assert_eq!(app.messages(1), [b"still here"]);
}

fn v5(broker: &Broker) -> ConnectOptions {
    ConnectOptions { protocol: Protocol::V5, ..broker.options() }
}

/// Responds to the CONNECT with bytes and then nothing; returns how the attempt ended.
fn answered(options: impl FnOnce(&Broker) -> ConnectOptions, answer: &[u8]) -> String {
    let broker = Broker::new();
    let app = App::new();
    app.connect(options(&broker)).unwrap();
    let mut connection = wait_for("a connection", || broker.pending());
    connection.send(answer);
    app.wait_lost().1
}

/// An MQTT 5 CONNACK with encoded properties.
fn connack(code: u8, properties: &[u8]) -> Vec<u8> {
    let variable = |value: usize| {
        let low = |shift: usize| u8::try_from(value >> shift & 0x7f).unwrap();
        [low(0) | 0x80, low(7) | 0x80, low(14)]
    };
    let length = properties.len();
    [&[0x20], &variable(length + 5)[..], &[0, code], &variable(length), properties].concat()
}

#[test]
fn a_connack_of_more_than_a_mebibyte_is_refused_as_soon_as_its_length_is_known() {
    let notice = answered(v5, &[0x20, 0xff, 0xff, 0xff, 0x7f]);
    let text = "packet of 268435455 bytes is over the limit of 1048576 bytes";
    assert!(notice.contains(text), "{notice}");
}

#[test]
fn a_smaller_limit_of_the_application_holds_for_the_connack_too() {
    let options = |broker: &Broker| {
        let mut options = v5(broker);
        options.limits.packet_size = 1000;
        options
    };
    let notice = answered(options, &[0x20, 0xe9, 0x07]);
    assert!(notice.contains("packet of 1001 bytes is over the limit of 1000 bytes"), "{notice}");
}

#[test]
fn a_connack_with_too_many_properties_is_refused() {
    let properties = [0x26, 0, 1, b'a', 0, 0].repeat(1001);
    let notice = answered(v5, &connack(0, &properties));
    assert!(notice.contains("more than 1000 properties"), "{notice}");
}

#[test]
fn a_connack_that_never_ends_is_given_up_at_the_handshake_timeout() {
    let broker = Broker::new();
    let app = App::new();
    let timeout = Duration::from_millis(500);
    let start = Instant::now();
    app.connect(ConnectOptions {
        connect_timeout: timeout,
        handshake_timeout: timeout,
        ..v5(&broker)
    })
    .unwrap();
    let mut connection = wait_for("a connection", || broker.pending());
    // The largest allowed CONNACK, one byte at a time.
    let sender = std::thread::spawn(move || {
        connection.send(&[0x20, 0x80, 0x80, 0x40]);
        while connection.stream.write_all(&[0]).is_ok() {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let notice = app.wait_lost().1;
    assert!(notice.contains("no CONNACK"), "{notice}");
    assert!(start.elapsed() >= timeout && start.elapsed() < 4 * timeout);
    drop(app);
    sender.join().unwrap();
}

#[test]
fn a_large_message_right_behind_the_connack_is_no_part_of_it() {
    let broker = Broker::new();
    let app = App::new();
    app.connect(broker.options()).unwrap();
    let payload = vec![7; 2 * MEBIBYTE];
    broker.meet().send(&[ACCEPTED, &publish(&payload)].concat());
    assert_eq!(app.messages(1), [payload]);
}

#[test]
fn a_connection_is_made_again_however_full_the_inbox_is() {
    let broker = Broker::new();
    let mut options = broker.options();
    options.limits.incoming_messages = 1;
    // Nothing is read, so the end is noticed only when a ping cannot be written.
    options.keep_alive = 1;
    let (app, mut connection) = App::connected(&broker, options);
    connection.send(&publish(b"first"));
    wait_for("the message", || (app.client.stats().waiting.messages == 1).then_some(()));
    drop(connection);
    let _connection = broker.accept();
    wait_for("the connection", || app.client.look(Session::is_connected).then_some(()));
    assert_eq!(app.messages(1), [b"first"]);
}

#[test]
fn a_handler_that_never_returns_bounds_what_attempts_leave_behind() {
    let broker = Broker::new();
    let mut options = v5(&broker);
    options.reconnect_delay_min = Duration::from_millis(1);
    options.reconnect_delay_max = Duration::from_millis(1);
    options.limits.incoming_bytes = 1;
    let app = App::new();
    app.connect(options).unwrap();
    // Each refusal leaves 900 kB of text, until 16 MiB are pending.
    let text = [&[0x26, 0xff, 0xff][..], &vec![b'a'; 65_535], &[0, 0]].concat().repeat(14);
    let refusal = connack(0x87, &text);
    let mut refused = Vec::new();
    let mut last = Instant::now();
    while last.elapsed() < Duration::from_secs(1) {
        let Some(mut connection) = broker.pending() else { continue };
        connection.send(&refusal);
        // Closing here would reset the connection, because the CONNECT is unread, and lose data
        // that the client has not read.
        refused.push(connection);
        last = Instant::now();
        assert!(refused.len() < 40);
    }
    assert!(refused.len() > 15, "{}", refused.len());
    while app.client.stats().waiting.bytes > 0 {
        app.client.take(1);
    }
    wait_for("another attempt", || broker.pending());
}

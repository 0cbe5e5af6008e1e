//! Brokers that break the protocol.

use rumqttc::mqttbytes::v4::Packet;

use super::support::{App, Broker, publish};

/// Sends bytes and then nothing; returns how the connection ended. The client reconnects.
fn end_of(bytes: &[u8]) -> (i32, String) {
    let broker = Broker::new();
    let mut options = broker.options();
    options.limits.packet_size = 1000;
    let (app, mut connection) = App::connected(&broker, options);
    connection.send(bytes);
    let end = app.wait_lost();
    broker.accept();
    end
}

#[test]
fn garbage_is_a_protocol_error() {
    let (code, notice) = end_of(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    assert_eq!(code, 2);
    assert!(notice.starts_with("protocol error: "), "{notice}");
}

#[test]
fn a_packet_that_only_a_client_sends_is_a_protocol_error() {
    let (code, notice) = end_of(&[0xc0, 0]);
    assert_eq!(code, 2);
    assert!(notice.contains("unexpected packet type 12"), "{notice}");
}

#[test]
fn a_second_connack_is_a_protocol_error() {
    let (code, notice) = end_of(&[0x20, 2, 0, 0]);
    assert_eq!(code, 2);
    assert!(notice.contains("a second CONNACK"), "{notice}");
}

#[test]
fn a_packet_over_the_limit_is_a_protocol_error_as_soon_as_its_length_is_known() {
    let (code, notice) = end_of(&[0x30, 0xff, 0xff, 0xff, 0x7f]);
    assert_eq!(code, 2);
    let text = "packet of 268435455 bytes is over the limit of 1000 bytes";
    assert!(notice.contains(text), "{notice}");
}

#[test]
fn a_message_before_the_garbage_is_delivered() {
    let broker = Broker::new();
    let (app, mut connection) = App::connected(&broker, broker.options());
    connection.send(&[&publish(b"x")[..], &[0xff]].concat());
    assert_eq!(app.messages(1), [b"x"]);
    assert_eq!(app.wait_lost().0, 2);
}

#[test]
fn half_a_packet_and_then_the_end_is_a_lost_connection() {
    let broker = Broker::new();
    let (app, mut connection) = App::connected(&broker, broker.options());
    connection.send(&publish(b"hello")[..4]);
    drop(connection);
    assert_eq!(app.wait_lost().0, 7);
    broker.accept();
}

#[test]
fn a_message_instead_of_the_connack_is_a_protocol_error() {
    let broker = Broker::new();
    let app = App::new();
    app.connect(broker.options()).unwrap();
    broker.meet().send(&publish(b"x"));
    assert_eq!(app.wait_lost().0, 2);
}

#[test]
fn packets_may_come_byte_by_byte() {
    let broker = Broker::new();
    let app = App::new();
    app.connect(broker.options()).unwrap();
    let mut connection = broker.meet();
    connection.stream.set_nodelay(true).unwrap();
    let bytes = [&[0x20, 2, 0, 0][..], &publish(b"one"), &publish(b"two")].concat();
    for byte in bytes {
        connection.send(&[byte]);
    }
    assert_eq!(app.messages(2), [b"one", b"two"]);
}

#[test]
fn many_packets_may_come_at_once_and_large_ones_in_many_pieces() {
    let broker = Broker::new();
    let (app, mut connection) = App::connected(&broker, broker.options());
    let payloads: Vec<_> = (0..200).map(|number| vec![number; usize::from(number) * 997]).collect();
    let bytes: Vec<_> = payloads.iter().map(|payload| publish(payload)).collect();
    connection.send(&bytes.concat());
    assert_eq!(app.messages(200), payloads);
    app.disconnect();
    assert_eq!(connection.read_to_end(), [Packet::Disconnect]);
}

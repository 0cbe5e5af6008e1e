//! The client's packets, as the model's broker reads them.

use bytes::{Buf, BytesMut};
use flask_mqtt_core::core::qos::Qos;

/// A packet of the client. A payload is the number of its message; a filter is one letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet {
    Connect,
    Publish { qos: Qos, dup: bool, mid: u16, message: usize },
    PubAck(u16),
    PubRec(u16),
    PubRel(u16),
    PubComp(u16),
    Subscribe { mid: u16, filter: u8 },
    Unsubscribe { mid: u16, filter: u8 },
    Disconnect,
}

/// Takes the first packet, with its length. MQTT 5 packets have an empty list of properties.
pub fn read(bytes: &mut BytesMut, v5: bool) -> (Packet, usize) {
    let (first, length) = (bytes[0], usize::from(bytes[1]));
    assert!(length < 128, "the model's packets are short");
    let mut packet = bytes.split_to(2 + length);
    let size = packet.len();
    packet.advance(2);
    let properties = usize::from(v5);
    let read = match first >> 4 {
        1 => Packet::Connect,
        3 => {
            let topic = packet.get_u16().into();
            packet.advance(topic);
            let qos =
                [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce][usize::from(first >> 1 & 3)];
            let mid = if qos == Qos::AtMostOnce { 0 } else { packet.get_u16() };
            packet.advance(properties);
            Packet::Publish { qos, dup: first & 8 != 0, mid, message: packet.get_u8().into() }
        }
        4 => Packet::PubAck(packet.get_u16()),
        5 => Packet::PubRec(packet.get_u16()),
        6 => Packet::PubRel(packet.get_u16()),
        7 => Packet::PubComp(packet.get_u16()),
        8 | 10 => {
            let mid = packet.get_u16();
            packet.advance(properties + 2);
            let filter = packet.get_u8();
            if first >> 4 == 8 {
                Packet::Subscribe { mid, filter }
            } else {
                Packet::Unsubscribe { mid, filter }
            }
        }
        14 => Packet::Disconnect,
        kind => panic!("a client does not send packets of type {kind}"),
    };
    (read, size)
}

//! The decoder of a broker's packets: it never panics, takes exactly the packet whose length is
//! announced, and finds the same packets whether their bytes come at once or in pieces.
//!
//! The first byte of the input is the version of MQTT, the second is the length of the pieces, and
//! the rest comes from the broker.
#![no_main]

use bytes::BytesMut;
use flask_mqtt_core::core::options::Protocol;
use flask_mqtt_core::core::packet::{Incoming, decode};
use flask_mqtt_core::core::qos::Qos;
use libfuzzer_sys::fuzz_target;

/// Remaining length of the largest accepted packet.
const LIMIT: usize = 1_000;

fuzz_target!(|data: &[u8]| {
    let [version, piece, bytes @ ..] = data else { return };
    let protocol = match version % 3 {
        0 => Protocol::V31,
        1 => Protocol::V311,
        _ => Protocol::V5,
    };
    let whole = read(protocol, [bytes].into_iter());
    let pieces = read(protocol, Pieces { bytes, length: usize::from(*piece) });
    assert_eq!(whole, pieces);
});

/// Pieces of varying length.
struct Pieces<'a> {
    bytes: &'a [u8],
    length: usize,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.bytes.is_empty() {
            return None;
        }
        let (piece, rest) = self.bytes.split_at((1 + self.length % 64).min(self.bytes.len()));
        self.bytes = rest;
        self.length = self.length.wrapping_mul(5).wrapping_add(7) & 0xff;
        Some(piece)
    }
}

/// Returns the packets, and the remaining bytes or the error that ends the connection.
fn read<'a>(
    protocol: Protocol,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Vec<Incoming>, Result<BytesMut, String>) {
    let (mut packets, mut buffer) = (Vec::new(), BytesMut::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match read_one(protocol, &mut buffer) {
                Ok(Some(packet)) => packets.push(packet),
                Ok(None) => break,
                Err(error) => return (packets, Err(error)),
            }
        }
    }
    (packets, Ok(buffer))
}

fn read_one(protocol: Protocol, buffer: &mut BytesMut) -> Result<Option<Incoming>, String> {
    let (before, announced) = (buffer.clone(), announced(buffer));
    let packet = decode(protocol, buffer, LIMIT).map_err(|error| error.to_string())?;
    match (&packet, announced) {
        (Some(packet), Some(length)) => {
            assert!(length <= 5 + LIMIT, "a packet over the limit: {packet:?}");
            assert_eq!(before[length..], buffer[..], "not the bytes of one packet: {packet:?}");
            check(packet);
        }
        (Some(packet), None) => panic!("a packet whose length is not known: {packet:?}"),
        (None, announced) => {
            assert_eq!(before, *buffer, "bytes are lost while more are waited for");
            let waits = announced.is_none_or(|length| before.len() < length);
            assert!(waits, "more than the packet is waited for: {before:?}");
        }
    }
    Ok(packet)
}

/// The length of the first packet, if enough of its header is there (MQTT 3.1.1, section 2.2.3).
fn announced(buffer: &[u8]) -> Option<usize> {
    let lengths = buffer.get(1..)?;
    let end = lengths.iter().take(4).position(|byte| byte & 0x80 == 0)?;
    let digits = lengths[..=end].iter().rev();
    Some(2 + end + digits.fold(0, |length, byte| length << 7 | usize::from(byte & 0x7f)))
}

/// Properties of packets that the session relies on.
fn check(packet: &Incoming) {
    match packet {
        Incoming::Publish(publish) => {
            assert_eq!(publish.mid == 0, publish.qos == Qos::AtMostOnce);
            assert!(!publish.topic.is_empty() || publish.properties.is_some());
        }
        Incoming::PubAck(ack)
        | Incoming::PubRec(ack)
        | Incoming::PubRel(ack)
        | Incoming::PubComp(ack) => assert_ne!(ack.mid, 0),
        Incoming::SubAck { mid, .. } | Incoming::UnsubAck { mid, .. } => assert_ne!(*mid, 0),
        _ => {}
    }
}

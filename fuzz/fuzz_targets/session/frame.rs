//! A session's output, decoded packet by packet as a broker reads it.

use bytes::{Buf, Bytes, BytesMut};
use flask_mqtt_core::core::options::Protocol;
use flask_mqtt_core::core::property::{Place, Properties, Property};

/// A packet from the client.
pub struct Frame {
    /// The first byte.
    pub first: u8,
    /// Size in bytes, with the fixed header.
    pub size: usize,
    /// The bytes after the fixed header.
    body: Bytes,
}

/// A PUBLISH from the client.
pub struct Published {
    pub topic: Bytes,
    /// 0 with QoS 0.
    pub mid: u16,
    pub alias: Option<u16>,
}

impl Frame {
    /// Takes the first packet, which must be complete.
    pub fn take(bytes: &mut BytesMut) -> Self {
        let first = bytes[0];
        let end = bytes[1..].iter().take(4).position(|byte| byte & 0x80 == 0).expect("a length");
        let digits = bytes[1..=1 + end].iter().rev();
        let length = digits.fold(0, |length, byte| length << 7 | usize::from(byte & 0x7f));
        let mut body = bytes.split_to(2 + end + length).freeze();
        let size = body.len();
        body.advance(2 + end);
        Self { first, size, body }
    }

    /// The type of the packet (MQTT 3.1.1, table 2.1).
    pub fn kind(&self) -> u8 {
        self.first >> 4
    }

    /// The QoS of a PUBLISH.
    pub fn qos(&self) -> u8 {
        self.first >> 1 & 3
    }

    /// Whether a PUBLISH has the retain flag.
    pub fn retain(&self) -> bool {
        self.first & 1 == 1
    }

    /// The packet identifier at the start of every packet except PUBLISH.
    pub fn mid(&self) -> u16 {
        self.body.clone().get_u16()
    }

    /// The packet as a PUBLISH.
    pub fn published(&self, protocol: Protocol) -> Published {
        let mut body = self.body.clone();
        let length = body.get_u16().into();
        let topic = body.split_to(length);
        let mid = if self.qos() == 0 { 0 } else { body.get_u16() };
        let alias = (protocol == Protocol::V5)
            .then(|| Properties::read(&mut body, Place::Publish).expect("properties"))
            .and_then(|properties| properties.number(Property::TopicAlias))
            .map(|alias| alias.try_into().expect("two bytes"));
        Published { topic, mid, alias }
    }
}

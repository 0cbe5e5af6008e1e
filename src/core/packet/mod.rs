//! MQTT packets of every version.
//!
//! * `v3`: MQTT 3.1 and 3.1.1, with rumqttc's codec, a guard before it and our own encoder of
//!   PUBLISH.
//! * `v5`: MQTT 5.0, with our own codec; the module says why.

mod v3;
mod v5;

use std::collections::VecDeque;
use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::error::Error;
use super::options::{ConnectOptions, Protocol};
use super::property::{Properties, put_binary, put_variable, variable_len};
use super::qos::Qos;

/// An application message, received or to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// The topic name.
    pub topic: String,
    /// The payload.
    pub payload: Bytes,
    /// Quality of service.
    pub qos: Qos,
    /// Whether the broker should retain it, or had retained it.
    pub retain: bool,
    /// The DUP flag: this may be a redelivery.
    pub dup: bool,
    /// Packet identifier; 0 for QoS 0.
    pub mid: u16,
    /// Properties. Every message received with MQTT 5 has some, possibly an empty list.
    pub properties: Option<Properties>,
}

impl Publish {
    /// Bytes of memory that the message holds.
    pub fn size(&self) -> usize {
        let properties = self.properties.as_ref().map_or(0, Properties::size);
        self.topic.len() + self.payload.len() + properties
    }
}

/// The content of a PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// Packet identifier.
    pub mid: u16,
    /// Reason code; 0 before MQTT 5.
    pub code: u8,
    /// Properties; none before MQTT 5.
    pub properties: Option<Properties>,
}

impl From<u16> for Ack {
    fn from(mid: u16) -> Self {
        Self { mid, code: 0, properties: None }
    }
}

/// A packet from the broker. With MQTT 5 the properties are always `Some`, possibly an empty list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// CONNACK.
    ConnAck {
        /// Whether the broker kept the previous session.
        session_present: bool,
        /// 0, or why the broker refuses (MQTT 3.1.1, table 3.1; MQTT 5.0, table 3-1).
        code: u8,
        /// Properties.
        properties: Option<Properties>,
    },
    /// A message.
    Publish(Publish),
    /// PUBACK: the broker has a QoS 1 message.
    PubAck(Ack),
    /// PUBREC: the broker has received a QoS 2 message.
    PubRec(Ack),
    /// PUBREL: the broker releases a QoS 2 message to the application.
    PubRel(Ack),
    /// PUBCOMP: a QoS 2 message is complete.
    PubComp(Ack),
    /// SUBACK.
    SubAck {
        /// Packet identifier of the SUBSCRIBE.
        mid: u16,
        /// The granted QoS per filter, 128 and above for a refusal.
        granted: Vec<u8>,
        /// Properties.
        properties: Option<Properties>,
    },
    /// UNSUBACK.
    UnsubAck {
        /// Packet identifier of the UNSUBSCRIBE.
        mid: u16,
        /// One reason code per filter; none before MQTT 5.
        codes: Vec<u8>,
        /// Properties.
        properties: Option<Properties>,
    },
    /// PINGRESP.
    PingResp,
    /// DISCONNECT: the broker ends the connection.
    Disconnect {
        /// Reason code.
        code: u8,
        /// Properties, if the packet has a list of them.
        properties: Option<Properties>,
    },
}

impl Incoming {
    /// Whether it brings the application a message, or releases one.
    pub fn brings_message(&self) -> bool {
        matches!(self, Self::Publish(_) | Self::PubRel(_))
    }

    /// Whether it acknowledges a message of ours, wholly or in part.
    pub fn acknowledges(&self) -> bool {
        matches!(self, Self::PubAck(_) | Self::PubRec(_) | Self::PubComp(_))
    }

    /// Whether the broker expects an acknowledgement of it, now or once it is handled.
    pub fn is_acknowledged(&self) -> bool {
        match self {
            Self::Publish(publish) => publish.qos != Qos::AtMostOnce,
            _ => matches!(self, Self::PubRec(_) | Self::PubRel(_)),
        }
    }
}

/// Takes the first packet out of `buffer`, if it is complete.
///
/// # Errors
/// [`Error::Protocol`] or [`Error::PacketTooLarge`] for a packet that a broker must not send. The
/// connection has to end then, because the start of the next packet is unknown.
pub fn decode(
    protocol: Protocol,
    buffer: &mut BytesMut,
    limit: usize,
) -> Result<Option<Incoming>, Error> {
    match protocol {
        Protocol::V31 | Protocol::V311 => v3::decode(buffer, limit),
        Protocol::V5 => v5::decode(buffer, limit),
    }
}

/// The bytes that are missing of the packet that has begun, as far as that is known; 0 without one.
pub fn missing(buffer: &[u8]) -> usize {
    let (mut length, mut shift) = (0, 0);
    for (place, byte) in buffer.iter().enumerate().skip(1).take(4) {
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return (place + 1 + length).saturating_sub(buffer.len());
        }
    }
    0
}

/// The size from which payloads keep their read buffer alive, which is at most a few times as
/// large. It applies to one payload, or to the sum of the small ones in a read.
const LARGE: usize = 16 * 1024;

/// Copies small payloads out of their shared read buffer, so that a pending message does not keep
/// the whole buffer alive.
pub fn detach(packets: &mut VecDeque<Incoming>) {
    let size = packets.iter_mut().filter_map(small_payload).map(|payload| payload.len()).sum();
    if size >= LARGE {
        return;
    }
    let mut block = BytesMut::with_capacity(size);
    for payload in packets.iter_mut().filter_map(small_payload) {
        block.extend_from_slice(payload);
        *payload = block.split().freeze();
    }
}

fn small_payload(packet: &mut Incoming) -> Option<&mut Bytes> {
    match packet {
        Incoming::Publish(Publish { payload, .. }) => Some(payload).filter(|it| it.len() < LARGE),
        _ => None,
    }
}

/// The flags of a CONNECT, as they go over the wire (MQTT 3.1.1, section 3.1.2.3).
pub fn connect_flags(options: &ConnectOptions) -> u8 {
    let mut flags = u8::from(options.clean_session) << 1;
    if let Some(will) = &options.will {
        flags |= 0x04 | ((will.qos as u8) << 3) | (u8::from(will.retain) << 5);
    }
    if let Some(credentials) = &options.broker().credentials {
        flags |= 0x80 | (u8::from(credentials.password.is_some()) << 6);
    }
    flags
}

/// Writes a CONNECT (section 3.1). The options must be validated.
///
/// This encoder serves every version: rumqttc's omits an empty user name or password, but MQTT
/// (3.1.1, section 3.1.2.8) and brokers distinguish an empty one from none.
pub fn encode_connect(options: &ConnectOptions, out: &mut BytesMut) {
    let name: &[u8] = if options.protocol == Protocol::V31 { b"MQIsdp" } else { b"MQTT" };
    let properties = (options.protocol == Protocol::V5).then(|| v5::connect_properties(options));
    let mut body = BytesMut::new();
    put_binary(&mut body, name);
    body.put_u8(options.protocol as u8);
    body.put_u8(connect_flags(options));
    body.put_u16(options.keep_alive);
    if let Some(properties) = &properties {
        properties.write(&mut body);
    }
    put_binary(&mut body, options.client_id.as_bytes());
    if let Some(will) = &options.will {
        if properties.is_some() {
            will.properties.write(&mut body);
        }
        put_binary(&mut body, will.topic.as_bytes());
        put_binary(&mut body, &will.payload);
    }
    if let Some(credentials) = &options.broker().credentials {
        put_binary(&mut body, credentials.username.as_bytes());
        if let Some(password) = &credentials.password {
            put_binary(&mut body, password);
        }
    }
    out.put_u8(0x10);
    put_variable(out, body.len());
    out.extend_from_slice(&body);
}

/// The fields of a PUBLISH, borrowed. The topic must be validated.
#[derive(Clone, Copy)]
pub struct PublishRef<'a> {
    /// The topic name.
    pub topic: &'a str,
    /// The payload.
    pub payload: &'a [u8],
    /// Quality of service.
    pub qos: Qos,
    /// Whether the broker should retain it.
    pub retain: bool,
    /// The DUP flag: whether it was sent before.
    pub dup: bool,
    /// Packet identifier; not sent with QoS 0.
    pub mid: u16,
    /// Properties; sent with MQTT 5 only.
    pub properties: Option<&'a Properties>,
}

impl PublishRef<'_> {
    /// The first byte of the packet.
    fn first_byte(&self) -> u8 {
        0x30 | (u8::from(self.dup) << 3) | ((self.qos as u8) << 1) | u8::from(self.retain)
    }

    /// The size in bytes of the MQTT 5 PUBLISH, without a topic alias.
    pub fn v5_size(&self) -> usize {
        let length = v5::publish_len(self, Alias::None);
        1 + variable_len(length) + length
    }
}

impl<'a> From<&'a Publish> for PublishRef<'a> {
    fn from(publish: &'a Publish) -> Self {
        let Publish { topic, payload, qos, retain, dup, mid, properties } = publish;
        let (qos, retain, dup, mid) = (*qos, *retain, *dup, *mid);
        Self { topic, payload, qos, retain, dup, mid, properties: properties.as_ref() }
    }
}

impl From<&PublishRef<'_>> for Publish {
    fn from(publish: &PublishRef<'_>) -> Self {
        Self {
            topic: publish.topic.to_owned(),
            payload: Bytes::copy_from_slice(publish.payload),
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            mid: publish.mid,
            properties: publish.properties.cloned(),
        }
    }
}

/// The form in which a topic is sent (MQTT 5.0, section 3.3.2.3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alias {
    /// The topic alone.
    None,
    /// The topic with an alias, which replaces it in later packets.
    Define(u16),
    /// The alias alone.
    Use(u16),
}

/// Writes a PUBLISH (section 3.3). Aliases are for MQTT 5 only.
pub fn encode_publish(
    protocol: Protocol,
    publish: &PublishRef<'_>,
    alias: Alias,
    out: &mut BytesMut,
) {
    match protocol {
        Protocol::V31 | Protocol::V311 => v3::encode_publish(publish, out),
        Protocol::V5 => v5::encode_publish(publish, alias, out),
    }
}

/// The options of a subscription. Before MQTT 5, only the QoS exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// The maximum QoS.
    pub qos: Qos,
    /// Whether messages that this client published are not sent to it.
    pub no_local: bool,
    /// Whether forwarded messages keep their retain flag.
    pub retain_as_published: bool,
    /// 0: send retained messages; 1: only for a new subscription; 2: none.
    pub retain_handling: u8,
}

impl From<Qos> for SubscribeOptions {
    fn from(qos: Qos) -> Self {
        Self { qos, no_local: false, retain_as_published: false, retain_handling: 0 }
    }
}

/// A filter and its subscription options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The filter.
    pub filter: String,
    /// The options.
    pub options: SubscribeOptions,
}

/// A packet to the broker other than CONNECT and PUBLISH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// SUBSCRIBE.
    Subscribe {
        /// Packet identifier.
        mid: u16,
        /// The filters and their options.
        filters: Vec<Subscription>,
        /// Properties, for MQTT 5.
        properties: Properties,
    },
    /// UNSUBSCRIBE.
    Unsubscribe {
        /// Packet identifier.
        mid: u16,
        /// Filters as subscribed.
        filters: Vec<String>,
        /// Properties, for MQTT 5.
        properties: Properties,
    },
    /// PUBACK: a QoS 1 message was handled.
    PubAck(u16),
    /// PUBREC: a QoS 2 message was received.
    PubRec(u16),
    /// PUBREL: the broker may forward a QoS 2 message of ours.
    PubRel(u16),
    /// PUBCOMP: a QoS 2 message was handled.
    PubComp(u16),
    /// PINGREQ.
    PingReq,
    /// DISCONNECT. The broker discards the will, unless the reason code says otherwise.
    Disconnect {
        /// Reason code, for MQTT 5.
        code: u8,
        /// Properties, for MQTT 5.
        properties: Properties,
    },
}

impl Control {
    /// Sets the packet identifier of a request.
    pub fn set_mid(&mut self, number: u16) {
        if let Self::Subscribe { mid, .. } | Self::Unsubscribe { mid, .. } = self {
            *mid = number;
        }
    }

    /// Whether it responds to a packet of the broker, now or once the message is handled.
    pub fn is_answer(&self) -> bool {
        matches!(self, Self::PubAck(_) | Self::PubRec(_) | Self::PubRel(_) | Self::PubComp(_))
    }

    /// Writes the packet.
    ///
    /// # Errors
    /// [`Error::Protocol`] for values that no packet can carry.
    pub fn encode(&self, protocol: Protocol, out: &mut BytesMut) -> Result<(), Error> {
        if protocol == Protocol::V5 && v5::encode(self, out)? {
            return Ok(());
        }
        v3::encode(self, out)
    }
}

/// Formats bytes as Python's `repr`, which paho's log texts use for topics.
pub struct PythonBytes<'a>(pub &'a [u8]);

impl fmt::Display for PythonBytes<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quote = if self.0.contains(&b'\'') && !self.0.contains(&b'"') { '"' } else { '\'' };
        write!(formatter, "b{quote}")?;
        for &byte in self.0 {
            match byte {
                b'\\' => formatter.write_str("\\\\")?,
                b'\t' => formatter.write_str("\\t")?,
                b'\n' => formatter.write_str("\\n")?,
                b'\r' => formatter.write_str("\\r")?,
                b'\'' if quote == '\'' => formatter.write_str("\\'")?,
                0x20..=0x7e => write!(formatter, "{}", byte as char)?,
                _ => write!(formatter, "\\x{byte:02x}")?,
            }
        }
        write!(formatter, "{quote}")
    }
}

#[cfg(test)]
mod tests;

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

/// An application message on its way in or out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// The topic name.
    pub topic: String,
    /// The payload.
    pub payload: Bytes,
    /// Quality of service.
    pub qos: Qos,
    /// Whether the broker retains it, or had retained it.
    pub retain: bool,
    /// Whether this may be a repeated delivery.
    pub dup: bool,
    /// Packet identifier; 0 for QoS 0.
    pub mid: u16,
    /// Properties; a message that MQTT 5 brought has some, if only an empty list.
    pub properties: Option<Properties>,
}

impl Publish {
    /// Bytes that it keeps.
    pub fn size(&self) -> usize {
        let properties = self.properties.as_ref().map_or(0, Properties::size);
        self.topic.len() + self.payload.len() + properties
    }
}

/// What a PUBACK, PUBREC, PUBREL or PUBCOMP says.
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

/// A packet from the broker. Properties are there with MQTT 5, if only an empty list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// The answer to CONNECT.
    ConnAck {
        /// Whether the broker kept the session of the last connection.
        session_present: bool,
        /// 0, or why the broker refuses (MQTT 3.1.1, table 3.1; MQTT 5.0, table 3-1).
        code: u8,
        /// Properties.
        properties: Option<Properties>,
    },
    /// A message.
    Publish(Publish),
    /// A QoS 1 message of ours arrived.
    PubAck(Ack),
    /// A QoS 2 message of ours arrived.
    PubRec(Ack),
    /// A QoS 2 message of the broker's is released.
    PubRel(Ack),
    /// A QoS 2 message of ours is complete.
    PubComp(Ack),
    /// The answer to SUBSCRIBE.
    SubAck {
        /// Packet identifier of the SUBSCRIBE.
        mid: u16,
        /// The granted QoS per filter, 128 and above for a refusal.
        granted: Vec<u8>,
        /// Properties.
        properties: Option<Properties>,
    },
    /// The answer to UNSUBSCRIBE.
    UnsubAck {
        /// Packet identifier of the UNSUBSCRIBE.
        mid: u16,
        /// One reason code per filter; none before MQTT 5.
        codes: Vec<u8>,
        /// Properties.
        properties: Option<Properties>,
    },
    /// The answer to PINGREQ.
    PingResp,
    /// The broker ends the connection.
    Disconnect {
        /// Why.
        code: u8,
        /// Properties, where there is a list of them.
        properties: Option<Properties>,
    },
}

impl Incoming {
    /// Whether it brings the application a message, or releases one.
    pub fn brings_message(&self) -> bool {
        matches!(self, Self::Publish(_) | Self::PubRel(_))
    }

    /// Whether the broker waits for an acknowledgement of it, now or when it is handled.
    pub fn is_acknowledged(&self) -> bool {
        match self {
            Self::Publish(publish) => publish.qos != Qos::AtMostOnce,
            _ => matches!(self, Self::PubRec(_) | Self::PubRel(_)),
        }
    }
}

/// Takes the first packet out of `buffer`, if all of it is there.
///
/// # Errors
/// [`Error::Protocol`] or [`Error::PacketTooLarge`] when no such packet may come from a broker; the
/// connection has to end then, since the start of the next packet is not known.
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

/// A payload of this size, or the payloads of one read together, may keep what was read with them: at
/// most a few times as much.
const LARGE: usize = 16 * 1024;

/// Gives few small payloads that were read together memory of just their size, so that as long as they
/// wait they do not keep everything that was read.
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
/// It is written here for every version: rumqttc's codec leaves out a user name or password that is
/// empty, while MQTT (3.1.1, section 3.1.2.8) and brokers tell an empty one from none.
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

/// What goes into a PUBLISH, borrowed. The topic must be validated.
#[derive(Clone, Copy)]
pub struct PublishRef<'a> {
    /// The topic name.
    pub topic: &'a str,
    /// The payload.
    pub payload: &'a [u8],
    /// Quality of service.
    pub qos: Qos,
    /// Whether the broker retains it.
    pub retain: bool,
    /// Whether it was sent before.
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

    /// Bytes of the PUBLISH of MQTT 5, without a topic alias.
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

/// How a topic is written (MQTT 5.0, section 3.3.2.3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alias {
    /// As it is.
    None,
    /// As it is, with a number that stands for it from now on.
    Define(u16),
    /// By its number.
    Use(u16),
}

/// Writes a PUBLISH (section 3.3). Only MQTT 5 knows aliases.
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

/// How a filter is subscribed to. Before MQTT 5 there is only the QoS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// The highest QoS wanted.
    pub qos: Qos,
    /// Whether messages that this client published stay away.
    pub no_local: bool,
    /// Whether messages keep the retain flag with which they were published.
    pub retain_as_published: bool,
    /// 0: send retained messages; 1: only for a new subscription; 2: none.
    pub retain_handling: u8,
}

impl From<Qos> for SubscribeOptions {
    fn from(qos: Qos) -> Self {
        Self { qos, no_local: false, retain_as_published: false, retain_handling: 0 }
    }
}

/// A filter and how it is subscribed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The filter.
    pub filter: String,
    /// How.
    pub options: SubscribeOptions,
}

/// A packet to the broker other than CONNECT and PUBLISH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// Asks for messages.
    Subscribe {
        /// Packet identifier.
        mid: u16,
        /// What for.
        filters: Vec<Subscription>,
        /// Properties, for MQTT 5.
        properties: Properties,
    },
    /// Asks for no more messages.
    Unsubscribe {
        /// Packet identifier.
        mid: u16,
        /// Filters as subscribed.
        filters: Vec<String>,
        /// Properties, for MQTT 5.
        properties: Properties,
    },
    /// A QoS 1 message was handled.
    PubAck(u16),
    /// A QoS 2 message was received.
    PubRec(u16),
    /// A QoS 2 message of ours may be handed on.
    PubRel(u16),
    /// A QoS 2 message was handled.
    PubComp(u16),
    /// Are you there?
    PingReq,
    /// A DISCONNECT: no will, unless the reason code says otherwise.
    Disconnect {
        /// Why, for MQTT 5.
        code: u8,
        /// Properties, for MQTT 5.
        properties: Properties,
    },
}

impl Control {
    /// Gives a request its packet identifier.
    pub fn set_mid(&mut self, number: u16) {
        if let Self::Subscribe { mid, .. } | Self::Unsubscribe { mid, .. } = self {
            *mid = number;
        }
    }

    /// Whether it answers a packet of the broker's, now or when the message is handled.
    pub fn is_answer(&self) -> bool {
        matches!(self, Self::PubAck(_) | Self::PubRec(_) | Self::PubRel(_) | Self::PubComp(_))
    }

    /// Writes the packet.
    ///
    /// # Errors
    /// [`Error::Protocol`] for what no packet can carry.
    pub fn encode(&self, protocol: Protocol, out: &mut BytesMut) -> Result<(), Error> {
        if protocol == Protocol::V5 && v5::encode(self, out)? {
            return Ok(());
        }
        v3::encode(self, out)
    }
}

/// Bytes as Python's `repr` shows them: paho's log texts have topics in this form.
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

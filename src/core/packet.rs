//! MQTT 3.1.1 packets: rumqttc's codec, with a guard before it and the two encoders that it does not
//! serve.
//!
//! * CONNECT is written here, because the codec leaves out a user name or password that is empty,
//!   while MQTT (3.1.1, section 3.1.2.8) and brokers tell an empty one from none.
//! * PUBLISH is written here, because the codec wants an owned topic and payload for what is copied
//!   into the outgoing bytes anyway.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use rumqttc::mqttbytes::v4;
use rumqttc::mqttbytes::{Error as CodecError, QoS as CodecQos};

use super::error::Error;
use super::options::ConnectOptions;
use super::qos::Qos;

impl From<CodecQos> for Qos {
    fn from(qos: CodecQos) -> Self {
        match qos {
            CodecQos::AtMostOnce => Self::AtMostOnce,
            CodecQos::AtLeastOnce => Self::AtLeastOnce,
            CodecQos::ExactlyOnce => Self::ExactlyOnce,
        }
    }
}

impl From<Qos> for CodecQos {
    fn from(qos: Qos) -> Self {
        match qos {
            Qos::AtMostOnce => Self::AtMostOnce,
            Qos::AtLeastOnce => Self::AtLeastOnce,
            Qos::ExactlyOnce => Self::ExactlyOnce,
        }
    }
}

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
}

/// A packet from the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// The answer to CONNECT.
    ConnAck {
        /// Whether the broker kept the session of the last connection.
        session_present: bool,
        /// 0, or why the broker refuses (table 3.1).
        code: u8,
    },
    /// A message.
    Publish(Publish),
    /// A QoS 1 message of ours arrived.
    PubAck(u16),
    /// A QoS 2 message of ours arrived.
    PubRec(u16),
    /// A QoS 2 message of the broker's is released.
    PubRel(u16),
    /// A QoS 2 message of ours is complete.
    PubComp(u16),
    /// The answer to SUBSCRIBE: the granted QoS per filter, 128 for a refusal.
    SubAck {
        /// Packet identifier of the SUBSCRIBE.
        mid: u16,
        /// One code per filter.
        granted: Vec<u8>,
    },
    /// The answer to UNSUBSCRIBE.
    UnsubAck(u16),
    /// The answer to PINGREQ.
    PingResp,
}

/// Takes the first packet out of `buffer`, if all of it is there.
///
/// # Errors
/// [`Error::Protocol`] or [`Error::PacketTooLarge`] when no such packet may come from a broker; the
/// connection has to end then, since the start of the next packet is not known.
pub fn decode(buffer: &mut BytesMut, limit: usize) -> Result<Option<Incoming>, Error> {
    let Some(first) = buffer.first() else {
        return Ok(None);
    };
    // Only a client sends the other types, and the codec can panic on a malformed UNSUBSCRIBE.
    let kind = first >> 4;
    if !matches!(kind, 2..=7 | 9 | 11 | 13) {
        return Err(Error::Protocol(format!("unexpected packet type {kind} from the broker")));
    }
    // Flags are fixed for every type but PUBLISH (MQTT 3.1.1, table 2.2); the codec ignores them.
    let flags = if kind == 6 { 2 } else { 0 };
    if kind != 3 && first & 0x0f != flags {
        return Err(Error::Protocol(format!("malformed flags (packet type {kind})")));
    }
    // The codec takes these in any length, and would wait for all of what is not MQTT.
    let length = match kind {
        2 | 4..=7 | 11 => Some(2),
        13 => Some(0),
        _ => None,
    };
    if let (Some(expected), Some(&length)) = (length, buffer.get(1))
        && length != expected
    {
        return Err(Error::Protocol(format!("malformed packet (packet type {kind})")));
    }
    let packet = match v4::Packet::read(buffer, limit) {
        Ok(packet) => packet,
        Err(CodecError::InsufficientBytes(_)) => return Ok(None),
        Err(CodecError::PayloadSizeLimitExceeded(size)) => {
            return Err(Error::PacketTooLarge { size, limit });
        }
        Err(error) => return Err(Error::Protocol(format!("{error} (packet type {kind})"))),
    };
    from_codec(packet).map(Some)
}

fn from_codec(packet: v4::Packet) -> Result<Incoming, Error> {
    Ok(match packet {
        v4::Packet::ConnAck(ack) => {
            Incoming::ConnAck { session_present: ack.session_present, code: ack.code as u8 }
        }
        v4::Packet::Publish(publish) if publish.topic.is_empty() => {
            return Err(Error::Protocol("PUBLISH with an empty topic".to_owned()));
        }
        v4::Packet::Publish(publish) => Incoming::Publish(Publish {
            topic: publish.topic,
            payload: publish.payload,
            qos: publish.qos.into(),
            retain: publish.retain,
            dup: publish.dup,
            mid: publish.pkid,
        }),
        v4::Packet::PubAck(ack) => Incoming::PubAck(ack.pkid),
        v4::Packet::PubRec(ack) => Incoming::PubRec(ack.pkid),
        v4::Packet::PubRel(ack) => Incoming::PubRel(ack.pkid),
        v4::Packet::PubComp(ack) => Incoming::PubComp(ack.pkid),
        v4::Packet::SubAck(ack) => {
            let granted = ack.return_codes.into_iter().map(granted_code).collect();
            Incoming::SubAck { mid: ack.pkid, granted }
        }
        v4::Packet::UnsubAck(ack) => Incoming::UnsubAck(ack.pkid),
        v4::Packet::PingResp => Incoming::PingResp,
        other => return Err(Error::Protocol(format!("unexpected packet: {other:?}"))),
    })
}

fn granted_code(code: v4::SubscribeReasonCode) -> u8 {
    match code {
        v4::SubscribeReasonCode::Success(qos) => qos as u8,
        v4::SubscribeReasonCode::Failure => 0x80,
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

/// Writes a CONNECT (MQTT 3.1.1, section 3.1). The options must be validated.
pub fn encode_connect(options: &ConnectOptions, out: &mut BytesMut) {
    let mut body = BytesMut::new();
    put_string(&mut body, b"MQTT");
    body.put_u8(4);
    body.put_u8(connect_flags(options));
    body.put_u16(options.keep_alive);
    put_string(&mut body, options.client_id.as_bytes());
    if let Some(will) = &options.will {
        put_string(&mut body, will.topic.as_bytes());
        put_string(&mut body, &will.payload);
    }
    if let Some(credentials) = &options.broker().credentials {
        put_string(&mut body, credentials.username.as_bytes());
        if let Some(password) = &credentials.password {
            put_string(&mut body, password.as_bytes());
        }
    }
    out.put_u8(0x10);
    put_remaining_length(out, body.len());
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
}

impl<'a> From<&'a Publish> for PublishRef<'a> {
    fn from(publish: &'a Publish) -> Self {
        let Publish { topic, payload, qos, retain, dup, mid } = publish;
        Self { topic, payload, qos: *qos, retain: *retain, dup: *dup, mid: *mid }
    }
}

/// Writes a PUBLISH (MQTT 3.1.1, section 3.3).
pub fn encode_publish(publish: &PublishRef<'_>, out: &mut BytesMut) {
    let identified = publish.qos != Qos::AtMostOnce;
    let length = 2 + publish.topic.len() + usize::from(identified) * 2 + publish.payload.len();
    out.reserve(length + 5);
    out.put_u8(
        0x30 | (u8::from(publish.dup) << 3) | ((publish.qos as u8) << 1) | u8::from(publish.retain),
    );
    put_remaining_length(out, length);
    put_string(out, publish.topic.as_bytes());
    if identified {
        out.put_u16(publish.mid);
    }
    out.put_slice(publish.payload);
}

/// A packet to the broker other than CONNECT and PUBLISH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// Asks for messages.
    Subscribe {
        /// Packet identifier.
        mid: u16,
        /// Filters with the highest QoS wanted.
        filters: Vec<(String, Qos)>,
    },
    /// Asks for no more messages.
    Unsubscribe {
        /// Packet identifier.
        mid: u16,
        /// Filters as subscribed.
        filters: Vec<String>,
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
    /// A good-bye: no will.
    Disconnect,
}

impl Control {
    /// Writes the packet.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), Error> {
        let written = match self {
            Self::Subscribe { mid, filters } => {
                let mut subscribe = v4::Subscribe::new_many(
                    filters
                        .iter()
                        .map(|(path, qos)| v4::SubscribeFilter::new(path.clone(), (*qos).into())),
                );
                subscribe.pkid = *mid;
                subscribe.write(out)
            }
            Self::Unsubscribe { mid, filters } => {
                v4::Unsubscribe { pkid: *mid, topics: filters.clone() }.write(out)
            }
            Self::PubAck(mid) => v4::PubAck::new(*mid).write(out),
            Self::PubRec(mid) => v4::PubRec::new(*mid).write(out),
            Self::PubRel(mid) => v4::PubRel::new(*mid).write(out),
            Self::PubComp(mid) => v4::PubComp::new(*mid).write(out),
            Self::PingReq => v4::PingReq.write(out),
            Self::Disconnect => v4::Disconnect.write(out),
        };
        written.map(drop).map_err(|error| Error::Protocol(error.to_string()))
    }
}

fn put_string(out: &mut BytesMut, text: &[u8]) {
    // Lengths are checked where the text comes in: topics, filters and `ConnectOptions::validate`.
    out.put_u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
    out.put_slice(text);
}

fn put_remaining_length(out: &mut BytesMut, mut length: usize) {
    loop {
        #[expect(clippy::cast_possible_truncation, reason = "seven bits")]
        let low = (length & 0x7f) as u8;
        length >>= 7;
        out.put_u8(low | (u8::from(length > 0) << 7));
        if length == 0 {
            break;
        }
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
#[path = "packet_tests.rs"]
mod tests;

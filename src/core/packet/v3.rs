//! MQTT 3.1 and 3.1.1: rumqttc's codec, with a guard before it.
//!
//! PUBLISH has an encoder of its own: rumqttc's wants an owned topic and payload, although both are
//! copied into the outgoing bytes anyway.

use bytes::{Buf, BufMut, BytesMut};
use rumqttc::mqttbytes::v4;
use rumqttc::mqttbytes::{Error as CodecError, QoS as CodecQos};

use super::super::error::Error;
use super::super::property::{put_binary, put_variable};
use super::super::qos::Qos;
use super::{Ack, Control, Incoming, Publish, PublishRef, Subscription};

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

/// See [`super::decode`].
pub fn decode(buffer: &mut BytesMut, limit: usize) -> Result<Option<Incoming>, Error> {
    let Some(first) = buffer.first() else {
        return Ok(None);
    };
    // Only clients send the other types, and the codec can panic on a malformed UNSUBSCRIBE.
    let kind = first >> 4;
    if !matches!(kind, 2..=7 | 9 | 11 | 13) {
        return Err(Error::Protocol(format!("unexpected packet type {kind} from the broker")));
    }
    // Flags are fixed for every type but PUBLISH (MQTT 3.1.1, table 2.2); the codec ignores them.
    let flags = if kind == 6 { 2 } else { 0 };
    if kind != 3 && first & 0x0f != flags {
        return Err(Error::Protocol(format!("malformed flags (packet type {kind})")));
    }
    // The codec accepts any length for these, and would wait for all bytes of another protocol's
    // data.
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
    // Only the lowest bit is defined (MQTT 3.1.1, section 3.2.2.1); the codec ignores the others.
    if kind == 2 && buffer.get(2).is_some_and(|flags| *flags > 1) {
        return Err(Error::Protocol("malformed flags of a CONNACK".to_owned()));
    }
    // A fast path: every QoS 1 message has one of these and every QoS 2 message two, and the codec
    // takes ten times as long.
    if let (4..=7, [_, 2, high, low, ..]) = (kind, &buffer[..])
        && limit >= 2
    {
        let ack = Ack::from(identifier(u16::from_be_bytes([*high, *low]))?);
        buffer.advance(4);
        return Ok(Some(match kind {
            4 => Incoming::PubAck(ack),
            5 => Incoming::PubRec(ack),
            6 => Incoming::PubRel(ack),
            _ => Incoming::PubComp(ack),
        }));
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
            let (session_present, code) = (ack.session_present, ack.code as u8);
            Incoming::ConnAck { session_present, code, properties: None }
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
            properties: None,
        }),
        v4::Packet::SubAck(ack) => {
            let granted = ack.return_codes.into_iter().map(granted_code).collect();
            Incoming::SubAck { mid: identifier(ack.pkid)?, granted, properties: None }
        }
        v4::Packet::UnsubAck(ack) => {
            let mid = identifier(ack.pkid)?;
            Incoming::UnsubAck { mid, codes: Vec::new(), properties: None }
        }
        v4::Packet::PingResp => Incoming::PingResp,
        other => return Err(Error::Protocol(format!("unexpected packet: {other:?}"))),
    })
}

/// Refuses identifier 0, which is invalid (MQTT 3.1.1, section 2.3.1). The codec accepts it, and a
/// response would repeat it.
fn identifier(mid: u16) -> Result<u16, Error> {
    if mid == 0 {
        return Err(Error::Protocol("malformed packet: packet identifier 0".to_owned()));
    }
    Ok(mid)
}

fn granted_code(code: v4::SubscribeReasonCode) -> u8 {
    match code {
        v4::SubscribeReasonCode::Success(qos) => qos as u8,
        v4::SubscribeReasonCode::Failure => 0x80,
    }
}

/// See [`super::encode_publish`].
pub fn encode_publish(publish: &PublishRef<'_>, out: &mut BytesMut) {
    let identified = publish.qos != Qos::AtMostOnce;
    let length = 2 + publish.topic.len() + usize::from(identified) * 2 + publish.payload.len();
    out.reserve(length + 5);
    out.put_u8(publish.first_byte());
    put_variable(out, length);
    put_binary(out, publish.topic.as_bytes());
    if identified {
        out.put_u16(publish.mid);
    }
    out.put_slice(publish.payload);
}

/// See [`Control::encode`].
pub fn encode(control: &Control, out: &mut BytesMut) -> Result<(), Error> {
    let written = match control {
        Control::Subscribe { mid, filters, .. } => {
            let filter = |Subscription { filter, options }: &Subscription| {
                v4::SubscribeFilter::new(filter.clone(), options.qos.into())
            };
            let mut subscribe = v4::Subscribe::new_many(filters.iter().map(filter));
            subscribe.pkid = *mid;
            subscribe.write(out)
        }
        Control::Unsubscribe { mid, filters, .. } => {
            v4::Unsubscribe { pkid: *mid, topics: filters.clone() }.write(out)
        }
        Control::PubAck(mid) => v4::PubAck::new(*mid).write(out),
        Control::PubRec(mid) => v4::PubRec::new(*mid).write(out),
        Control::PubRel(mid) => v4::PubRel::new(*mid).write(out),
        Control::PubComp(mid) => v4::PubComp::new(*mid).write(out),
        Control::PingReq => v4::PingReq.write(out),
        Control::Disconnect { .. } => v4::Disconnect.write(out),
    };
    written.map(drop).map_err(|error| Error::Protocol(error.to_string()))
}

//! MQTT 5.0, with our own codec.
//!
//! rumqttc's decoder is wrong about packets that a broker may send: it refuses a DISCONNECT of
//! length 0, reads a list of properties beyond its length, accepts a property twice, and asks for
//! more bytes when a complete packet is malformed. It also has separate property fields for every
//! packet, each of which would need a translation; one table of properties replaces them. rumqttc's
//! codec is the oracle in the tests.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::super::error::Error;
use super::super::options::{ConnectOptions, MAX_REMAINING_LENGTH};
use super::super::property::{
    Place, Properties, Property, Value, put_binary, put_variable, take_text, variable_len,
};
use super::super::qos::Qos;
use super::{Ack, Alias, Control, Incoming, Publish, PublishRef};

/// Size of a topic alias in the properties.
const ALIAS_LEN: usize = 3;

/// See [`super::decode`].
pub fn decode(buffer: &mut BytesMut, limit: usize) -> Result<Option<Incoming>, Error> {
    let Some((first, body)) = frame(buffer, limit)? else { return Ok(None) };
    read(first >> 4, first, body).map(Some)
}

/// Takes the first byte and the rest of a packet, if it is complete.
fn frame(buffer: &mut BytesMut, limit: usize) -> Result<Option<(u8, Bytes)>, Error> {
    let Some(&first) = buffer.first() else { return Ok(None) };
    let kind = first >> 4;
    if !matches!(kind, 2..=7 | 9 | 11 | 13 | 14) {
        return Err(Error::Protocol(format!("unexpected packet type {kind} from the broker")));
    }
    // Flags are fixed for every type but PUBLISH (section 2.1.3). They are checked before the
    // length, because data that is not MQTT may announce any.
    let flags = if kind == 6 { 2 } else { 0 };
    if kind != 3 && first & 0x0f != flags {
        return Err(Error::Protocol(format!("malformed flags (packet type {kind})")));
    }
    let mut length = 0;
    for index in 1..=4 {
        let Some(&byte) = buffer.get(index) else { return Ok(None) };
        length |= usize::from(byte & 0x7f) << (7 * (index - 1));
        if byte & 0x80 != 0 {
            continue;
        }
        if length > limit {
            return Err(Error::PacketTooLarge { size: length, limit });
        }
        if buffer.len() < 1 + index + length {
            return Ok(None);
        }
        let mut packet = buffer.split_to(1 + index + length).freeze();
        packet.advance(1 + index);
        return Ok(Some((first, packet)));
    }
    Err(Error::Protocol("malformed remaining length".to_owned()))
}

fn read(kind: u8, first: u8, mut body: Bytes) -> Result<Incoming, Error> {
    let packet = match kind {
        2 => connack(&mut body)?,
        3 => return publish(first, body).map(Incoming::Publish),
        4 => Incoming::PubAck(ack(&mut body)?),
        5 => Incoming::PubRec(ack(&mut body)?),
        6 => Incoming::PubRel(ack(&mut body)?),
        7 => Incoming::PubComp(ack(&mut body)?),
        9 => {
            let (mid, properties) =
                (identifier(&mut body)?, Properties::read(&mut body, Place::Ack)?);
            let granted = body.split_off(0).to_vec();
            Incoming::SubAck { mid, granted, properties: Some(properties) }
        }
        11 => {
            let (mid, properties) =
                (identifier(&mut body)?, Properties::read(&mut body, Place::Ack)?);
            let codes = body.split_off(0).to_vec();
            Incoming::UnsubAck { mid, codes, properties: Some(properties) }
        }
        13 => Incoming::PingResp,
        _ => disconnect(&mut body)?,
    };
    if body.is_empty() {
        return Ok(packet);
    }
    Err(malformed(&format!("{} bytes too many (packet type {kind})", body.len())))
}

fn malformed(what: &str) -> Error {
    Error::Protocol(format!("malformed packet: {what}"))
}

fn byte(body: &mut Bytes) -> Result<u8, Error> {
    body.try_get_u8().map_err(|_| malformed("it ends too early"))
}

fn identifier(body: &mut Bytes) -> Result<u16, Error> {
    match body.try_get_u16() {
        Ok(0) => Err(malformed("packet identifier 0")),
        Ok(mid) => Ok(mid),
        Err(_) => Err(malformed("it ends too early")),
    }
}

/// Reads a CONNACK. A broker without MQTT 5 may send that of MQTT 3.1.1.
fn connack(body: &mut Bytes) -> Result<Incoming, Error> {
    let (flags, code) = (byte(body)?, byte(body)?);
    if flags > 1 {
        return Err(malformed("flags of a CONNACK"));
    }
    let properties = match code {
        1..=5 if body.is_empty() => None,
        _ => Some(Properties::read(body, Place::ConnAck)?),
    };
    Ok(Incoming::ConnAck { session_present: flags == 1, code, properties })
}

/// Reads an acknowledgement. Its reason code and properties are optional (section 3.4.2.1).
fn ack(body: &mut Bytes) -> Result<Ack, Error> {
    let mid = identifier(body)?;
    let code = if body.is_empty() { 0 } else { byte(body)? };
    let properties =
        if body.is_empty() { Properties::default() } else { Properties::read(body, Place::Ack)? };
    Ok(Ack { mid, code, properties: Some(properties) })
}

/// Reads a DISCONNECT. Its reason code and properties are optional (section 3.14.2.1).
fn disconnect(body: &mut Bytes) -> Result<Incoming, Error> {
    let code = if body.is_empty() { 0 } else { byte(body)? };
    let properties =
        if body.is_empty() { None } else { Some(Properties::read(body, Place::Disconnect)?) };
    Ok(Incoming::Disconnect { code, properties })
}

fn publish(first: u8, mut body: Bytes) -> Result<Publish, Error> {
    let qos = Qos::try_from(i64::from(first >> 1 & 3)).map_err(|_| malformed("QoS 3"))?;
    let topic = take_text(&mut body)?;
    if topic.contains(['+', '#']) {
        return Err(malformed("a wildcard in the topic of a PUBLISH"));
    }
    let mid = if qos == Qos::AtMostOnce { 0 } else { identifier(&mut body)? };
    let properties = Properties::read(&mut body, Place::Publish)?;
    if topic.is_empty() && properties.number(Property::TopicAlias).is_none() {
        return Err(Error::Protocol("PUBLISH with an empty topic".to_owned()));
    }
    let (dup, retain) = (first & 8 != 0, first & 1 != 0);
    Ok(Publish { topic, payload: body, qos, retain, dup, mid, properties: Some(properties) })
}

/// The properties of a CONNECT: those of the application, and those that follow from other options.
pub fn connect_properties(options: &ConnectOptions) -> Properties {
    let mut properties = options.properties.clone();
    let mut fill = |property, number| {
        if properties.number(property).is_none() {
            // Both numbers are in the range of their properties.
            let _ = properties.set(property, Value::Number(number));
        }
    };
    if !options.clean_session && options.clean_start_once == 0 {
        // A session of MQTT 3.1.1 never expires (section 3.1.2.11.2).
        fill(Property::SessionExpiryInterval, u32::MAX);
    }
    if options.packet_size() < MAX_REMAINING_LENGTH {
        let size = u32::try_from(options.packet_size()).unwrap_or(u32::MAX);
        let _ = properties.set(Property::MaximumPacketSize, Value::Number(size.max(1)));
    }
    properties
}

/// The remaining length of a PUBLISH.
pub fn publish_len(publish: &PublishRef<'_>, alias: Alias) -> usize {
    let (topic, properties) = publish_parts(publish, alias);
    let identifier = if publish.qos == Qos::AtMostOnce { 0 } else { 2 };
    2 + topic.len() + identifier + variable_len(properties) + properties + publish.payload.len()
}

/// The topic to write, and the size of the properties.
fn publish_parts<'a>(publish: &PublishRef<'a>, alias: Alias) -> (&'a str, usize) {
    let properties = publish.properties.map_or(0, Properties::len);
    match alias {
        Alias::None => (publish.topic, properties),
        Alias::Define(_) => (publish.topic, properties + ALIAS_LEN),
        Alias::Use(_) => ("", properties + ALIAS_LEN),
    }
}

/// See [`super::encode_publish`].
pub fn encode_publish(publish: &PublishRef<'_>, alias: Alias, out: &mut BytesMut) {
    let (topic, properties) = publish_parts(publish, alias);
    let length = publish_len(publish, alias);
    out.reserve(length + 5);
    out.put_u8(publish.first_byte());
    put_variable(out, length);
    put_binary(out, topic.as_bytes());
    if publish.qos != Qos::AtMostOnce {
        out.put_u16(publish.mid);
    }
    put_variable(out, properties);
    if let Alias::Define(number) | Alias::Use(number) = alias {
        out.put_u8(Property::TopicAlias as u8);
        out.put_u16(number);
    }
    if let Some(properties) = publish.properties {
        properties.write_list(out);
    }
    out.put_slice(publish.payload);
}

/// Writes a packet that differs from that of MQTT 3.1.1, and returns whether it did. An
/// acknowledgement of success does not differ.
///
/// # Errors
/// [`Error::Protocol`] for values that no packet can carry.
pub fn encode(control: &Control, out: &mut BytesMut) -> Result<bool, Error> {
    let mut body = BytesMut::new();
    let first = match control {
        Control::Subscribe { mid, filters, properties } => {
            body.put_u16(*mid);
            properties.write(&mut body);
            for subscription in filters {
                let options = subscription.options;
                put_binary(&mut body, subscription.filter.as_bytes());
                body.put_u8(
                    options.qos as u8
                        | u8::from(options.no_local) << 2
                        | u8::from(options.retain_as_published) << 3
                        | (options.retain_handling & 3) << 4,
                );
            }
            0x82
        }
        Control::Unsubscribe { mid, filters, properties } => {
            body.put_u16(*mid);
            properties.write(&mut body);
            for filter in filters {
                put_binary(&mut body, filter.as_bytes());
            }
            0xa2
        }
        Control::Disconnect { code, properties } => {
            if *code != 0 || !properties.is_empty() {
                body.put_u8(*code);
                properties.write(&mut body);
            }
            0xe0
        }
        _ => return Ok(false),
    };
    if body.len() > MAX_REMAINING_LENGTH {
        let text = format!("a packet of {} bytes is more than MQTT can carry", body.len());
        return Err(Error::Protocol(text));
    }
    out.put_u8(first);
    put_variable(out, body.len());
    out.extend_from_slice(&body);
    Ok(true)
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;

//! The properties of MQTT 5 (MQTT 5.0, section 2.2.2): which there are, what each may hold, where it
//! may stand, and their bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::error::Error;

/// Properties that one packet may carry. A packet of the largest size could hold fifty million.
const MOST: usize = 1_000;

/// The largest variable byte integer (MQTT 5.0, section 1.5.5).
const VARIABLE_MAX: u32 = 268_435_455;

/// What a property holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A number, whatever its width on the wire.
    Number(u32),
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Bytes),
    /// A name and a value.
    Pair(String, String),
}

/// How a property's value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One byte.
    Byte,
    /// Two bytes.
    TwoByte,
    /// Four bytes.
    FourByte,
    /// One to four bytes.
    Variable,
    /// UTF-8 text.
    Text,
    /// Bytes with a length.
    Binary,
    /// Two texts.
    Pair,
}

/// Where properties stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Place {
    /// In a CONNECT.
    Connect = 1,
    /// With the will of a CONNECT.
    Will = 1 << 1,
    /// In a CONNACK.
    ConnAck = 1 << 2,
    /// In a PUBLISH.
    Publish = 1 << 3,
    /// In a PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK or UNSUBACK.
    Ack = 1 << 4,
    /// In a SUBSCRIBE.
    Subscribe = 1 << 5,
    /// In an UNSUBSCRIBE.
    Unsubscribe = 1 << 6,
    /// In a DISCONNECT.
    Disconnect = 1 << 7,
}

impl Place {
    /// The packet's name, for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Will => "will",
            Self::ConnAck => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::Ack => "acknowledgement",
            Self::Subscribe => "SUBSCRIBE",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Disconnect => "DISCONNECT",
        }
    }
}

/// A row of table 2-4.
struct Row {
    property: Property,
    name: &'static str,
    kind: Kind,
    low: u32,
    high: u32,
    places: u16,
}

macro_rules! properties {
    ($($id:literal $name:ident $kind:ident $low:literal..=$high:expr, [$($place:ident)*];)*) => {
        /// A property's identifier.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "the names are the specification's")]
        pub enum Property { $($name = $id,)* }

        const ROWS: &[Row] = &[$(Row {
            property: Property::$name,
            name: stringify!($name),
            kind: Kind::$kind,
            low: $low,
            high: $high,
            places: 0 $(| Place::$place as u16)*,
        },)*];
    };
}

const U16: u32 = 0xffff;
const U32: u32 = u32::MAX;

properties! {
    1 PayloadFormatIndicator Byte 0..=1, [Publish Will];
    2 MessageExpiryInterval FourByte 0..=U32, [Publish Will];
    3 ContentType Text 0..=0, [Publish Will];
    8 ResponseTopic Text 0..=0, [Publish Will];
    9 CorrelationData Binary 0..=0, [Publish Will];
    11 SubscriptionIdentifier Variable 1..=VARIABLE_MAX, [Publish Subscribe];
    17 SessionExpiryInterval FourByte 0..=U32, [Connect ConnAck Disconnect];
    18 AssignedClientIdentifier Text 0..=0, [ConnAck];
    19 ServerKeepAlive TwoByte 0..=U16, [ConnAck];
    21 AuthenticationMethod Text 0..=0, [Connect ConnAck];
    22 AuthenticationData Binary 0..=0, [Connect ConnAck];
    23 RequestProblemInformation Byte 0..=1, [Connect];
    24 WillDelayInterval FourByte 0..=U32, [Will];
    25 RequestResponseInformation Byte 0..=1, [Connect];
    26 ResponseInformation Text 0..=0, [ConnAck];
    28 ServerReference Text 0..=0, [ConnAck Disconnect];
    31 ReasonString Text 0..=0, [ConnAck Ack Disconnect];
    33 ReceiveMaximum TwoByte 1..=U16, [Connect ConnAck];
    34 TopicAliasMaximum TwoByte 0..=U16, [Connect ConnAck];
    35 TopicAlias TwoByte 1..=U16, [Publish];
    36 MaximumQoS Byte 0..=1, [ConnAck];
    37 RetainAvailable Byte 0..=1, [ConnAck];
    38 UserProperty Pair 0..=0, [Connect Will ConnAck Publish Ack Subscribe Unsubscribe Disconnect];
    39 MaximumPacketSize FourByte 1..=U32, [Connect ConnAck];
    40 WildcardSubscriptionAvailable Byte 0..=1, [ConnAck];
    41 SubscriptionIdentifierAvailable Byte 0..=1, [ConnAck];
    42 SharedSubscriptionAvailable Byte 0..=1, [ConnAck];
}

impl Property {
    /// The property of a name as the specification (and paho) writes it, without spaces.
    pub fn from_name(name: &str) -> Option<Self> {
        ROWS.iter().find(|row| row.name == name).map(|row| row.property)
    }

    /// Every property, in the order of the identifiers.
    pub fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().map(|row| row.property)
    }

    /// The name, without spaces.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// How the value is written.
    pub fn kind(self) -> Kind {
        self.row().kind
    }

    /// Whether it may stand there.
    pub fn allowed_in(self, place: Place) -> bool {
        self.row().places & place as u16 != 0
    }

    /// Whether a packet may have several: user properties everywhere, subscription identifiers in a
    /// PUBLISH.
    pub fn repeats(self) -> bool {
        matches!(self, Self::UserProperty | Self::SubscriptionIdentifier)
    }

    fn from_id(id: u8) -> Option<Self> {
        ROWS.iter().find(|row| row.property as u8 == id).map(|row| row.property)
    }

    fn row(self) -> &'static Row {
        // The table is made of the same lines as the enum, so that there is always one.
        ROWS.iter().find(|row| row.property == self).unwrap_or(&ROWS[0])
    }

    fn check(self, value: &Value) -> Result<(), String> {
        let row = self.row();
        match (row.kind, value) {
            (
                Kind::Byte | Kind::TwoByte | Kind::FourByte | Kind::Variable,
                Value::Number(number),
            ) => {
                if (row.low..=row.high).contains(number) {
                    return Ok(());
                }
                Err(format!("it must be a whole number from {} to {}", row.low, row.high))
            }
            (Kind::Text, Value::Text(text)) => fits(text.len()),
            (Kind::Binary, Value::Binary(bytes)) => fits(bytes.len()),
            (Kind::Pair, Value::Pair(name, value)) => fits(name.len().max(value.len())),
            (Kind::Text, _) => Err("it must be a string".to_owned()),
            (Kind::Binary, _) => Err("it must be bytes".to_owned()),
            (Kind::Pair, _) => Err("it must be a pair of strings".to_owned()),
            _ => Err("it must be a whole number".to_owned()),
        }
    }
}

fn fits(length: usize) -> Result<(), String> {
    let too_long = |_| "it must have at most 65535 bytes".to_owned();
    u16::try_from(length).map(drop).map_err(too_long)
}

/// The properties of a packet, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties(Vec<(Property, Value)>);

impl Properties {
    /// Sets a property; one that repeats is added to those that there are.
    ///
    /// # Errors
    /// [`Error::Property`] for a value that the property cannot have.
    pub fn set(&mut self, property: Property, value: Value) -> Result<(), Error> {
        property.check(&value).map_err(|expected| Error::Property {
            name: property.name(),
            value: shown(&value),
            expected,
        })?;
        if !property.repeats() {
            self.remove(property);
        }
        self.0.push((property, value));
        Ok(())
    }

    /// Removes a property, every one where it repeats.
    pub fn remove(&mut self, property: Property) {
        self.0.retain(|(present, _)| *present != property);
    }

    /// The properties and their values.
    pub fn iter(&self) -> impl Iterator<Item = (Property, &Value)> {
        self.0.iter().map(|(property, value)| (*property, value))
    }

    /// The value of a property that is a number.
    pub fn number(&self, property: Property) -> Option<u32> {
        self.iter().find_map(|(present, value)| match value {
            Value::Number(number) if present == property => Some(*number),
            _ => None,
        })
    }

    /// The value of a property that is text.
    pub fn text(&self, property: Property) -> Option<&str> {
        self.iter().find_map(|(present, value)| match value {
            Value::Text(text) if present == property => Some(text.as_str()),
            _ => None,
        })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks that every property may stand there.
    ///
    /// # Errors
    /// [`Error::Property`] names the first that may not.
    pub fn validate(&self, place: Place) -> Result<(), Error> {
        match self.iter().find(|(property, _)| !property.allowed_in(place)) {
            None => Ok(()),
            Some((property, value)) => Err(Error::Property {
                name: property.name(),
                value: shown(value),
                expected: format!("it is no property of a {}", place.name()),
            }),
        }
    }

    /// Bytes on the wire, without the length before them.
    pub fn len(&self) -> usize {
        self.iter().map(|(property, value)| 1 + value_len(property.kind(), value)).sum()
    }

    /// Writes the length and the properties.
    pub fn write(&self, out: &mut BytesMut) {
        put_variable(out, self.len());
        self.write_list(out);
    }

    /// Writes the properties.
    pub fn write_list(&self, out: &mut BytesMut) {
        for (property, value) in self.iter() {
            out.put_u8(property as u8);
            put_value(out, property.kind(), value);
        }
    }

    /// Takes a length and the properties from the beginning of `bytes`.
    ///
    /// # Errors
    /// [`Error::Protocol`] where they are malformed, not allowed there, or too many.
    pub fn read(bytes: &mut Bytes, place: Place) -> Result<Self, Error> {
        let length = take_variable(bytes)? as usize;
        if length > bytes.len() {
            return Err(malformed("properties are longer than the packet"));
        }
        let mut list = bytes.split_to(length);
        let mut properties = Self::default();
        while !list.is_empty() {
            properties.read_one(&mut list, place)?;
        }
        Ok(properties)
    }

    fn read_one(&mut self, list: &mut Bytes, place: Place) -> Result<(), Error> {
        let id = list.get_u8();
        let property = Property::from_id(id)
            .filter(|property| property.allowed_in(place))
            .ok_or_else(|| malformed(&format!("property {id} in a {}", place.name())))?;
        let value = take_value(list, property.kind())?;
        if let Err(expected) = property.check(&value) {
            return Err(malformed(&format!("{}: {expected}", property.name())));
        }
        if !property.repeats() && self.0.iter().any(|(present, _)| *present == property) {
            return Err(malformed(&format!("{} twice", property.name())));
        }
        if self.0.len() >= MOST {
            return Err(malformed(&format!("more than {MOST} properties")));
        }
        self.0.push((property, value));
        Ok(())
    }
}

fn malformed(what: &str) -> Error {
    Error::Protocol(format!("malformed packet: {what}"))
}

/// A value for a message. What authenticates is a secret, and text may be long.
fn shown(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::Text(text) if text.len() <= 80 => format!("{text:?}"),
        Value::Text(text) => format!("of {} bytes", text.len()),
        Value::Binary(bytes) => format!("of {} bytes", bytes.len()),
        Value::Pair(name, value) => format!("of {} and {} bytes", name.len(), value.len()),
    }
}

fn value_len(kind: Kind, value: &Value) -> usize {
    match (kind, value) {
        (Kind::Byte, _) => 1,
        (Kind::TwoByte, _) => 2,
        (Kind::FourByte, _) => 4,
        (_, Value::Number(number)) => variable_len(*number as usize),
        (_, Value::Text(text)) => 2 + text.len(),
        (_, Value::Binary(bytes)) => 2 + bytes.len(),
        (_, Value::Pair(name, value)) => 4 + name.len() + value.len(),
    }
}

fn put_value(out: &mut BytesMut, kind: Kind, value: &Value) {
    match (kind, value) {
        // Widths are checked where values come in.
        (Kind::Byte, Value::Number(number)) => out.put_uint(u64::from(*number), 1),
        (Kind::TwoByte, Value::Number(number)) => out.put_uint(u64::from(*number), 2),
        (Kind::FourByte, Value::Number(number)) => out.put_u32(*number),
        (_, Value::Number(number)) => put_variable(out, *number as usize),
        (_, Value::Text(text)) => put_binary(out, text.as_bytes()),
        (_, Value::Binary(bytes)) => put_binary(out, bytes),
        (_, Value::Pair(name, value)) => {
            put_binary(out, name.as_bytes());
            put_binary(out, value.as_bytes());
        }
    }
}

fn take_value(list: &mut Bytes, kind: Kind) -> Result<Value, Error> {
    Ok(match kind {
        Kind::Byte => Value::Number(u32::from(enough(list, 1)?.get_u8())),
        Kind::TwoByte => Value::Number(u32::from(enough(list, 2)?.get_u16())),
        Kind::FourByte => Value::Number(enough(list, 4)?.get_u32()),
        Kind::Variable => Value::Number(take_variable(list)?),
        Kind::Text => Value::Text(take_text(list)?),
        Kind::Binary => Value::Binary(take_binary(list)?),
        Kind::Pair => Value::Pair(take_text(list)?, take_text(list)?),
    })
}

fn enough(bytes: &mut Bytes, count: usize) -> Result<&mut Bytes, Error> {
    if bytes.len() < count {
        return Err(malformed("it ends too early"));
    }
    Ok(bytes)
}

/// Takes two bytes of length and so many bytes.
pub fn take_binary(bytes: &mut Bytes) -> Result<Bytes, Error> {
    let length = usize::from(enough(bytes, 2)?.get_u16());
    Ok(enough(bytes, length)?.split_to(length))
}

/// Takes text as MQTT writes it (section 1.5.4): UTF-8 without a null character.
pub fn take_text(bytes: &mut Bytes) -> Result<String, Error> {
    let text = take_binary(bytes)?;
    match std::str::from_utf8(&text) {
        Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
        Ok(_) => Err(malformed("a null character in a text")),
        Err(_) => Err(malformed("a text that is not UTF-8")),
    }
}

/// Takes a variable byte integer (section 1.5.5).
pub fn take_variable(bytes: &mut Bytes) -> Result<u32, Error> {
    let mut value = 0;
    for shift in [0, 7, 14, 21] {
        let byte = enough(bytes, 1)?.get_u8();
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(malformed("a variable byte integer of more than four bytes"))
}

/// Writes two bytes of length and the bytes. The length must have been checked.
pub fn put_binary(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u16(u16::try_from(bytes.len()).unwrap_or(u16::MAX));
    out.put_slice(bytes);
}

/// Writes a variable byte integer.
pub fn put_variable(out: &mut BytesMut, mut value: usize) {
    loop {
        #[expect(clippy::cast_possible_truncation, reason = "seven bits")]
        let low = (value & 0x7f) as u8;
        value >>= 7;
        out.put_u8(low | (u8::from(value > 0) << 7));
        if value == 0 {
            break;
        }
    }
}

/// Bytes that a variable byte integer takes.
pub fn variable_len(value: usize) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}

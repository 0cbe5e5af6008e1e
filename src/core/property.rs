//! The properties of MQTT 5 (MQTT 5.0, section 2.2.2): their names, their values and the packets
//! that may have them. `wire` encodes them.

mod wire;

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

pub use self::wire::{
    put_binary, put_variable, take_binary, take_text, take_variable, variable_len,
};
use self::wire::{put_value, take_value, value_len};
use super::error::Error;

/// Limit on properties in one packet. A packet of the maximum size could have fifty million.
const MOST: usize = 1_000;

/// The largest variable byte integer (MQTT 5.0, section 1.5.5).
const VARIABLE_MAX: u32 = 268_435_455;

/// The value of a property.
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

/// The wire type of a property.
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
    /// Two strings.
    Pair,
}

/// The packets that have properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Place {
    /// In a CONNECT.
    Connect = 1,
    /// In the will of a CONNECT.
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
    /// The property with a name as the specification (and paho) writes it, without spaces.
    pub fn from_name(name: &str) -> Option<Self> {
        ROWS.iter().find(|row| row.name == name).map(|row| row.property)
    }

    /// All properties, ordered by identifier.
    pub fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().map(|row| row.property)
    }

    /// The name, without spaces.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The wire type of the value.
    pub fn kind(self) -> Kind {
        self.row().kind
    }

    /// The minimum and maximum of a numeric property.
    pub fn range(self) -> (u32, u32) {
        (self.row().low, self.row().high)
    }

    /// Whether the property may appear there.
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
        // The table and the enum come from the same lines, so every property has a row.
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
            (Kind::Text, Value::Text(text)) => check_text(text),
            (Kind::Binary, Value::Binary(bytes)) => fits(bytes.len()),
            (Kind::Pair, Value::Pair(name, value)) => check_text(name).and(check_text(value)),
            (Kind::Text, _) => Err("it must be a string".to_owned()),
            (Kind::Binary, _) => Err("it must be bytes".to_owned()),
            (Kind::Pair, _) => Err("it must be a pair of strings".to_owned()),
            _ => Err("it must be a whole number".to_owned()),
        }
    }
}

fn check_text(text: &str) -> Result<(), String> {
    if text.contains('\0') {
        return Err("it must not contain the null character".to_owned());
    }
    fits(text.len())
}

fn fits(length: usize) -> Result<(), String> {
    let too_long = |_| "it must have at most 65535 bytes".to_owned();
    u16::try_from(length).map(drop).map_err(too_long)
}

/// The properties of a packet, in order. `Debug` hides authentication data.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(Vec<(Property, Value)>);

impl fmt::Debug for Properties {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(property, value)| (property, shown(property, value));
        formatter.debug_map().entries(self.iter().map(shown)).finish()
    }
}

impl Properties {
    /// Sets a property. A repeatable one is added to the existing ones.
    ///
    /// # Errors
    /// [`Error::Property`] for an invalid value.
    pub fn set(&mut self, property: Property, value: Value) -> Result<(), Error> {
        let mut checked = property.check(&value);
        // Section 3.3.2.3.5. Reading skips this check: if the broker lets it through, it is no
        // reason to lose the connection.
        if property == Property::ResponseTopic
            && matches!(&value, Value::Text(topic) if topic.contains(['+', '#']))
        {
            checked = Err("the wildcards '+' and '#' are for subscriptions only".to_owned());
        }
        checked.map_err(|expected| refused(property, &value, expected))?;
        if !property.repeats() {
            self.remove(property);
        }
        self.0.push((property, value));
        Ok(())
    }

    /// Removes a property, with all its repetitions.
    pub fn remove(&mut self, property: Property) {
        self.0.retain(|(present, _)| *present != property);
    }

    /// The properties and their values.
    pub fn iter(&self) -> impl Iterator<Item = (Property, &Value)> {
        self.0.iter().map(|(property, value)| (*property, value))
    }

    /// The value of a numeric property.
    pub fn number(&self, property: Property) -> Option<u32> {
        self.iter().find_map(|(present, value)| match value {
            Value::Number(number) if present == property => Some(*number),
            _ => None,
        })
    }

    /// The value of a text property.
    pub fn text(&self, property: Property) -> Option<&str> {
        self.iter().find_map(|(present, value)| match value {
            Value::Text(text) if present == property => Some(text.as_str()),
            _ => None,
        })
    }

    /// Whether there are no properties.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks that a client may send every property there.
    ///
    /// # Errors
    /// [`Error::Property`] for the first one that it may not send.
    pub fn validate(&self, place: Place) -> Result<(), Error> {
        let mut identified = false;
        for (property, value) in self.iter() {
            let expected = match property {
                _ if !property.allowed_in(place) => {
                    format!("it is no property of a {}", place.name())
                }
                // Section 3.3.4.
                Property::SubscriptionIdentifier if place == Place::Publish => {
                    "only a broker sends it with a message".to_owned()
                }
                // Section 3.8.2.1.2.
                Property::SubscriptionIdentifier if identified => {
                    "a SUBSCRIBE has one at most".to_owned()
                }
                Property::SubscriptionIdentifier => {
                    identified = true;
                    continue;
                }
                _ => continue,
            };
            return Err(refused(property, value, expected));
        }
        Ok(())
    }

    /// The size on the wire in bytes, without the length field.
    pub fn len(&self) -> usize {
        self.iter().map(|(property, value)| 1 + value_len(property.kind(), value)).sum()
    }

    /// Bytes of memory held; a short property takes more than on the wire.
    pub fn size(&self) -> usize {
        self.len() + self.0.len() * size_of::<(Property, Value)>()
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

    /// Reads a length and the properties from the beginning of `bytes`.
    ///
    /// # Errors
    /// [`Error::Protocol`] if they are malformed, not allowed there, or too many.
    pub fn read(bytes: &mut Bytes, place: Place) -> Result<Self, Error> {
        let length = take_variable(bytes)? as usize;
        if length > bytes.len() {
            return Err(malformed("the properties are longer than the packet"));
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

fn refused(property: Property, value: &Value, expected: String) -> Error {
    Error::Property { name: property.name(), value: shown(property, value), expected }
}

/// A value for a message. Authentication data is hidden, and long text shortened.
fn shown(property: Property, value: &Value) -> String {
    match value {
        _ if property == Property::AuthenticationData => "(not shown)".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) if text.len() <= 80 => format!("{text:?}"),
        Value::Text(text) => format!("of {} bytes", text.len()),
        Value::Binary(bytes) => format!("of {} bytes", bytes.len()),
        Value::Pair(name, value) => format!("of {} and {} bytes", name.len(), value.len()),
    }
}

#[cfg(test)]
pub mod tests;

//! Actions on a session, made from arbitrary bytes.

use arbitrary::{Arbitrary, Result, Unstructured};
use bytes::Bytes;
use flask_mqtt_core::core::options::Protocol;
use flask_mqtt_core::core::packet::{Ack, Incoming, Publish};
use flask_mqtt_core::core::property::{Properties, Property, Value};
use flask_mqtt_core::core::qos::Qos;

/// Topics for both directions. Each has at least [`SHORTEST`] bytes.
pub const TOPICS: [&str; 6] = [
    "topics/0",
    "topics/1",
    "topics/2",
    "topics/3",
    "$SYS/topic",
    "topics/with/a/long/name/indeed",
];

/// Filters to subscribe to.
pub const FILTERS: [&str; 5] = ["topics/0", "topics/+", "#", "$share/group/topics/#", "topics/2"];

/// Bytes of the shortest topic.
pub const SHORTEST: usize = 8;

/// A scenario: the options of a session, and the actions.
#[derive(Debug, Arbitrary)]
pub struct Scenario {
    /// 0 for MQTT 3.1, 1 for 3.1.1, else 5.
    pub version: u8,
    /// QoS 1 and 2 messages in flight at a time, minus one.
    pub window: u8,
    /// QoS 1 and 2 messages queued beyond those, minus one; 255 for no limit.
    pub queued: u8,
    /// Topic aliases that the CONNECT allows.
    pub aliases: u8,
    /// Seconds.
    pub keep_alive: u8,
    /// Whether `on_log` has a handler.
    pub logging: bool,
    /// Whether `on_publish` has a handler.
    pub reporting: bool,
    /// The actions.
    pub actions: Vec<Action>,
}

impl Scenario {
    /// The version of MQTT.
    pub fn protocol(&self) -> Protocol {
        match self.version % 4 {
            0 => Protocol::V31,
            1 => Protocol::V311,
            _ => Protocol::V5,
        }
    }
}

/// An action.
#[derive(Debug, Arbitrary)]
pub enum Action {
    /// The transport is open.
    Open,
    /// The broker accepts the connection.
    Accept { session_present: bool, server_limits: ServerLimits },
    /// The broker sends a packet.
    Receive(Packet),
    /// The broker sends bytes.
    Read(Vec<u8>),
    /// The application publishes.
    Publish {
        topic: u8,
        length: u8,
        qos: AnyQos,
        retain: bool,
        alias: Option<u8>,
        text: Option<u8>,
    },
    /// The application subscribes.
    Subscribe { filters: [u8; 2], qos: AnyQos, reuse: bool, identifier: Option<u8> },
    /// The application unsubscribes.
    Unsubscribe { filter: u8 },
    /// The application has handled one of its messages.
    Handle { which: u8 },
    /// The application acknowledges a message by its packet identifier.
    Acknowledge { mid: u8, qos: AnyQos },
    /// The transport writes this many bytes.
    Write { count: u16 },
    /// Time passes.
    Tick { seconds: u8, reading: bool },
    /// The transport is lost.
    Lose,
    /// The application ends the connection.
    Disconnect { code: u8, text: Option<u8> },
    /// A rare action. All of these are one choice here, so that existing seeds keep their meaning.
    Rarely(Rarity),
}

/// The rare actions.
#[derive(Debug, Arbitrary)]
pub enum Rarity {
    /// The application ends all waits for messages.
    Release,
    /// The next connection has other options.
    Configure { keep_alive: u8, window: u8, queued: u8 },
    /// Handlers are added or removed.
    Listen { logging: bool, reporting: bool },
    /// A caller waits for one of the QoS 1 and 2 messages.
    Wait { mid: u8 },
    /// A caller asks for the outcome of a QoS 0 message.
    Ask { mid: u8 },
    /// The application makes an invalid call.
    Mistake { call: u8 },
    /// The process forks.
    Fork,
    /// The session is stored in a file from now on, if there is no connection.
    Keep,
    /// The journal is written to the file, and the file is closed, if requested and possible.
    Store { close: bool },
}

/// A quality of service.
#[derive(Debug, Clone, Copy)]
pub struct AnyQos(pub Qos);

impl<'a> Arbitrary<'a> for AnyQos {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        let choices = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];
        input.choose(&choices).copied().map(Self)
    }
}

/// The server limits in an MQTT 5 CONNACK.
#[derive(Debug, Arbitrary)]
pub struct ServerLimits {
    receive_maximum: Option<u8>,
    packet_size: Option<u8>,
    aliases: Option<u8>,
    qos: Option<bool>,
    retain: Option<bool>,
    keep_alive: Option<u8>,
    client_id: bool,
}

impl ServerLimits {
    /// The same as properties.
    pub fn properties(&self) -> Properties {
        let numbers = [
            (Property::ReceiveMaximum, self.receive_maximum.map(|number| u32::from(number).max(1))),
            (Property::MaximumPacketSize, self.packet_size.map(|number| u32::from(number).max(1))),
            (Property::TopicAliasMaximum, self.aliases.map(u32::from)),
            (Property::MaximumQoS, self.qos.map(u32::from)),
            (Property::RetainAvailable, self.retain.map(u32::from)),
            (Property::ServerKeepAlive, self.keep_alive.map(u32::from)),
        ];
        let mut properties = Properties::default();
        for (property, number) in numbers {
            if let Some(number) = number {
                properties.set(property, Value::Number(number)).expect("in its range");
            }
        }
        if self.client_id {
            let text = Value::Text("chosen".to_owned());
            properties.set(Property::AssignedClientIdentifier, text).expect("plain text");
        }
        properties
    }
}

/// A packet from the broker. Packet identifiers come from a small set, so that they often match.
#[derive(Debug, Arbitrary)]
pub enum Packet {
    ConnAck { session_present: bool, code: u8 },
    Publish { topic: Option<u8>, alias: Option<u8>, length: u8, qos: AnyQos, mid: u8, dup: bool },
    PubAck { mid: u8, code: u8 },
    PubRec { mid: u8, code: u8 },
    PubRel { mid: u8, code: u8 },
    PubComp { mid: u8, code: u8 },
    SubAck { mid: u8, codes: [u8; 2] },
    UnsubAck { mid: u8 },
    PingResp,
    Disconnect { code: u8, text: Option<u8> },
}

impl Packet {
    /// The packet as the decoder of that version returns it.
    pub fn incoming(&self, protocol: Protocol) -> Incoming {
        let v5 = protocol == Protocol::V5;
        let properties = v5.then(Properties::default);
        let ack = |mid, code| Ack {
            mid: identifier(mid),
            code: if v5 { code } else { 0 },
            properties: properties.clone(),
        };
        match *self {
            Self::ConnAck { session_present, code } => {
                Incoming::ConnAck { session_present, code, properties }
            }
            Self::Publish { topic, alias, length, qos: AnyQos(qos), mid, dup } => {
                let alias = alias.filter(|_| v5).map(|alias| u32::from(alias % 8) + 1);
                let topic = if alias.is_some() && topic.is_none() {
                    String::new()
                } else {
                    topic_of(topic.unwrap_or(0)).to_owned()
                };
                let mut properties = v5.then(|| number(Property::TopicAlias, alias));
                if let Some(properties) = properties.as_mut().filter(|_| length % 4 == 3) {
                    let identifier = Value::Number(length.into());
                    properties
                        .set(Property::SubscriptionIdentifier, identifier)
                        .expect("in its range");
                }
                let mid = if qos == Qos::AtMostOnce { 0 } else { identifier(mid) };
                let payload = Bytes::from(vec![b'x'; length.into()]);
                Incoming::Publish(Publish {
                    topic,
                    payload,
                    qos,
                    retain: false,
                    dup,
                    mid,
                    properties,
                })
            }
            Self::PubAck { mid, code } => Incoming::PubAck(ack(mid, code)),
            Self::PubRec { mid, code } => Incoming::PubRec(ack(mid, code)),
            Self::PubRel { mid, code } => Incoming::PubRel(ack(mid, code)),
            Self::PubComp { mid, code } => Incoming::PubComp(ack(mid, code)),
            Self::SubAck { mid, codes } => {
                Incoming::SubAck { mid: identifier(mid), granted: codes.to_vec(), properties }
            }
            Self::UnsubAck { mid } => {
                Incoming::UnsubAck { mid: identifier(mid), codes: Vec::new(), properties }
            }
            Self::Disconnect { code, text } if v5 => {
                Incoming::Disconnect { code, properties: Some(reason(text)) }
            }
            Self::PingResp | Self::Disconnect { .. } => Incoming::PingResp,
        }
    }
}

/// One of the topics.
pub fn topic_of(index: u8) -> &'static str {
    TOPICS[usize::from(index) % TOPICS.len()]
}

/// One of the filters.
pub fn filter_of(index: u8) -> String {
    FILTERS[usize::from(index) % FILTERS.len()].to_owned()
}

/// One of a few packet identifiers.
pub fn identifier(mid: u8) -> u16 {
    u16::from(mid % 24) + 1
}

/// Properties of one number, or none.
pub fn number(property: Property, number: Option<u32>) -> Properties {
    let mut properties = Properties::default();
    if let Some(number) = number {
        properties.set(property, Value::Number(number)).expect("in its range");
    }
    properties
}

/// Properties with a reason string of that length, or none.
pub fn reason(length: Option<u8>) -> Properties {
    let mut properties = Properties::default();
    if let Some(length) = length {
        let text = Value::Text("x".repeat(length.into()));
        properties.set(Property::ReasonString, text).expect("plain text");
    }
    properties
}

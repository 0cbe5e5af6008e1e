//! The events that the session reports to the application.

use std::time::{Duration, Instant};

use super::super::error::ReturnCode;
use super::super::packet::Publish;
use super::super::property::Properties;
use super::super::qos::Qos;
use super::super::text::line;
use super::published::Mids;

/// Severity of a log text, in paho's numbering (`MQTT_LOG_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum LogLevel {
    /// A normal event.
    Info = 0x01,
    /// Something to look at.
    Warning = 0x04,
    /// Something failed.
    Error = 0x08,
    /// One packet.
    Debug = 0x10,
}

/// Says which message the application has handled. The connection's number keeps an acknowledgement
/// from reaching a later connection, where the packet identifier may mean another message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Packet identifier.
    pub mid: u16,
    /// Quality of service: 1 or 2.
    pub qos: Qos,
    /// Number of the connection that brought the message.
    pub connection: u32,
    /// Tells messages of QoS 2 apart that a broker gave the same identifier, one after the other.
    pub number: u32,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The code for `on_disconnect`.
    pub code: ReturnCode,
    /// The reason code of the broker's DISCONNECT, if it sent one.
    pub reason: Option<u8>,
    /// The properties of the broker's DISCONNECT.
    pub properties: Option<Properties>,
}

/// A value in a record of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// A text; never a secret.
    Text(String),
    /// A number.
    Number(u64),
    /// A time, told in seconds.
    Time(Duration),
}

impl From<&str> for Field {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Field {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Field {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<Duration> for Field {
    fn from(time: Duration) -> Self {
        Self::Time(time)
    }
}

/// What a notice says, for programs that read logs.
pub type Fields = Vec<(&'static str, Field)>;

/// Something that happened, in the order in which it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The broker answered CONNECT, with 0 or with why it refuses.
    ConnAck {
        /// Whether the broker kept the session.
        session_present: bool,
        /// Return code of the CONNACK (MQTT 3.1.1, table 3.1; MQTT 5.0, table 3-1).
        code: u8,
        /// Properties, with MQTT 5.
        properties: Option<Properties>,
    },
    /// The connection ended.
    Disconnected(End),
    /// The connection ended, because another one takes its place: `on_disconnect` does not hear of it.
    Replaced,
    /// An attempt to connect comes next, for which the application wants to be asked.
    Attempt,
    /// An attempt to connect failed before the broker could be sent anything.
    ConnectFailed,
    /// There is a connection, of which the application wants the socket.
    SocketOpened,
    /// A message arrived.
    Message {
        /// The message.
        publish: Publish,
        /// When it was read.
        received: Instant,
        /// To be given back when the message is handled; none for what needs no acknowledgement.
        receipt: Option<Receipt>,
    },
    /// Messages of ours are written (QoS 0) or acknowledged (QoS 1 and 2).
    Published {
        /// Packet identifiers.
        mids: Mids,
        /// Reason code; from 128 on the messages were refused.
        code: u8,
        /// Properties, with MQTT 5.
        properties: Option<Properties>,
    },
    /// The broker answered a SUBSCRIBE.
    Subscribed {
        /// Packet identifier of the SUBSCRIBE.
        mid: u16,
        /// Granted QoS per filter, 128 for a refusal.
        granted: Vec<u8>,
        /// Properties, with MQTT 5.
        properties: Option<Properties>,
    },
    /// The broker answered an UNSUBSCRIBE.
    Unsubscribed {
        /// Packet identifier of the UNSUBSCRIBE.
        mid: u16,
        /// A reason code per filter; none before MQTT 5.
        codes: Vec<u8>,
        /// Properties, with MQTT 5.
        properties: Option<Properties>,
    },
    /// A line for `on_log`.
    Log {
        /// Severity.
        level: LogLevel,
        /// The text.
        text: String,
    },
    /// Something for the extension's own logger: one line per change of state, none per packet.
    Notice {
        /// Severity.
        level: LogLevel,
        /// The text.
        text: String,
        /// The same in pieces; `event` comes first.
        fields: Fields,
    },
}

/// What an event takes by itself.
const ENTRY: usize = size_of::<Event>();

fn size(properties: Option<&Properties>) -> usize {
    properties.map_or(0, Properties::size)
}

impl Event {
    /// A notice of a kind of event, such as `connection_lost`.
    pub fn notice(level: LogLevel, event: &'static str, text: impl Into<String>) -> Self {
        Self::Notice { level, text: line(&text.into()), fields: vec![("event", event.into())] }
    }

    /// A report of one message.
    pub fn published(mid: u16, code: u8, properties: Option<Properties>) -> Self {
        Self::Published { mids: mid.into(), code, properties }
    }

    /// Adds the messages of the next report, where it says the same of them. Returns whether it does.
    pub fn merge(&mut self, next: &Self) -> bool {
        let Self::Published { mids, code, properties } = self else { return false };
        match next {
            Self::Published { mids: more, code: next, properties: others }
                if code == next && properties == others =>
            {
                mids.append(more);
                true
            }
            _ => false,
        }
    }

    /// Leaves the first `most` messages in a report, and returns a report of the others.
    pub fn split_off(&mut self, most: usize) -> Option<Self> {
        let Self::Published { mids, code, properties } = self else { return None };
        let mids = mids.split_off(most)?;
        Some(Self::Published { mids, code: *code, properties: properties.clone() })
    }

    /// How many calls of handlers it is at most: one, but for a report of several messages.
    pub fn count(&self) -> usize {
        if let Self::Published { mids, .. } = self { mids.count() } else { 1 }
    }

    /// Bytes that a report takes by itself. What has a bound of its own counts nothing: messages, and
    /// lines for the log.
    pub fn overhead(&self) -> usize {
        match self {
            Self::Message { .. } | Self::Log { .. } => 0,
            Self::Published { mids, .. } => ENTRY + mids.size(),
            _ => ENTRY,
        }
    }

    /// Adds a field to a notice.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Field>) -> Self {
        if let Self::Notice { fields, .. } = &mut self {
            fields.push((name, value.into()));
        }
        self
    }

    /// Bytes that the event keeps alive while it waits.
    pub fn size(&self) -> usize {
        match self {
            Self::Message { publish, .. } => publish.size(),
            Self::Log { text, .. } | Self::Notice { text, .. } => text.len(),
            Self::ConnAck { properties, .. }
            | Self::Disconnected(End { properties, .. })
            | Self::Published { properties, .. } => size(properties.as_ref()),
            Self::Subscribed { granted: codes, properties, .. }
            | Self::Unsubscribed { codes, properties, .. } => {
                codes.len() + size(properties.as_ref())
            }
            Self::Attempt | Self::ConnectFailed | Self::SocketOpened | Self::Replaced => 0,
        }
    }
}

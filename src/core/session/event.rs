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
    /// A warning.
    Warning = 0x04,
    /// An error.
    Error = 0x08,
    /// A single packet.
    Debug = 0x10,
}

/// Identifies a message that the application has handled. The connection's number keeps an
/// acknowledgement from reaching a later connection, where the same packet identifier may belong to
/// another message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Packet identifier.
    pub mid: u16,
    /// Quality of service: 1 or 2.
    pub qos: Qos,
    /// Number of the connection on which the message arrived.
    pub connection: u32,
    /// Distinguishes QoS 2 messages for which a broker used the same identifier, one after the
    /// other.
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
    /// A duration, logged in seconds.
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

/// The fields of a notice, for programs that read logs.
pub type Fields = Vec<(&'static str, Field)>;

/// An event. Events are in the order in which they occurred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The broker sent CONNACK.
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
    /// The connection ended because a new one replaces it: `on_disconnect` is not called.
    Replaced,
    /// An attempt to connect follows, for which the application wants a settings refresh.
    Attempt,
    /// An attempt to connect failed before anything could be sent to the broker.
    ConnectFailed,
    /// The connection's socket is open, and the application wants it.
    SocketOpened,
    /// A message arrived.
    Message {
        /// The message.
        publish: Publish,
        /// When it was read.
        received: Instant,
        /// To be returned when the message is handled; `None` if it needs no acknowledgement.
        receipt: Option<Receipt>,
    },
    /// Published messages were written (QoS 0) or acknowledged (QoS 1 and 2).
    Published {
        /// Packet identifiers.
        mids: Mids,
        /// Reason code; 128 and above is a refusal.
        code: u8,
        /// Properties, with MQTT 5.
        properties: Option<Properties>,
    },
    /// The broker sent SUBACK.
    Subscribed {
        /// Packet identifier of the SUBSCRIBE.
        mid: u16,
        /// Granted QoS per filter, 128 for a refusal.
        granted: Vec<u8>,
        /// Properties, with MQTT 5.
        properties: Option<Properties>,
    },
    /// The broker sent UNSUBACK.
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
    /// A record for the extension's own logger: one line per change of state, none per packet.
    Notice {
        /// Severity.
        level: LogLevel,
        /// The text.
        text: String,
        /// The same as fields; the first is `event`.
        fields: Fields,
    },
}

/// The size of an event itself.
const ENTRY: usize = size_of::<Event>();

fn size(properties: Option<&Properties>) -> usize {
    properties.map_or(0, Properties::size)
}

impl Event {
    /// Creates a notice of a kind of event, such as `connection_lost`.
    pub fn notice(level: LogLevel, event: &'static str, text: impl Into<String>) -> Self {
        Self::Notice { level, text: line(&text.into()), fields: vec![("event", event.into())] }
    }

    /// Creates a report of one message.
    pub fn published(mid: u16, code: u8, properties: Option<Properties>) -> Self {
        Self::Published { mids: mid.into(), code, properties }
    }

    /// Adds the messages of the next report, if both say the same. Returns whether they do.
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

    /// Keeps the first `most` messages in a report, and returns the others as a new report.
    pub fn split_off(&mut self, most: usize) -> Option<Self> {
        let Self::Published { mids, code, properties } = self else { return None };
        let mids = mids.split_off(most)?;
        Some(Self::Published { mids, code: *code, properties: properties.clone() })
    }

    /// The maximum number of handler calls: one, except for a report of several messages.
    pub fn count(&self) -> usize {
        if let Self::Published { mids, .. } = self { mids.count() } else { 1 }
    }

    /// Bytes that a report itself takes. Messages and log lines count 0 here, because they have
    /// bounds of their own.
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

    /// Bytes that the event keeps alive while it is queued.
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

//! The core's error type, and the return code of each error in paho's numbering.

use std::io;
use std::net::IpAddr;

use thiserror::Error;

use super::reason::{PACKET_TOO_LARGE, PROTOCOL_ERROR, TOPIC_ALIAS_INVALID, reason_name};
use super::text::told;

/// Return codes with the numbers of paho's `MQTTErrorCode`, which applications compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum ReturnCode {
    /// `MQTT_ERR_AGAIN`: no room now, but later.
    Again = -1,
    /// `MQTT_ERR_SUCCESS`: done, or accepted for sending.
    Success = 0,
    /// `MQTT_ERR_PROTOCOL`: the broker violated the protocol.
    Protocol = 2,
    /// `MQTT_ERR_NO_CONN`: not connected.
    NoConnection = 4,
    /// `MQTT_ERR_CONN_REFUSED`: the CONNACK had a code other than 0.
    ConnectionRefused = 5,
    /// `MQTT_ERR_NOT_FOUND`: no pending message has this identifier.
    NotFound = 6,
    /// `MQTT_ERR_CONN_LOST`: the connection ended unexpectedly.
    ConnectionLost = 7,
    /// `MQTT_ERR_PAYLOAD_SIZE`: the packet is larger than the broker accepts.
    PayloadSize = 9,
    /// `MQTT_ERR_NOT_SUPPORTED`: the broker does not support it.
    NotSupported = 10,
    /// `MQTT_ERR_ACL_DENIED`: the broker does not allow it.
    AclDenied = 12,
    /// `MQTT_ERR_UNKNOWN`: the broker refused it for another reason.
    Unknown = 13,
    /// `MQTT_ERR_ERRNO`: it can no longer be sent or stored.
    Errno = 14,
    /// `MQTT_ERR_QUEUE_SIZE`: the queue is full.
    QueueSize = 15,
    /// `MQTT_ERR_KEEPALIVE`: no PINGRESP arrived in time.
    KeepAlive = 16,
}

/// Every error of the core.
#[derive(Debug, Error)]
pub enum Error {
    /// A topic name that violates MQTT 3.1.1 section 4.7.
    #[error("invalid topic {topic:?}: {reason}")]
    Topic {
        /// The topic, shortened when it is long.
        topic: String,
        /// What is wrong and what would be right.
        reason: &'static str,
    },
    /// A topic filter that violates MQTT 3.1.1 section 4.7.
    #[error("invalid subscription filter {filter:?}: {reason}")]
    Filter {
        /// The filter, shortened when it is long.
        filter: String,
        /// What is wrong and what would be right.
        reason: &'static str,
    },
    /// A QoS outside 0..=2.
    #[error("invalid QoS {0}: it must be 0, 1 or 2")]
    Qos(i64),
    /// A payload too large for an MQTT packet.
    #[error("payload of {0} bytes is too large: at most 268435455 bytes are allowed")]
    PayloadTooLarge(usize),
    /// An invalid option of a connection.
    #[error("{name} {value}: {expected}")]
    Option {
        /// The option's name.
        name: &'static str,
        /// The value, never a secret.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// An invalid property of MQTT 5.
    #[error("property {name} {value}: {expected}")]
    Property {
        /// The property's name.
        name: &'static str,
        /// The value, never a secret.
        value: String,
        /// What would be right.
        expected: String,
    },
    /// An invalid URL of a broker or proxy.
    #[error("{url:?} is no URL of a {what}: {reason}")]
    Url {
        /// The URL without user name and password.
        url: String,
        /// `broker` or `proxy`.
        what: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A file with a certificate or key cannot be read.
    #[error("{key}: cannot read {path:?}: {}", said(.source))]
    File {
        /// The configuration key or argument.
        key: String,
        /// The path.
        path: String,
        /// The operating system's error.
        source: io::Error,
    },
    /// The file of persistent messages cannot be used.
    #[error("{key}: {reason}: {path:?}")]
    Persistence {
        /// The configuration key or argument.
        key: String,
        /// The path.
        path: String,
        /// What is wrong and what to do.
        reason: String,
        /// The operating system's error number; `None` if a retry cannot help.
        errno: Option<i32>,
    },
    /// TLS cannot be set up or negotiated.
    #[error("TLS: {0}")]
    Tls(String),
    /// The broker's certificate is not trusted.
    #[error("TLS: certificate verify failed: {reason}")]
    Certificate {
        /// The reason, and which key to check.
        reason: String,
        /// OpenSSL's error code (`X509_V_ERR_*`).
        code: i32,
        /// OpenSSL's error text.
        message: String,
    },
    /// The websocket handshake failed.
    #[error("no websocket at {address}: {reason}")]
    Websocket {
        /// `host:port`.
        address: String,
        /// The server's response, and which key to check.
        reason: String,
    },
    /// The proxy could not connect to the broker.
    #[error("proxy {proxy}: {reason}")]
    Proxy {
        /// `host:port` of the proxy.
        proxy: String,
        /// The proxy's response.
        reason: String,
    },
    /// None of several brokers could be reached.
    #[error("no broker could be reached: {}", join(.0))]
    Brokers(Vec<Error>),
    /// The broker's host name has no address.
    #[error("cannot resolve broker host {host:?}: {reason}")]
    Resolve {
        /// The host as configured.
        host: String,
        /// The resolver's error.
        reason: String,
    },
    /// No address of the broker accepted a TCP connection.
    #[error("cannot connect to {address}: {}", said(.source))]
    Connect {
        /// `host:port`.
        address: String,
        /// The operating system's error for the first address that responded, or else for the first
        /// address.
        source: io::Error,
    },
    /// No connection can be made from the configured local address.
    #[error("{key}: cannot connect from {address}: {}", said(.source))]
    Bind {
        /// The configuration key or argument.
        key: String,
        /// The local address.
        address: IpAddr,
        /// The operating system's error.
        source: io::Error,
    },
    /// A step of connecting timed out.
    #[error("no {step} from {address} within {seconds} s ({key})")]
    ConnectTimeout {
        /// `host:port`.
        address: String,
        /// The step: `TCP connection`, `proxy connection`, `TLS handshake`, `websocket handshake`
        /// or `CONNACK`.
        step: &'static str,
        /// The timeout in seconds.
        seconds: f64,
        /// The key or argument that sets the timeout.
        key: String,
    },
    /// The broker violated the MQTT protocol.
    #[error("protocol error: {0}")]
    Protocol(String),
    /// The broker used an invalid topic alias (MQTT 5.0, section 3.3.2.3.4).
    #[error("protocol error: {0}")]
    TopicAlias(String),
    /// The broker announced a packet larger than the limit.
    #[error("protocol error: packet of {size} bytes is over the limit of {limit} bytes")]
    PacketTooLarge {
        /// Announced size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The broker did not respond to a PINGREQ within the keep alive.
    #[error("the broker did not answer PINGREQ within {0} s (keep alive)")]
    KeepAlive(u64),
    /// The broker accepted none of the pending data within the keep alive.
    #[error("the broker accepted no data for {0} s (keep alive)")]
    Stalled(u64),
    /// The broker refused the CONNECT, with a code of MQTT 3.1.1 or, above 127, of MQTT 5.
    #[error("connection refused by the broker: {}", refusal(*.0))]
    Refused(u8),
    /// The broker ended the connection with an MQTT 5 DISCONNECT.
    #[error("connection ended by the broker: {} (code {code}){}", reason_name(*.code), because(.text.as_deref()))]
    Disconnected {
        /// Reason code.
        code: u8,
        /// The reason string of the broker.
        text: Option<String>,
    },
    /// The broker closed the connection.
    #[error("connection closed by the broker")]
    Closed,
    /// The broker closed the connection before its CONNACK. The text says what it may have objected
    /// to.
    #[error("the broker closed the connection before CONNACK; possibly it {0}")]
    Unanswered(String),
    /// No descriptor or thread is available for a connection.
    #[error("cannot begin to connect: {}", said(.0))]
    Begin(io::Error),
    /// Reading or writing failed.
    #[error("connection lost: {}", said(.0))]
    Io(#[source] io::Error),
}

impl From<io::Error> for Error {
    /// An [`io::Error`] may wrap an error of ours, to pass through an interface that knows only
    /// that type.
    fn from(error: io::Error) -> Self {
        error.downcast().unwrap_or_else(Self::Io)
    }
}

impl Error {
    /// The code for `on_disconnect` when this error ended the connection.
    pub fn return_code(&self) -> ReturnCode {
        match self {
            Self::Protocol(_) | Self::TopicAlias(_) | Self::PacketTooLarge { .. } => {
                ReturnCode::Protocol
            }
            Self::Refused(_) => ReturnCode::ConnectionRefused,
            Self::KeepAlive(_) | Self::Stalled(_) => ReturnCode::KeepAlive,
            _ => ReturnCode::ConnectionLost,
        }
    }

    /// The reason code of the MQTT 5 DISCONNECT when this error ends the connection (section 4.13);
    /// `None` if the broker is not at fault or cannot be reached.
    pub fn reason_code(&self) -> Option<u8> {
        match self {
            Self::Protocol(_) => Some(PROTOCOL_ERROR),
            Self::TopicAlias(_) => Some(TOPIC_ALIAS_INVALID),
            Self::PacketTooLarge { .. } => Some(PACKET_TOO_LARGE),
            _ => None,
        }
    }
}

/// The operating system's text, without the number: exceptions and log fields have that separately.
pub fn said(error: &io::Error) -> String {
    let mut text = error.to_string();
    if let Some(end) = text.find(" (os error") {
        text.truncate(end);
    }
    text
}

/// Whether the peer closed or reset the connection.
pub fn is_reset(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// The meaning of a CONNACK return code (MQTT 3.1.1, table 3.1).
fn refusal(code: u8) -> String {
    let meaning = match code {
        1 => "unacceptable protocol version",
        2 => "client identifier rejected",
        3 => "server unavailable",
        4 => "bad user name or password",
        5 => "not authorized",
        0x80.. => reason_name(code),
        _ => "reserved code",
    };
    format!("{meaning} (code {code})")
}

fn because(text: Option<&str>) -> String {
    text.map(|text| format!(": {}", told(text))).unwrap_or_default()
}

fn join(errors: &[Error]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

//! What a connection needs to know. Validated here, so that nothing later has to doubt it.

use std::time::Duration;

use bytes::Bytes;

use super::error::Error;
use super::qos::Qos;
use super::topic::validate_topic;

/// The largest remaining length that MQTT's fixed header can express (MQTT 3.1.1, section 2.2.3).
pub const MAX_REMAINING_LENGTH: usize = 268_435_455;

const MAX_STRING: usize = 65_535;

/// The message that the broker publishes when the connection ends without a DISCONNECT.
#[derive(Debug, Clone)]
pub struct Will {
    /// Topic to publish to.
    pub topic: String,
    /// Payload, at most 65535 bytes.
    pub payload: Bytes,
    /// Quality of service.
    pub qos: Qos,
    /// Whether the broker retains the message.
    pub retain: bool,
}

/// The user name and password of a CONNECT. `Debug` shows neither.
#[derive(Clone)]
pub struct Credentials {
    /// The user name, possibly empty.
    pub username: String,
    /// The password, if there is one.
    pub password: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Credentials(…)")
    }
}

/// Bounds of everything that could grow.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Remaining length in bytes of the largest packet that is read.
    pub packet_size: usize,
    /// Bytes that may wait for the broker: written by the application, not yet sent or not yet acknowledged.
    pub outgoing_bytes: usize,
    /// Bytes of received messages that may wait for their handler.
    pub incoming_bytes: usize,
    /// Received messages that may wait for their handler.
    pub incoming_messages: usize,
    /// QoS 1 and 2 messages that may be unacknowledged at a time.
    pub inflight: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            packet_size: MAX_REMAINING_LENGTH,
            outgoing_bytes: 16 * 1024 * 1024,
            incoming_bytes: 16 * 1024 * 1024,
            incoming_messages: 20_000,
            inflight: 20,
        }
    }
}

/// Everything about a connection that the application chooses.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Host name or address of the broker.
    pub host: String,
    /// TCP port of the broker.
    pub port: u16,
    /// Client identifier; empty lets the broker choose one.
    pub client_id: String,
    /// Whether the broker forgets the session when the connection ends.
    pub clean_session: bool,
    /// User name and password.
    pub credentials: Option<Credentials>,
    /// Seconds between packets before a PINGREQ goes out; 0 switches that off.
    pub keep_alive: u16,
    /// How long each step of connecting may take.
    pub connect_timeout: Duration,
    /// The will.
    pub will: Option<Will>,
    /// Bounds.
    pub limits: Limits,
}

impl ConnectOptions {
    /// Options with the defaults of `MQTT_*` for a broker.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            client_id: String::new(),
            clean_session: true,
            credentials: None,
            keep_alive: 60,
            connect_timeout: Duration::from_secs(5),
            will: None,
            limits: Limits::default(),
        }
    }

    /// `host:port`, for messages.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Checks what a CONNECT packet cannot carry.
    pub fn validate(&self) -> Result<(), Error> {
        fits("client_id", self.client_id.len())?;
        if let Some(credentials) = &self.credentials {
            fits("username", credentials.username.len())?;
            fits("password", credentials.password.as_ref().map_or(0, String::len))?;
        }
        if let Some(will) = &self.will {
            validate_topic(&will.topic)?;
            fits("will payload", will.payload.len())?;
        }
        Ok(())
    }
}

fn fits(name: &'static str, length: usize) -> Result<(), Error> {
    if length <= MAX_STRING {
        return Ok(());
    }
    let expected = "a CONNECT packet carries at most 65535 bytes";
    Err(Error::Option { name, value: format!("of {length} bytes"), expected })
}

//! The options of a connection. They are validated here, so that later code can rely on them.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use super::error::Error;
use super::property::{Place, Properties, Property};
use super::qos::Qos;
use super::topic::validate_topic;

mod example;
mod keys;
mod limits;

pub(crate) use keys::{connect_keys, limit_keys};
pub use limits::{Limits, Overflow};

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
    /// Properties, for MQTT 5.
    pub properties: Properties,
}

/// A version of MQTT, with its number in the CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Protocol {
    /// MQTT 3.1.
    V31 = 3,
    /// MQTT 3.1.1.
    #[default]
    V311 = 4,
    /// MQTT 5.0.
    V5 = 5,
}

/// The way to reach a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// A websocket over TCP.
    Websocket,
    /// A unix domain socket.
    Unix,
}

/// One broker.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The transport.
    pub transport: Transport,
    /// Whether to use TLS.
    pub tls: bool,
    /// Host name or address; the path of the socket for [`Transport::Unix`].
    pub host: String,
    /// TCP port; 0 for [`Transport::Unix`].
    pub port: u16,
    /// Path of the websocket, with its query.
    pub path: String,
    /// User name and password.
    pub credentials: Option<Credentials>,
}

impl Endpoint {
    /// Creates an endpoint on plain TCP.
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        Self {
            transport: Transport::Tcp,
            tls: false,
            host: host.into(),
            port,
            path: "/mqtt".to_owned(),
            credentials: None,
        }
    }

    /// Whether the other endpoint is the same broker, reached in the same way.
    pub fn is_same_place(&self, other: &Self) -> bool {
        let place = |broker: &Self| (broker.transport, broker.tls, broker.port);
        place(self) == place(other) && self.host == other.host && self.path == other.path
    }

    /// `host:port`, or the path of a unix socket, for messages.
    pub fn address(&self) -> String {
        match self.transport {
            Transport::Unix => self.host.clone(),
            _ if self.host.contains(':') => format!("[{}]:{}", self.host, self.port),
            _ => format!("{}:{}", self.host, self.port),
        }
    }
}

/// A source of certificates or of a key. `Debug` shows no content.
#[derive(Clone)]
pub enum Pem {
    /// A file (or a directory of CA certificates), read for every connection.
    Path(PathBuf),
    /// The PEM text.
    Text(Bytes),
}

impl std::fmt::Debug for Pem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => write!(formatter, "Path({})", path.display()),
            Self::Text(_) => formatter.write_str("Text(…)"),
        }
    }
}

/// A text that is never shown.
#[derive(Clone)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// SSL 3.0, which not every build of OpenSSL supports.
    Ssl3,
    /// TLS 1.0.
    V10,
    /// TLS 1.1.
    V11,
    /// TLS 1.2.
    V12,
    /// TLS 1.3.
    V13,
}

/// The TLS options.
#[derive(Debug, Clone)]
pub struct TlsOptions {
    /// The CA certificates for verifying the broker; `None` for the system's.
    pub ca: Option<Pem>,
    /// The client's certificate, with its chain.
    pub certificate: Option<Pem>,
    /// The client's private key; `None` if the certificate file contains it.
    pub key: Option<Pem>,
    /// The password of an encrypted key.
    pub key_password: Option<Secret>,
    /// Whether to verify the broker's certificate at all.
    pub verify: bool,
    /// Whether the certificate has to match the host name.
    pub verify_host: bool,
    /// The lowest TLS version allowed.
    pub lowest: Option<TlsVersion>,
    /// The highest TLS version allowed.
    pub highest: Option<TlsVersion>,
    /// Ciphers, as an OpenSSL list, which may include TLS 1.3 suites.
    pub ciphers: Option<String>,
    /// Protocols to offer (ALPN).
    pub alpn: Vec<String>,
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self {
            ca: None,
            certificate: None,
            key: None,
            key_password: None,
            verify: true,
            verify_host: true,
            lowest: Some(TlsVersion::V12),
            highest: None,
            ciphers: None,
            alpn: Vec::new(),
        }
    }
}

/// A proxy's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyKind {
    /// HTTP's CONNECT.
    Http,
    /// SOCKS 5; the proxy resolves the broker's name.
    Socks5,
}

/// A proxy between client and broker.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Its protocol.
    pub kind: ProxyKind,
    /// Its host name or address.
    pub host: String,
    /// Its TCP port.
    pub port: u16,
    /// User name and password.
    pub credentials: Option<Credentials>,
}

/// The user name and password of a CONNECT. `Debug` shows neither.
#[derive(Clone)]
pub struct Credentials {
    /// The user name, possibly empty.
    pub username: String,
    /// The password, if any: arbitrary bytes (MQTT 3.1.1, section 3.1.3.5).
    pub password: Option<Vec<u8>>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Credentials(…)")
    }
}

/// When stored messages must be on the disk, and not only with the operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// At intervals: a crash of the process loses nothing, a crash of the machine may lose the last
    /// messages.
    Normal,
    /// Before a message counts as accepted.
    Always,
}

/// The storage of messages beyond the end of the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Persistence {
    /// The file.
    pub path: PathBuf,
    /// When it is synced to the disk.
    pub fsync: Fsync,
}

/// A timeout, and the key that sets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeout {
    /// The time.
    pub time: Duration,
    /// The configuration key, or the argument.
    pub key: String,
}

impl Timeout {
    /// The error for a step that timed out.
    pub fn error(self, step: &'static str, address: String) -> Error {
        let Self { time, key } = self;
        Error::ConnectTimeout { address, step, seconds: time.as_secs_f64(), key }
    }
}

macro_rules! define_options {
    ($($(#[$documentation:meta])* $field:ident: $type:ty = $key:literal,)*) => {
        /// All options of a connection. The default is what an application has before it configures
        /// anything.
        #[derive(Debug, Clone, Default)]
        pub struct ConnectOptions {
            /// The brokers, at least one; the first is tried next.
            pub brokers: Vec<Endpoint>,
            /// For MQTT 5: `clean_session` holds until the broker has accepted a connection with
            /// this number; later ones resume the session (MQTT 5.0, section 3.1.2.4). With 0 it
            /// always holds.
            pub clean_start_once: u32,
            /// The will.
            pub will: Option<Will>,
            /// The TLS options of endpoints that use TLS.
            pub tls: TlsOptions,
            /// Additional headers of the websocket request.
            pub websocket_headers: Vec<(String, Secret)>,
            /// The prefix of the configuration keys, for messages; `None` without a configuration.
            pub key_prefix: Option<String>,
            /// The limits.
            pub limits: Limits,
            /// Where QoS 1 and 2 messages are stored; `None` for memory only.
            pub persistence: Option<Persistence>,
            $($(#[$documentation])* pub $field: $type,)*
        }
    };
}

connect_keys!(define_options);

impl ConnectOptions {
    /// The broker to connect to next.
    pub fn broker(&self) -> &Endpoint {
        &self.brokers[0]
    }

    /// The largest packet to read, in bytes after the fixed header. The Maximum Packet Size of MQTT
    /// 5 counts that header too (MQTT 5.0, section 3.1.2.11.4).
    pub fn packet_size(&self) -> usize {
        let announced = self.properties.number(Property::MaximumPacketSize).unwrap_or(u32::MAX);
        self.limits.packet_size.min(announced as usize)
    }

    /// The timeout for reaching a broker, with its key.
    pub fn reaching(&self) -> Timeout {
        Timeout { time: self.connect_timeout, key: self.key("CONNECTION_TIMEOUT") }
    }

    /// The timeout for all later steps, with its key.
    pub fn handshake(&self) -> Timeout {
        if self.handshake_timeout < self.connect_timeout {
            return self.reaching();
        }
        Timeout { time: self.handshake_timeout, key: self.key("HANDSHAKE_TIMEOUT") }
    }

    /// The configuration key or argument to name in a message: `key("TLS_VERSION")` is
    /// `MQTT_TLS_VERSION` with the prefix `MQTT`, and `tls_version` without one.
    pub fn key(&self, name: &str) -> String {
        match &self.key_prefix {
            Some(prefix) => format!("{prefix}_{name}"),
            None => name.to_ascii_lowercase(),
        }
    }

    /// Checks what a CONNECT packet cannot express.
    pub fn validate(&self) -> Result<(), Error> {
        fits("client_id", self.client_id.len())?;
        if self.brokers.is_empty() {
            let expected = "it must name at least one";
            return Err(Error::Option { name: "brokers", value: "empty".to_owned(), expected });
        }
        let mut brokers = self.brokers.iter();
        if self.proxy.is_some() && brokers.any(|broker| broker.transport == Transport::Unix) {
            let expected = "a unix socket is not reached through a proxy";
            return Err(Error::Option { name: "proxy", value: "given".to_owned(), expected });
        }
        for credentials in self.brokers.iter().filter_map(|broker| broker.credentials.as_ref()) {
            fits("username", credentials.username.len())?;
            fits("password", credentials.password.as_ref().map_or(0, Vec::len))?;
        }
        if let Some(will) = &self.will {
            validate_topic(&will.topic)?;
            fits("will payload", will.payload.len())?;
            will.properties.validate(Place::Will)?;
        }
        if let Some(method) = self.properties.text(Property::AuthenticationMethod) {
            let expected = "enhanced authentication (AUTH) is not supported".to_owned();
            let name = Property::AuthenticationMethod.name();
            return Err(Error::Property { name, value: format!("{method:?}"), expected });
        }
        self.properties.validate(Place::Connect)
    }
}

fn fits(name: &'static str, length: usize) -> Result<(), Error> {
    if length <= MAX_STRING {
        return Ok(());
    }
    let expected = "a CONNECT packet carries at most 65535 bytes";
    Err(Error::Option { name, value: format!("of {length} bytes"), expected })
}

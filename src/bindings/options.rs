//! The dataclasses of `flask_mqtt.config.options`, as the core takes them.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use super::error::to_python;
use super::properties;
use crate::core::client::check_files;
use crate::core::options as core;
use crate::core::options::{
    Credentials, Fsync, Limits, Overflow, Persistence, Secret, TlsVersion, Transport,
};
use crate::core::property::Place;
use crate::core::qos::Qos;
use crate::core::url::parse_proxy;

#[derive(FromPyObject)]
struct Endpoint {
    transport: String,
    tls: bool,
    host: String,
    port: u16,
    path: String,
    username: Option<String>,
    password: Option<Password>,
}

/// Text is sent as UTF-8.
#[derive(FromPyObject)]
enum Password {
    #[pyo3(transparent, annotation = "str")]
    Text(String),
    #[pyo3(transparent, annotation = "bytes")]
    Binary(PyBackedBytes),
}

#[derive(FromPyObject)]
enum Pem {
    #[pyo3(transparent, annotation = "bytes")]
    Text(PyBackedBytes),
    #[pyo3(transparent, annotation = "str")]
    Path(PathBuf),
}

/// `flask_mqtt.config.options.TlsOptions`.
#[derive(FromPyObject)]
pub struct TlsOptions {
    ca_certs: Option<Pem>,
    certfile: Option<Pem>,
    keyfile: Option<Pem>,
    keyfile_password: Option<String>,
    verify: bool,
    verify_host: bool,
    lowest: Option<i64>,
    highest: Option<i64>,
    ciphers: Option<String>,
    alpn: Vec<String>,
}

#[derive(FromPyObject)]
struct Will<'py> {
    topic: String,
    payload: PyBackedBytes,
    qos: i64,
    retain: bool,
    properties: Option<Bound<'py, PyAny>>,
}

/// `flask_mqtt.config.options.ConnectOptions`.
#[derive(FromPyObject)]
pub struct ConnectOptions<'py> {
    brokers: Vec<Endpoint>,
    #[pyo3(attribute("protocol_version"))]
    protocol: i64,
    client_id: String,
    clean_session: bool,
    clean_start_once: u32,
    #[pyo3(attribute("keepalive"))]
    keep_alive: u16,
    #[pyo3(attribute("connection_timeout"))]
    connect_timeout: f64,
    handshake_timeout: f64,
    reconnect_delay_min: f64,
    reconnect_delay_max: f64,
    reconnect_on_failure: bool,
    will: Option<Will<'py>>,
    #[pyo3(attribute("connect_properties"))]
    properties: Option<Bound<'py, PyAny>>,
    tls: TlsOptions,
    websocket_headers: Vec<(String, String)>,
    proxy: Option<String>,
    bind_address: Option<String>,
    tcp_nodelay: bool,
    key_prefix: Option<String>,
    max_packet_size: usize,
    max_inflight: usize,
    max_queued: usize,
    max_outgoing_bytes: usize,
    max_incoming_messages: usize,
    max_incoming_bytes: usize,
    incoming_overflow: String,
    persistence: Option<PathBuf>,
    persistence_fsync: String,
}

impl ConnectOptions<'_> {
    pub fn into_core(self) -> PyResult<core::ConnectOptions> {
        let headers = self.websocket_headers.into_iter();
        let mut options = core::ConnectOptions {
            brokers: self.brokers.into_iter().map(endpoint).collect::<PyResult<_>>()?,
            protocol: protocol(self.protocol)?,
            client_id: self.client_id,
            clean_session: self.clean_session,
            clean_start_once: self.clean_start_once,
            keep_alive: self.keep_alive,
            connect_timeout: seconds("connect_timeout", self.connect_timeout)?,
            handshake_timeout: seconds("handshake_timeout", self.handshake_timeout)?,
            reconnect_delay_min: seconds("reconnect_delay_min", self.reconnect_delay_min)?,
            reconnect_delay_max: seconds("reconnect_delay_max", self.reconnect_delay_max)?,
            reconnect_on_failure: self.reconnect_on_failure,
            will: self.will.map(will).transpose()?,
            properties: properties::from_python(self.properties.as_ref(), Place::Connect)?,
            tls: tls(self.tls)?,
            websocket_headers: headers.map(|(name, value)| (name, Secret(value))).collect(),
            proxy: self.proxy.as_deref().map(proxy).transpose()?,
            bind_address: None,
            tcp_nodelay: self.tcp_nodelay,
            key_prefix: self.key_prefix,
            limits: Limits {
                packet_size: self.max_packet_size,
                inflight: limit(self.max_inflight),
                queued: limit(self.max_queued),
                outgoing_bytes: self.max_outgoing_bytes,
                incoming_messages: self.max_incoming_messages,
                incoming_bytes: self.max_incoming_bytes,
                overflow: overflow(&self.incoming_overflow)?,
            },
            persistence: self
                .persistence
                .map(|path| persistence(path, &self.persistence_fsync))
                .transpose()?,
        };
        options.bind_address =
            self.bind_address.map(|text| address(&text, &options)).transpose()?;
        Ok(options)
    }
}

fn endpoint(from: Endpoint) -> PyResult<core::Endpoint> {
    let transport = match from.transport.as_str() {
        "tcp" => Transport::Tcp,
        "websockets" => Transport::Websocket,
        "unix" => Transport::Unix,
        other => {
            let text = format!("transport {other:?}: it must be 'tcp', 'websockets' or 'unix'");
            return Err(PyValueError::new_err(text));
        }
    };
    let password = from.password.map(|password| match password {
        Password::Text(text) => text.into_bytes(),
        Password::Binary(bytes) => bytes.to_vec(),
    });
    Ok(core::Endpoint {
        transport,
        tls: from.tls,
        host: from.host,
        port: from.port,
        path: from.path,
        credentials: from.username.map(|username| Credentials { username, password }),
    })
}

fn protocol(number: i64) -> PyResult<core::Protocol> {
    Ok(match number {
        3 => core::Protocol::V31,
        4 => core::Protocol::V311,
        5 => core::Protocol::V5,
        _ => {
            let text =
                format!("protocol {number}: it must be 3 (MQTTv31), 4 (MQTTv311) or 5 (MQTTv5)");
            return Err(PyValueError::new_err(text));
        }
    })
}

fn seconds(name: &str, number: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(number)
        .map_err(|error| PyValueError::new_err(format!("{name} {number}: {error}")))
}

/// A number of messages, of which 0 is none.
pub fn limit(messages: usize) -> usize {
    if messages == 0 { usize::MAX } else { messages }
}

fn overflow(text: &str) -> PyResult<Overflow> {
    Ok(match text {
        "block" => Overflow::Block,
        "drop-oldest" => Overflow::DropOldest,
        "drop-newest" => Overflow::DropNewest,
        other => {
            let expected = "it must be 'block', 'drop-oldest' or 'drop-newest'";
            return Err(PyValueError::new_err(format!("incoming_overflow {other:?}: {expected}")));
        }
    })
}

fn persistence(path: PathBuf, fsync: &str) -> PyResult<Persistence> {
    let fsync = match fsync {
        "normal" => Fsync::Normal,
        "always" => Fsync::Always,
        other => {
            let text = format!("persistence_fsync {other:?}: it must be 'normal' or 'always'");
            return Err(PyValueError::new_err(text));
        }
    };
    Ok(Persistence { path, fsync })
}

fn proxy(text: &str) -> PyResult<core::Proxy> {
    parse_proxy(text).map_err(to_python)
}

fn address(text: &str, options: &core::ConnectOptions) -> PyResult<IpAddr> {
    text.parse().map_err(|_| {
        let key = options.key("BIND_ADDRESS");
        PyValueError::new_err(format!("{key} {text:?}: it must be an IP address of this machine"))
    })
}

fn will(from: Will<'_>) -> PyResult<core::Will> {
    Ok(core::Will {
        topic: from.topic,
        payload: Bytes::from_owner(from.payload),
        qos: Qos::try_from(from.qos).map_err(to_python)?,
        retain: from.retain,
        properties: properties::from_python(from.properties.as_ref(), Place::Will)?,
    })
}

fn pem(from: Pem) -> core::Pem {
    match from {
        Pem::Text(text) => core::Pem::Text(Bytes::copy_from_slice(&text)),
        Pem::Path(path) => core::Pem::Path(path),
    }
}

fn tls(from: TlsOptions) -> PyResult<core::TlsOptions> {
    Ok(core::TlsOptions {
        ca: from.ca_certs.map(pem),
        certificate: from.certfile.map(pem),
        key: from.keyfile.map(pem),
        key_password: from.keyfile_password.map(Secret),
        verify: from.verify,
        verify_host: from.verify_host,
        lowest: from.lowest.map(tls_version).transpose()?,
        highest: from.highest.map(tls_version).transpose()?,
        ciphers: from.ciphers,
        alpn: from.alpn,
    })
}

/// Reads the certificates and keys that TLS is asked for, as a connection does. Raises what it would.
#[pyfunction]
pub fn check_tls(py: Python<'_>, options: TlsOptions, key_prefix: Option<String>) -> PyResult<()> {
    let mut all = core::ConnectOptions::new("", 0);
    all.brokers[0].tls = true;
    all.tls = tls(options)?;
    all.key_prefix = key_prefix;
    py.detach(|| check_files(&all)).map_err(to_python)
}

/// A number of `ssl.TLSVersion`.
fn tls_version(number: i64) -> PyResult<TlsVersion> {
    Ok(match number {
        768 => TlsVersion::Ssl3,
        769 => TlsVersion::V10,
        770 => TlsVersion::V11,
        771 => TlsVersion::V12,
        772 => TlsVersion::V13,
        _ => {
            let text = format!("TLS version {number}: it must be one of ssl.TLSVersion");
            return Err(PyValueError::new_err(text));
        }
    })
}

//! Converts the dataclasses of `flask_mqtt.config.options` to the core's options.

use std::path::PathBuf;

use bytes::Bytes;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use super::error::to_python;
use super::{keys, properties};
use crate::core::client::check_files;
use crate::core::options as core;
use crate::core::options::{Credentials, Fsync, Persistence, Secret, TlsVersion, Transport};
use crate::core::property::Place;
use crate::core::qos::Qos;

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

/// Text is encoded as UTF-8.
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

/// `flask_mqtt.config.options.ConnectOptions`: the values of keys, and those derived from several
/// keys.
pub struct ConnectOptions<'py> {
    keys: Bound<'py, PyAny>,
    made: Made<'py>,
}

impl<'py> FromPyObject<'_, 'py> for ConnectOptions<'py> {
    type Error = PyErr;

    fn extract(options: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Ok(Self { keys: options.to_owned(), made: options.extract()? })
    }
}

#[derive(FromPyObject)]
struct Made<'py> {
    brokers: Vec<Endpoint>,
    clean_start_once: u32,
    will: Option<Will<'py>>,
    tls: TlsOptions,
    websocket_headers: Vec<(String, String)>,
    key_prefix: Option<String>,
    persistence: Option<PathBuf>,
    persistence_fsync: String,
}

impl ConnectOptions<'_> {
    pub fn into_core(self) -> PyResult<core::ConnectOptions> {
        let Made { brokers, will: last_will, persistence: file, .. } = self.made;
        let headers = self.made.websocket_headers.into_iter();
        let fsync = self.made.persistence_fsync;
        Ok(core::ConnectOptions {
            brokers: brokers.into_iter().map(endpoint).collect::<PyResult<_>>()?,
            clean_start_once: self.made.clean_start_once,
            will: last_will.map(will).transpose()?,
            tls: tls(self.made.tls)?,
            websocket_headers: headers.map(|(name, value)| (name, Secret(value))).collect(),
            key_prefix: self.made.key_prefix,
            persistence: file.map(|path| persistence(path, &fsync)).transpose()?,
            ..keys::options(&self.keys)?
        })
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

/// Reads the certificates and keys as a connection does, and raises the same errors.
#[pyfunction]
pub fn check_tls(py: Python<'_>, options: TlsOptions, key_prefix: Option<String>) -> PyResult<()> {
    let broker = core::Endpoint { tls: true, ..core::Endpoint::tcp("", 0) };
    let (brokers, tls) = (vec![broker], tls(options)?);
    let all = core::ConnectOptions { brokers, tls, key_prefix, ..Default::default() };
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

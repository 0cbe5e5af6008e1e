//! URLs of brokers and proxies.

use std::borrow::Cow;

use pyo3::prelude::*;

use super::error::to_python;
use crate::core::options::{Credentials, Transport};
use crate::core::url::{parse_broker, parse_proxy};

type BrokerTuple = (
    &'static str,
    bool,
    String,
    Option<u16>,
    Option<String>,
    Option<String>,
    Option<Cow<'static, [u8]>>,
);

/// The parts of a broker's URL: `(transport, tls, host, port, path, username, password)`, the password
/// as bytes. Raises `ValueError`.
#[pyfunction]
pub fn parse_broker_url(text: &str) -> PyResult<BrokerTuple> {
    let url = parse_broker(text).map_err(to_python)?;
    let transport = match url.transport {
        Transport::Tcp => "tcp",
        Transport::Websocket => "websockets",
        Transport::Unix => "unix",
    };
    let (username, password) = match url.credentials {
        Some(Credentials { username, password }) => (Some(username), password.map(Cow::Owned)),
        None => (None, None),
    };
    Ok((transport, url.tls, url.host, url.port, url.path, username, password))
}

/// Raises `ValueError` if the text is no URL of a proxy.
#[pyfunction]
pub fn validate_proxy(text: &str) -> PyResult<()> {
    parse_proxy(text).map(drop).map_err(to_python)
}

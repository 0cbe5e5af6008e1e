//! Stands in for TLS, which another branch brings.
#![allow(clippy::unnecessary_wraps, clippy::unused_async)]

use super::super::error::Error;
use super::super::options::{ConnectOptions, Endpoint};
use super::Stream;

/// Refuses.
pub async fn wrap(
    _: Box<dyn Stream>,
    _: &ConnectOptions,
    broker: &Endpoint,
) -> Result<Box<dyn Stream>, Error> {
    Err(Error::Tls(format!("no TLS to {}", broker.address())))
}

/// Accepts.
pub fn check(_: &ConnectOptions) -> Result<(), Error> {
    Ok(())
}

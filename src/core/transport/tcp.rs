//! Plain TCP.

use std::io;

use tokio::net::{TcpStream, lookup_host};

use super::super::error::Error;
use super::super::options::Endpoint;

/// Connects to the first address of the host that accepts.
pub async fn connect(broker: &Endpoint) -> Result<TcpStream, Error> {
    let unresolved =
        |error: &io::Error| Error::Resolve { host: broker.host.clone(), reason: error.to_string() };
    let addresses = lookup_host((broker.host.as_str(), broker.port))
        .await
        .map_err(|error| unresolved(&error))?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(Error::Connect { address: broker.address(), source: last })
}

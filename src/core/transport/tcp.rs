//! Plain TCP.

use std::io;

use tokio::net::{TcpStream, lookup_host};

use super::super::error::Error;
use super::super::options::ConnectOptions;

/// Connects to the first address of the host that accepts.
pub async fn connect(options: &ConnectOptions) -> Result<TcpStream, Error> {
    let unresolved = |error: &io::Error| Error::Resolve {
        host: options.host.clone(),
        reason: error.to_string(),
    };
    let addresses = lookup_host((options.host.as_str(), options.port))
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
    Err(Error::Connect { address: options.address(), source: last })
}

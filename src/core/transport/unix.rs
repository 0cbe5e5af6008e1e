//! A unix domain socket.

use tokio::net::UnixStream;

use super::super::error::Error;

/// Connects to the socket at a path. A missing socket gives the system's error number; a path too
/// long for an address has its own text.
pub async fn connect(path: &str) -> Result<UnixStream, Error> {
    let result = UnixStream::connect(path).await;
    result.map_err(|source| Error::Connect { address: path.to_owned(), source })
}

//! A unix domain socket.

use tokio::net::UnixStream;

use super::super::error::Error;

/// Connects to the socket at a path. Without one the error has the system's number; a path that no
/// address has room for has its own text.
pub async fn connect(path: &str) -> Result<UnixStream, Error> {
    let result = UnixStream::connect(path).await;
    result.map_err(|source| Error::Connect { address: path.to_owned(), source })
}

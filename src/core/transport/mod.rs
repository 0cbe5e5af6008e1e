//! Ways to reach a broker. All end as one stream of bytes.

mod tcp;

use tokio::io::{AsyncRead, AsyncWrite};

use super::error::Error;
use super::options::ConnectOptions;

/// A connected byte stream.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Opens the transport that the options name, within the connection timeout.
pub async fn open(options: &ConnectOptions) -> Result<Box<dyn Stream>, Error> {
    let stream = tokio::time::timeout(options.connect_timeout, tcp::connect(options));
    match stream.await {
        Ok(stream) => Ok(Box::new(stream?)),
        Err(_) => Err(Error::ConnectTimeout {
            address: options.address(),
            step: "TCP connection",
            seconds: options.connect_timeout.as_secs_f64(),
        }),
    }
}

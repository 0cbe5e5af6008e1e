//! Ways to reach a broker. All end as one stream of bytes.

mod tcp;

use tokio::io::{AsyncRead, AsyncWrite};

use super::error::Error;
use super::options::{ConnectOptions, Endpoint};

/// A connected byte stream.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Opens the way to a broker, within the connection timeout.
pub async fn open(options: &ConnectOptions, broker: &Endpoint) -> Result<Box<dyn Stream>, Error> {
    let stream = tokio::time::timeout(options.connect_timeout, tcp::connect(broker));
    match stream.await {
        Ok(stream) => Ok(Box::new(stream?)),
        Err(_) => Err(Error::ConnectTimeout {
            address: broker.address(),
            step: "TCP connection",
            seconds: options.connect_timeout.as_secs_f64(),
        }),
    }
}

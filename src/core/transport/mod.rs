//! Ways to reach a broker. All end as one stream of bytes: TCP or a unix socket, a proxy on the way, TLS
//! around it, a websocket inside.

mod proxy;
mod tcp;
mod tls;
mod unix;
mod websocket;

use std::future::Future;
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite};

use super::error::Error;
use super::options::{ConnectOptions, Endpoint, Transport};

/// A connected byte stream.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Looks at once at what an attempt would fail with: certificates, keys, headers.
pub fn check(options: &ConnectOptions) -> Result<(), Error> {
    if options.brokers.iter().any(|broker| broker.tls) {
        tls::check(options)?;
    }
    websocket::check(options)
}

/// Opens the way to a broker. What is not done at `until` is named in the error.
pub async fn open(
    options: &ConnectOptions,
    broker: &Endpoint,
    until: Instant,
) -> Result<Box<dyn Stream>, Error> {
    let deadline = Deadline { until, seconds: options.connect_timeout.as_secs_f64() };
    let address = broker.address();
    let connecting = "TCP connection";
    let mut stream: Box<dyn Stream> = match (&options.proxy, broker.transport) {
        (_, Transport::Unix) => {
            Box::new(deadline.keep(connecting, &address, unix::connect(&broker.host)).await?)
        }
        (Some(proxy), _) => {
            let (address, connect) =
                (proxy::address(proxy), proxy::connect(options, proxy, broker));
            deadline.keep("proxy connection", &address, connect).await?
        }
        (None, _) => {
            let connect = tcp::connect(options, &broker.host, broker.port);
            Box::new(deadline.keep(connecting, &address, connect).await?)
        }
    };
    if broker.tls {
        let wrap = tls::wrap(stream, options, broker);
        stream = deadline.keep("TLS handshake", &address, wrap).await?;
    }
    if broker.transport == Transport::Websocket {
        let upgrade = websocket::upgrade(stream, options, broker);
        stream = Box::new(deadline.keep("websocket handshake", &address, upgrade).await?);
    }
    Ok(stream)
}

/// When all of an attempt has to be done.
struct Deadline {
    until: Instant,
    seconds: f64,
}

impl Deadline {
    async fn keep<T>(
        &self,
        step: &'static str,
        address: &str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::time::timeout_at(self.until.into(), work).await.unwrap_or_else(|_| {
            let address = address.to_owned();
            Err(Error::ConnectTimeout { address, step, seconds: self.seconds })
        })
    }
}

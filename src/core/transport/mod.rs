//! The transports. Each ends as one stream of bytes: TCP or a unix socket, perhaps through a proxy,
//! in TLS, or inside a websocket.

mod proxy;
mod resolve;
mod tcp;
mod tls;
mod unix;
mod websocket;

use std::future::Future;
use std::os::fd::AsFd;
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite};

use super::error::Error;
use super::options::{ConnectOptions, Endpoint, Timeout, Transport};
use super::socket::Socket;

/// A connected byte stream.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Has libraries begin that keep something for the whole process.
pub fn prepare() {
    tls::prepare();
}

/// Looks at once at what an attempt would fail with: certificates, keys, headers.
pub fn check(options: &ConnectOptions) -> Result<(), Error> {
    if options.brokers.iter().any(|broker| broker.tls) {
        tls::check(options)?;
    }
    websocket::check(options)
}

/// Opens the way to a broker. Returns until when the broker has to have answered the CONNECT, too: what
/// comes after the way to it, or to a proxy, has one deadline. The socket that it begins with is kept,
/// where that is wanted.
pub async fn open(
    options: &ConnectOptions,
    broker: &Endpoint,
    socket: &Socket,
) -> Result<(Box<dyn Stream>, Instant), Error> {
    let deadline = Deadline::new(options.reaching());
    let address = broker.address();
    let connecting = "TCP connection";
    match (&options.proxy, broker.transport) {
        (_, Transport::Unix) => {
            let stream = deadline.keep(connecting, &address, unix::connect(&broker.host)).await?;
            socket.keep(stream.as_fd());
            further(options, broker, Box::new(stream), Deadline::new(options.handshake())).await
        }
        (Some(proxy), _) => {
            let (step, address) = ("proxy connection", proxy::address(proxy));
            let stream = deadline.keep(step, &address, proxy::reach(options, proxy)).await?;
            socket.keep(stream.as_fd());
            let deadline = Deadline::new(options.handshake());
            let tunnel = proxy::connect(options, proxy, broker, stream);
            let stream = deadline.keep(step, &address, tunnel).await?;
            further(options, broker, stream, deadline).await
        }
        (None, _) => {
            let connect = tcp::connect(options, &broker.host, broker.port);
            let stream = deadline.keep(connecting, &address, connect).await?;
            socket.keep(stream.as_fd());
            further(options, broker, Box::new(stream), Deadline::new(options.handshake())).await
        }
    }
}

/// What may go over a way to a broker.
async fn further(
    options: &ConnectOptions,
    broker: &Endpoint,
    mut stream: Box<dyn Stream>,
    deadline: Deadline,
) -> Result<(Box<dyn Stream>, Instant), Error> {
    let address = broker.address();
    if broker.tls {
        let wrap = tls::wrap(stream, options, broker);
        stream = deadline.keep("TLS handshake", &address, wrap).await?;
    }
    if broker.transport == Transport::Websocket {
        let upgrade = websocket::upgrade(stream, options, broker);
        stream = Box::new(deadline.keep("websocket handshake", &address, upgrade).await?);
    }
    Ok((stream, deadline.until))
}

/// Until when a part of an attempt has to be done.
struct Deadline {
    until: Instant,
    timeout: Timeout,
}

impl Deadline {
    fn new(timeout: Timeout) -> Self {
        Self { until: Instant::now() + timeout.time, timeout }
    }

    /// Does a step. What is not done in time is named in the error.
    async fn keep<T>(
        &self,
        step: &'static str,
        address: &str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let late = |_| Err(self.timeout.clone().error(step, address.to_owned()));
        tokio::time::timeout_at(self.until.into(), work).await.unwrap_or_else(late)
    }
}

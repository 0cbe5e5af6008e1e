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

/// Initialises libraries with process-wide state.
pub fn prepare() {
    tls::prepare();
}

/// Checks in advance what an attempt would fail with: certificates, keys, headers.
pub fn check(options: &ConnectOptions) -> Result<(), Error> {
    if options.brokers.iter().any(|broker| broker.tls) {
        tls::check(options)?;
    }
    websocket::check(options)
}

/// Opens the transport to a broker. Also returns the deadline for the CONNACK: all steps after
/// reaching the broker, or a proxy, share one deadline. The socket is kept if the application wants
/// it.
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

/// Adds the layers above the first stream: TLS and a websocket.
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

/// The deadline of a part of an attempt.
struct Deadline {
    until: Instant,
    timeout: Timeout,
}

impl Deadline {
    fn new(timeout: Timeout) -> Self {
        Self { until: Instant::now() + timeout.time, timeout }
    }

    /// Runs a step. After a timeout the error names it.
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

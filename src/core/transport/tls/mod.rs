//! TLS around any stream, by OpenSSL.

mod advice;
mod ca_certificates;
mod connector;
mod identity;
mod pem;
mod rejection;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_openssl::SslStream;

use self::advice::Advice;
use self::rejection::Rejection;
use super::super::error::Error;
use super::super::gate::{Inside, OPENSSL};
use super::super::options::{ConnectOptions, Endpoint};
use super::Stream;

/// Reads the files and builds a connector, to find mistakes before connecting.
pub fn check(options: &ConnectOptions) -> Result<(), Error> {
    let _inside = begin()?;
    connector::build(options).map(drop)
}

/// Initialises OpenSSL, so that no thread is in the middle of that during a fork.
pub fn prepare() {
    let _inside = OPENSSL.enter();
    openssl::init();
}

/// Enters the gate for a first step.
fn begin() -> Result<Inside<'static>, Error> {
    OPENSSL.begin().map_err(|_| {
        let text = "TLS cannot be used in this process: another thread of its parent was using OpenSSL when it was forked";
        Error::Begin(io::Error::other(text))
    })
}

/// Performs the handshake with a broker. The files are read again, so that renewed certificates are
/// used. The caller limits the time.
pub async fn wrap(
    stream: Box<dyn Stream>,
    options: &ConnectOptions,
    broker: &Endpoint,
) -> Result<Box<dyn Stream>, Error> {
    let advice = Advice::new(options, broker);
    let rejection = Rejection::default();
    let mut stream = {
        let _inside = begin()?;
        let ssl = connector::session(options, advice.host(), &rejection)?;
        Guarded(Some(SslStream::new(ssl, stream).map_err(|error| pem::internal(&error))?))
    };
    match poll_fn(|context| stream.with(|stream| stream.poll_connect(context))).await {
        Ok(()) => Ok(Box::new(Secured { stream, advice, heard: false })),
        Err(error) => {
            let _inside = OPENSSL.enter();
            Err(advice.handshake(error, &rejection))
        }
    }
}

/// OpenSSL's stream, which is used only inside the gate.
struct Guarded(Option<SslStream<Box<dyn Stream>>>);

impl Guarded {
    /// Performs one non-blocking step.
    fn with<T>(
        &mut self,
        step: impl FnOnce(Pin<&mut SslStream<Box<dyn Stream>>>) -> Poll<T>,
    ) -> Poll<T> {
        let _inside = OPENSSL.enter();
        // The stream exists until this is dropped.
        self.0.as_mut().map_or(Poll::Pending, |stream| step(Pin::new(stream)))
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let _inside = OPENSSL.enter();
        drop(self.0.take());
    }
}

/// A TLS stream whose errors contain hints. In TLS 1.3 a broker rejects the client's certificate
/// after the handshake, which shows as an error of reading.
struct Secured {
    stream: Guarded,
    advice: Advice,
    /// Whether the broker has sent anything since the handshake.
    heard: bool,
}

impl Secured {
    fn explain(&self, error: io::Error) -> io::Error {
        let _inside = OPENSSL.enter();
        self.advice.later(error, self.heard)
    }

    /// The error for a failed write. A broker that rejects the client sends an alert before it
    /// hangs up: the unread alert is reported instead of the broken connection.
    fn explain_write(&mut self, error: io::Error, context: &mut Context<'_>) -> io::Error {
        let mut scratch = [0; 1024];
        let mut buffer = ReadBuf::new(&mut scratch);
        let reading = self.stream.with(|stream| stream.poll_read(context, &mut buffer));
        match reading {
            Poll::Ready(Err(refusal)) if advice::is_alert(&refusal) => self.explain(refusal),
            _ => self.explain(error),
        }
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = this.stream.with(|stream| stream.poll_read(context, buffer));
        result.map(|result| match result {
            Ok(()) => {
                this.heard = true;
                Ok(())
            }
            // The peer closed without `close_notify`. MQTT has its own framing, so a truncation
            // cannot go unnoticed.
            Err(error) if advice::is_unexpected_end(&error) => Ok(()),
            Err(error) => Err(this.explain(error)),
        })
    }
}

impl AsyncWrite for Secured {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = this.stream.with(|stream| stream.poll_write(context, bytes));
        result.map_err(|error| this.explain_write(error, context))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = this.stream.with(|stream| stream.poll_flush(context));
        result.map_err(|error| this.explain(error))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = this.stream.with(|stream| stream.poll_shutdown(context));
        result.map_err(|error| this.explain(error))
    }
}

//! The websocket handshake: the request, the response, and its errors.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response, generate_key};
use tokio_tungstenite::tungstenite::http::header::{
    HOST, HeaderName, HeaderValue, LOCATION, ORIGIN,
};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::super::super::error::{Error, is_reset};
use super::super::super::options::{ConnectOptions, Endpoint, Secret, Transport};
use super::super::Stream;

/// Checks the options that go into the websocket request.
pub fn check(options: &ConnectOptions) -> Result<(), Error> {
    check_headers(&options.websocket_headers)?;
    let is_websocket = |broker: &&Endpoint| broker.transport == Transport::Websocket;
    options.brokers.iter().filter(is_websocket).try_for_each(|broker| {
        request(options, broker)?;
        Ok(())
    })
}

/// Checks the application's headers. No error shows a value.
fn check_headers(headers: &[(String, Secret)]) -> Result<(), Error> {
    headers.iter().try_for_each(|(name, value)| header(name, value).map(drop))
}

/// Performs the handshake. Returns the stream, and data that the server sent after its response.
pub async fn shake_hands(
    stream: Box<dyn Stream>,
    options: &ConnectOptions,
    broker: &Endpoint,
) -> Result<(Box<dyn Stream>, BytesMut), Error> {
    let request = request(options, broker)?;
    let answer = Answer { stream, read: BytesMut::new(), begun: false, at_start: true };
    // The library reads nothing after the handshake, so it needs no buffer.
    let config = WebSocketConfig::default().read_buffer_size(0);
    match client_async_with_config(request, answer, Some(config)).await {
        Ok((socket, _)) => {
            let Answer { stream, read, .. } = socket.into_inner();
            Ok((stream, read))
        }
        // TLS below may have a more precise error.
        Err(WsError::Io(error)) => Err(match Error::from(error) {
            Error::Io(error) if is_reset(&error) => no_websocket(broker, closed_early(options)),
            other => other,
        }),
        Err(error) => Err(no_websocket(broker, refusal(options, &error))),
    }
}

fn no_websocket(broker: &Endpoint, reason: String) -> Error {
    Error::Websocket { address: broker.address(), reason }
}

fn closed_early(options: &ConnectOptions) -> String {
    let (transport, tls) = (options.key("TRANSPORT"), options.key("TLS_ENABLED"));
    format!("the connection was closed before an answer; look at the port, {transport} and {tls}")
}

fn request(options: &ConnectOptions, broker: &Endpoint) -> Result<Request, Error> {
    let (scheme, origin, usual) =
        if broker.tls { ("wss", "https", 443) } else { ("ws", "http", 80) };
    let mut host = broker.address();
    if broker.port == usual {
        host.truncate(host.rfind(':').unwrap_or(host.len()));
    }
    let invalid = |name, value: &str, expected| {
        let value = format!("{:?}", value.split('?').next().unwrap_or_default());
        Error::Option { name, value, expected }
    };
    let path = || {
        let expected = "it must begin with / and have only characters that a URL may have";
        invalid("websocket path", &broker.path, expected)
    };
    if !broker.path.starts_with('/') {
        return Err(path());
    }
    // The URI's host is not sent: the `Host` header names the server.
    let mut request = Request::builder()
        .uri(format!("{scheme}://broker{}", broker.path))
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", generate_key())
        .header("Sec-WebSocket-Protocol", "mqtt")
        .body(())
        .map_err(|_| path())?;
    let headers = request.headers_mut();
    for (name, text) in [(HOST, host.clone()), (ORIGIN, format!("{origin}://{host}"))] {
        let expected = "a host name in a header is of visible ASCII characters";
        let value = text.parse().map_err(|_| invalid("websocket host", &broker.host, expected))?;
        headers.insert(name, value);
    }
    for (name, value) in &options.websocket_headers {
        let (name, value) = header(name, value)?;
        headers.insert(name, value);
    }
    Ok(request)
}

fn header(name: &str, value: &Secret) -> Result<(HeaderName, HeaderValue), Error> {
    let invalid = |expected| Error::Option {
        name: "websocket_headers",
        value: format!("{name:?}"),
        expected,
    };
    let key = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| invalid("this is no name of a header"))?;
    if matches!(key.as_str(), "connection" | "upgrade")
        || key.as_str().starts_with("sec-websocket-")
    {
        return Err(invalid("the handshake itself sets this header"));
    }
    let value = HeaderValue::from_str(&value.0)
        .map_err(|_| invalid("the value of a header has no line breaks or control characters"))?;
    if key == HOST && value.to_str().is_err() {
        return Err(invalid("its value must be of visible ASCII characters"));
    }
    Ok((key, value))
}

/// Why the websocket was refused, and which key to check.
fn refusal(options: &ConnectOptions, error: &WsError) -> String {
    let path = options.key("WS_PATH");
    match error {
        WsError::Http(response) => refused_with(options, response),
        WsError::Protocol(ProtocolError::SecWebSocketSubProtocolError(_)) => {
            format!("the server does not speak the subprotocol mqtt; look at {path} and the port")
        }
        WsError::Protocol(ProtocolError::HttparseError(_) | ProtocolError::WrongHttpVersion) => {
            format!(
                "the answer is not of HTTP/1.1; look at the port and {}",
                options.key("TRANSPORT")
            )
        }
        WsError::Protocol(ProtocolError::HandshakeIncomplete) => closed_early(options),
        WsError::AttackAttempt => {
            "the answer to the request is too long, or comes in too many pieces".to_owned()
        }
        other => other.to_string(),
    }
}

fn refused_with(options: &ConnectOptions, response: &Response) -> String {
    let status = response.status();
    let (path, user) = (options.key("WS_PATH"), options.key("USERNAME"));
    let headers = options.key("WS_HEADERS");
    match status.as_u16() {
        300..=399 => {
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let location = without_secrets(location.unwrap_or("nowhere"));
            format!(
                "the server answered {status} to {location:?}; redirects are not followed, look at {path} and the URL"
            )
        }
        401 | 403 => format!("the server answered {status}; look at {user} and {headers}"),
        400 | 404 | 405 => format!("the server answered {status}; look at {path}"),
        _ => format!("the server answered {status}"),
    }
}

/// A location without user, password and query, shortened.
fn without_secrets(location: &str) -> String {
    let location = location.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = location.split_once("//").unwrap_or(("", location));
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    let separator = if scheme.is_empty() { "" } else { "//" };
    format!("{scheme}{separator}{rest}").chars().take(200).collect()
}

/// The stream for the library, which keeps whatever it reads: so it gets the response, up to an
/// empty line, and nothing after it.
struct Answer {
    stream: Box<dyn Stream>,
    /// Data read, but not passed on.
    read: BytesMut,
    /// Whether a non-empty line was read, and whether a new line begins.
    begun: bool,
    at_start: bool,
}

impl Answer {
    /// How many of the bytes belong to the response, up to the empty line.
    fn end(&mut self, most: usize) -> usize {
        for (index, byte) in self.read.iter().take(most).enumerate() {
            match byte {
                b'\n' if self.at_start && self.begun => return index + 1,
                b'\n' => self.at_start = true,
                b'\r' => {}
                _ => (self.begun, self.at_start) = (true, false),
            }
        }
        self.read.len().min(most)
    }
}

impl AsyncRead for Answer {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.read.is_empty() {
            let mut space = [0; 4096];
            let mut part = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut part))?;
            this.read.extend_from_slice(part.filled());
        }
        let count = this.end(buffer.remaining());
        buffer.put_slice(&this.read[..count]);
        this.read.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Answer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

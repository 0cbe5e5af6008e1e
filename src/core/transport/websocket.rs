//! A websocket as a stream of bytes (MQTT 5.0, section 6): one binary message for each write; packets may
//! begin and end anywhere in what is read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::{Sink, Stream as Messages};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response, generate_key};
use tokio_tungstenite::tungstenite::http::header::{
    HOST, HeaderName, HeaderValue, LOCATION, ORIGIN,
};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::super::error::Error;
use super::super::options::{ConnectOptions, Endpoint, Secret, Transport};
use super::super::unanswered::is_reset;
use super::Stream;

/// The largest message that is written.
const CHUNK: usize = 64 * 1024;

/// A server may put many packets into a message, so one of this size is read whatever the limit of a
/// packet is.
const MESSAGE: usize = 16 * 1024 * 1024;

/// Looks at what the requests for websockets are made of.
pub fn check(options: &ConnectOptions) -> Result<(), Error> {
    check_headers(&options.websocket_headers)?;
    let is_websocket = |broker: &&Endpoint| broker.transport == Transport::Websocket;
    options.brokers.iter().filter(is_websocket).try_for_each(|broker| {
        request(options, broker)?;
        Ok(())
    })
}

/// Looks at headers for the request. No error shows a value.
fn check_headers(headers: &[(String, Secret)]) -> Result<(), Error> {
    headers.iter().try_for_each(|(name, value)| header(name, value).map(drop))
}

/// Does the handshake.
pub async fn upgrade(
    stream: Box<dyn Stream>,
    options: &ConnectOptions,
    broker: &Endpoint,
) -> Result<Websocket, Error> {
    let largest = options.packet_size().max(MESSAGE);
    let config = WebSocketConfig::default()
        .write_buffer_size(0)
        .max_message_size(Some(largest))
        .max_frame_size(Some(largest));
    match client_async_with_config(request(options, broker)?, stream, Some(config)).await {
        Ok((socket, _)) => Ok(Websocket { socket, unread: Bytes::new() }),
        // TLS below may have an error of its own to tell.
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
    // The URI's host goes nowhere: the header says which one is meant.
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

/// Why there is no websocket, and what to look at.
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

/// A location without user, password and query, and not at any length.
fn without_secrets(location: &str) -> String {
    let location = location.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = location.split_once("//").unwrap_or(("", location));
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    let separator = if scheme.is_empty() { "" } else { "//" };
    format!("{scheme}{separator}{rest}").chars().take(200).collect()
}

/// An open websocket.
pub struct Websocket {
    socket: WebSocketStream<Box<dyn Stream>>,
    /// The rest of a message.
    unread: Bytes,
}

impl AsyncRead for Websocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_next(context)) {
                Some(Ok(Message::Binary(bytes))) => self.unread = bytes,
                Some(Ok(Message::Close(frame))) => {
                    // The answer to it is on its way out; whether it gets there matters to nobody.
                    let _ = Pin::new(&mut self.socket).poll_flush(context);
                    return Poll::Ready(closed(frame));
                }
                Some(Ok(Message::Text(_))) => {
                    let text = "a text message on the websocket: MQTT goes in binary ones";
                    return Poll::Ready(Err(protocol_error(text.to_owned())));
                }
                // A ping is answered by the library: with the next poll, which follows at once.
                Some(Ok(_)) => {}
                // Brokers end the connection without saying so inside the websocket.
                Some(Err(WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake)))
                | None => {
                    return Poll::Ready(Ok(()));
                }
                Some(Err(error)) => return Poll::Ready(Err(io_error(error))),
            }
        }
        let count = self.unread.len().min(buffer.remaining());
        buffer.put_slice(&self.unread[..count]);
        self.unread.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Websocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.socket).poll_ready(context)).map_err(io_error)?;
        let chunk = &bytes[..bytes.len().min(CHUNK)];
        let message = Message::Binary(Bytes::copy_from_slice(chunk));
        Pin::new(&mut self.socket).start_send(message).map_err(io_error)?;
        Poll::Ready(Ok(chunk.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context).map_err(io_error)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.socket).poll_close(context)).map_err(io_error)?;
        Pin::new(self.socket.get_mut()).poll_shutdown(context)
    }
}

/// The end of the stream, or an error where the server gave a reason.
fn closed(frame: Option<CloseFrame>) -> io::Result<()> {
    match frame {
        Some(frame) if !matches!(frame.code, CloseCode::Normal | CloseCode::Away) => {
            let text = format!("the broker closed the websocket: {} {}", frame.code, frame.reason);
            Err(io::Error::new(io::ErrorKind::ConnectionAborted, text.trim_end().to_owned()))
        }
        _ => Ok(()),
    }
}

fn protocol_error(text: String) -> io::Error {
    io::Error::other(Error::Protocol(text))
}

fn io_error(error: WsError) -> io::Error {
    match error {
        WsError::Io(error) => error,
        WsError::ConnectionClosed
        | WsError::AlreadyClosed
        | WsError::Protocol(ProtocolError::SendAfterClosing) => {
            io::Error::new(io::ErrorKind::BrokenPipe, "the websocket is closed")
        }
        WsError::Capacity(CapacityError::MessageTooLong { size, max_size }) => protocol_error(
            format!("websocket message of {size} bytes is over the limit of {max_size} bytes"),
        ),
        other => protocol_error(format!("websocket: {other}")),
    }
}

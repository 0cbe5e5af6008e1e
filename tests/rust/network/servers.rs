//! Servers that are not brokers.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use flask_mqtt_core::core::error::Error;
use flask_mqtt_core::core::options::{ConnectOptions, Endpoint, Transport};
use flask_mqtt_core::core::session::Event;
use rumqttc::mqttbytes::v4::Packet;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error as WsError, Message, WebSocket, accept_hdr};

use super::support::{ACCEPTED, App, PATIENCE, wait_over};

/// Options for a websocket.
pub fn websocket(port: u16) -> ConnectOptions {
    let mut options = ConnectOptions::new("127.0.0.1", port);
    options.brokers[0].transport = Transport::Websocket;
    options
}

/// Connects while `serve` runs, and returns both results.
pub fn connect<T>(
    app: &App,
    options: ConnectOptions,
    serve: impl FnOnce() -> T,
) -> (Result<(), Error>, T) {
    let attempt = app.client.connect(options, true).unwrap();
    let served = serve();
    wait_over(&attempt);
    (attempt.outcome().expect("the attempt is over"), served)
}

fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Accepts a connection, with a timeout.
pub fn take(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    let stream = super::support::wait_for("a connection", || match listener.accept() {
        Ok((stream, _)) => Some(stream),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => panic!("{error}"),
    });
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads up to an empty line.
pub fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// A port that accepts connections and sends nothing.
pub fn silent() -> (TcpListener, u16) {
    listen()
}

/// A server that reads a request, sends a response and closes. It returns the request.
pub fn answering(answer: impl Into<Vec<u8>>) -> (JoinHandle<String>, u16) {
    let (listener, port) = listen();
    let answer = answer.into();
    let thread = std::thread::spawn(move || {
        let mut stream = take(&listener);
        let head = read_head(&mut stream);
        // A client may close before it has read the whole response.
        let _ = stream.write_all(&answer);
        head
    });
    (thread, port)
}

/// A broker behind a websocket: a real server's handshake and frames.
pub struct WsBroker {
    listener: TcpListener,
    port: u16,
}

impl WsBroker {
    pub fn new() -> Self {
        let (listener, port) = listen();
        Self { listener, port }
    }

    pub fn options(&self) -> ConnectOptions {
        websocket(self.port)
    }

    /// Accepts a connection and performs the handshake, with this subprotocol in the response.
    pub fn shake_hands(&self, subprotocol: Option<&'static str>) -> WsConnection {
        WsConnection::over(take(&self.listener), subprotocol)
    }

    /// Connects a client, and accepts its CONNECT.
    pub fn accept(&self, app: &App, options: ConnectOptions) -> WsConnection {
        let (result, mut connection) = connect(app, options, || self.shake_hands(Some("mqtt")));
        result.unwrap();
        assert!(matches!(connection.read(), Some(Packet::Connect(_))));
        connection.send(ACCEPTED);
        app.wait(|event| matches!(event, Event::ConnAck { code: 0, .. }));
        connection
    }
}

/// One connection of the broker.
pub struct WsConnection<S = TcpStream> {
    pub socket: WebSocket<S>,
    pub request: Request,
    buffer: BytesMut,
}

impl<S: Read + Write> WsConnection<S> {
    /// Performs the handshake over a stream.
    pub fn over(stream: S, subprotocol: Option<&'static str>) -> Self {
        let mut request = None;
        #[expect(clippy::result_large_err, reason = "the library's signature")]
        let answer = |asked: &Request, mut response: Response| {
            request = Some(asked.clone());
            let headers = response.headers_mut();
            if let Some(name) = subprotocol {
                headers.insert("sec-websocket-protocol", HeaderValue::from_static(name));
            }
            Ok(response)
        };
        let Ok(socket) = accept_hdr(stream, answer) else { panic!("no websocket from the client") };
        Self { socket, request: request.unwrap(), buffer: BytesMut::new() }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.socket.send(Message::binary(bytes.to_vec())).unwrap();
    }

    /// The next packet, or `None` if the client has closed the websocket.
    pub fn read(&mut self) -> Option<Packet> {
        loop {
            if let Ok(packet) = Packet::read(&mut self.buffer, usize::MAX) {
                return Some(packet);
            }
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => self.buffer.put(bytes),
                Ok(Message::Close(_)) | Err(WsError::ConnectionClosed) => return None,
                other => panic!("no packet from the client: {other:?}"),
            }
        }
    }

    pub fn header(&self, name: &str) -> &str {
        self.request.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A short timeout, for tests of timeouts.
pub const MOMENT: Duration = Duration::from_millis(300);

/// An endpoint without a listener.
pub fn nobody() -> Endpoint {
    let (_listener, port) = listen();
    Endpoint::tcp("127.0.0.1", port)
}

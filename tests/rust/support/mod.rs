//! A scripted broker, and an application that waits for expected events. Every wait is for a
//! condition and has a timeout.
#![allow(dead_code)] // each test program uses a part of it

use flask_mqtt_core::core::property::Properties;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use flask_mqtt_core::core::client::Client;
use flask_mqtt_core::core::error::Error;
use flask_mqtt_core::core::options::{ConnectOptions, Protocol};
use flask_mqtt_core::core::packet::{Alias, PublishRef, encode_publish};
use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::session::{End, Event};
use flask_mqtt_core::core::wake::Waiter;
use rumqttc::mqttbytes::v4::{Connect, Packet};
use tokio::net::TcpSocket;

/// Longer than anything here takes: only a failing test waits this long.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub const ACCEPTED: &[u8] = &[0x20, 2, 0, 0];
pub const PINGRESP: &[u8] = &[0xd0, 0];

/// Waits until `attempt` returns a value.
pub fn wait_for<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until a wait is over, and returns how long it took.
pub fn wait_over(waiter: &Waiter) -> Duration {
    let start = Instant::now();
    assert!(waiter.wait(Some(PATIENCE)), "the waiter is woken in time");
    start.elapsed()
}

/// A listening broker.
pub struct Broker {
    listener: TcpListener,
}

impl Broker {
    pub fn new() -> Self {
        Self::on(0)
    }

    pub fn on(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { listener }
    }

    pub fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    pub fn options(&self) -> ConnectOptions {
        ConnectOptions::new("127.0.0.1", self.port())
    }

    /// Waits for a connection and its CONNECT, and sends nothing.
    pub fn meet(&self) -> Connection {
        self.meet_client().0
    }

    /// Like [`Self::meet`], and returns the CONNECT.
    pub fn meet_client(&self) -> (Connection, Connect) {
        let mut connection = wait_for("a connection", || self.pending());
        match connection.read() {
            Some(Packet::Connect(connect)) => (connection, connect),
            other => panic!("{other:?} is no CONNECT"),
        }
    }

    /// A connection, if there is one; its CONNECT is not read.
    pub fn pending(&self) -> Option<Connection> {
        let stream = match self.listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            Err(error) => panic!("{error}"),
        };
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Some(Connection { stream, buffer: BytesMut::new() })
    }

    /// Waits for a connection and accepts its CONNECT.
    pub fn accept(&self) -> Connection {
        let mut connection = self.meet();
        connection.send(ACCEPTED);
        connection
    }
}

/// A port without a listener, reserved against other tests while this exists.
pub struct ClosedPort {
    socket: TcpSocket,
}

impl ClosedPort {
    pub fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        Self { socket }
    }

    pub fn options(&self) -> ConnectOptions {
        ConnectOptions::new("127.0.0.1", self.socket.local_addr().unwrap().port())
    }
}

/// One connection of the broker.
pub struct Connection {
    pub stream: TcpStream,
    buffer: BytesMut,
}

impl Connection {
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next packet, or `None` if the client has closed the connection.
    pub fn read(&mut self) -> Option<Packet> {
        let mut chunk = vec![0; 65_536];
        loop {
            if let Ok(packet) = Packet::read(&mut self.buffer, usize::MAX) {
                return Some(packet);
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.buffer.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no packet from the client: {error}"),
            }
        }
    }

    /// All packets until the client closes the connection.
    pub fn read_to_end(&mut self) -> Vec<Packet> {
        std::iter::from_fn(|| self.read()).collect()
    }
}

/// The bytes of a QoS 0 PUBLISH to the topic `t`.
pub fn publish(payload: &[u8]) -> BytesMut {
    let mut bytes = BytesMut::new();
    let qos = Qos::AtMostOnce;
    let publish = PublishRef {
        topic: "t",
        payload,
        qos,
        retain: false,
        dup: false,
        mid: 0,
        properties: None,
    };
    encode_publish(Protocol::V311, &publish, Alias::None, &mut bytes);
    bytes
}

/// An application with a client.
pub struct App {
    pub client: Client,
}

impl App {
    pub fn new() -> Self {
        Self { client: Client::new() }
    }

    /// Connects, and returns the result of the first attempt.
    pub fn connect(&self, options: ConnectOptions) -> Result<(), Error> {
        let attempt = self.client.connect(options, true)?;
        wait_over(&attempt);
        attempt.outcome().expect("the attempt is over when its waiter is given")
    }

    /// An application that the broker has accepted, and that knows it.
    pub fn connected(broker: &Broker, options: ConnectOptions) -> (Self, Connection) {
        let app = Self::new();
        app.connect(options).unwrap();
        let connection = broker.accept();
        app.wait(|event| matches!(event, Event::ConnAck { code: 0, .. }));
        (app, connection)
    }

    /// Takes events until one matches, and returns that one.
    pub fn wait(&self, wanted: impl Fn(&Event) -> bool) -> Event {
        wait_for("an event", || self.client.take(1).pop().filter(&wanted))
    }

    /// Waits for the end of a connection, and returns its code and the notice that follows.
    pub fn wait_lost(&self) -> (i32, String) {
        let lost = self.wait(|event| matches!(event, Event::Disconnected(_)));
        let Event::Disconnected(End { code, .. }) = lost else { unreachable!() };
        let notice = self.wait(|event| matches!(event, Event::Notice { .. }));
        let Event::Notice { text, .. } = notice else { unreachable!() };
        (code as i32, text)
    }

    /// Waits for `count` messages, and returns their payloads.
    pub fn messages(&self, count: usize) -> Vec<Vec<u8>> {
        let is_message = |event: &Event| matches!(event, Event::Message { .. });
        let payload = |event| match event {
            Event::Message { publish, .. } => publish.payload.to_vec(),
            other => panic!("not a message: {other:?}"),
        };
        (0..count).map(|_| payload(self.wait(is_message))).collect()
    }

    /// Publishes QoS 0 messages until no more are accepted.
    pub fn fill(&self) {
        let payload = vec![0; 1024 * 1024];
        let full = |_| {
            let (code, ..) =
                self.client.publish("t", &payload, Qos::AtMostOnce, false, None).unwrap();
            (code as i32 == -1).then_some(())
        };
        (0..10_000).find_map(full).expect("what waits for the broker is bounded");
    }

    /// Disconnects, and returns how long it took.
    pub fn disconnect(&self) -> Duration {
        let waiter = self.client.disconnect(true, 0, Properties::default());
        wait_over(&waiter.expect("there is a connection"))
    }
}

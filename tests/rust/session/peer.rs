//! A broker's view of a session: feeds it packets and shows its output, one line per packet.

use super::peer_v5::{as_v4, read_v5};
use super::values::{connack, each, subscriptions};
use flask_mqtt_core::core::property::Properties;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use flask_mqtt_core::core::delivery::Delivery;
use flask_mqtt_core::core::error::{Error, ReturnCode};
use flask_mqtt_core::core::options::{ConnectOptions, Protocol};
use flask_mqtt_core::core::packet::{Incoming, Publish};
use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::session::{Event, Receipt, Session};
use rumqttc::mqttbytes::v4::Packet;

pub const SECOND: Duration = Duration::from_secs(1);

/// A session and its clock.
pub struct Peer {
    pub session: Session,
    pub now: Instant,
    protocol: Protocol,
}

impl Peer {
    /// A session without a connection, with options changed by the test.
    pub fn with(change: impl FnOnce(&mut ConnectOptions)) -> Self {
        let mut options = ConnectOptions::new("broker", 1883);
        change(&mut options);
        let (now, protocol) = (Instant::now(), options.protocol);
        Self { session: Session::new(Arc::new(options), now), now, protocol }
    }

    /// A session without a connection.
    pub fn offline() -> Self {
        Self::with(|_| {})
    }

    /// A session that waits for the CONNACK.
    pub fn connecting() -> Self {
        let mut peer = Self::offline();
        peer.open();
        peer
    }

    /// A session accepted by a broker that did not know it.
    pub fn connected() -> Self {
        let mut peer = Self::offline();
        peer.connect(false);
        peer
    }

    /// Opens the transport; the CONNACK must arrive within five seconds.
    pub fn begin(&mut self) {
        self.session.opened(self.now, self.now + Duration::from_secs(5));
    }

    /// Opens the transport, and takes the CONNECT.
    pub fn open(&mut self) {
        self.begin();
        assert_eq!(self.sent(), ["CONNECT"]);
    }

    /// Opens the transport and accepts; returns the output after the CONNECT. Events up to here are
    /// dropped.
    pub fn connect(&mut self, session_present: bool) -> Vec<String> {
        self.open();
        let sent = self.receive(connack(session_present, 0));
        self.events().retain(|event| !matches!(event, Event::ConnAck { .. }));
        sent
    }

    /// Loses the connection and reconnects, like [`Self::connect`].
    pub fn reconnect(&mut self, session_present: bool) -> Vec<String> {
        self.session.lost();
        self.connect(session_present)
    }

    /// Passes in a packet, and returns the output.
    pub fn receive(&mut self, packet: Incoming) -> Vec<String> {
        self.session.receive(packet, self.now).unwrap();
        self.sent()
    }

    /// Passes in a packet that ends the connection.
    pub fn refuse(&mut self, packet: Incoming) -> Error {
        self.session.receive(packet, self.now).unwrap_err()
    }

    /// Takes all of the output and reports it as written.
    pub fn written(&mut self) -> BytesMut {
        let (mut all, mut some) = (BytesMut::new(), BytesMut::new());
        while self.session.has_output() {
            self.session.take_output(&mut some);
            self.session.wrote(some.len(), self.now);
            all.extend_from_slice(&some);
        }
        all
    }

    /// Takes the output and reports it as written; one line per packet.
    pub fn sent(&mut self) -> Vec<String> {
        self.packets().iter().map(describe).collect()
    }

    /// Like [`Self::sent`], as packets; additions of MQTT 5 are left out.
    pub fn packets(&mut self) -> Vec<Packet> {
        let mut bytes = self.written();
        let mut packets = Vec::new();
        while !bytes.is_empty() {
            packets.push(match self.protocol {
                Protocol::V5 => as_v4(&read_v5(&mut bytes)),
                Protocol::V31 | Protocol::V311 => Packet::read(&mut bytes, usize::MAX).unwrap(),
            });
        }
        packets
    }

    /// Takes the events.
    pub fn events(&mut self) -> Vec<Event> {
        each(self.session.take_events().drain(..))
    }

    /// Takes the events, which must be messages, as payload and receipt.
    pub fn messages(&mut self) -> Vec<(String, Option<Receipt>)> {
        let message = |event| match event {
            Event::Message { publish, receipt, .. } => (text(&publish.payload), receipt),
            other => panic!("not a message: {other:?}"),
        };
        self.events().into_iter().map(message).collect()
    }

    /// Takes the only event: a message with a receipt.
    pub fn receipt(&mut self) -> Receipt {
        let [(_, Some(receipt))] = self.messages()[..] else { panic!("one message is expected") };
        receipt
    }

    /// Marks a message as handled, and returns the output.
    pub fn handled(&mut self, receipt: Receipt) -> Vec<String> {
        self.session.handled(receipt).unwrap();
        self.sent()
    }

    /// Publishes to the topic `t`.
    pub fn publish(&mut self, payload: &str, qos: Qos) -> (ReturnCode, u16) {
        let (code, mid, _) =
            self.session.publish("t", payload.as_bytes(), qos, false, None).unwrap();
        (code, mid)
    }

    /// Publishes to the topic `t`, and returns the delivery.
    pub fn deliver(&mut self, qos: Qos) -> Delivery {
        let (_, mid, delivery) = self.session.publish("t", b"x", qos, false, None).unwrap();
        delivery.unwrap_or_else(|| self.session.delivery(mid))
    }

    /// Subscribes to one filter.
    pub fn subscribe(&mut self, filter: &str, qos: Qos) -> (ReturnCode, Option<u16>) {
        self.session
            .subscribe(subscriptions(vec![(filter.to_owned(), qos)]), Properties::default(), false)
            .unwrap()
    }

    /// Subscribes to one filter as the `on_connect` handler does.
    pub fn subscribe_again(&mut self, filter: &str, qos: Qos) -> (ReturnCode, Option<u16>) {
        self.session
            .subscribe(subscriptions(vec![(filter.to_owned(), qos)]), Properties::default(), true)
            .unwrap()
    }

    /// Unsubscribes from one filter.
    pub fn unsubscribe(&mut self, filter: &str) -> (ReturnCode, Option<u16>) {
        self.session.unsubscribe(vec![filter.to_owned()], Properties::default()).unwrap()
    }

    /// Advances the clock to the session's deadline, and does what is due.
    pub fn tick(&mut self, reading: bool) -> Result<Vec<String>, Error> {
        self.now = self.session.deadline().expect("something is due some time");
        self.session.tick(self.now, reading)?;
        Ok(self.sent())
    }
}

/// A message from the broker.
pub fn message(mid: u16, qos: Qos, payload: &str) -> Incoming {
    Incoming::Publish(Publish {
        topic: "t".to_owned(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        qos,
        retain: false,
        dup: false,
        mid,
        properties: None,
    })
}

/// A packet of the client in one line; for a PUBLISH the flags, the identifier and the payload.
fn describe(packet: &Packet) -> String {
    match packet {
        Packet::Connect(_) => "CONNECT".to_owned(),
        Packet::Publish(publish) => {
            let dup = if publish.dup { " dup" } else { "" };
            let (qos, mid) = (publish.qos as u8, publish.pkid);
            format!("PUBLISH q{qos} m{mid}{dup} {}", text(&publish.payload))
        }
        Packet::Subscribe(subscribe) => {
            let filters = subscribe.filters.iter();
            let list = filters.map(|filter| format!(" {}:{}", filter.path, filter.qos as u8));
            format!("SUBSCRIBE m{}{}", subscribe.pkid, list.collect::<String>())
        }
        Packet::Unsubscribe(unsubscribe) => {
            format!("UNSUBSCRIBE m{} {}", unsubscribe.pkid, unsubscribe.topics.join(" "))
        }
        Packet::PubAck(ack) => format!("PUBACK m{}", ack.pkid),
        Packet::PubRec(ack) => format!("PUBREC m{}", ack.pkid),
        Packet::PubRel(ack) => format!("PUBREL m{}", ack.pkid),
        Packet::PubComp(ack) => format!("PUBCOMP m{}", ack.pkid),
        Packet::PingReq => "PINGREQ".to_owned(),
        Packet::Disconnect => "DISCONNECT".to_owned(),
        other => panic!("a client does not send {other:?}"),
    }
}

pub fn text(payload: &[u8]) -> String {
    String::from_utf8(payload.to_vec()).unwrap()
}

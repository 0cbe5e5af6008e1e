//! A session and its surroundings, without a socket, a thread or a clock, so that every run does
//! the same work. The benchmarks of the core and the count of its instructions use it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use flask_mqtt_core::core::inbox::Inbox;
use flask_mqtt_core::core::options::{ConnectOptions, Protocol};
use flask_mqtt_core::core::packet::{Incoming, decode, detach};
use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::session::{Event, Receipt, Session};

/// Messages in one run.
pub const MESSAGES: u16 = 2_000;

/// Events that the handlers' thread fetches at a time.
const BATCH: usize = 512;

const TOPIC: &str = "bench/topic";
const PAYLOAD: [u8; 64] = [b'x'; 64];

/// A connected session, its inbox, and buffers.
pub struct Exchange {
    session: Session,
    inbox: Inbox,
    protocol: Protocol,
    now: Instant,
    reading: BytesMut,
    packets: VecDeque<Incoming>,
    writing: BytesMut,
}

impl Exchange {
    /// Creates a connected session. All messages may be in flight at once.
    ///
    /// # Panics
    /// If the session refuses the CONNACK.
    #[must_use]
    pub fn new(protocol: Protocol) -> Self {
        let mut options = ConnectOptions::new("broker", 1883);
        options.protocol = protocol;
        options.limits.inflight = MESSAGES.into();
        let inbox = Inbox::default();
        inbox.set_limits(&options.limits);
        inbox.set_reporting(true);
        let now = Instant::now();
        let mut session = Session::new(Arc::new(options), now);
        session.set_reporting(true);
        session.opened(now, now + Duration::from_secs(5));
        let mut this = Self {
            session,
            inbox,
            protocol,
            now,
            reading: BytesMut::new(),
            packets: VecDeque::new(),
            writing: BytesMut::new(),
        };
        let connack: &[u8] = if protocol == Protocol::V5 { b" \x03\0\0\0" } else { b" \x02\0\0" };
        this.receive(connack);
        this.write();
        assert!(this.session.is_connected());
        this
    }

    /// Reads bytes as the I/O thread does, and fetches the events as the handlers' thread does.
    /// Returns the receipts of the messages, and the number of messages and reports.
    ///
    /// # Panics
    /// If the session refuses the bytes.
    pub fn receive(&mut self, bytes: &[u8]) -> (Vec<Receipt>, usize) {
        self.reading.extend_from_slice(bytes);
        while let Some(packet) =
            decode(self.protocol, &mut self.reading, usize::MAX).expect("a packet")
        {
            self.packets.push_back(packet);
        }
        detach(&mut self.packets);
        self.session.read(bytes.len(), self.now);
        while let Some(packet) = self.packets.pop_front() {
            self.session.receive(packet, self.now).expect("a packet that is expected");
        }
        self.fetch()
    }

    fn fetch(&mut self) -> (Vec<Receipt>, usize) {
        self.inbox.extend(self.session.take_events());
        let (mut receipts, mut count) = (Vec::with_capacity(usize::from(MESSAGES)), 0);
        loop {
            let (events, _) = self.inbox.take(BATCH);
            if events.is_empty() {
                return (receipts, count);
            }
            for event in events {
                count += event.count();
                if let Event::Message { receipt, .. } = event {
                    receipts.extend(receipt);
                }
            }
        }
    }

    /// Marks messages as handled, and takes the output.
    ///
    /// # Panics
    /// If the session refuses a receipt.
    pub fn handled(&mut self, receipts: Vec<Receipt>) -> usize {
        for receipt in receipts {
            self.session.handled(receipt).expect("a receipt of this connection");
        }
        self.write()
    }

    /// Publishes [`MESSAGES`] messages, and takes the output.
    ///
    /// # Panics
    /// If the session refuses a message.
    pub fn publish(&mut self, qos: Qos) -> usize {
        for _ in 0..MESSAGES {
            let accepted = self.session.publish(TOPIC, &PAYLOAD, qos, false, None);
            accepted.expect("a message that is valid");
        }
        self.write()
    }

    fn write(&mut self) -> usize {
        let mut written = 0;
        while self.session.has_output() {
            self.session.take_output(&mut self.writing);
            self.session.wrote(self.writing.len(), self.now);
            written += self.writing.len();
            self.writing.clear();
        }
        // QoS 0 messages are reported when they are written.
        self.fetch();
        written
    }
}

/// [`MESSAGES`] PUBLISH packets; `first` is the packet identifier of the first one.
#[must_use]
pub fn messages(protocol: Protocol, qos: Qos, first: u16) -> Vec<u8> {
    let mut packets = Vec::new();
    for mid in (0..MESSAGES).map(|number| after(first, number)) {
        let mut body = vec![0, 11];
        body.extend_from_slice(TOPIC.as_bytes());
        if qos != Qos::AtMostOnce {
            body.extend(mid.to_be_bytes());
        }
        if protocol == Protocol::V5 {
            body.push(0);
        }
        body.extend_from_slice(&PAYLOAD);
        packets.extend([0x30 | (qos as u8) << 1, u8::try_from(body.len()).unwrap_or(u8::MAX)]);
        packets.extend(body);
    }
    packets
}

/// [`MESSAGES`] PUBACK packets; `first` is the packet identifier of the first one.
#[must_use]
pub fn acknowledgements(first: u16) -> Vec<u8> {
    let packet = |mid: u16| [0x40, 2, mid.to_be_bytes()[0], mid.to_be_bytes()[1]];
    (0..MESSAGES).flat_map(|number| packet(after(first, number))).collect()
}

/// The identifier at a distance from another one: 1 follows 65,535.
#[must_use]
pub fn after(mid: u16, count: u16) -> u16 {
    mid.checked_add(count).unwrap_or_else(|| mid.wrapping_add(count) + 1)
}

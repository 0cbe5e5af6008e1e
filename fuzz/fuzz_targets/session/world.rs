//! A session, the messages that it accepted, and the invariants that hold after every action.

mod acting;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use flask_mqtt_core::core::delivery::{Delivery, State};
use flask_mqtt_core::core::error::ReturnCode;
use flask_mqtt_core::core::options::{ConnectOptions, Protocol};
use flask_mqtt_core::core::packet::{Incoming, Publish, Subscription, decode};
use flask_mqtt_core::core::property::{Properties, Property};
use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::session::{Event, Receipt, Session};

use super::action::{AnyQos, SHORTEST, Scenario, filter_of, number};
use super::disk::Disk;
use super::frame::Frame;
use super::link::Link;
use super::waits::Waits;

/// Limit on bytes pending for the broker.
const LIMIT: usize = 2_000;

/// The largest published message in bytes.
const LARGEST: usize = 700;

/// Limit on bytes of received messages that the session keeps.
const INCOMING: usize = 1_000;

/// MQTT 5.0, sections 2.4 and 3.7.2.1: codes from here on are refusals, except if the message
/// arrived before.
const FAILURE: u8 = 0x80;
const NOT_FOUND: u8 = 0x92;

/// The session and the world around it.
pub struct World {
    session: Session,
    protocol: Protocol,
    now: Instant,
    inflight: usize,
    reporting: bool,
    /// Unacknowledged QoS 1 and 2 messages.
    unacknowledged: HashMap<u16, Delivery>,
    /// QoS 0 messages whose outcome was not reported.
    reported_later: HashSet<u16>,
    /// QoS 0 messages that wait, or waited, for a CONNACK.
    held: Vec<Delivery>,
    /// Packet identifiers of unacknowledged SUBSCRIBE (true) and UNSUBSCRIBE packets.
    requests: HashMap<u16, bool>,
    receipts: VecDeque<Receipt>,
    /// QoS 2 messages that were delivered and are not handled: the broker may retransmit them, but
    /// they must not be delivered again.
    taken_once: HashSet<u16>,
    waits: Waits,
    options: ConnectOptions,
    link: Link,
    disk: Disk,
    /// Whether the file may have another session than the broker.
    is_strange: bool,
}

impl World {
    /// Creates a world with a new session.
    pub fn new(scenario: &Scenario) -> Self {
        let protocol = scenario.protocol();
        let mut options = ConnectOptions::new("localhost", 1883);
        options.protocol = protocol;
        options.keep_alive = scenario.keep_alive.into();
        options.clean_session = false;
        options.limits.packet_size = 1_000;
        options.limits.outgoing_bytes = LIMIT;
        options.limits.incoming_bytes = INCOMING;
        options.limits.inflight = usize::from(scenario.window % 8) + 1;
        if scenario.queued < u8::MAX {
            options.limits.queued = usize::from(scenario.queued) + 1;
        }
        let aliases = Some(u32::from(scenario.aliases)).filter(|_| protocol == Protocol::V5);
        options.properties = number(Property::TopicAliasMaximum, aliases);
        options.validate().expect("options");
        let (now, inflight) = (Instant::now(), options.limits.inflight);
        let mut session = Session::new(Arc::new(options.clone()), now);
        session.set_logging(scenario.logging);
        session.set_reporting(scenario.reporting);
        Self {
            session,
            protocol,
            now,
            inflight,
            reporting: scenario.reporting,
            unacknowledged: HashMap::new(),
            reported_later: HashSet::new(),
            held: Vec::new(),
            requests: HashMap::new(),
            receipts: VecDeque::new(),
            taken_once: HashSet::new(),
            waits: Waits::default(),
            options,
            link: Link::default(),
            disk: Disk::default(),
            is_strange: false,
        }
    }

    /// Opens the file as a client does before it connects. It has the session's previous content.
    fn keep(&mut self) {
        if self.session.is_open() || self.session.is_kept() {
            return;
        }
        let kept = self.disk.open();
        self.is_strange = kept.client_id.is_empty();
        "me".clone_into(&mut self.options.client_id);
        self.session.configure(Arc::new(self.options.clone()));
        self.session.keep(kept);
    }

    fn store(&mut self) {
        if self.session.is_kept() {
            self.disk.store(&mut self.session);
            self.settle();
        }
    }

    fn open(&mut self) {
        if !self.session.is_open() {
            self.link = Link::default();
            self.session.opened(self.now, self.now + Duration::from_secs(5));
        }
    }

    /// Passes in a packet of the broker; an invalid one ends the connection.
    fn receive(&mut self, packet: Incoming) {
        if !self.session.is_open() {
            return;
        }
        self.session.read(1, self.now);
        if let Incoming::ConnAck { code: 0, properties, session_present } = &packet
            && !self.session.is_connected()
        {
            self.link.server_limits = properties.clone().unwrap_or_default();
            if !session_present || self.is_strange {
                // Later messages belong to another session.
                self.taken_once.clear();
            }
        }
        let result = self.session.receive(packet, self.now);
        self.is_strange &= !self.session.is_connected();
        self.settle();
        if let Err(error) = result {
            self.lose();
            self.session.report_end(error.return_code());
        }
    }

    fn read(&mut self, bytes: &[u8]) {
        let mut bytes = BytesMut::from(bytes);
        while self.session.is_open() {
            match decode(self.protocol, &mut bytes, 1_000) {
                Ok(Some(packet)) => self.receive(packet),
                Ok(None) => break,
                Err(_) => self.lose(),
            }
        }
    }

    fn publish(
        &mut self,
        topic: &str,
        length: usize,
        qos: Qos,
        retain: bool,
        properties: Option<Properties>,
    ) {
        let payload = vec![b'x'; length];
        let before = self.session.outgoing_bytes();
        let result = self.session.publish(topic, &payload, qos, retain, properties);
        // An unknown topic alias has no topic.
        let Ok((code, mid, delivery)) = result else {
            assert!(topic.is_empty(), "{topic} is refused: {result:?}");
            return;
        };
        if !matches!(code, ReturnCode::Success | ReturnCode::NoConnection) {
            assert!(mid == 0 && delivery.is_none(), "{code:?} with {mid}");
            return;
        }
        assert!(before < LIMIT, "{before} bytes waited, and another message was accepted");
        self.is_free(mid);
        if qos != Qos::AtMostOnce {
            self.unacknowledged.insert(mid, delivery.expect("it is kept until it is acknowledged"));
        } else if self.session.is_open() {
            self.reported_later.insert(mid);
            self.held.extend(delivery);
        }
    }

    fn is_free(&self, mid: u16) {
        assert_ne!(mid, 0);
        assert!(!self.unacknowledged.contains_key(&mid), "{mid} is a message's already");
        assert!(!self.requests.contains_key(&mid), "{mid} is a request's already");
    }

    fn subscribe(
        &mut self,
        filters: &[u8],
        AnyQos(qos): AnyQos,
        reuse: bool,
        properties: Properties,
    ) {
        let filters = filters.iter();
        let filters =
            filters.map(|filter| Subscription { filter: filter_of(*filter), options: qos.into() });
        let result = self.session.subscribe(filters.collect(), properties, reuse);
        let (code, mid) = result.expect("a valid filter");
        // The output shows the packet identifier of a request that was sent.
        if !reuse {
            self.requested((code, mid), true);
        }
    }

    fn requested(&mut self, (code, mid): (ReturnCode, Option<u16>), subscribe: bool) {
        assert_eq!(mid.is_some(), code == ReturnCode::Success);
        if let Some(mid) = mid {
            self.is_free(mid);
            self.requests.insert(mid, subscribe);
        }
    }

    fn handle(&mut self, which: usize) {
        if self.receipts.is_empty() {
            return;
        }
        let index = which % self.receipts.len();
        let receipt = self.receipts[index];
        // A message may be handled twice.
        if which & 1 == 0 {
            self.receipts.remove(index);
        }
        if !is_forgotten(receipt) {
            self.is_handled(receipt.mid, receipt.qos);
        }
        self.session.handled(receipt).expect("an acknowledgement");
    }

    fn is_handled(&mut self, mid: u16, qos: Qos) {
        match qos {
            Qos::AtMostOnce => {}
            Qos::AtLeastOnce => _ = self.link.handled.insert(mid),
            Qos::ExactlyOnce => _ = self.taken_once.remove(&mid),
        }
    }

    fn acknowledge(&mut self, mid: u16, qos: Qos) {
        self.is_handled(mid, qos);
        let connected = self.session.is_connected();
        let code = self.session.acknowledge(mid, qos).expect("an acknowledgement");
        assert_eq!(code == ReturnCode::NoConnection, !connected);
    }

    fn write(&mut self, count: usize) {
        let count = self.link.write(count);
        self.session.wrote(count, self.now);
    }

    fn lose(&mut self) {
        self.session.lost();
        self.requests.retain(|_, subscribe| !*subscribe);
        self.reported_later.clear();
        self.link = Link::default();
        for delivery in self.held.drain(..) {
            assert_ne!(delivery.state(), State::Pending, "it is lost with the connection");
        }
    }

    /// Takes the events and the output, and checks the invariants.
    fn settle(&mut self) {
        let events: Vec<_> = self.session.take_events().drain(..).collect();
        for event in events {
            self.event(event);
        }
        let mut bytes = BytesMut::new();
        while self.session.has_output() {
            self.session.take_output(&mut bytes);
            while !bytes.is_empty() {
                self.frame(&Frame::take(&mut bytes));
            }
        }
        self.waits.check(false);
        for (mid, delivery) in &self.unacknowledged {
            assert_eq!(delivery.state(), State::Pending, "message {mid}");
        }
        self.check_bounds();
    }

    fn check_bounds(&mut self) {
        // A message may be kept and pending at once, each with its overhead.
        let bound = self.link.controls() + 4 * (LIMIT + LARGEST);
        let bytes = self.session.outgoing_bytes();
        assert!(bytes <= bound, "{bytes} bytes wait");
        if self.link.is_written() && self.session.is_connected() {
            self.held.retain(|delivery| delivery.state() == State::Pending);
            assert!(self.held.is_empty(), "everything is written");
        }
        let least = (SHORTEST + size_of::<Publish>()) * self.held.len();
        if self.session.is_open() && !self.session.is_connected() {
            assert!(least <= bytes, "{} messages wait as {bytes} bytes", self.held.len());
        }
        if !self.session.is_open() {
            assert_eq!(self.session.deadline(), None);
            assert!(!self.session.has_output());
            assert!(bytes == 0 || !self.unacknowledged.is_empty(), "{bytes} bytes of nothing");
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Published { mids, code, .. } => {
                mids.iter().for_each(|mid| self.reported(mid, code));
            }
            Event::Message { publish, receipt, .. } => {
                assert!(!publish.topic.is_empty());
                self.receipts.extend(receipt);
                match publish.qos {
                    Qos::AtMostOnce => {}
                    Qos::AtLeastOnce => _ = self.link.received.insert(publish.mid),
                    // Its packet identifier is free: the broker has forgotten the message.
                    Qos::ExactlyOnce if receipt.is_none_or(is_forgotten) => {}
                    Qos::ExactlyOnce => {
                        assert!(self.taken_once.insert(publish.mid), "{} twice", publish.mid);
                    }
                }
            }
            Event::Subscribed { mid, .. } | Event::Unsubscribed { mid, .. } => {
                self.requests.remove(&mid);
            }
            _ => {}
        }
    }

    /// A message is reported to the application.
    fn reported(&mut self, mid: u16, code: u8) {
        match self.unacknowledged.remove(&mid) {
            Some(delivery) => {
                let refused = code >= FAILURE && code != NOT_FOUND;
                let state = if refused { State::Refused(code) } else { State::Published };
                assert_eq!(delivery.state(), state, "message {mid}");
                self.link.sent.remove(&mid);
            }
            None => {
                assert!(self.reporting && self.reported_later.remove(&mid), "message {mid}");
            }
        }
    }

    /// Checks a packet of the client.
    fn frame(&mut self, frame: &Frame) {
        self.link.frame(frame, self.protocol);
        match frame.kind() {
            3 => self.published(frame),
            8 | 10 => {
                assert!(!self.unacknowledged.contains_key(&frame.mid()));
                self.requests.insert(frame.mid(), frame.kind() == 8);
            }
            _ => {}
        }
    }

    fn published(&self, frame: &Frame) {
        let mid = frame.published(self.protocol).mid;
        assert!(
            mid == 0 || self.unacknowledged.contains_key(&mid),
            "{mid} is acknowledged already"
        );
        assert!(self.link.sent.len() <= self.inflight, "{} on the way", self.link.sent.len());
    }

    /// Connects to a correct broker without a session: everything is acknowledged.
    pub fn finish(mut self) {
        self.lose();
        self.open();
        self.settle();
        let properties = (self.protocol == Protocol::V5).then(Properties::default);
        self.receive(Incoming::ConnAck { session_present: false, code: 0, properties });
        self.store();
        while !self.unacknowledged.is_empty() {
            let mut sent: Vec<_> = self.link.sent.iter().copied().collect();
            sent.sort_unstable();
            assert!(!sent.is_empty(), "{} messages are stuck", self.unacknowledged.len());
            for mid in sent {
                self.receive(Incoming::PubAck(mid.into()));
                self.receive(Incoming::PubRec(mid.into()));
                self.store();
                self.receive(Incoming::PubComp(mid.into()));
            }
            self.store();
        }
        self.write(usize::MAX);
        assert_eq!(self.session.outgoing_bytes(), 0);
        assert_eq!(self.session.leaving(), 0);
        self.store();
        assert!(!self.session.is_kept() || self.disk.outgoing().is_empty());
        let (.., delivery) = self
            .session
            .publish("topics/0", b"", Qos::AtLeastOnce, false, None)
            .expect("a message");
        drop(self.session);
        assert_eq!(delivery.map(|delivery| delivery.state()), Some(State::Lost));
    }
}

/// Whether the receipt is of a message that no broker waits for. Its connection never existed; such
/// numbers count down from the maximum.
fn is_forgotten(receipt: Receipt) -> bool {
    receipt.connection > u32::MAX / 2
}

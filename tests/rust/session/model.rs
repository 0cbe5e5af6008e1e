//! Random interleavings of everything that can happen to a session, with a correct broker.

use super::values::{connack, unsuback};
use std::collections::{BTreeMap, HashSet, VecDeque};

use flask_mqtt_core::core::options::Protocol;
use flask_mqtt_core::core::packet::Incoming;
use flask_mqtt_core::core::property::Property;
use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::session::{Event, Receipt};
use proptest::prelude::*;
use rumqttc::mqttbytes::v4::Packet;

use super::model_broker::Broker;
use super::peer::{Peer, message, text};
use super::peer_v5::numbers;

const WINDOW: usize = 3;

#[derive(Debug, Clone)]
pub enum Step {
    Publish(Qos),
    Subscribe(u8, Qos),
    Unsubscribe(u8),
    Open,
    Lose,
    Forget,
    BrokerPublishes(Qos),
    ToBroker(usize),
    ToClient(usize),
    Handle(usize),
    Stray(Incoming),
}

/// A session, a broker, the packets on the wire, and what the application saw.
pub struct World {
    pub peer: Peer,
    pub broker: Broker,
    window: usize,
    pub forgetful: bool,
    pub to_broker: VecDeque<Packet>,
    pub to_client: VecDeque<Incoming>,
    pub accepted: Vec<(Qos, String)>,
    wanted: BTreeMap<String, u8>,
    pub unhandled: VecDeque<(String, Option<Receipt>)>,
    pub delivered: Vec<(Qos, String)>,
    pub handled: HashSet<String>,
    pub inflight: HashSet<u16>,
    published: usize,
    pub sent: Vec<(Qos, String)>,
}

impl World {
    pub fn new(protocol: Protocol) -> Self {
        let mut broker = Broker::default();
        let mut window = WINDOW;
        if protocol == Protocol::V5 {
            window = WINDOW - 1;
            broker.server_limits = Some(numbers(&[(Property::ReceiveMaximum, 2)]));
        }
        Self {
            peer: Peer::with(|options| {
                options.protocol = protocol;
                options.limits.inflight = WINDOW;
            }),
            broker,
            window,
            forgetful: false,
            to_broker: VecDeque::new(),
            to_client: VecDeque::new(),
            accepted: Vec::new(),
            wanted: BTreeMap::new(),
            unhandled: VecDeque::new(),
            delivered: Vec::new(),
            handled: HashSet::new(),
            inflight: HashSet::new(),
            published: 0,
            sent: Vec::new(),
        }
    }

    pub fn run(&mut self, steps: &[Step]) {
        for step in steps {
            self.step(step);
            self.settle();
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Publish(qos) => self.publish(*qos),
            Step::Subscribe(filter, qos) => {
                self.peer.subscribe(&filter.to_string(), *qos);
                self.wanted.insert(filter.to_string(), *qos as u8);
            }
            Step::Unsubscribe(filter) => {
                self.peer.unsubscribe(&filter.to_string());
                self.wanted.remove(&filter.to_string());
            }
            Step::Open if !self.peer.session.is_open() => self.peer.begin(),
            Step::Open => {}
            Step::Lose => self.lose(),
            Step::Forget => {
                self.lose();
                self.forgetful = true;
                self.broker.forget();
            }
            Step::BrokerPublishes(qos) => {
                let payload = format!("down{}", self.sent.len());
                let packet = self.broker.publish(*qos, &payload);
                self.sent.push((*qos, payload));
                // A broker that has not read the CONNECT keeps the message for later.
                if self.broker.connected {
                    self.to_client.push_back(packet);
                }
            }
            Step::ToBroker(count) => self.carry_up(*count),
            Step::ToClient(count) => self.carry_down(*count),
            Step::Handle(count) => self.handle(*count),
            Step::Stray(packet) => {
                if self.peer.session.receive(packet.clone(), self.peer.now).is_err() {
                    self.lose();
                }
            }
        }
    }

    pub fn publish(&mut self, qos: Qos) {
        let payload = format!("up{}", self.accepted.len());
        self.peer.publish(&payload, qos);
        if qos != Qos::AtMostOnce {
            self.accepted.push((qos, payload));
        }
    }

    pub fn lose(&mut self) {
        // If the CONNACK of a new session is lost, the client cannot learn of it: the next CONNACK
        // reports a session (MQTT 3.1.1, section 3.2.2.2). This gap is not tested.
        if self.forgetful && !self.peer.session.is_connected() {
            self.broker.forget();
        }
        self.peer.session.lost();
        self.broker.connected = false;
        self.to_broker.clear();
        self.to_client.clear();
    }

    fn carry_up(&mut self, count: usize) {
        for packet in self.to_broker.drain(..count.min(self.to_broker.len())) {
            self.to_client.extend(self.broker.take(&packet));
        }
        let handled = |payload: &String| self.handled.contains(payload);
        assert!(self.broker.acknowledged.iter().all(handled), "acknowledged before it was handled");
    }

    fn carry_down(&mut self, count: usize) {
        for packet in self.to_client.drain(..count.min(self.to_client.len())) {
            self.peer.session.receive(packet, self.peer.now).unwrap();
        }
    }

    fn handle(&mut self, count: usize) {
        for (payload, receipt) in self.unhandled.drain(..count.min(self.unhandled.len())) {
            self.handled.insert(payload);
            if let Some(receipt) = receipt {
                self.peer.session.handled(receipt).unwrap();
            }
        }
    }

    /// Takes events and output; the window must hold at every moment.
    fn settle(&mut self) {
        for event in self.peer.events() {
            match event {
                Event::Published { mids, .. } => {
                    for mid in mids.iter() {
                        assert!(self.inflight.remove(&mid), "published without being sent");
                        self.published += 1;
                    }
                }
                Event::Message { publish, receipt, .. } => {
                    let payload = text(&publish.payload);
                    self.delivered.push((publish.qos, payload.clone()));
                    self.unhandled.push_back((payload, receipt));
                }
                _ => {}
            }
        }
        for packet in self.peer.packets() {
            if let Packet::Publish(publish) = &packet
                && publish.pkid != 0
            {
                self.inflight.insert(publish.pkid);
            }
            self.to_broker.push_back(packet);
        }
        assert!(self.inflight.len() <= self.window);
    }

    /// Keeps the connection open until everything is done.
    fn finish(&mut self) {
        self.run(&[Step::Lose, Step::Open]);
        while !(self.to_broker.is_empty() && self.to_client.is_empty() && self.unhandled.is_empty())
        {
            let all = usize::MAX;
            self.run(&[Step::ToBroker(all), Step::ToClient(all), Step::Handle(all)]);
        }
    }
}

pub fn of(qos: Qos, messages: &[(Qos, String)]) -> Vec<String> {
    let chosen = messages.iter().filter(|message| message.0 == qos);
    chosen.map(|message| message.1.clone()).collect()
}

/// The first arrival of each message.
pub fn first(messages: &[(Qos, String)]) -> Vec<(Qos, String)> {
    let mut seen = HashSet::new();
    let acknowledged = messages.iter().filter(|message| message.0 != Qos::AtMostOnce);
    acknowledged.filter(|message| seen.insert(&message.1)).cloned().collect()
}

pub fn protocol() -> impl Strategy<Value = Protocol> {
    prop_oneof![Just(Protocol::V311), Just(Protocol::V5)]
}

pub fn qos() -> impl Strategy<Value = Qos> {
    prop_oneof![Just(Qos::AtMostOnce), Just(Qos::AtLeastOnce), Just(Qos::ExactlyOnce)]
}

/// Acknowledgements that match no packet, with identifiers from a range.
fn stray(mids: std::ops::Range<u16>) -> impl Strategy<Value = Incoming> {
    mids.prop_flat_map(|mid| {
        prop_oneof![
            Just(Incoming::PubAck(mid.into())),
            Just(Incoming::PubRec(mid.into())),
            Just(Incoming::PubRel(mid.into())),
            Just(Incoming::PubComp(mid.into())),
            Just(Incoming::SubAck { properties: None, mid, granted: vec![0] }),
            Just(unsuback(mid)),
            Just(Incoming::PingResp),
        ]
    })
}

fn step() -> impl Strategy<Value = Step> {
    let down = prop_oneof![Just(Qos::AtLeastOnce), Just(Qos::ExactlyOnce)];
    prop_oneof![
        6 => qos().prop_map(Step::Publish),
        1 => (0..3_u8, qos()).prop_map(|(filter, qos)| Step::Subscribe(filter, qos)),
        1 => (0..3_u8).prop_map(Step::Unsubscribe),
        4 => Just(Step::Open),
        1 => Just(Step::Lose),
        5 => down.prop_map(Step::BrokerPublishes),
        8 => (1..5_usize).prop_map(Step::ToBroker),
        8 => (1..5_usize).prop_map(Step::ToClient),
        5 => (1..3_usize).prop_map(Step::Handle),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let far = stray(50_000..50_010).prop_map(Step::Stray);
    prop::collection::vec(prop_oneof![40 => step(), 2 => far], 0..300)
}

fn steps_with_forgetting() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(prop_oneof![40 => step(), 1 => Just(Step::Forget)], 0..300)
}

fn chaos() -> impl Strategy<Value = Vec<Step>> {
    let any = prop_oneof![
        8 => stray(1..12),
        4 => (1..12_u16, qos()).prop_map(|(mid, qos)| message(mid, qos, "stray")),
        1 => (any::<bool>(), 0..6_u8)
            .prop_map(|(session_present, code)| connack(session_present, code)),
    ];
    let own = prop_oneof![
        qos().prop_map(Step::Publish),
        (0..3_u8, qos()).prop_map(|(filter, qos)| Step::Subscribe(filter, qos)),
        (0..3_u8).prop_map(Step::Unsubscribe),
        Just(Step::Open),
        (1..3_usize).prop_map(Step::Handle),
    ];
    prop::collection::vec(prop_oneof![3 => own, 3 => any.prop_map(Step::Stray)], 0..300)
}

proptest! {
    #[test]
    fn with_a_broker_that_keeps_the_session_every_message_arrives_as_its_qos_promises(
        steps in steps(), protocol in protocol(),
    ) {
        let mut world = World::new(protocol);
        world.run(&steps);
        world.finish();
        prop_assert_eq!(first(&world.broker.received), world.accepted.clone());
        prop_assert_eq!(
            of(Qos::ExactlyOnce, &world.broker.received),
            of(Qos::ExactlyOnce, &world.accepted)
        );
        prop_assert_eq!(world.published, world.accepted.len());
        prop_assert_eq!(world.peer.session.outgoing_bytes(), 0);
        prop_assert_eq!(&world.broker.subscriptions, &world.wanted);
        for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
            prop_assert_eq!(of(qos, &first(&world.delivered)), of(qos, &world.sent));
        }
        let delivered = of(Qos::ExactlyOnce, &world.delivered);
        prop_assert_eq!(delivered, of(Qos::ExactlyOnce, &world.sent));
    }

    #[test]
    fn with_a_broker_that_forgets_the_session_every_message_arrives_at_least_once(
        steps in steps_with_forgetting(), protocol in protocol(),
    ) {
        let mut world = World::new(protocol);
        world.run(&steps);
        world.finish();
        prop_assert_eq!(first(&world.broker.received), world.accepted.clone());
        prop_assert_eq!(world.published, world.accepted.len());
        prop_assert_eq!(&world.broker.subscriptions, &world.wanted);
        let delivered = of(Qos::ExactlyOnce, &world.delivered);
        let distinct: HashSet<_> = delivered.iter().collect();
        prop_assert_eq!(distinct.len(), delivered.len(), "delivered twice: {:?}", delivered);
    }

    #[test]
    fn whatever_the_broker_sends_nothing_panics_and_the_window_holds(
        steps in chaos(), protocol in protocol(),
    ) {
        // These CONNACKs set no server limits.
        World { window: WINDOW, ..World::new(protocol) }.run(&steps);
    }
}

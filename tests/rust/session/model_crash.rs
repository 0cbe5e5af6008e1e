//! The model with a file, and processes that are killed at any moment, even between two operations
//! of the journal.

use std::collections::HashSet;

use flask_mqtt_core::core::delivery::{Delivery, State};
use flask_mqtt_core::core::options::Protocol;
use flask_mqtt_core::core::qos::Qos;
use proptest::prelude::*;

use super::disk::Disk;
use super::model::{Step as Plain, World, first, of, protocol};
use super::peer::Peer;

#[derive(Debug, Clone)]
enum Step {
    Plain(Plain),
    Publish(Qos),
    /// All recorded operations are stored.
    Store,
    /// The process is killed after so many operations are stored.
    Crash(usize),
}

struct Process {
    world: World,
    protocol: Protocol,
    disk: Disk,
    /// Messages published and, as far as known, not stored.
    storing: Vec<(Qos, String, Delivery)>,
    published: usize,
    /// Messages that are stored as handled.
    done: HashSet<String>,
    /// Messages that were handled, but not stored as handled: they are delivered again.
    again: HashSet<String>,
    /// How many deliveries to the application were checked.
    seen: usize,
}

impl Process {
    fn new(protocol: Protocol) -> Self {
        let (world, disk) = (World::new(protocol), Disk::default());
        let storing = Vec::new();
        let (done, again) = (HashSet::new(), HashSet::new());
        let mut process =
            Self { world, protocol, disk, storing, published: 0, done, again, seen: 0 };
        process.start();
        process
    }

    fn start(&mut self) {
        self.world.peer = Peer::with(|options| {
            options.protocol = self.protocol;
            options.limits.inflight = 3;
            "me".clone_into(&mut options.client_id);
        });
        let kept = self.disk.open();
        // Only their PUBREL is retransmitted.
        let released = kept.outgoing.iter().filter(|message| message.released);
        self.world.inflight = released.map(|message| message.publish.mid).collect();
        self.world.peer.session.keep(kept);
    }

    fn run(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Plain(Plain::Handle(count)) => self.handle(*count),
                Step::Plain(step) => self.world.run(std::slice::from_ref(step)),
                Step::Publish(qos) => self.publish(*qos),
                Step::Store => self.store(),
                Step::Crash(count) => self.crash(*count),
            }
            self.look();
        }
    }

    fn publish(&mut self, qos: Qos) {
        let payload = format!("up{}", self.published);
        self.published += 1;
        let publish = |peer: &mut Peer| {
            peer.session.publish("t", payload.as_bytes(), qos, false, None).unwrap().2
        };
        let delivery = publish(&mut self.world.peer).expect("it is not of QoS 0");
        self.storing.push((qos, payload, delivery));
    }

    fn store(&mut self) {
        self.disk.store(&mut self.world.peer.session);
        self.done.extend(self.world.handled.difference(&self.again).cloned());
    }

    fn handle(&mut self, count: usize) {
        for (payload, _) in self.world.unhandled.iter().take(count) {
            self.again.remove(payload);
        }
        self.world.run(&[Plain::Handle(count)]);
    }

    /// Records what is stored, and checks what was delivered to the application.
    fn look(&mut self) {
        let is_stored =
            |message: &(Qos, String, Delivery)| message.2.storing().state() == State::Published;
        let stored = self.storing.iter().take_while(|message| is_stored(message)).count();
        for (qos, payload, _) in self.storing.drain(..stored) {
            self.world.accepted.push((qos, payload));
        }
        for (qos, payload) in &self.world.delivered[self.seen..] {
            let again = *qos == Qos::ExactlyOnce && self.done.contains(payload);
            assert!(!again, "{payload} was handled, and is given out again");
        }
        self.seen = self.world.delivered.len();
    }

    fn crash(&mut self, count: usize) {
        let connected = self.world.peer.session.is_connected();
        let whole = !self.world.peer.session.has_journal();
        self.disk.write(&mut self.world.peer.session, count);
        self.look();
        self.world.lose();
        // As in the model: that the broker forgot the session is unknown until the CONNACK is read,
        // and stored.
        if self.world.forgetful && !(connected && whole) {
            self.world.broker.forget();
        }
        self.storing.clear();
        self.again.extend(self.world.handled.difference(&self.done).cloned());
        self.world.unhandled.clear();
        self.start();
    }

    /// Keeps the process, the file and the connection running until everything is done.
    fn finish(&mut self) {
        self.run(&[Step::Store, Step::Plain(Plain::Lose), Step::Plain(Plain::Open)]);
        let all = usize::MAX;
        while !self.is_idle() {
            let steps = [Plain::ToBroker(all), Plain::ToClient(all), Plain::Handle(all)];
            self.run(&steps.map(Step::Plain));
            self.run(&[Step::Store, Step::Plain(Plain::Handle(0))]);
        }
    }

    fn is_idle(&self) -> bool {
        let World { to_broker, to_client, unhandled, peer, .. } = &self.world;
        to_broker.is_empty()
            && to_client.is_empty()
            && unhandled.is_empty()
            && !peer.session.has_journal()
    }

    /// The first arrivals of the stored messages.
    fn arrived(&self) -> Vec<(Qos, String)> {
        let accepted = |message: &(Qos, String)| self.world.accepted.contains(message);
        first(&self.world.broker.received).into_iter().filter(accepted).collect()
    }
}

fn up() -> impl Strategy<Value = Qos> {
    prop_oneof![Just(Qos::AtLeastOnce), Just(Qos::ExactlyOnce)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => up().prop_map(Step::Publish),
        6 => Just(Step::Store),
        1 => (0..4_usize).prop_map(Step::Crash),
        4 => Just(Step::Plain(Plain::Open)),
        1 => Just(Step::Plain(Plain::Lose)),
        4 => up().prop_map(|qos| Step::Plain(Plain::BrokerPublishes(qos))),
        8 => (1..5_usize).prop_map(|count| Step::Plain(Plain::ToBroker(count))),
        8 => (1..5_usize).prop_map(|count| Step::Plain(Plain::ToClient(count))),
        4 => (1..3_usize).prop_map(|count| Step::Plain(Plain::Handle(count))),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 0..300)
}

fn steps_with_forgetting() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(prop_oneof![40 => step(), 1 => Just(Step::Plain(Plain::Forget))], 0..300)
}

fn twice(messages: &[String]) -> Vec<&String> {
    let mut seen = HashSet::new();
    messages.iter().filter(|message| !seen.insert(*message)).collect()
}

proptest! {
    #[test]
    fn what_was_stored_arrives_in_order_and_at_qos_2_once_whenever_the_process_is_killed(
        steps in steps(), protocol in protocol(),
    ) {
        let mut process = Process::new(protocol);
        process.run(&steps);
        process.finish();
        prop_assert_eq!(process.arrived(), process.world.accepted.clone());
        let exactly_once = of(Qos::ExactlyOnce, &process.world.broker.received);
        prop_assert_eq!(twice(&exactly_once), Vec::<&String>::new());
        let handled = |message: &(Qos, String)| process.world.handled.contains(&message.1);
        prop_assert!(process.world.sent.iter().all(handled), "not handled");
        prop_assert!(process.disk.outgoing().is_empty() && process.disk.incoming().is_empty());
        prop_assert_eq!(process.world.peer.session.outgoing_bytes(), 0);
    }

    #[test]
    fn what_was_stored_arrives_also_where_the_broker_forgets_the_session(
        steps in steps_with_forgetting(), protocol in protocol(),
    ) {
        let mut process = Process::new(protocol);
        process.run(&steps);
        process.finish();
        prop_assert_eq!(process.arrived(), process.world.accepted.clone());
        prop_assert!(process.disk.outgoing().is_empty() && process.disk.incoming().is_empty());
    }
}

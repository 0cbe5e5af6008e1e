//! The model's state: a session, a broker, a file, the packets on the wire, and what the
//! application saw; with the possible next actions and the invariants.

mod acting;
mod looking;
mod resting;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use flask_mqtt_core::core::delivery::{Delivery, State};
use flask_mqtt_core::core::options::{ConnectOptions, Protocol};
use flask_mqtt_core::core::property::{Properties, Property, Value};
use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::session::{Operation, Receipt, Session};

use super::broker::Broker;
use super::canonical::{Canonical, mix};
use super::disk::Disk;
use super::packet::Packet;
use super::scenario::Scenario;

/// Time stands still: other tests cover the clock.
static NOW: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Reason codes from here on are refusals (MQTT 5.0, section 2.4), except "packet identifier not
/// found".
const FAILURE: u8 = 0x80;
const NOT_FOUND: u8 = 0x92;

/// An action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The application publishes its next message.
    Publish,
    /// It subscribes or unsubscribes.
    Request,
    /// It has handled one of its messages.
    Handle(u8),
    /// A transport opens.
    Open,
    /// Half of a packet, or the rest of it, is written.
    Write,
    /// The connection ends, and packets in flight are lost. The broker may have sent more than
    /// arrived, and may lose the session.
    Lose {
        sent: bool,
        forget: bool,
    },
    /// The application begins to end the connection; then the DISCONNECT is sent.
    Finish,
    Disconnect,
    /// The broker reads the CONNECT, and accepts with these limits.
    Accept(u8),
    /// It refuses the client.
    Refuse,
    /// It reads any other packet.
    Take,
    /// A response of the broker arrives.
    Answer(u8),
    /// The broker gets a message for the client.
    BrokerPublish,
    /// It sends that message.
    Send,
    /// The steps of storing: the thread takes the journal, writes it, and tells the session.
    TakeJournal,
    Commit,
    Tell,
    /// The journal could not be stored.
    Fail,
    /// The file is closed and opened again.
    Close,
    Reopen,
    /// The process is killed, and a new one starts with the file.
    Crash,
}

/// The state of a published message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Accepted, but not reported.
    Pending,
    /// Reported, or not accepted: no further report may follow.
    Over,
}

/// A published message.
#[derive(Debug)]
struct Up {
    qos: Qos,
    mid: u16,
    fate: Fate,
    /// `None` after the process was killed.
    delivery: Option<Delivery>,
    /// Whether this process sent a PUBLISH.
    sent: bool,
    /// Whether it arrived at the broker, and whether it must.
    arrived: bool,
    due: bool,
    /// Whether it may arrive again at QoS 2, because the broker has forgotten it.
    again: bool,
    /// Whether it was accepted while this connection was ending, and so is for the next one.
    later: bool,
}

impl Up {
    fn state(&self) -> Option<State> {
        self.delivery.as_ref().map(Delivery::state)
    }
}

/// A message for the client.
#[derive(Debug)]
struct Down {
    qos: Qos,
    /// Whether the session has read its PUBLISH, and must deliver it.
    received: bool,
    /// Whether it was delivered to the application.
    given: bool,
    handled: bool,
    /// Whether the broker has forgotten it.
    forgotten: bool,
}

/// The journal while it is being stored.
#[derive(Debug)]
enum Batch {
    None,
    Taken(Vec<Operation>, u64),
    Committed(u64),
}

/// How often each bounded action has happened.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    requests: usize,
    losses: usize,
    forgets: usize,
    finishes: usize,
    refusals: usize,
    failures: usize,
    closes: usize,
    crashes: usize,
}

/// The whole state of the model.
pub struct World {
    scenario: &'static Scenario,
    session: Session,
    broker: Broker,
    server_limits: Vec<Properties>,
    disk: Disk,
    batch: Batch,
    /// Operations that could not be stored.
    left: Vec<Operation>,
    closed: bool,
    finishing: bool,
    ending: bool,
    /// Packets to the broker, each with its number of unwritten bytes.
    wire: VecDeque<(Packet, usize)>,
    ups: Vec<Up>,
    downs: Vec<Down>,
    unhandled: Vec<(usize, Option<Receipt>)>,
    wanted: BTreeSet<u8>,
    held: bool,
    /// Messages sent on this connection and not acknowledged.
    inflight: BTreeSet<u16>,
    receive_maximum: usize,
    /// Whether the broker has lost the session and the client does not know: a CONNACK may be lost.
    unheard: bool,
    /// SUBSCRIBE and UNSUBSCRIBE packets that must be acknowledged on this connection.
    requests: BTreeSet<u16>,
    spent: Spent,
}

type Checked<T = ()> = Result<T, String>;

fn ensure(holds: bool, text: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(text()) }
}

impl World {
    /// A world with a new session.
    pub fn new(scenario: &'static Scenario) -> Self {
        let server_limits = scenario.server_limits.iter().map(|(maximum, qos)| {
            let mut properties = Properties::default();
            let mut set = |property, number: Option<u32>| {
                if let Some(number) = number {
                    properties.set(property, Value::Number(number)).expect("it may be so");
                }
            };
            set(Property::ReceiveMaximum, *maximum);
            set(Property::MaximumQoS, *qos);
            properties
        });
        let mut world = Self {
            scenario,
            session: session(scenario),
            broker: Broker::new(scenario.protocol == Protocol::V5, scenario.early, scenario.late),
            server_limits: server_limits.collect(),
            disk: Disk::default(),
            batch: Batch::None,
            left: Vec::new(),
            closed: false,
            finishing: false,
            ending: false,
            wire: VecDeque::new(),
            ups: Vec::new(),
            downs: Vec::new(),
            unhandled: Vec::new(),
            wanted: BTreeSet::new(),
            held: false,
            inflight: BTreeSet::new(),
            receive_maximum: usize::MAX,
            unheard: false,
            requests: BTreeSet::new(),
            spent: Spent::default(),
        };
        world.keep();
        world
    }

    fn is_v5(&self) -> bool {
        self.scenario.protocol == Protocol::V5
    }

    fn keep(&mut self) {
        if self.scenario.file {
            let kept = self.disk.open();
            self.session.keep(kept);
        }
    }

    /// The hash that identifies this state.
    pub fn fingerprint(&self, canonical: &mut Canonical) -> u64 {
        let Self {
            scenario: _,
            session,
            broker,
            server_limits: _,
            disk,
            batch,
            left,
            closed,
            finishing,
            ending,
            wire,
            ups,
            downs,
            unhandled,
            wanted,
            held,
            inflight,
            receive_maximum,
            unheard,
            requests,
            spent,
        } = self;
        let ups: Vec<_> = ups
            .iter()
            .map(|up| (up.qos, up.mid, up.fate, up.sent, (up.arrived, up.due, up.again, up.later)))
            .collect();
        let own = (
            (disk, batch, left, closed, finishing, ending, wire),
            (
                ups,
                downs,
                unhandled,
                (wanted, held),
                inflight,
                receive_maximum,
                unheard,
                requests,
                spent,
            ),
        );
        mix(mix(canonical.hash(session), canonical.hash(broker)), canonical.hash(&own))
    }

    /// The possible next actions.
    pub fn enabled(&self) -> Vec<Action> {
        let Scenario { ups, downs, requests, slow, server_limits, in_order, .. } = self.scenario;
        let (limit, spent) = (&self.scenario.limit, self.spent);
        let mut actions = Vec::new();
        let mut may = |action, holds| {
            if holds {
                actions.push(action);
            }
        };
        let open = self.session.is_open();
        may(Action::Publish, self.ups.len() < ups.len());
        may(Action::Request, spent.requests < requests.len());
        for place in 0..self.unhandled.len() {
            may(Action::Handle(u8::try_from(place).expect("few")), true);
        }
        may(Action::Open, !open && !self.closed);
        may(Action::Write, *slow && self.unwritten().is_some());
        for sent in [false, true] {
            let differs = !sent || self.broker.next().is_some();
            let lose = open && spent.losses < limit.losses && differs && !self.ending;
            may(Action::Lose { sent, forget: false }, lose);
            may(Action::Lose { sent, forget: true }, lose && spent.forgets < limit.forgets);
        }
        // The client closes after the DISCONNECT, whatever was read.
        may(Action::Lose { sent: false, forget: false }, self.ending);
        may(Action::Finish, open && !self.finishing && spent.finishes < limit.finishes);
        may(Action::Disconnect, self.finishing && !self.ending);
        match self.readable() {
            Some(Packet::Connect) => {
                for choice in 0..server_limits.len() {
                    may(Action::Accept(u8::try_from(choice).expect("few")), true);
                }
                may(Action::Refuse, spent.refusals < limit.refusals);
            }
            packet => may(Action::Take, packet.is_some()),
        }
        if open {
            for place in self.broker.may_answer(*in_order) {
                may(Action::Answer(place), true);
            }
            may(Action::Send, self.broker.next().is_some());
        }
        may(Action::BrokerPublish, self.broker.session && self.downs.len() < downs.len());
        if self.scenario.file {
            let has_journal = self.session.has_journal() || !self.left.is_empty();
            let closes = !open && self.is_stored() && spent.closes < limit.closes;
            may(Action::TakeJournal, has_journal && matches!(self.batch, Batch::None));
            may(Action::Commit, matches!(self.batch, Batch::Taken(..)));
            may(
                Action::Fail,
                matches!(self.batch, Batch::Taken(..)) && spent.failures < limit.failures,
            );
            may(Action::Tell, matches!(self.batch, Batch::Committed(_)));
            may(Action::Close, !self.closed && closes);
            may(Action::Reopen, self.closed);
            may(Action::Crash, !self.closed && spent.crashes < limit.crashes);
        }
        actions
    }

    fn is_stored(&self) -> bool {
        !self.session.has_journal() && self.left.is_empty() && matches!(self.batch, Batch::None)
    }

    fn unwritten(&self) -> Option<usize> {
        self.wire.iter().position(|(_, left)| *left > 0)
    }

    /// The next packet for the broker, if it is completely written.
    fn readable(&self) -> Option<Packet> {
        self.wire.front().filter(|(_, left)| *left == 0).map(|(packet, _)| *packet)
    }
}

fn session(scenario: &Scenario) -> Session {
    let mut options = ConnectOptions::new("broker", 1883);
    options.protocol = scenario.protocol;
    options.clean_session = scenario.clean;
    options.limits.inflight = scenario.inflight;
    "me".clone_into(&mut options.client_id);
    let mut session = Session::new(Arc::new(options), *NOW);
    session.set_reporting(true);
    session
}

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

/// Time stands still: what the clock does is tested elsewhere.
static NOW: LazyLock<Instant> = LazyLock::new(Instant::now);

/// From here on a reason code is a refusal (MQTT 5.0, section 2.4), but for that of an identifier that is
/// not known.
const FAILURE: u8 = 0x80;
const NOT_FOUND: u8 = 0x92;

/// Something that can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The application publishes its next message.
    Publish,
    /// It subscribes or unsubscribes.
    Request,
    /// It has handled one of the messages that it was given.
    Handle(u8),
    /// A transport opens.
    Open,
    /// Half of a packet is written, or the rest of it.
    Write,
    /// The connection ends, with all that is on its way. The broker may have sent more than came, and may
    /// lose the session.
    Lose {
        sent: bool,
        forget: bool,
    },
    /// The end of the connection begins, for the application; then the DISCONNECT goes out.
    Finish,
    Disconnect,
    /// The broker reads the CONNECT, and allows this.
    Accept(u8),
    /// It refuses the client.
    Refuse,
    /// It reads any other packet.
    Take,
    /// An answer of the broker's comes.
    Answer(u8),
    /// The broker gets a message for the client.
    BrokerPublish,
    /// That comes.
    Send,
    /// The thread of the file takes the journal; that is on the disk; the session hears of it.
    TakeJournal,
    Commit,
    Tell,
    /// It could not be stored.
    Fail,
    /// The file is closed, and opened again.
    Close,
    Reopen,
    /// The process is killed, and another one begins with the file.
    Crash,
}

/// What became of a message of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Accepted, without a report.
    Pending,
    /// Reported, or not accepted: nothing more may come of it.
    Over,
}

/// A message of ours.
#[derive(Debug)]
struct Up {
    qos: Qos,
    mid: u16,
    fate: Fate,
    /// None after the process was killed.
    delivery: Option<Delivery>,
    /// Whether a PUBLISH went out, by this process.
    sent: bool,
    /// Whether it came to the broker, and whether it has to.
    arrived: bool,
    due: bool,
    /// Whether it may come there again, at QoS 2: the broker has forgotten that it has it.
    again: bool,
    /// Whether it was accepted after the end of this connection had begun: it is for the next one.
    later: bool,
}

impl Up {
    fn state(&self) -> Option<State> {
        self.delivery.as_ref().map(Delivery::state)
    }
}

/// A message to us.
#[derive(Debug)]
struct Down {
    qos: Qos,
    /// Whether the session has read its PUBLISH, and has to give it out.
    received: bool,
    /// Whether the application was given it.
    given: bool,
    handled: bool,
    /// Whether the broker has forgotten it.
    forgotten: bool,
}

/// The journal on its way to the disk.
#[derive(Debug)]
enum Batch {
    None,
    Taken(Vec<Operation>, u64),
    Committed(u64),
}

/// How often something has happened that may only happen so often.
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

/// Everything.
pub struct World {
    scenario: &'static Scenario,
    session: Session,
    broker: Broker,
    server_limits: Vec<Properties>,
    disk: Disk,
    batch: Batch,
    /// What could not be stored.
    left: Vec<Operation>,
    closed: bool,
    finishing: bool,
    ending: bool,
    /// Packets for the broker, with their bytes that are not written.
    wire: VecDeque<(Packet, usize)>,
    ups: Vec<Up>,
    downs: Vec<Down>,
    unhandled: Vec<(usize, Option<Receipt>)>,
    wanted: BTreeSet<u8>,
    /// Messages of which the PUBLISH went out on this connection, and no answer has come.
    inflight: BTreeSet<u16>,
    receive_maximum: usize,
    /// Whether the broker has lost the session, which the session has not heard: CONNACK may be lost.
    unheard: bool,
    /// SUBSCRIBE and UNSUBSCRIBE packets of the application's that will be answered on this connection.
    requests: BTreeSet<u16>,
    spent: Spent,
}

type Checked<T = ()> = Result<T, String>;

fn ensure(holds: bool, text: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(text()) }
}

impl World {
    /// A session that nothing has happened to.
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

    /// What tells this state from others.
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
            (ups, downs, unhandled, wanted, inflight, receive_maximum, unheard, requests, spent),
        );
        mix(mix(canonical.hash(session), canonical.hash(broker)), canonical.hash(&own))
    }

    /// What can happen next.
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
        // This side closes after the DISCONNECT, whatever has been read.
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

    /// The packet that the broker can read, if it is there in whole.
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

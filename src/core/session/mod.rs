//! The MQTT session as a state machine: packets and the time in, packets and events out.
//!
//! It has no socket, no clock, no thread and no Python. The owner passes in the bytes read
//! ([`Session::receive`]), writes the output ([`Session::take_output`]) and delivers the events
//! ([`Session::take_events`]).

mod aliases;
mod backoff;
mod by_mid;
mod calls;
mod effects;
mod event;
mod file;
mod health;
mod identifier;
mod ids;
mod incoming;
mod journal;
mod keepalive;
mod log;
mod outgoing;
mod output;
mod pings;
mod published;
mod receiving;
mod server_limits;
mod subscriptions;
mod suspect;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;

pub use backoff::Backoff;
pub use event::{End, Event, Field, Fields, LogLevel, Receipt};
pub use health::{Health, Missing};
pub use journal::{Kept, KeptIncoming, KeptOutgoing, Operation};
pub use published::Mids;
pub use suspect::Suspect;

use self::aliases::IncomingAliases;
use self::ids::Ids;
use self::incoming::Incoming as IncomingMessages;
use self::keepalive::{Due, KeepAlive, Reading};
use self::outgoing::Outgoing;
use self::output::Output;
use self::pings::Pings;
use self::server_limits::ServerLimits;
use self::subscriptions::Subscriptions;
use super::delivery::Progress;
use super::error::{Error, ReturnCode};
use super::options::{ConnectOptions, Limits, Protocol};
use super::packet::{Control, Publish};
use super::property::{Properties, Property};
use super::stats::{Counters, Stats, Waiting};

/// Bytes that a message held for the CONNACK takes in addition to its content.
const HELD: usize = size_of::<(Publish, Progress)>();

/// The state of the connection.
#[derive(Debug)]
enum Link {
    /// No transport.
    Offline,
    /// CONNECT is sent; `until` is the deadline for the CONNACK.
    Connecting { until: Instant, held: Vec<(Publish, Progress)> },
    /// The broker accepted.
    Connected,
    /// Our DISCONNECT is encoded: no packet may follow it (MQTT 3.1.1, section 3.14.4).
    Ending,
}

/// An MQTT client's session (MQTT 3.1.1, section 4.1), over any number of connections.
#[derive(Debug)]
pub struct Session {
    options: Arc<ConnectOptions>,
    /// Whether the options were used for a connection or an attempt.
    configured: bool,
    /// The client identifier that a broker assigned, if the application left the choice to it.
    assigned_client_id: Option<String>,
    link: Link,
    /// When the broker accepted the present connection.
    accepted_at: Option<Instant>,
    /// Whether the connection is ending, and accepts nothing new.
    finishing: bool,
    server_limits: ServerLimits,
    aliases: IncomingAliases,
    /// Topics of aliases that the application defined; these aliases are not sent.
    named_aliases: HashMap<u32, String>,
    /// The reason code and properties of the broker's DISCONNECT.
    broker_disconnect: Option<(u8, Option<Properties>)>,
    /// The reason code and properties of our next DISCONNECT.
    next_disconnect: (u8, Properties),
    connection: u32,
    /// The `clean_start_once` of the last accepted connection.
    started: u32,
    ids: Ids,
    outgoing: Outgoing,
    incoming: IncomingMessages,
    subscriptions: Subscriptions,
    keep_alive: KeepAlive,
    pings: Pings,
    output: Output,
    held_bytes: usize,
    /// Whether so many reports are pending for `on_publish` that no more may be created.
    crowded: bool,
    /// The file of the stored messages: its number, and how often it was opened. The value survives
    /// the closing of the file.
    file: Option<(u64, u64)>,
    /// The client identifier for which the broker has the session in the file.
    kept_client_id: String,
}

impl Session {
    /// Creates a session without a connection.
    pub fn new(options: Arc<ConnectOptions>, now: Instant) -> Self {
        Self {
            options,
            configured: false,
            assigned_client_id: None,
            link: Link::Offline,
            accepted_at: None,
            finishing: false,
            server_limits: ServerLimits::default(),
            aliases: IncomingAliases::default(),
            named_aliases: HashMap::new(),
            broker_disconnect: None,
            next_disconnect: (0, Properties::default()),
            connection: 0,
            started: 0,
            ids: Ids::default(),
            outgoing: Outgoing::default(),
            incoming: IncomingMessages::default(),
            subscriptions: Subscriptions::default(),
            keep_alive: KeepAlive::new(Duration::ZERO, now),
            pings: Pings::default(),
            output: Output::default(),
            held_bytes: 0,
            crowded: false,
            file: None,
            kept_client_id: String::new(),
        }
    }

    /// A session for another process of the same application: with the same subscriptions, which
    /// are not held, and without messages. Receipts of this session are stale there.
    #[must_use]
    pub fn for_child(&self, now: Instant) -> Self {
        let (connection, subscriptions) = (self.connection, self.subscriptions.anew());
        Self { connection, subscriptions, ..Self::new(self.options.clone(), now) }
    }

    /// Sets the options of the next connection.
    pub fn configure(&mut self, options: Arc<ConnectOptions>) {
        self.options = options;
        self.configured = true;
    }

    /// Changes the limits, until new options are set.
    pub fn limit(&mut self, limits: Limits) {
        Arc::make_mut(&mut self.options).limits = limits;
    }

    /// Sets whether to report `on_log` texts.
    pub fn set_logging(&mut self, logging: bool) {
        self.output.effects.logging = logging;
    }

    /// Sets whether to report written QoS 0 messages.
    pub fn set_reporting(&mut self, reporting: bool) {
        self.output.effects.reporting = reporting;
    }

    /// Sets whether so many reports are pending that a QoS 0 message has to wait: each makes
    /// another report as soon as it is written.
    pub fn set_crowded(&mut self, crowded: bool) {
        self.crowded = crowded;
    }

    /// Whether the broker accepted the present connection.
    pub fn is_connected(&self) -> bool {
        matches!(self.link, Link::Connected)
    }

    /// Whether there is a transport, accepted or not.
    pub fn is_open(&self) -> bool {
        !matches!(self.link, Link::Offline)
    }

    /// The transport is open: sends CONNECT. `until` is the deadline for the CONNACK.
    pub fn opened(&mut self, now: Instant, until: Instant) {
        self.connection = self.connection.wrapping_add(1);
        let keep_alive = Duration::from_secs(self.options.keep_alive.into());
        self.keep_alive = KeepAlive::new(keep_alive, now);
        self.link = Link::Connecting { until, held: Vec::new() };
        self.broker_disconnect = None;
        let allowed = self.options.properties.number(Property::TopicAliasMaximum).unwrap_or(0);
        self.aliases.reset(u16::try_from(allowed).unwrap_or(u16::MAX));
        self.incoming.opened();
        self.say_hello();
    }

    fn say_hello(&mut self) {
        let options = &self.options;
        let once = if options.protocol == Protocol::V5 { options.clean_start_once } else { 0 };
        let goes_on = once != 0 && once == self.started;
        let client_id = self.assigned_client_id.as_ref().filter(|_| options.client_id.is_empty());
        if !goes_on && client_id.is_none() {
            return self.output.connect(options);
        }
        let mut options = ConnectOptions::clone(options);
        options.clean_session &= !goes_on;
        if let Some(client_id) = client_id {
            options.client_id.clone_from(client_id);
        }
        self.output.connect(&options);
    }

    /// Whether new messages and requests are for the present connection.
    fn takes_new(&self) -> bool {
        self.is_open() && !self.finishing
    }

    /// Begins to end the connection: everything accepted from now on is for the next one.
    pub fn finish(&mut self) {
        if self.is_open() && !self.finishing {
            self.finishing = true;
            self.outgoing.finish();
        }
    }

    /// The transport is closed. Unwritten QoS 0 messages are lost with it.
    pub fn lost(&mut self) {
        self.leave(Link::Offline);
        self.finishing = false;
        self.outgoing.lost();
        self.output.effects.counters.connected_since = None;
        // The next broker may be a different one.
        self.server_limits = ServerLimits::default();
        self.held_bytes = 0;
        self.named_aliases.clear();
        self.subscriptions.lost(&mut self.ids);
        self.pings = Pings::default();
        self.output.clear();
    }

    /// Changes to a state that holds no messages for the CONNACK.
    fn leave(&mut self, state: Link) {
        if let Link::Connecting { held, .. } = std::mem::replace(&mut self.link, state) {
            self.output.effects.counters.unsent += held.len() as u64;
        }
    }

    /// Reports the end of the connection, for `on_disconnect`.
    pub fn report_end(&mut self, code: ReturnCode) {
        let (reason, properties) = self.broker_disconnect.take().unzip();
        let properties = properties.flatten();
        self.report(Event::Disconnected(End { code, reason, properties }));
    }

    /// Ends all waits for unacknowledged messages, because no connection follows for now. The
    /// messages are kept for the next one.
    pub fn release(&self) {
        self.outgoing.release();
    }

    /// How many messages of this connection still wait for the CONNACK or for their
    /// acknowledgement.
    pub fn leaving(&self) -> usize {
        match &self.link {
            Link::Offline | Link::Ending => 0,
            Link::Connecting { held, .. } => held.len() + self.outgoing.leaving(),
            Link::Connected => self.outgoing.leaving(),
        }
    }

    /// Bytes written on this connection.
    pub fn written(&self) -> u64 {
        self.output.written()
    }

    fn pump(&mut self) {
        if self.is_connected() {
            // A pending request was checked when it was accepted, so it can be encoded.
            let _ = self.subscriptions.go_on(&mut self.ids, &mut self.output);
            let Self { outgoing, options, server_limits, ids, output, .. } = self;
            outgoing.pump(&options.limits, server_limits, ids, output);
        }
    }

    /// `count` bytes were read at `now`.
    pub fn read(&mut self, count: usize, now: Instant) {
        self.output.effects.counters.received.bytes += count as u64;
        self.keep_alive.received(now);
    }

    /// `count` bytes of the output were written at `now`.
    pub fn wrote(&mut self, count: usize, now: Instant) {
        self.output.wrote(count);
        self.keep_alive.wrote(self.output.written(), now);
    }

    /// When to call [`Self::tick`] next.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.link {
            Link::Offline | Link::Ending => None,
            Link::Connecting { until, .. } => Some(*until),
            Link::Connected => self.keep_alive.deadline(),
        }
    }

    /// Whether to pause reading until responses are sent. True if too many responses are pending
    /// for the broker or the file, if too many bytes of messages wait for the file, or if the
    /// application leaves too many QoS 2 messages unacknowledged.
    pub fn is_clogged(&self) -> bool {
        self.incoming.is_full() || self.output.is_clogged(self.options.limits.incoming_bytes.max(1))
    }

    /// Does what is due at `now`. `reading` says whether the owner reads; it pauses while the
    /// handlers are behind.
    ///
    /// # Errors
    /// The connection has to end: the broker was silent for too long.
    pub fn tick(&mut self, now: Instant, reading: bool) -> Result<(), Error> {
        match &self.link {
            Link::Connecting { until, .. } if now >= *until => {
                Err(self.options.handshake().error("CONNACK", self.options.broker().address()))
            }
            Link::Offline | Link::Connecting { .. } | Link::Ending => Ok(()),
            Link::Connected => match self.keep_alive.check(now, self.reading(reading)) {
                Due::Nothing => Ok(()),
                Due::Ping => {
                    self.output.control(&Control::PingReq)?;
                    self.pings.sent();
                    self.keep_alive.pinged(self.output.encoded(), now);
                    Ok(())
                }
                Due::Unanswered => Err(Error::KeepAlive(self.keep_alive.seconds())),
                Due::Stalled => Err(Error::Stalled(self.keep_alive.seconds())),
            },
        }
    }

    fn reading(&self, wanted: bool) -> Reading {
        match (wanted, self.is_clogged()) {
            (false, _) => Reading::HandlersAreSlow,
            (true, true) if self.incoming.is_full() => Reading::HandlersAreSlow,
            (true, true) => Reading::BrokerTakesNothing,
            (true, false) => Reading::On,
        }
    }

    /// Adds an event of the owner, in order.
    pub fn report(&mut self, event: Event) {
        self.output.effects.events.push_back(event);
    }

    /// The events since the last call.
    pub fn take_events(&mut self) -> &mut VecDeque<Event> {
        &mut self.output.effects.events
    }

    /// The latest event that was not taken.
    pub fn last_event(&self) -> Option<&Event> {
        self.output.effects.events.back()
    }

    /// Fills `empty` with bytes to write, perhaps not all that are pending. Returns whether it
    /// contains anything other than responses to packets of the broker.
    pub fn take_output(&mut self, empty: &mut BytesMut) -> bool {
        self.output.swap(empty)
    }

    /// Bytes encoded on this connection, without responses to packets of the broker.
    pub fn requested(&self) -> u64 {
        self.output.requested()
    }

    /// Whether the application waits for the broker: for a CONNACK, or for the acknowledgement of a
    /// message.
    pub fn is_waiting(&self) -> bool {
        matches!(self.link, Link::Connecting { .. }) || self.outgoing.in_flight() > 0
    }

    /// The window of messages in flight, if at least as many more are queued for it: then each
    /// message waits for far more than one acknowledgement.
    pub fn backlogged_window(&self) -> Option<usize> {
        let window = self.server_limits.window(&self.options.limits);
        (self.outgoing.queued() >= window).then_some(window)
    }

    /// Whether there are bytes to write.
    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// The counters.
    pub fn counters(&mut self) -> &mut Counters {
        &mut self.output.effects.counters
    }

    /// The session's statistics at this moment, together with the events pending for the handlers.
    pub fn stats(&self, waiting: Waiting) -> Stats {
        let held = match &self.link {
            Link::Connecting { held, .. } => held.len(),
            Link::Offline | Link::Connected | Link::Ending => 0,
        };
        let (broker, client_id) = self.identity();
        Stats {
            connected: self.is_connected(),
            broker,
            client_id,
            counters: self.output.effects.counters.clone(),
            in_flight: self.outgoing.in_flight(),
            queued: self.outgoing.queued(),
            set_aside: self.outgoing.set_aside(),
            unwritten: self.output.unwritten_messages() + held,
            outgoing_bytes: self.outgoing_bytes(),
            waiting,
        }
    }

    /// The broker that is connected, or is tried next, if there was an attempt; and the client
    /// identifier, even if a broker assigned it.
    pub fn identity(&self) -> (Option<String>, String) {
        let broker = self.configured.then(|| self.options.broker().address());
        let assigned =
            self.assigned_client_id.as_ref().filter(|_| self.options.client_id.is_empty());
        (broker, assigned.unwrap_or(&self.options.client_id).clone())
    }

    /// Whether all encoded bytes are written.
    pub fn is_written(&self) -> bool {
        self.output.encoded() == self.output.written()
    }

    /// How many packet identifiers are in use.
    pub fn identifiers(&self) -> usize {
        self.ids.in_use()
    }

    /// Bytes pending for the broker.
    pub fn outgoing_bytes(&self) -> usize {
        self.output.len() + self.outgoing.bytes() + self.held_bytes
    }
}

//! The MQTT session as a state machine: packets and the time in, packets and events out.
//!
//! No socket, no clock, no thread, no Python. The owner feeds it what the transport reads
//! ([`Session::receive`]), writes what it puts out ([`Session::take_output`]) and hands on what happened
//! ([`Session::take_events`]).

mod aliases;
mod backoff;
mod event;
mod ids;
mod incoming;
mod keepalive;
mod log;
mod outgoing;
mod output;
mod subscriptions;
mod terms;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;

pub use backoff::Backoff;
pub use event::{End, Event, LogLevel, Receipt};

use self::aliases::IncomingAliases;
use self::ids::Ids;
use self::incoming::Incoming as IncomingMessages;
use self::keepalive::{Due, KeepAlive};
use self::outgoing::Outgoing;
use self::output::Output;
use self::subscriptions::Subscriptions;
use self::terms::Terms;
use super::error::{Error, ReturnCode};
use super::options::{ConnectOptions, MAX_REMAINING_LENGTH};
use super::packet::{Control, Incoming, Publish, PublishRef, Subscription};
use super::property::{Place, Properties, Property};
use super::qos::Qos;
use super::topic::{validate_filter, validate_topic};

/// How far the connection is.
#[derive(Debug)]
enum Link {
    /// No transport.
    Offline,
    /// CONNECT is sent; the CONNACK has to come until then.
    Connecting { until: Instant, held: Vec<Publish> },
    /// The broker accepted.
    Connected,
}

/// An MQTT client's session (MQTT 3.1.1, section 4.1), over any number of connections.
#[derive(Debug)]
pub struct Session {
    options: Arc<ConnectOptions>,
    /// The identifier that a broker chose where the application left it to it.
    assigned_client_id: Option<String>,
    link: Link,
    terms: Terms,
    aliases: IncomingAliases,
    /// Topics of aliases that the application named itself; they do not go over the wire.
    named_aliases: HashMap<u32, String>,
    /// What the broker said with its DISCONNECT.
    farewell: Option<(u8, Properties)>,
    /// What to say with ours.
    goodbye: (u8, Properties),
    connection: u32,
    ids: Ids,
    outgoing: Outgoing,
    incoming: IncomingMessages,
    subscriptions: Subscriptions,
    keep_alive: KeepAlive,
    output: Output,
    held_bytes: usize,
}

impl Session {
    /// A session without a connection.
    pub fn new(options: Arc<ConnectOptions>, now: Instant) -> Self {
        Self {
            options,
            assigned_client_id: None,
            link: Link::Offline,
            terms: Terms::default(),
            aliases: IncomingAliases::default(),
            named_aliases: HashMap::new(),
            farewell: None,
            goodbye: (0, Properties::default()),
            connection: 0,
            ids: Ids::default(),
            outgoing: Outgoing::default(),
            incoming: IncomingMessages::default(),
            subscriptions: Subscriptions::default(),
            keep_alive: KeepAlive::new(Duration::ZERO, now),
            output: Output::default(),
            held_bytes: 0,
        }
    }

    /// Options for the next connection.
    pub fn configure(&mut self, options: Arc<ConnectOptions>) {
        self.options = options;
    }

    /// Whether `on_log` texts are wanted.
    pub fn set_logging(&mut self, logging: bool) {
        self.output.logging = logging;
    }

    /// Whether the application wants to hear when a QoS 0 message is written.
    pub fn set_reporting(&mut self, reporting: bool) {
        self.output.reporting = reporting;
    }

    /// Whether the broker accepted the present connection.
    pub fn is_connected(&self) -> bool {
        matches!(self.link, Link::Connected)
    }

    /// Whether there is a transport, accepted or not.
    pub fn is_open(&self) -> bool {
        !matches!(self.link, Link::Offline)
    }

    /// The transport is open: sends CONNECT. The CONNACK has to come until then.
    pub fn opened(&mut self, now: Instant, until: Instant) {
        self.connection = self.connection.wrapping_add(1);
        let keep_alive = Duration::from_secs(self.options.keep_alive.into());
        self.keep_alive = KeepAlive::new(keep_alive, now);
        self.link = Link::Connecting { until, held: Vec::new() };
        self.farewell = None;
        let allowed = self.options.properties.number(Property::TopicAliasMaximum).unwrap_or(0);
        self.aliases.reset(u16::try_from(allowed).unwrap_or(u16::MAX));
        match &self.assigned_client_id {
            Some(client_id) if self.options.client_id.is_empty() => {
                let client_id = client_id.clone();
                self.output.connect(&ConnectOptions { client_id, ..(*self.options).clone() });
            }
            _ => self.output.connect(&self.options),
        }
    }

    /// The transport is gone. QoS 0 messages that were not written are gone with it.
    pub fn lost(&mut self) {
        self.link = Link::Offline;
        // The next broker may be another one.
        self.terms = Terms::default();
        self.held_bytes = 0;
        self.named_aliases.clear();
        self.subscriptions.lost(&mut self.ids);
        self.output.clear();
    }

    /// Says that the connection has ended, for `on_disconnect`.
    pub fn report_end(&mut self, code: ReturnCode) {
        let (reason, properties) = self.farewell.take().unzip();
        self.report(Event::Disconnected(End { code, reason, properties }));
    }

    /// Publishes a message.
    ///
    /// Returns the code and packet identifier that `publish` gives the application: `Success`,
    /// `NoConnection` (QoS 0 is dropped then; QoS 1 and 2 are kept for the next connection),
    /// `QueueSize` with identifier 0 when the bounds are reached, or `PayloadSize` or `NotSupported` with
    /// identifier 0 for what the broker has said that it does not take.
    pub fn publish(
        &mut self,
        topic: &str,
        payload: &[u8],
        qos: Qos,
        retain: bool,
        properties: Option<Properties>,
    ) -> Result<(ReturnCode, u16), Error> {
        let mut properties = properties;
        let named = properties.as_mut().and_then(|properties| self.named(topic, properties));
        let topic = named.as_deref().unwrap_or(topic);
        validate_topic(topic)?;
        properties.as_ref().map_or(Ok(()), |properties| properties.validate(Place::Publish))?;
        let others = properties.as_ref().map_or(0, Properties::len);
        if payload.len() > MAX_REMAINING_LENGTH.saturating_sub(topic.len() + 8 + others) {
            return Err(Error::PayloadTooLarge(payload.len()));
        }
        if self.outgoing_bytes() >= self.options.limits.outgoing_bytes {
            return Ok((ReturnCode::QueueSize, 0));
        }
        let properties = properties.as_ref();
        let mut publish =
            PublishRef { topic, payload, qos, retain, dup: false, mid: 0, properties };
        if let Some(refusal) = self.terms.refusal(&publish) {
            return Ok((terms::return_code(refusal), 0));
        }
        let code = if self.is_open() { ReturnCode::Success } else { ReturnCode::NoConnection };
        let at_most_once = qos == Qos::AtMostOnce;
        let mid = if at_most_once { self.ids.next() } else { self.ids.reserve() };
        let Some(mid) = mid else { return Ok((ReturnCode::QueueSize, 0)) };
        publish.mid = mid;
        if at_most_once {
            self.publish_at_most_once(&publish);
        } else {
            self.outgoing.accept(Publish::from(&publish));
            self.pump();
        }
        Ok((code, mid))
    }

    /// Takes out a topic alias of the application's, and returns the topic that it stands for. On the
    /// wire the session chooses the aliases itself, so that a message can be sent again later.
    fn named(&mut self, topic: &str, properties: &mut Properties) -> Option<String> {
        let alias = properties.number(Property::TopicAlias)?;
        properties.remove(Property::TopicAlias);
        if topic.is_empty() {
            return self.named_aliases.get(&alias).cloned();
        }
        self.named_aliases.insert(alias, topic.to_owned());
        None
    }

    fn publish_at_most_once(&mut self, publish: &PublishRef<'_>) {
        match &mut self.link {
            Link::Offline => {}
            Link::Connected => self.output.publish(publish),
            Link::Connecting { held, .. } => {
                let publish = Publish::from(publish);
                self.held_bytes += publish.size();
                held.push(publish);
            }
        }
    }

    /// Subscribes to filters, now and on every later connection.
    ///
    /// `reuse` is for the `on_connect` handler: what was subscribed to on this connection already, by
    /// itself or by the application, is not subscribed to twice.
    ///
    /// Returns `Success` with a packet identifier, `NoConnection` without one, `QueueSize` without one
    /// when all identifiers are in use, or `PayloadSize` without one when the broker takes no packet as
    /// large.
    pub fn subscribe(
        &mut self,
        filters: Vec<Subscription>,
        properties: Properties,
        reuse: bool,
    ) -> Result<(ReturnCode, Option<u16>), Error> {
        for Subscription { filter, .. } in &filters {
            validate_filter(filter)?;
        }
        properties.validate(Place::Subscribe)?;
        if reuse && let Some(mid) = self.subscriptions.already_sent(&filters, &properties) {
            return Ok((ReturnCode::Success, Some(mid)));
        }
        self.subscriptions.want(&filters, &properties);
        self.request(|mid| Control::Subscribe { mid, filters, properties })
    }

    /// Unsubscribes from filters. Returns as [`Self::subscribe`] does; without a connection nothing
    /// changes.
    pub fn unsubscribe(
        &mut self,
        filters: Vec<String>,
        properties: Properties,
    ) -> Result<(ReturnCode, Option<u16>), Error> {
        for filter in &filters {
            validate_filter(filter)?;
        }
        properties.validate(Place::Unsubscribe)?;
        let unwanted = filters.clone();
        let result = self.request(|mid| Control::Unsubscribe { mid, filters, properties })?;
        if result.0 == ReturnCode::Success {
            self.subscriptions.forget(&unwanted);
        }
        Ok(result)
    }

    fn request(
        &mut self,
        request: impl FnOnce(u16) -> Control,
    ) -> Result<(ReturnCode, Option<u16>), Error> {
        if !self.is_open() {
            return Ok((ReturnCode::NoConnection, None));
        }
        let Some(mid) = self.ids.reserve() else { return Ok((ReturnCode::QueueSize, None)) };
        let (request, connected) = (request(mid), self.is_connected());
        if !self.output.takes(&request) {
            self.ids.release(mid);
            return Ok((ReturnCode::PayloadSize, None));
        }
        self.subscriptions.request(request, connected, &mut self.output)?;
        Ok((ReturnCode::Success, Some(mid)))
    }

    /// The application has handled a message: PUBACK or PUBCOMP goes out.
    pub fn handled(&mut self, receipt: Receipt) -> Result<(), Error> {
        let connection = self.is_connected().then_some(self.connection);
        self.incoming.handled(receipt, connection, &mut self.output)
    }

    /// Whether a message waits for the CONNACK or for its confirmation.
    pub fn has_unconfirmed(&self) -> bool {
        match &self.link {
            Link::Offline => false,
            Link::Connecting { held, .. } => !held.is_empty() || !self.outgoing.is_empty(),
            Link::Connected => !self.outgoing.is_empty(),
        }
    }

    /// What the next good-bye says: a reason code and properties, for MQTT 5.
    pub fn set_goodbye(&mut self, code: u8, properties: Properties) {
        self.goodbye = (code, properties);
    }

    /// Says good-bye to the broker. It publishes no will then, unless the reason code asks for that.
    /// `logged` is for `on_log`.
    pub fn disconnect(&mut self, logged: bool) -> Result<(), Error> {
        let (code, properties) = std::mem::take(&mut self.goodbye);
        let disconnect = Control::Disconnect { code, properties };
        match (self.is_open(), logged) {
            (false, _) => Ok(()),
            (true, true) => self.output.control(&disconnect),
            (true, false) => self.output.control_silently(&disconnect),
        }
    }

    /// Takes a packet from the broker.
    ///
    /// # Errors
    /// The connection has to end: the broker broke the protocol or refused the CONNECT.
    pub fn receive(&mut self, packet: Incoming, now: Instant) -> Result<(), Error> {
        self.output.log(|| log::received(&packet));
        match (&self.link, packet) {
            (Link::Connecting { .. }, Incoming::ConnAck { session_present, code, properties }) => {
                self.answered(session_present, code, properties, now)
            }
            (Link::Connected, Incoming::ConnAck { .. }) => {
                Err(Error::Protocol("a second CONNACK".to_owned()))
            }
            (Link::Connected, packet) => self.receive_connected(packet, now),
            _ => Err(Error::Protocol("a packet before the CONNACK".to_owned())),
        }
    }

    fn answered(
        &mut self,
        session_present: bool,
        code: u8,
        properties: Option<Properties>,
        now: Instant,
    ) -> Result<(), Error> {
        if code == 0
            && let Some(properties) = &properties
        {
            self.agree(properties, now);
        }
        self.output.events.push_back(Event::ConnAck { session_present, code, properties });
        if code != 0 {
            return Err(Error::Refused(code));
        }
        if !session_present {
            self.incoming.forget(now, &mut self.output);
        }
        self.subscriptions.restore(&mut self.ids, &mut self.output)?;
        self.outgoing.resend(session_present, self.window(), &self.terms, &mut self.output)?;
        if let Link::Connecting { held, .. } = std::mem::replace(&mut self.link, Link::Connected) {
            for publish in &held {
                self.publish_held(publish);
            }
        }
        self.held_bytes = 0;
        self.pump();
        Ok(())
    }

    /// Takes over what the CONNACK of MQTT 5 says (section 3.2.2.3).
    fn agree(&mut self, properties: &Properties, now: Instant) {
        self.terms = Terms::new(properties);
        let number = |property| properties.number(property);
        if let Some(seconds) = number(Property::ServerKeepAlive) {
            self.keep_alive = KeepAlive::new(Duration::from_secs(seconds.into()), now);
        }
        if let Some(client_id) = properties.text(Property::AssignedClientIdentifier) {
            self.assigned_client_id = Some(client_id.to_owned());
        }
        let aliases = number(Property::TopicAliasMaximum).unwrap_or(0);
        let aliases = u16::try_from(aliases).unwrap_or(u16::MAX);
        self.output.agree(aliases, self.terms.packet_size);
    }

    /// Sends a QoS 0 message that waited for the CONNACK, which may have said that it may not be sent.
    fn publish_held(&mut self, publish: &Publish) {
        let publish = PublishRef::from(publish);
        match self.terms.refusal(&publish) {
            None => self.output.publish(&publish),
            Some(code) => {
                self.output.refused(publish.mid, publish.topic, code);
                if self.output.reporting {
                    let (mid, properties) = (publish.mid, None);
                    self.output.events.push_back(Event::Published { mid, code, properties });
                }
            }
        }
    }

    fn receive_connected(&mut self, packet: Incoming, now: Instant) -> Result<(), Error> {
        let Self { outgoing, incoming, ids, output, connection, .. } = self;
        match packet {
            Incoming::Publish(mut publish) => {
                let limit = self.options.limits.incoming_bytes;
                self.aliases.resolve(&mut publish)?;
                incoming.publish(publish, now, *connection, limit, output)?;
            }
            Incoming::PubRel(ack) => incoming.release(ack.mid, now, *connection, output)?,
            Incoming::PubRec(ack) => outgoing.received(ack, ids, output)?,
            Incoming::PubAck(ack) => outgoing.acknowledged(ack, ids, output),
            Incoming::PubComp(ack) => outgoing.completed(ack, ids, output),
            Incoming::SubAck { mid, granted, properties } => {
                if self.subscriptions.subscribed(mid, ids) {
                    output.events.push_back(Event::Subscribed { mid, granted, properties });
                }
            }
            Incoming::UnsubAck { mid, codes, properties } => {
                if self.subscriptions.unsubscribed(mid, ids) {
                    output.events.push_back(Event::Unsubscribed { mid, codes, properties });
                }
            }
            Incoming::Disconnect { code, properties } => {
                let text = properties.text(Property::ReasonString).map(str::to_owned);
                self.farewell = Some((code, properties));
                return Err(Error::Disconnected { code, text });
            }
            Incoming::ConnAck { .. } | Incoming::PingResp => {}
        }
        self.pump();
        Ok(())
    }

    fn window(&self) -> usize {
        self.options.limits.inflight.min(self.terms.receive_maximum)
    }

    fn pump(&mut self) {
        if self.is_connected() {
            let window = self.window();
            self.outgoing.pump(window, &self.terms, &mut self.ids, &mut self.output);
        }
    }

    /// Bytes came in at `now`.
    pub fn read(&mut self, now: Instant) {
        self.keep_alive.received(now);
    }

    /// So many bytes of the output were written at `now`.
    pub fn wrote(&mut self, count: usize, now: Instant) {
        self.keep_alive.sent(now);
        self.output.wrote(count);
    }

    /// When to call [`Self::tick`] next.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.link {
            Link::Offline => None,
            Link::Connecting { until, .. } => Some(*until),
            Link::Connected => self.keep_alive.deadline(),
        }
    }

    /// Does what is due at `now`: `reading` is false while the owner reads nothing.
    ///
    /// # Errors
    /// The connection has to end: the broker was silent for too long.
    pub fn tick(&mut self, now: Instant, reading: bool) -> Result<(), Error> {
        match &self.link {
            Link::Connecting { until, .. } if now >= *until => Err(Error::ConnectTimeout {
                address: self.options.broker().address(),
                step: "CONNACK",
                seconds: self.options.connect_timeout.as_secs_f64(),
            }),
            Link::Offline | Link::Connecting { .. } => Ok(()),
            Link::Connected => match self.keep_alive.check(now, reading) {
                Due::Nothing => Ok(()),
                Due::Ping => self.output.control(&Control::PingReq),
                Due::Dead => Err(Error::KeepAlive(self.keep_alive.seconds())),
            },
        }
    }

    /// Adds an event of the owner's, in its place in the order.
    pub fn report(&mut self, event: Event) {
        self.output.events.push_back(event);
    }

    /// What happened since the last call.
    pub fn take_events(&mut self) -> &mut VecDeque<Event> {
        &mut self.output.events
    }

    /// Fills `empty` with the bytes to write.
    pub fn take_output(&mut self, empty: &mut BytesMut) {
        self.output.swap(empty);
    }

    /// Whether there are bytes to write.
    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Bytes that wait for the broker.
    pub fn outgoing_bytes(&self) -> usize {
        self.output.len() + self.outgoing.bytes() + self.held_bytes
    }
}

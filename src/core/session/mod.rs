//! The MQTT session as a state machine: packets and the time in, packets and events out.
//!
//! No socket, no clock, no thread, no Python. The owner feeds it what the transport reads
//! ([`Session::receive`]), writes what it puts out ([`Session::take_output`]) and hands on what happened
//! ([`Session::take_events`]).

mod backoff;
mod event;
mod ids;
mod incoming;
mod keepalive;
mod outgoing;
mod output;
mod subscriptions;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

pub use backoff::Backoff;
pub use event::{Event, LogLevel, Receipt};

use self::ids::Ids;
use self::incoming::Incoming as IncomingMessages;
use self::keepalive::{Due, KeepAlive};
use self::outgoing::Outgoing;
use self::output::Output;
use self::subscriptions::Subscriptions;
use super::error::{Error, ReturnCode};
use super::options::{ConnectOptions, MAX_REMAINING_LENGTH};
use super::packet::{Control, Incoming, Publish, PublishRef};
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

/// An MQTT 3.1.1 client's session (section 4.1), over any number of connections.
#[derive(Debug)]
pub struct Session {
    options: Arc<ConnectOptions>,
    link: Link,
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
            link: Link::Offline,
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
        self.output.connect(&self.options);
    }

    /// The transport is gone. QoS 0 messages that were not written are gone with it.
    pub fn lost(&mut self) {
        self.link = Link::Offline;
        self.held_bytes = 0;
        self.subscriptions.lost(&mut self.ids);
        self.output.clear();
    }

    /// Publishes a message.
    ///
    /// Returns the code and packet identifier that `publish` gives the application: `Success`,
    /// `NoConnection` (QoS 0 is dropped then; QoS 1 and 2 are kept for the next connection) or
    /// `QueueSize` with identifier 0 when the bounds are reached.
    pub fn publish(
        &mut self,
        topic: &str,
        payload: &[u8],
        qos: Qos,
        retain: bool,
    ) -> Result<(ReturnCode, u16), Error> {
        validate_topic(topic)?;
        if payload.len() > MAX_REMAINING_LENGTH - topic.len() - 4 {
            return Err(Error::PayloadTooLarge(payload.len()));
        }
        if self.outgoing_bytes() >= self.options.limits.outgoing_bytes {
            return Ok((ReturnCode::QueueSize, 0));
        }
        let code = if self.is_open() { ReturnCode::Success } else { ReturnCode::NoConnection };
        if qos == Qos::AtMostOnce {
            let Some(mid) = self.ids.next() else { return Ok((ReturnCode::QueueSize, 0)) };
            let publish = PublishRef { topic, payload, qos, retain, dup: false, mid };
            self.publish_at_most_once(&publish);
            return Ok((code, mid));
        }
        let Some(mid) = self.ids.reserve() else { return Ok((ReturnCode::QueueSize, 0)) };
        self.outgoing.accept(Publish {
            topic: topic.to_owned(),
            payload: Bytes::copy_from_slice(payload),
            qos,
            retain,
            dup: false,
            mid,
        });
        self.pump();
        Ok((code, mid))
    }

    fn publish_at_most_once(&mut self, publish: &PublishRef<'_>) {
        match &mut self.link {
            Link::Offline => {}
            Link::Connected => self.output.publish(publish),
            Link::Connecting { held, .. } => {
                self.held_bytes += publish.topic.len() + publish.payload.len();
                held.push(Publish {
                    topic: publish.topic.to_owned(),
                    payload: Bytes::copy_from_slice(publish.payload),
                    qos: publish.qos,
                    retain: publish.retain,
                    dup: false,
                    mid: publish.mid,
                });
            }
        }
    }

    /// Subscribes to filters, now and on every later connection.
    ///
    /// `reuse` is for the `on_connect` handler: what was subscribed to on this connection already, by
    /// itself or by the application, is not subscribed to twice.
    ///
    /// Returns `Success` with a packet identifier, `NoConnection` without one, or `QueueSize` without
    /// one when all identifiers are in use.
    pub fn subscribe(
        &mut self,
        filters: Vec<(String, Qos)>,
        reuse: bool,
    ) -> Result<(ReturnCode, Option<u16>), Error> {
        for (filter, _) in &filters {
            validate_filter(filter)?;
        }
        if reuse && let Some(mid) = self.subscriptions.already_sent(&filters) {
            return Ok((ReturnCode::Success, Some(mid)));
        }
        self.subscriptions.want(&filters);
        self.request(|mid| Control::Subscribe { mid, filters })
    }

    /// Unsubscribes from filters. Returns as [`Self::subscribe`] does; without a connection nothing
    /// changes.
    pub fn unsubscribe(
        &mut self,
        filters: Vec<String>,
    ) -> Result<(ReturnCode, Option<u16>), Error> {
        for filter in &filters {
            validate_filter(filter)?;
        }
        let unwanted = filters.clone();
        let result = self.request(|mid| Control::Unsubscribe { mid, filters })?;
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
        let connected = self.is_connected();
        self.subscriptions.request(request(mid), connected, &mut self.output)?;
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

    /// Says good-bye to the broker, so that it publishes no will. `logged` is for `on_log`.
    pub fn disconnect(&mut self, logged: bool) -> Result<(), Error> {
        match (self.is_open(), logged) {
            (false, _) => Ok(()),
            (true, true) => self.output.control(&Control::Disconnect),
            (true, false) => self.output.control_silently(&Control::Disconnect),
        }
    }

    /// Takes a packet from the broker.
    ///
    /// # Errors
    /// The connection has to end: the broker broke the protocol or refused the CONNECT.
    pub fn receive(&mut self, packet: Incoming, now: Instant) -> Result<(), Error> {
        self.output.log(|| describe(&packet));
        match (&self.link, packet) {
            (Link::Connecting { .. }, Incoming::ConnAck { session_present, code }) => {
                self.answered(session_present, code, now)
            }
            (Link::Connected, Incoming::ConnAck { .. }) => {
                Err(Error::Protocol("a second CONNACK".to_owned()))
            }
            (Link::Connected, packet) => self.receive_connected(packet, now),
            _ => Err(Error::Protocol("a packet before the CONNACK".to_owned())),
        }
    }

    fn answered(&mut self, session_present: bool, code: u8, now: Instant) -> Result<(), Error> {
        self.output.events.push_back(Event::ConnAck { session_present, code });
        if code != 0 {
            return Err(Error::Refused(code));
        }
        if !session_present {
            self.incoming.forget(now, &mut self.output);
        }
        self.subscriptions.restore(&mut self.ids, &mut self.output)?;
        self.outgoing.resend(session_present, &mut self.output)?;
        if let Link::Connecting { held, .. } = std::mem::replace(&mut self.link, Link::Connected) {
            for publish in &held {
                self.output.publish(&PublishRef::from(publish));
            }
        }
        self.held_bytes = 0;
        self.pump();
        Ok(())
    }

    fn receive_connected(&mut self, packet: Incoming, now: Instant) -> Result<(), Error> {
        let Self { outgoing, incoming, ids, output, connection, .. } = self;
        match packet {
            Incoming::Publish(publish) => {
                let limit = self.options.limits.incoming_bytes;
                incoming.publish(publish, now, *connection, limit, output)?;
            }
            Incoming::PubRel(mid) => incoming.release(mid, now, *connection, output)?,
            Incoming::PubRec(mid) => outgoing.received(mid, output)?,
            Incoming::PubAck(mid) => outgoing.acknowledged(mid, ids, output),
            Incoming::PubComp(mid) => outgoing.completed(mid, ids, output),
            Incoming::SubAck { mid, granted } => {
                if self.subscriptions.subscribed(mid, ids) {
                    output.events.push_back(Event::Subscribed { mid, granted });
                }
            }
            Incoming::UnsubAck(mid) => {
                if self.subscriptions.unsubscribed(mid, ids) {
                    output.events.push_back(Event::Unsubscribed(mid));
                }
            }
            Incoming::ConnAck { .. } | Incoming::PingResp => {}
        }
        self.pump();
        Ok(())
    }

    fn pump(&mut self) {
        if self.is_connected() {
            self.outgoing.pump(self.options.limits.inflight, &mut self.output);
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

fn describe(packet: &Incoming) -> String {
    match packet {
        Incoming::ConnAck { session_present, code } => {
            format!("Received CONNACK ({}, {code})", u8::from(*session_present))
        }
        Incoming::Publish(publish) => format!(
            "Received PUBLISH (d{}, q{}, r{}, m{}), '{}', ...  ({} bytes)",
            u8::from(publish.dup),
            publish.qos as u8,
            u8::from(publish.retain),
            publish.mid,
            publish.topic,
            publish.payload.len(),
        ),
        Incoming::PubAck(mid) => format!("Received PUBACK (Mid: {mid})"),
        Incoming::PubRec(mid) => format!("Received PUBREC (Mid: {mid})"),
        Incoming::PubRel(mid) => format!("Received PUBREL (Mid: {mid})"),
        Incoming::PubComp(mid) => format!("Received PUBCOMP (Mid: {mid})"),
        Incoming::SubAck { .. } => "Received SUBACK".to_owned(),
        Incoming::UnsubAck(mid) => format!("Received UNSUBACK (Mid: {mid})"),
        Incoming::PingResp => "Received PINGRESP".to_owned(),
    }
}

//! The application's calls of the session.

use super::super::delivery::{Delivery, Progress};
use super::super::error::{Error, ReturnCode};
use super::super::options::MAX_REMAINING_LENGTH;
use super::super::packet::{Control, Publish, PublishRef, Subscription};
use super::super::property::{Place, Properties, Property};
use super::super::qos::Qos;
use super::super::topic::{validate_filter, validate_topic};
use super::event::Receipt;
use super::subscriptions::Sending;
use super::{HELD, Link, Session, server_limits};

impl Session {
    /// Publishes a message.
    ///
    /// Returns the return code and packet identifier for the application, and the delivery of an
    /// accepted message; for QoS 0, [`Self::delivery`] returns it until the identifier is reused.
    /// The codes are `Success`; `NoConnection` (QoS 0 is dropped, QoS 1 and 2 are kept for the next
    /// connection); and, with identifier 0, `Again` if there will be room later, `QueueSize` if the
    /// queue is full, `Errno` after [`Self::refuse_new`], and `PayloadSize` or `NotSupported` for
    /// messages that exceed the broker's limits.
    pub fn publish(
        &mut self,
        topic: &str,
        payload: &[u8],
        qos: Qos,
        retain: bool,
        properties: Option<Properties>,
    ) -> Result<(ReturnCode, u16, Option<Delivery>), Error> {
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
            return Ok((ReturnCode::Again, 0, None));
        }
        let properties = properties.as_ref();
        let mut publish =
            PublishRef { topic, payload, qos, retain, dup: false, mid: 0, properties };
        // The limits of the next connection are unknown.
        if self.takes_new()
            && let Some(refusal) = self.server_limits.refusal(&publish)
        {
            self.output.effects.counters.refused += 1;
            return Ok((server_limits::return_code(refusal), 0, None));
        }
        let code = if self.takes_new() { ReturnCode::Success } else { ReturnCode::NoConnection };
        let at_most_once = qos == Qos::AtMostOnce;
        if !at_most_once && self.outgoing.refuses_new() {
            self.output.effects.counters.refused += 1;
            return Ok((ReturnCode::Errno, 0, None));
        }
        if at_most_once && self.crowded && self.output.effects.reporting {
            return Ok((ReturnCode::Again, 0, None));
        }
        if !at_most_once && self.outgoing.queued() >= self.options.limits.queued() {
            self.turn_away();
            return Ok((ReturnCode::QueueSize, 0, None));
        }
        if at_most_once {
            publish.mid = self.ids.next();
            return Ok((code, publish.mid, self.publish_at_most_once(&publish)));
        }
        let mid = self.ids.reserve_for_message();
        let Some(mid) = mid else { return Ok((ReturnCode::Again, 0, None)) };
        publish.mid = mid;
        let delivery =
            self.outgoing.accept(Publish::from(&publish), &mut self.output.effects.journal);
        self.pump();
        Ok((code, mid, Some(delivery)))
    }

    /// Accepts no more QoS 1 and 2 messages: the process ends, so nobody would send them.
    pub fn refuse_new(&mut self) {
        self.outgoing.refuse_new();
    }

    /// How many QoS 1 and 2 messages would be lost with the process: not acknowledged by the
    /// broker, and in no file.
    pub fn only_in_memory(&self) -> usize {
        self.outgoing.only_in_memory()
    }

    /// Counts a message that was dropped because no room became free in time.
    pub fn turn_away(&mut self) {
        self.output.effects.counters.queue_full += 1;
    }

    /// The delivery of a QoS 0 message that [`Self::publish`] accepted without returning one.
    pub fn delivery(&self, mid: u16) -> Delivery {
        self.output.delivery(mid)
    }

    /// Removes a topic alias set by the application, and returns its topic. The session itself
    /// chooses the aliases on the wire, so that a message can be retransmitted on another
    /// connection.
    fn named(&mut self, topic: &str, properties: &mut Properties) -> Option<String> {
        let alias = properties.number(Property::TopicAlias)?;
        properties.remove(Property::TopicAlias);
        if topic.is_empty() {
            return self.named_aliases.get(&alias).cloned();
        }
        self.named_aliases.insert(alias, topic.to_owned());
        None
    }

    fn publish_at_most_once(&mut self, publish: &PublishRef<'_>) -> Option<Delivery> {
        if !self.takes_new() {
            self.output.effects.counters.offline += 1;
            return None;
        }
        match &mut self.link {
            Link::Offline | Link::Ending => None,
            Link::Connected => {
                self.output.publish(publish);
                None
            }
            Link::Connecting { held, .. } => {
                let (publish, progress) = (Publish::from(publish), Progress::default());
                let delivery = progress.delivery();
                self.held_bytes += publish.size() + HELD;
                held.push((publish, progress));
                Some(delivery)
            }
        }
    }

    /// Holds subscriptions, or no longer does.
    ///
    /// While they are held, filters are wanted as ever, but the session sends no SUBSCRIBE and no
    /// UNSUBSCRIBE, neither for a call nor when a connection begins. What the present connection is
    /// subscribed to stays so, and can be unsubscribed from. When they are no longer held, the
    /// session sends what it has kept: with a connection now, otherwise when the next one begins.
    pub fn hold(&mut self, held: bool) -> Result<(), Error> {
        let connected = self.is_connected() && !self.finishing;
        let Self { subscriptions, ids, output, .. } = self;
        if held {
            subscriptions.hold();
            Ok(())
        } else {
            subscriptions.go_live(connected, ids, output)
        }
    }

    /// Subscribes to filters, now and on every later connection.
    ///
    /// `reuse` is for the `on_connect` handler: filters already subscribed to on this connection,
    /// by the session or by the application, are not subscribed to again.
    ///
    /// Returns `Success` with a packet identifier, or without one if all are in use or subscriptions
    /// are held: the SUBSCRIBE is then sent when one is free or they no longer are. Other codes: `NoConnection`; `QueueSize` if too many requests
    /// wait for an identifier; `PayloadSize` if the packet is larger than the broker accepts;
    /// `NotSupported` if the broker does not support such subscriptions.
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
        if reuse && let Some(sending) = self.subscriptions.already_sent(&filters, &properties) {
            let mid = match sending {
                Sending::Sent(mid) => Some(mid),
                Sending::Waits => None,
            };
            return Ok((ReturnCode::Success, mid));
        }
        if self.takes_new() && self.subscriptions.is_held() {
            self.subscriptions.want(&filters, &properties);
            return Ok((ReturnCode::Success, None));
        }
        if self.takes_new() && self.subscriptions.is_full() {
            return Ok((ReturnCode::QueueSize, None));
        }
        self.subscriptions.want(&filters, &properties);
        self.request(Control::Subscribe { mid: 1, filters, properties })
    }

    /// Unsubscribes from filters; without a connection, on the next one. Returns the same codes as
    /// [`Self::subscribe`].
    pub fn unsubscribe(
        &mut self,
        filters: Vec<String>,
        properties: Properties,
    ) -> Result<(ReturnCode, Option<u16>), Error> {
        for filter in &filters {
            validate_filter(filter)?;
        }
        properties.validate(Place::Unsubscribe)?;
        if !self.takes_new() {
            self.subscriptions.forget_later(filters, &properties);
            return Ok((ReturnCode::NoConnection, None));
        }
        if self.subscriptions.holds_back(&filters) {
            self.subscriptions.forget_later(filters, &properties);
            return Ok((ReturnCode::Success, None));
        }
        if self.subscriptions.is_full() {
            return Ok((ReturnCode::QueueSize, None));
        }
        let unwanted = filters.clone();
        let result = self.request(Control::Unsubscribe { mid: 1, filters, properties })?;
        if result.0 == ReturnCode::Success {
            self.subscriptions.forget(&unwanted);
        }
        Ok(result)
    }

    /// The filters that every connection subscribes to, held or not, in the order of subscription.
    pub fn wanted(&self) -> impl Iterator<Item = &str> {
        self.subscriptions.wanted()
    }

    /// Stops subscribing to these filters on later connections. The present connection is
    /// unchanged.
    pub fn forget(&mut self, filters: &[String]) {
        self.subscriptions.forget(filters);
    }

    /// Sends a request; its own packet identifier is ignored.
    fn request(&mut self, request: Control) -> Result<(ReturnCode, Option<u16>), Error> {
        if !self.takes_new() {
            return Ok((ReturnCode::NoConnection, None));
        }
        if let Some(refusal) = self.output.refusal(&request) {
            return Ok((server_limits::return_code(refusal), None));
        }
        self.output.check(&request)?;
        let connected = self.is_connected();
        let Self { subscriptions, ids, output, .. } = self;
        let mid = subscriptions.request(request, connected, ids, output)?;
        Ok((ReturnCode::Success, mid))
    }

    /// The application has handled a message: sends PUBACK or PUBCOMP.
    ///
    /// For a stored QoS 2 message it returns a delivery that reports when this is stored: if the
    /// process ends before, the message is delivered again.
    pub fn handled(&mut self, receipt: Receipt) -> Result<Option<Delivery>, Error> {
        let connection = self.is_connected().then_some(self.connection);
        self.incoming.handled(receipt, connection, &mut self.output)?;
        let exactly_once = receipt.qos == Qos::ExactlyOnce;
        Ok(if exactly_once { self.output.effects.journal.storing() } else { None })
    }

    /// The application acknowledges a message by its packet identifier.
    ///
    /// Returns `Success` if PUBACK or PUBCOMP was sent, or will be when the broker releases the
    /// message on this connection. Returns `NotFound`, and sends nothing, for a message that was
    /// not received on this connection or is acknowledged already. Returns `NoConnection` without a
    /// connection; a QoS 2 message still counts as acknowledged when the broker releases it again.
    pub fn acknowledge(&mut self, mid: u16, qos: Qos) -> Result<ReturnCode, Error> {
        let connected = self.is_connected();
        let Some(receipt) = self.incoming.receipt(mid, qos, self.connection) else {
            return Ok(if connected { ReturnCode::NotFound } else { ReturnCode::NoConnection });
        };
        self.handled(receipt)?;
        Ok(if connected { ReturnCode::Success } else { ReturnCode::NoConnection })
    }

    /// Sets the reason code and properties of the next DISCONNECT, for MQTT 5.
    pub fn set_disconnect(&mut self, code: u8, properties: Properties) {
        self.next_disconnect = (code, properties);
    }

    /// Sends a DISCONNECT; nothing is sent after it. The message of a handler that is still running
    /// is acknowledged on the next connection, if at all. The broker does not publish the will,
    /// unless the reason code asks for it. `logged` is for `on_log`.
    pub fn disconnect(&mut self, logged: bool) -> Result<(), Error> {
        let (code, properties) = std::mem::take(&mut self.next_disconnect);
        if matches!(self.link, Link::Offline | Link::Ending) {
            return Ok(());
        }
        self.finish();
        self.leave(Link::Ending);
        let disconnect = Control::Disconnect { code, properties };
        if logged {
            self.output.control(&disconnect)
        } else {
            self.output.control_silently(&disconnect)
        }
    }
}

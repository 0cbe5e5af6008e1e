//! Handles the packets of the broker.

use std::time::{Duration, Instant};

use super::super::delivery::Progress;
use super::super::error::Error;
use super::super::packet::{Incoming, Publish, PublishRef};
use super::super::property::{Properties, Property};
use super::event::Event;
use super::keepalive::KeepAlive;
use super::server_limits::ServerLimits;
use super::{Link, Session, log};

impl Session {
    /// Handles a packet from the broker.
    ///
    /// # Errors
    /// The connection has to end: the broker violated the protocol or refused the CONNECT.
    pub fn receive(&mut self, packet: Incoming, now: Instant) -> Result<(), Error> {
        self.output.effects.log(|| log::received(&packet));
        match (&self.link, packet) {
            (Link::Connecting { .. }, Incoming::ConnAck { session_present, code, properties }) => {
                self.answered(session_present, code, properties, now)
            }
            (Link::Connected, Incoming::ConnAck { .. }) => {
                Err(Error::Protocol("a second CONNACK".to_owned()))
            }
            (Link::Connected, packet) => self.receive_connected(packet, now),
            // It was in flight when the connection ended.
            (Link::Ending, _) => Ok(()),
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
        self.output.effects.events.push_back(Event::ConnAck { session_present, code, properties });
        if code != 0 {
            return Err(Error::Refused(code));
        }
        self.accepted_at = Some(now);
        self.started = self.options.clean_start_once;
        self.output.effects.counters.connected();
        let strange = self.is_strange();
        let session_present = session_present && !strange;
        self.incoming.give_restored(now, self.connection, &mut self.output);
        if !session_present {
            self.incoming.forget(now, self.connection, &mut self.output);
        }
        self.subscriptions.restore(session_present, &mut self.ids, &mut self.output)?;
        let Self { outgoing, options, server_limits, ids, output, .. } = self;
        outgoing.resend(session_present, &options.limits, server_limits, output)?;
        outgoing.sort_out(&options.limits, server_limits, ids, output);
        if let Link::Connecting { held, .. } = std::mem::replace(&mut self.link, Link::Connected) {
            for (publish, progress) in held {
                self.publish_held(&publish, progress);
            }
        }
        self.held_bytes = 0;
        self.pump();
        Ok(())
    }

    /// Adopts the server limits and other properties of an MQTT 5 CONNACK (section 3.2.2.3).
    fn agree(&mut self, properties: &Properties, now: Instant) {
        self.server_limits = ServerLimits::new(properties);
        let number = |property| properties.number(property);
        if let Some(seconds) = number(Property::ServerKeepAlive) {
            self.keep_alive = KeepAlive::new(Duration::from_secs(seconds.into()), now);
        }
        if let Some(client_id) = properties.text(Property::AssignedClientIdentifier) {
            self.assigned_client_id = Some(client_id.to_owned());
        }
        let aliases = number(Property::TopicAliasMaximum).unwrap_or(0);
        let aliases = u16::try_from(aliases).unwrap_or(u16::MAX);
        self.output.agree(
            aliases,
            self.server_limits.packet_size,
            self.server_limits.subscriptions,
        );
    }

    /// Sends a QoS 0 message that was held for the CONNACK. The CONNACK's limits may forbid it.
    fn publish_held(&mut self, publish: &Publish, progress: Progress) {
        let publish = PublishRef::from(publish);
        match self.server_limits.refusal(&publish) {
            None => self.output.publish_held(&publish, progress),
            Some(code) => {
                self.output.effects.refused(publish.mid, publish.topic, code);
                progress.finish(Some(code));
                if self.output.effects.reporting {
                    self.output.effects.report(publish.mid, code, None);
                }
            }
        }
    }

    fn receive_connected(&mut self, packet: Incoming, now: Instant) -> Result<(), Error> {
        let Self { outgoing, incoming, ids, output, connection, .. } = self;
        match packet {
            // These two do not change what is waiting to be sent.
            Incoming::Publish(mut publish) => {
                let limit = self.options.limits.incoming_bytes;
                self.aliases.resolve(&mut publish, limit)?;
                return incoming.publish(publish, now, *connection, limit, output);
            }
            Incoming::PubRel(ack) => {
                return incoming.release(ack.mid, now, *connection, output);
            }
            Incoming::PubRec(ack) => outgoing.received(ack, ids, output)?,
            Incoming::PubAck(ack) => outgoing.acknowledged(ack, ids, output),
            Incoming::PubComp(ack) => outgoing.completed(ack, ids, output),
            Incoming::SubAck { mid, granted, properties } => {
                if self.subscriptions.subscribed(mid, &granted, ids)? {
                    output.effects.events.push_back(Event::Subscribed { mid, granted, properties });
                }
            }
            Incoming::UnsubAck { mid, codes, properties } => {
                if self.subscriptions.unsubscribed(mid, codes.len(), ids)? {
                    output.effects.events.push_back(Event::Unsubscribed { mid, codes, properties });
                }
            }
            Incoming::Disconnect { code, properties } => {
                let text = properties.as_ref().and_then(|some| some.text(Property::ReasonString));
                let text = text.map(str::to_owned);
                self.broker_disconnect = Some((code, properties));
                return Err(Error::Disconnected { code, text });
            }
            Incoming::PingResp => self.pings.answered(),
            Incoming::ConnAck { .. } => {}
        }
        self.pump();
        Ok(())
    }
}

//! Applies the actions of a scenario to a session.

use std::sync::Arc;
use std::time::Duration;

use flask_mqtt_core::core::delivery::State;
use flask_mqtt_core::core::options::Protocol;
use flask_mqtt_core::core::packet::{Incoming, Subscription};
use flask_mqtt_core::core::property::{Properties, Property, Value};
use flask_mqtt_core::core::qos::Qos;

use super::super::action::{Action, Rarity, filter_of, identifier, number, reason, topic_of};
use super::World;

impl World {
    /// Performs an action.
    pub fn act(&mut self, action: &Action) {
        match action {
            Action::Open => self.open(),
            Action::Accept { session_present, server_limits } => {
                let properties =
                    (self.protocol == Protocol::V5).then(|| server_limits.properties());
                let session_present = *session_present;
                self.receive(Incoming::ConnAck { session_present, code: 0, properties });
            }
            Action::Receive(packet) => self.receive(packet.incoming(self.protocol)),
            Action::Read(bytes) => self.read(bytes),
            Action::Publish { topic, length, qos, retain, alias, text } => {
                let mut properties =
                    number(Property::TopicAlias, alias.map(|alias| alias.max(1).into()));
                if let Some(text) = text {
                    let text = Value::Text("x".repeat((*text).into()));
                    properties.set(Property::ContentType, text).expect("plain text");
                }
                let named = if alias.is_some() && *topic == 0 { "" } else { topic_of(*topic) };
                let properties = (self.protocol == Protocol::V5).then_some(properties);
                self.publish(named, (*length).into(), qos.0, *retain, properties);
            }
            Action::Subscribe { filters, qos, reuse, identifier } => {
                let identifier = identifier.map(|identifier| identifier.max(1).into());
                let properties = number(Property::SubscriptionIdentifier, identifier);
                self.subscribe(filters, *qos, *reuse, properties);
            }
            Action::Unsubscribe { filter } => {
                let filters = vec![filter_of(*filter)];
                let result = self.session.unsubscribe(filters, Properties::default());
                self.requested(result.expect("a valid filter"), false);
            }
            Action::Handle { which } => self.handle((*which).into()),
            Action::Acknowledge { mid, qos } => self.acknowledge(identifier(*mid), qos.0),
            Action::Write { count } => self.write((*count).into()),
            Action::Tick { seconds, reading } => {
                self.now += Duration::from_secs((*seconds).into());
                if self.session.tick(self.now, *reading).is_err() {
                    self.lose();
                }
            }
            Action::Lose => self.lose(),
            Action::Disconnect { code, text } => {
                self.session.set_disconnect(*code, reason(*text));
                self.session.disconnect(true).expect("a DISCONNECT");
                self.settle();
                self.lose();
            }
            Action::Rarely(rarity) => self.act_rarely(rarity),
        }
        self.settle();
    }

    fn act_rarely(&mut self, rarity: &Rarity) {
        match rarity {
            Rarity::Release => {
                self.session.release();
                self.waits.check(true);
            }
            Rarity::Configure { keep_alive, window, queued } => {
                self.configure(*keep_alive, *window, *queued);
            }
            Rarity::Listen { logging, reporting } => {
                self.session.set_logging(*logging);
                self.session.set_reporting(*reporting);
                self.reporting |= reporting;
            }
            Rarity::Wait { mid } => {
                if let Some(delivery) = self.unacknowledged.get(&identifier(*mid)) {
                    self.waits.add(delivery);
                }
            }
            Rarity::Ask { mid } => {
                let state = self.session.delivery(identifier(*mid)).state();
                assert!(self.session.is_open() || state != State::Pending);
            }
            Rarity::Mistake { call } => self.mistake(*call),
            Rarity::Fork => {
                let child = self.session.for_child(self.now);
                assert!(!child.is_open() && !child.has_output() && child.leaving() == 0);
                assert_eq!(child.outgoing_bytes(), 0);
            }
            Rarity::Keep => self.keep(),
            Rarity::Store { close } => {
                self.store();
                if *close {
                    self.session.close_file();
                }
            }
        }
    }

    /// Sets options as the connection's thread does before a connection.
    fn configure(&mut self, keep_alive: u8, window: u8, queued: u8) {
        if self.session.is_open() {
            return;
        }
        self.options.keep_alive = keep_alive.into();
        self.inflight = usize::from(window % 8) + 1;
        self.options.limits.inflight = self.inflight;
        self.options.limits.queued = usize::from(queued) + 1;
        self.session.configure(Arc::new(self.options.clone()));
    }

    /// Makes a call that must only return an error.
    fn mistake(&mut self, call: u8) {
        let (topic, filter) = [("a/+", "a#"), ("", ""), ("a\0b", "a/#/b")][usize::from(call % 3)];
        let bytes = self.session.outgoing_bytes();
        assert!(self.session.publish(topic, b"x", Qos::AtLeastOnce, false, None).is_err());
        let filters =
            vec![Subscription { filter: filter.to_owned(), options: Qos::AtLeastOnce.into() }];
        assert!(self.session.subscribe(filters, Properties::default(), false).is_err());
        let filters = vec![filter.to_owned()];
        assert!(self.session.unsubscribe(filters, Properties::default()).is_err());
        assert_eq!(self.session.outgoing_bytes(), bytes);
    }
}

//! What every state must lead to once nothing fails any more.

use flask_mqtt_core::core::delivery::State;
use flask_mqtt_core::core::qos::Qos;

use super::super::broker::Broker;
use super::{Action, Checked, Fate, NOW, Up, World, ensure};

impl World {
    /// Without further failures, both sides do everything that is due, on this connection or on a
    /// new one. Checks that this ends with all messages and requests complete.
    ///
    /// # Errors
    /// Something waits forever, or is lost.
    pub fn drain(mut self, reconnect: bool) -> Checked {
        if reconnect && self.session.is_open() {
            self.lose(false, false);
            self.settle()?;
        }
        if self.held {
            self.hold(false)?;
            self.settle()?;
        }
        let mut again = false;
        for _ in 0..1000 {
            if let Some(action) = self.due() {
                self.apply(action)?;
            } else if self.is_done() || again {
                return self.is_empty();
            } else {
                // A message that this broker refuses, or has forgotten, is for the next one.
                again = true;
                self.lose(false, false);
            }
        }
        Err("it does not come to rest".to_owned())
    }

    pub(super) fn due(&self) -> Option<Action> {
        let mut enabled = self.enabled();
        enabled.retain(|action| match action {
            Action::Publish
            | Action::Request
            | Action::BrokerPublish
            | Action::Finish
            | Action::Refuse
            | Action::Fail
            | Action::Close
            | Action::Crash => false,
            Action::Lose { .. } => self.ending,
            Action::Accept(choice) | Action::Answer(choice) => *choice == 0,
            _ => true,
        });
        enabled.sort_by_key(|action| matches!(action, Action::Lose { .. }));
        enabled.first().copied()
    }

    pub(super) fn is_done(&self) -> bool {
        let pending = |up: &Up| up.fate == Fate::Pending && up.qos != Qos::AtMostOnce;
        !self.ups.iter().any(pending) && self.server_limits.len() == 1
    }

    pub(super) fn is_empty(&self) -> Checked {
        for (number, up) in self.ups.iter().enumerate() {
            // QoS 0: written, or lost with its connection.
            let is_over = up.fate == Fate::Over && up.state() != Some(State::Pending);
            ensure(is_over, || format!("message {number} is never reported"))?;
            ensure(up.arrived || !up.due, || format!("message {number} never arrives"))?;
        }
        for (number, down) in self.downs.iter().enumerate() {
            // QoS 0 messages are lost with their connection.
            let due = down.received || !down.forgotten && down.qos != Qos::AtMostOnce;
            ensure(down.handled || !due, || format!("message {number} from the broker is lost"))?;
        }
        let pending = &self.broker.pending;
        ensure(pending.is_empty(), || format!("never acknowledged: {pending:?}"))?;
        ensure(self.requests.is_empty(), || format!("never answered: {:?}", self.requests))?;
        let (has, wanted) = (&self.broker.subscriptions, &self.wanted);
        ensure(has == wanted, || format!("subscribed to {has:?}, not {wanted:?}"))?;
        let bytes = self.session.outgoing_bytes();
        ensure(bytes == 0 && self.session.leaving() == 0, || format!("{bytes} bytes are left"))?;
        let text = format!("{:?}", self.session);
        ensure(text.contains("in_use: {}"), || "identifiers stay in use".to_owned())?;
        ensure(text.contains("exactly_once: {}"), || "messages of QoS 2 are kept".to_owned())?;
        if self.scenario.file {
            let (out, coming) = (self.disk.outgoing(), self.disk.incoming());
            ensure(out.is_empty() && coming.is_empty(), || {
                format!("the file has {out:?}, {coming:?}")
            })?;
        }
        Ok(())
    }

    /// Checks that a child forked now has the subscriptions and no messages.
    ///
    /// # Errors
    /// The child differs.
    pub fn fork(self) -> Checked {
        let broker = Broker::new(self.is_v5(), false, false);
        let session = self.session.for_child(*NOW);
        let others = World { wanted: self.wanted, ..World::new(self.scenario) };
        let mut child = World { session, broker, scenario: self.scenario, ..others };
        let known = self.unhandled;
        child.keep();
        // Receipts of the parent have no effect there.
        for (_, receipt) in known {
            if let Some(receipt) = receipt {
                child.session.handled(receipt).map_err(|error| error.to_string())?;
            }
        }
        child.settle()?;
        child.drain(false).map_err(|text| format!("in a forked child {text}"))
    }
}

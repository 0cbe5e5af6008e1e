//! Performs each action.

use std::time::Duration;

use flask_mqtt_core::core::delivery::State;
use flask_mqtt_core::core::error::ReturnCode;
use flask_mqtt_core::core::packet::{Incoming, Subscription};
use flask_mqtt_core::core::property::{Properties, Property};
use flask_mqtt_core::core::qos::Qos;

use super::super::scenario::Request;
use super::{Action, Batch, Checked, Down, Fate, NOW, Up, World, ensure, session};

impl World {
    /// Performs an action.
    ///
    /// # Errors
    /// An invariant does not hold.
    pub fn apply(&mut self, action: Action) -> Checked {
        match action {
            Action::Publish => self.publish()?,
            Action::Request => self.request()?,
            Action::Handle(place) => self.handle(place.into())?,
            Action::Open => self.session.opened(*NOW, *NOW + Duration::from_secs(5)),
            Action::Write => self.write(),
            Action::Lose { sent, forget } => {
                if !self.ending {
                    self.spent.losses += 1;
                }
                self.spent.forgets += usize::from(forget);
                self.lose(sent, forget);
            }
            Action::Finish => {
                self.spent.finishes += 1;
                self.finishing = true;
                self.session.finish();
            }
            Action::Disconnect => {
                self.ending = true;
                self.session.disconnect(true).map_err(|error| error.to_string())?;
            }
            Action::Accept(choice) => {
                self.wire.pop_front();
                self.broker.accept(choice.into());
            }
            Action::Refuse => {
                self.spent.refusals += 1;
                let properties = self.is_v5().then(Properties::default);
                let refusal = Incoming::ConnAck { session_present: false, code: 5, properties };
                let refused = self.session.receive(refusal, *NOW).is_err();
                ensure(refused || self.ending, || "not refused".to_owned())?;
                self.lose(false, false);
            }
            Action::Take => self.take()?,
            Action::Answer(place) => self.answer(place.into())?,
            Action::BrokerPublish => {
                let qos = self.scenario.downs[self.downs.len()];
                self.broker.publish(self.downs.len(), qos);
                let (received, given, handled, forgotten) = (false, false, false, false);
                self.downs.push(Down { qos, received, given, handled, forgotten });
            }
            Action::Send => {
                let (publish, message) = self.broker.send();
                self.downs[message].received |= !self.ending;
                self.receive(publish)?;
            }
            Action::TakeJournal => {
                let (operations, number) = self.session.take_journal();
                self.left.extend(operations);
                self.batch = Batch::Taken(std::mem::take(&mut self.left), number);
            }
            Action::Commit => {
                if let Batch::Taken(operations, number) =
                    std::mem::replace(&mut self.batch, Batch::None)
                {
                    self.disk.apply(operations);
                    self.batch = Batch::Committed(number);
                }
            }
            Action::Tell => {
                if let Batch::Committed(number) = std::mem::replace(&mut self.batch, Batch::None) {
                    self.session.stored(number).map_err(|error| error.to_string())?;
                }
            }
            Action::Fail => self.fail()?,
            Action::Close => {
                self.spent.closes += 1;
                self.closed = true;
                ensure(self.session.close_file(), || "the file is not closed".to_owned())?;
            }
            Action::Reopen => {
                self.closed = false;
                self.keep();
            }
            Action::Crash => self.crash()?,
        }
        self.settle()
    }

    pub(super) fn publish(&mut self) -> Checked {
        let (number, qos) = (self.ups.len(), self.scenario.ups[self.ups.len()]);
        let payload = [u8::try_from(number).expect("few")];
        let result = self.session.publish("u", &payload, qos, false, None);
        let (code, mid, delivery) = result.map_err(|error| error.to_string())?;
        let accepted = match code {
            ReturnCode::Success => true,
            ReturnCode::NoConnection => qos != Qos::AtMostOnce,
            ReturnCode::NotSupported => false,
            code => return Err(format!("publish returns {code:?}")),
        };
        let taken = self.ups.iter().any(|up| up.mid == mid && up.fate == Fate::Pending);
        ensure(!accepted || !taken, || format!("identifier {mid} is another message's"))?;
        let delivery = Some(delivery.unwrap_or_else(|| self.session.delivery(mid)));
        let fate = if accepted { Fate::Pending } else { Fate::Over };
        let due = accepted && qos != Qos::AtMostOnce;
        let (sent, arrived, again) = (false, false, false);
        let later = self.finishing;
        self.ups.push(Up { qos, mid, fate, delivery, sent, arrived, due, again, later });
        Ok(())
    }

    pub(super) fn request(&mut self) -> Checked {
        let request = self.scenario.requests[self.spent.requests];
        self.spent.requests += 1;
        let (result, mid) = match request {
            Request::Hold(held) => return self.hold(held),
            Request::Subscribe(filter) => {
                self.wanted.insert(filter);
                let filter = char::from(filter).to_string();
                let filters = vec![Subscription { filter, options: Qos::AtLeastOnce.into() }];
                self.session.subscribe(filters, Properties::default(), false)
            }
            Request::Unsubscribe(filter) => {
                self.wanted.remove(&filter);
                let filters = vec![char::from(filter).to_string()];
                self.session.unsubscribe(filters, Properties::default())
            }
        }
        .map_err(|error| error.to_string())?;
        let kept = self.held && result == ReturnCode::Success && mid.is_none();
        let is_right = (kept || (result == ReturnCode::Success) == mid.is_some())
            && matches!(result, ReturnCode::Success | ReturnCode::NoConnection);
        ensure(is_right, || format!("{request:?} returns {result:?}, {mid:?}"))?;
        if let Some(mid) = mid {
            let is_new = self.requests.insert(mid);
            let is_free = self.ups.iter().all(|up| up.mid != mid || up.fate == Fate::Over);
            ensure(is_new && is_free, || format!("identifier {mid} is in use"))?;
        }
        Ok(())
    }

    pub(super) fn hold(&mut self, held: bool) -> Checked {
        self.held = held;
        self.session.hold(held).map_err(|error| error.to_string())
    }

    pub(super) fn handle(&mut self, place: usize) -> Checked {
        let (message, receipt) = self.unhandled.remove(place);
        self.downs[message].handled = true;
        match receipt {
            Some(receipt) => {
                self.session.handled(receipt).map(drop).map_err(|error| error.to_string())
            }
            None => Ok(()),
        }
    }

    pub(super) fn write(&mut self) {
        let Some(place) = self.unwritten() else { return };
        let left = &mut self.wire[place].1;
        let count = left.div_ceil(2);
        *left -= count;
        self.session.wrote(count, *NOW);
    }

    pub(super) fn lose(&mut self, sent: bool, forget: bool) {
        self.broker.lose(sent);
        if forget || self.scenario.clean || self.unheard && !self.session.is_connected() {
            // If the CONNACK of a new session is lost, the client cannot learn of it: the next
            // CONNACK reports a session (MQTT 3.1.1, section 3.2.2.2). This gap is in MQTT itself.
            self.forget();
        }
        self.session.lost();
        self.wire.clear();
        self.inflight.clear();
        self.requests.clear();
        self.ups.iter_mut().for_each(|up| up.later = false);
        (self.finishing, self.ending) = (false, false);
        for up in self.ups.iter_mut().filter(|up| up.qos == Qos::AtMostOnce) {
            // The message is over: its delivery says so, or that it was written.
            up.fate = Fate::Over;
        }
    }

    pub(super) fn forget(&mut self) {
        self.unheard = true;
        self.ups.iter_mut().for_each(|up| up.again = true);
        let pending = self.broker.pending.iter().map(|pending| pending.message);
        for message in pending {
            self.downs[message].forgotten = true;
        }
        self.broker.forget();
    }

    pub(super) fn take(&mut self) -> Checked {
        let Some((packet, _)) = self.wire.pop_front() else { return Ok(()) };
        let (message, acknowledged) = self.broker.take(packet)?;
        if let Some(message) = message {
            self.arrives(message)?;
        }
        if let Some(message) = acknowledged {
            let handled = self.downs[message].handled;
            ensure(handled, || {
                format!("message {message} from the broker is acknowledged before it is handled")
            })?;
        }
        Ok(())
    }

    /// The broker forwards a message.
    pub(super) fn arrives(&mut self, message: usize) -> Checked {
        let (qos, up) = (self.ups[message].qos, &self.ups[message]);
        ensure(up.due || qos == Qos::AtMostOnce, || {
            format!("message {message} was not accepted, and is sent")
        })?;
        if up.arrived {
            let may_again = qos == Qos::AtLeastOnce || qos == Qos::ExactlyOnce && up.again;
            self.ups[message].again = false;
            return ensure(may_again, || format!("message {message} arrives twice"));
        }
        // A message with another QoS may overtake it.
        let later = &self.ups[message + 1..];
        let overtakes = later.iter().any(|later| later.qos == qos && later.arrived);
        self.ups[message].arrived = true;
        self.ups[message].again = false;
        ensure(!overtakes, || format!("message {message} arrives after a later one"))
    }

    pub(super) fn answer(&mut self, place: usize) -> Checked {
        let answer = self.broker.answer(place, &self.server_limits);
        if let Incoming::ConnAck { properties, .. } = &answer {
            let number = |properties: &Properties| properties.number(Property::ReceiveMaximum);
            let maximum = properties.as_ref().and_then(number);
            self.receive_maximum = maximum.map_or(usize::MAX, |maximum| maximum as usize);
            self.unheard &= self.ending;
        }
        self.receive(answer)
    }

    pub(super) fn receive(&mut self, packet: Incoming) -> Checked {
        let text = format!("{packet:?}");
        self.session.receive(packet, *NOW).map_err(|error| format!("{text} is an error: {error}"))
    }

    pub(super) fn fail(&mut self) -> Checked {
        self.spent.failures += 1;
        if let Batch::Taken(operations, number) = std::mem::replace(&mut self.batch, Batch::None) {
            self.left = operations;
            self.session.not_stored(&mut self.left);
            if self.left.is_empty() {
                self.session.stored(number).map_err(|error| error.to_string())?;
            }
            for up in self.ups.iter_mut().filter(|up| up.fate == Fate::Pending) {
                // `publish` raises an error for it, so it counts as not accepted.
                if up.delivery.as_ref().is_some_and(|one| one.storing().state() == State::Lost) {
                    (up.fate, up.due) = (Fate::Over, false);
                }
            }
        }
        Ok(())
    }

    pub(super) fn crash(&mut self) -> Checked {
        self.spent.crashes += 1;
        let unheard = self.unheard || !self.is_stored();
        self.lose(false, false);
        if unheard && self.spent.forgets > 0 {
            self.forget();
        }
        let (out, coming) = (self.disk.outgoing(), self.disk.incoming());
        let is_there = |payloads: &[String], number: usize| {
            payloads
                .iter()
                .any(|payload| payload.as_bytes() == [u8::try_from(number).expect("few")])
        };
        for (number, up) in self.ups.iter_mut().enumerate() {
            up.delivery = None;
            if is_there(&out, number) {
                // It is reported again, because the file does not have the first report yet.
                (up.fate, up.sent) = (Fate::Pending, true);
            } else if up.fate == Fate::Pending {
                ensure(!up.sent, || format!("message {number} was sent before it was stored"))?;
                (up.fate, up.due) = (Fate::Over, false);
            }
        }
        for (number, down) in self.downs.iter_mut().enumerate() {
            let kept = is_there(&coming, number);
            let anew = down.qos == Qos::ExactlyOnce && kept;
            down.given &= !anew;
            down.received = kept;
        }
        self.unhandled.clear();
        self.batch = Batch::None;
        self.left.clear();
        self.session = session(self.scenario);
        for filter in self.wanted.clone() {
            // As the application does at its start.
            let filter = char::from(filter).to_string();
            let filters = vec![Subscription { filter, options: Qos::AtLeastOnce.into() }];
            self.session
                .subscribe(filters, Properties::default(), false)
                .map_err(|error| error.to_string())?;
        }
        self.keep();
        Ok(())
    }
}

//! The invariants of every state.

use bytes::BytesMut;
use flask_mqtt_core::core::delivery::State;
use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::session::{Event, Receipt};

use super::super::packet::{self, Packet};
use super::{Checked, FAILURE, Fate, NOT_FOUND, NOW, World, ensure};

impl World {
    /// Takes the events and the output, and checks the invariants.
    pub(super) fn settle(&mut self) -> Checked {
        for event in std::mem::take(self.session.take_events()) {
            match event {
                Event::Published { mids, code, .. } => {
                    for mid in mids.iter() {
                        self.reported(mid, code)?;
                    }
                }
                Event::Message { publish, receipt, .. } => {
                    self.given(usize::from(publish.payload[0]), receipt)?;
                }
                Event::Subscribed { mid, .. } | Event::Unsubscribed { mid, .. } => {
                    self.requests.remove(&mid);
                }
                _ => {}
            }
        }
        self.take_packets()?;
        for (number, up) in self.ups.iter().enumerate() {
            if up.qos != Qos::AtMostOnce && up.fate == Fate::Pending {
                let state = up.state();
                let waits = |state| matches!(state, State::Pending | State::SetAside(_));
                ensure(state.is_none_or(waits), || {
                    format!("message {number} is {state:?} without a report")
                })?;
            }
        }
        Ok(())
    }

    pub(super) fn take_packets(&mut self) -> Checked {
        let mut bytes = BytesMut::new();
        while self.session.has_output() {
            self.session.take_output(&mut bytes);
            let all = bytes.len();
            while !bytes.is_empty() {
                let (packet, size) = packet::read(&mut bytes, self.is_v5());
                self.packet(packet)?;
                self.wire.push_back((packet, if self.scenario.slow { size } else { 0 }));
            }
            if !self.scenario.slow {
                self.session.wrote(all, *NOW);
            }
        }
        Ok(())
    }

    /// Checks a packet of the client.
    pub(super) fn packet(&mut self, packet: Packet) -> Checked {
        let after = matches!(self.wire.back(), Some((Packet::Disconnect, _)));
        ensure(!after, || format!("{packet:?} follows the DISCONNECT"))?;
        if let Packet::Subscribe { mid, .. } = packet {
            let asked = self.requests.contains(&mid);
            ensure(!self.held || asked, || format!("{packet:?} goes out while it is held"))?;
        }
        match packet {
            Packet::Publish { qos, dup, mid, message } if qos != Qos::AtMostOnce => {
                let up = &mut self.ups[message];
                ensure(up.mid == mid, || {
                    format!("message {message} goes out as {mid}, not {}", up.mid)
                })?;
                ensure(up.fate == Fate::Pending, || {
                    format!("message {message} goes out, and is over")
                })?;
                ensure(dup == up.sent, || format!("message {message} goes out with DUP={dup}"))?;
                up.sent = true;
                ensure(!up.later, || format!("message {message} goes out after disconnect()"))?;
                let is_new = self.inflight.insert(mid);
                ensure(is_new, || format!("message {message} goes out twice on a connection"))?;
                let window = self.scenario.inflight.min(self.receive_maximum);
                let count = self.inflight.len();
                ensure(count <= window, || {
                    format!("{count} messages are in flight, {window} may be")
                })
            }
            Packet::Subscribe { mid, .. } | Packet::Unsubscribe { mid, .. } => {
                let is_free = self
                    .ups
                    .iter()
                    .all(|up| up.mid != mid || up.fate == Fate::Over || up.qos == Qos::AtMostOnce);
                ensure(is_free, || format!("{packet:?} has the identifier of a message"))
            }
            _ => Ok(()),
        }
    }

    /// A message is reported to the application.
    pub(super) fn reported(&mut self, mid: u16, code: u8) -> Checked {
        self.inflight.remove(&mid);
        let mut ups = self.ups.iter_mut().enumerate();
        let found = ups.find(|(_, up)| up.mid == mid && up.fate == Fate::Pending);
        let (number, up) =
            found.ok_or_else(|| format!("{mid} is reported, and nothing is pending"))?;
        up.fate = Fate::Over;
        let state = up.state();
        ensure(code < FAILURE || code == NOT_FOUND, || format!("message {number} is given up"))?;
        ensure(state.is_none_or(|state| state == State::Published), || {
            format!("message {number} is {state:?}")
        })?;
        ensure(up.arrived || up.qos == Qos::AtMostOnce, || {
            format!("message {number} is reported, and has not arrived")
        })
    }

    /// A message is delivered to the application.
    pub(super) fn given(&mut self, number: usize, receipt: Option<Receipt>) -> Checked {
        let qos = self.downs[number].qos;
        let was_given = std::mem::replace(&mut self.downs[number].given, true);
        self.downs[number].received = true;
        self.unhandled.push((number, receipt));
        if was_given {
            return ensure(qos == Qos::AtLeastOnce, || {
                format!("message {number} from the broker is given twice")
            });
        }
        let later = &self.downs[number + 1..];
        // Messages that the previous process delivered may come again after others.
        let overtakes = later.iter().any(|later| later.qos == qos && later.given);
        ensure(!overtakes || self.spent.crashes > 0, || {
            format!("message {number} from the broker is given after a later one")
        })
    }
}

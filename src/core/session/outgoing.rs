//! QoS 1 and 2 messages to the broker: kept until they are confirmed, a window of them on the way.

use std::collections::{HashMap, VecDeque};

use super::super::delivery::{Delivery, Progress};
use super::super::error::Error;
use super::super::packet::{Ack, Control, Publish, PublishRef};
use super::super::qos::Qos;
use super::super::reason::{FAILURE, PACKET_IDENTIFIER_NOT_FOUND};
use super::event::Event;
use super::ids::Ids;
use super::output::Output;
use super::terms::Terms;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waits for room in the window.
    Queued,
    /// PUBLISH sent, PUBACK or PUBREC awaited.
    Sent,
    /// PUBREL sent, PUBCOMP awaited.
    Released,
}

#[derive(Debug)]
struct Entry {
    publish: Publish,
    state: State,
    /// Position in the order in which the messages were accepted.
    order: u64,
    progress: Progress,
}

/// The messages that the broker has not confirmed.
#[derive(Debug, Default)]
pub struct Outgoing {
    entries: HashMap<u16, Entry>,
    queued: VecDeque<u16>,
    inflight: usize,
    accepted: u64,
    bytes: usize,
}

impl Outgoing {
    /// Keeps a message until it is confirmed.
    pub fn accept(&mut self, publish: Publish) -> Delivery {
        let mid = publish.mid;
        let progress = Progress::default();
        let delivery = progress.delivery();
        self.bytes += publish.size();
        self.accepted += 1;
        self.queued.push_back(mid);
        let order = self.accepted;
        self.entries.insert(mid, Entry { publish, state: State::Queued, order, progress });
        delivery
    }

    /// Sends what the window has room for. What the broker has said that it does not take is given up.
    pub fn pump(&mut self, window: usize, terms: &Terms, ids: &mut Ids, output: &mut Output) {
        while self.inflight < window {
            let Some(mid) = self.queued.pop_front() else { break };
            let Some(entry) = self.entries.get_mut(&mid) else { continue };
            self.inflight += 1;
            if let Some(code) = terms.refusal(&PublishRef::from(&entry.publish)) {
                self.complete(Ack { mid, code, properties: None }, ids, output);
                continue;
            }
            entry.state = State::Sent;
            output.publish(&PublishRef::from(&entry.publish));
            entry.progress.sent();
            output.counters.repeated += u64::from(entry.publish.dup);
            entry.publish.dup = true;
        }
    }

    /// Sends again, in the order of acceptance, what was on its way when the last connection ended
    /// (MQTT 3.1.1, section 4.4). Where the broker kept nothing, a released message is published
    /// anew too: it cannot be known whether the broker had handed it on.
    ///
    /// What the window has no room for now goes before everything else that waits.
    pub fn resend(
        &mut self,
        session_present: bool,
        window: usize,
        terms: &Terms,
        output: &mut Output,
    ) -> Result<(), Error> {
        let mut unconfirmed: Vec<_> =
            self.entries.values_mut().filter(|entry| entry.state != State::Queued).collect();
        unconfirmed.sort_by_key(|entry| entry.order);
        let mut postponed = Vec::new();
        self.inflight = 0;
        for entry in unconfirmed {
            if entry.state == State::Released && session_present {
                self.inflight += 1;
                output.control(&Control::PubRel(entry.publish.mid))?;
                continue;
            }
            let publish = PublishRef::from(&entry.publish);
            if self.inflight < window && terms.refusal(&publish).is_none() {
                self.inflight += 1;
                entry.state = State::Sent;
                output.publish(&publish);
                output.counters.repeated += 1;
            } else {
                entry.state = State::Queued;
                postponed.push(entry.publish.mid);
            }
        }
        for mid in postponed.into_iter().rev() {
            self.queued.push_front(mid);
        }
        Ok(())
    }

    /// A PUBACK came. One for a message that is not waiting for it is ignored.
    pub fn acknowledged(&mut self, ack: Ack, ids: &mut Ids, output: &mut Output) {
        if self.awaits(ack.mid, Qos::AtLeastOnce, State::Sent) {
            self.complete(ack, ids, output);
        }
    }

    /// A PUBREC came: the answer is a PUBREL, also where the message is not known any more
    /// (MQTT 3.1.1, section 4.3.3), unless the broker refused it (MQTT 5.0, section 4.3.3).
    pub fn received(&mut self, ack: Ack, ids: &mut Ids, output: &mut Output) -> Result<(), Error> {
        let mid = ack.mid;
        if ack.code >= FAILURE {
            if self.awaits(mid, Qos::ExactlyOnce, State::Sent) {
                self.complete(ack, ids, output);
            }
            return Ok(());
        }
        if let Some(entry) = self.entries.get_mut(&mid) {
            if entry.publish.qos != Qos::ExactlyOnce || entry.state == State::Queued {
                return Ok(());
            }
            entry.state = State::Released;
        }
        output.control(&Control::PubRel(mid))
    }

    /// A PUBCOMP came. Where a broker had completed the message and its PUBCOMP was lost with a
    /// connection, it does not know the identifier any more (MQTT 5.0, section 3.7.2.1): no refusal.
    pub fn completed(&mut self, ack: Ack, ids: &mut Ids, output: &mut Output) {
        if self.awaits(ack.mid, Qos::ExactlyOnce, State::Released) {
            self.complete(ack, ids, output);
        }
    }

    fn awaits(&self, mid: u16, qos: Qos, state: State) -> bool {
        self.entries.get(&mid).is_some_and(|entry| entry.publish.qos == qos && entry.state == state)
    }

    fn complete(&mut self, ack: Ack, ids: &mut Ids, output: &mut Output) {
        let Ack { mid, code, properties } = ack;
        if let Some(entry) = self.entries.remove(&mid) {
            self.bytes -= entry.publish.size();
            self.inflight -= 1;
            ids.release(mid);
            let refusal = (code >= FAILURE && code != PACKET_IDENTIFIER_NOT_FOUND).then_some(code);
            if let Some(code) = refusal {
                output.refused(mid, &entry.publish.topic, code);
            } else {
                output.counters.published.message(entry.publish.qos);
            }
            entry.progress.finish(refusal);
            output.events.push_back(Event::Published { mid, code, properties });
        }
    }

    /// Ends the waiting for messages that nobody will send or confirm for now.
    pub fn release(&self) {
        for entry in self.entries.values() {
            entry.progress.release();
        }
    }

    /// Whether every message is confirmed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Messages that are sent and not confirmed, while there is a connection.
    pub fn in_flight(&self) -> usize {
        self.entries.len() - self.queued.len()
    }

    /// Messages that wait for room in the window, or for a connection.
    pub fn queued(&self) -> usize {
        self.queued.len()
    }

    /// Bytes that the messages keep.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

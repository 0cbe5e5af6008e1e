//! QoS 1 and 2 messages to the broker: kept until they are acknowledged, with a window of them in
//! flight.

mod aside;
mod kept;

use std::collections::VecDeque;

use super::super::delivery::{Delivery, Progress};
use super::super::error::Error;
use super::super::options::Limits;
use super::super::packet::{Ack, Control, Publish, PublishRef};
use super::super::qos::Qos;
use super::super::reason::{FAILURE, PACKET_IDENTIFIER_NOT_FOUND};
use super::by_mid::ByMid;
use super::ids::Ids;
use super::journal::{Journal, Operation, Then};
use super::output::Output;
use super::server_limits::ServerLimits;

use self::aside::Aside;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waiting to be stored.
    Storing,
    /// Waiting for room in the window.
    Queued,
    /// Waiting for a broker that accepts it.
    Aside,
    /// PUBLISH sent, waiting for PUBACK or PUBREC.
    Sent,
    /// PUBREC received, but not stored yet.
    Releasing,
    /// PUBREL sent, waiting for PUBCOMP.
    Released,
}

#[derive(Debug)]
struct Entry {
    publish: Publish,
    state: State,
    /// Position in the order of acceptance.
    order: u64,
    progress: Progress,
    /// Whether the file has it.
    kept: bool,
    /// Whether it was accepted without a file: then a failure to store it is not reported.
    unkept: bool,
}

impl Entry {
    fn is_on_its_way(&self) -> bool {
        !matches!(self.state, State::Storing | State::Queued | State::Aside)
    }

    /// Sends it, for the first time or again.
    fn send(&mut self, output: &mut Output) {
        self.state = State::Sent;
        output.publish(&PublishRef::from(&self.publish));
        self.progress.sent();
        output.effects.counters.repeated += u64::from(self.publish.dup);
        self.publish.dup = true;
    }

    /// Records once that the broker has the message. After the PUBREL, the broker would treat
    /// another PUBLISH as a new message.
    fn releasing(&mut self, journal: &mut Journal) {
        if self.state == State::Sent {
            let (mid, order) = (self.publish.mid, self.order);
            self.state = State::Releasing;
            journal.note(|| Operation::Released { order, released: true });
            journal.wait(Then::Release { mid, order });
        }
    }
}

/// The messages that the broker has not acknowledged.
#[derive(Debug, Default)]
pub struct Outgoing {
    entries: ByMid<Entry>,
    queued: VecDeque<u16>,
    inflight: usize,
    accepted: u64,
    /// Messages waiting to be stored.
    storing: usize,
    bytes: usize,
    /// Messages for another broker.
    aside: Aside,
    /// While a connection ends: the last message that is for it, and the number of later ones.
    last: Option<u64>,
    later: usize,
    /// Whether a message was acknowledged on the present connection.
    acknowledged: bool,
    /// Whether new messages are refused.
    refusing: bool,
}

impl Outgoing {
    /// Refuses new messages from now on.
    pub fn refuse_new(&mut self) {
        self.refusing = true;
    }

    /// Unacknowledged messages that are in no file.
    pub fn only_in_memory(&self) -> usize {
        self.entries.values().filter(|entry| !entry.kept).count()
    }

    /// Whether new messages are refused.
    pub fn refuses_new(&self) -> bool {
        self.refusing
    }

    /// Begins to end the connection: messages accepted from now on are for the next one.
    pub fn finish(&mut self) {
        self.last = Some(self.accepted);
    }

    /// The connection is lost: all messages are for the next one.
    pub fn lost(&mut self) {
        (self.last, self.later) = (None, 0);
        self.acknowledged = false;
    }

    /// Whether a message was acknowledged on the present connection.
    pub fn has_acknowledged(&self) -> bool {
        self.acknowledged
    }

    /// The oldest message in flight.
    pub fn oldest(&self) -> Option<(u64, &Publish)> {
        let sent = self.entries.values().filter(|entry| entry.is_on_its_way());
        sent.min_by_key(|entry| entry.order).map(|entry| (entry.order, &entry.publish))
    }

    /// Unacknowledged messages for the present connection.
    pub fn leaving(&self) -> usize {
        self.entries.len() - self.later - self.aside.count
    }

    fn is_later(&self, order: u64) -> bool {
        self.last.is_some_and(|last| order > last)
    }

    /// Keeps a message until it is acknowledged. If messages are stored, it is not sent before
    /// that.
    pub fn accept(&mut self, publish: Publish, journal: &mut Journal) -> Delivery {
        let mid = publish.mid;
        let progress = Progress::default();
        let delivery = progress.delivery();
        self.bytes += publish.size();
        self.accepted += 1;
        self.later += usize::from(self.last.is_some());
        let order = self.accepted;
        let (state, unkept) = (State::Queued, !journal.is_open());
        self.entries.insert(mid, Entry { publish, state, order, progress, kept: false, unkept });
        if journal.is_open() {
            self.store(mid, journal);
        } else {
            self.queued.push_back(mid);
        }
        delivery
    }

    /// Records a message. If it was not sent yet, it waits until it is stored.
    fn store(&mut self, mid: u16, journal: &mut Journal) {
        let Some(entry) = self.entries.get_mut(mid) else { return };
        let order = entry.order;
        entry.kept = true;
        journal.note(|| Operation::Put { order, publish: entry.publish.clone() });
        match entry.state {
            State::Queued => {
                entry.state = State::Storing;
                self.storing += 1;
                journal.wait(Then::Publish { mid, order });
            }
            State::Released => journal.note(|| Operation::Released { order, released: true }),
            _ => {}
        }
    }

    /// A message is stored: it may be sent.
    pub fn stored(&mut self, mid: u16, order: u64) {
        if let Some(entry) = self.waiting(mid, order) {
            entry.state = State::Queued;
            entry.progress.stored();
            self.storing -= 1;
            self.queued.push_back(mid);
        }
    }

    /// The message, if it is still waiting to be stored.
    fn waiting(&mut self, mid: u16, order: u64) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(mid)?;
        (entry.state == State::Storing && entry.order == order).then_some(entry)
    }

    /// Drops a message that could not be stored. Returns whether it was waiting for that: a message
    /// accepted without a file stays.
    pub fn not_stored(&mut self, mid: u16, order: u64, ids: &mut Ids) -> bool {
        match self.entries.get_mut(mid) {
            Some(entry) if entry.order == order => entry.kept = false,
            _ => return false,
        }
        match self.waiting(mid, order) {
            None => return false,
            Some(entry) if entry.unkept => {
                self.stored(mid, order);
                return false;
            }
            Some(_) => {}
        }
        if let Some(entry) = self.entries.remove(mid) {
            self.storing -= 1;
            self.later -= usize::from(self.is_later(order));
            self.bytes -= entry.publish.size();
            ids.release(mid);
        }
        true
    }

    /// Withdraws a message that is not stored yet. Returns whether it was withdrawn.
    pub fn withdraw(
        &mut self,
        mid: u16,
        delivery: &Delivery,
        ids: &mut Ids,
        journal: &mut Journal,
    ) -> bool {
        let order = match self.entries.get(mid) {
            Some(entry) if entry.progress.is_of(delivery) => entry.order,
            _ => return false,
        };
        let Some(entry) = self.waiting(mid, order) else { return false };
        if entry.unkept {
            // It was accepted before there was a file, so it need not be stored.
            self.stored(mid, order);
            return false;
        }
        self.not_stored(mid, order, ids);
        if !journal.take_back(order) {
            journal.note(|| Operation::Removed { order });
        }
        true
    }

    /// Sends as many messages as the window allows. Messages beyond the broker's limits are set
    /// aside.
    pub fn pump(
        &mut self,
        limits: &Limits,
        server_limits: &ServerLimits,
        ids: &mut Ids,
        output: &mut Output,
    ) {
        let window = server_limits.window(limits);
        while self.inflight < window {
            let Some(&mid) = self.queued.front() else { break };
            let last = self.last;
            let entry = self.entries.get_mut(mid);
            if entry.as_ref().is_some_and(|entry| last.is_some_and(|last| entry.order > last)) {
                break;
            }
            self.queued.pop_front();
            let Some(entry) = entry else { continue };
            if server_limits.refusal(&PublishRef::from(&entry.publish)).is_some() {
                self.queued.push_front(mid);
                self.sort_out(limits, server_limits, ids, output);
                continue;
            }
            self.inflight += 1;
            entry.send(output);
        }
    }

    /// Retransmits, in the order of acceptance, the messages that were in flight when the last
    /// connection ended (MQTT 3.1.1, section 4.4), and those set aside, if this broker accepts
    /// them. If the broker has no session, a released message is published again too, because the
    /// broker may not have forwarded it.
    ///
    /// Messages that exceed the window now are sent before all other queued ones.
    pub fn resend(
        &mut self,
        session_present: bool,
        limits: &Limits,
        server_limits: &ServerLimits,
        output: &mut Output,
    ) -> Result<(), Error> {
        let window = server_limits.window(limits);
        let is_due = |entry: &&mut Entry| entry.is_on_its_way() || entry.state == State::Aside;
        let mut unacknowledged: Vec<_> = self.entries.values_mut().filter(is_due).collect();
        unacknowledged.sort_by_key(|entry| entry.order);
        let mut postponed = Vec::new();
        self.inflight = 0;
        for entry in unacknowledged {
            if session_present && matches!(entry.state, State::Releasing | State::Released) {
                self.inflight += 1;
                if entry.state == State::Released {
                    output.control(&Control::PubRel(entry.publish.mid))?;
                }
                continue;
            }
            if matches!(entry.state, State::Releasing | State::Released) {
                let order = entry.order;
                output.effects.journal.note(|| Operation::Released { order, released: false });
            }
            let refusal = server_limits.refusal(&PublishRef::from(&entry.publish));
            if entry.state == State::Aside {
                if let Some(code) = refusal {
                    entry.progress.set_aside(code);
                    continue;
                }
                self.aside.remove(entry);
            }
            if self.inflight < window && refusal.is_none() {
                self.inflight += 1;
                entry.send(output);
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

    /// A PUBACK arrived. It is ignored if its message is not waiting for it.
    pub fn acknowledged(&mut self, ack: Ack, ids: &mut Ids, output: &mut Output) {
        if self.awaits(ack.mid, Qos::AtLeastOnce, State::Sent) {
            self.acknowledge(ack, ids, output);
        }
    }

    /// A PUBREC arrived. The response is a PUBREL, even for an unknown message (MQTT 3.1.1, section
    /// 4.3.3), unless the broker refused the message (MQTT 5.0, section 4.3.3).
    pub fn received(&mut self, ack: Ack, ids: &mut Ids, output: &mut Output) -> Result<(), Error> {
        let mid = ack.mid;
        if ack.code >= FAILURE {
            if self.awaits(mid, Qos::ExactlyOnce, State::Sent) {
                self.acknowledge(ack, ids, output);
            }
            return Ok(());
        }
        if let Some(entry) = self.entries.get_mut(mid) {
            if entry.publish.qos != Qos::ExactlyOnce || !entry.is_on_its_way() {
                return Ok(());
            }
            if output.effects.journal.is_open() && entry.state != State::Released {
                entry.releasing(&mut output.effects.journal);
                return Ok(());
            }
            entry.state = State::Released;
        }
        output.control(&Control::PubRel(mid))
    }

    /// The file now says that the broker has a message: sends the PUBREL; without a connection, the
    /// next one sends it.
    pub fn released(
        &mut self,
        mid: u16,
        order: u64,
        connected: bool,
        output: &mut Output,
    ) -> Result<(), Error> {
        match self.entries.get_mut(mid) {
            Some(entry) if entry.state == State::Releasing && entry.order == order => {
                entry.state = State::Released;
                if connected { output.control(&Control::PubRel(mid)) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    /// A PUBCOMP arrived. "Packet identifier not found" is no refusal: the broker had completed the
    /// message, and its PUBCOMP was lost with a connection (MQTT 5.0, section 3.7.2.1).
    pub fn completed(&mut self, ack: Ack, ids: &mut Ids, output: &mut Output) {
        if self.awaits(ack.mid, Qos::ExactlyOnce, State::Released) {
            self.acknowledge(ack, ids, output);
        }
    }

    fn awaits(&self, mid: u16, qos: Qos, state: State) -> bool {
        self.entries.get(mid).is_some_and(|entry| entry.publish.qos == qos && entry.state == state)
    }

    fn acknowledge(&mut self, ack: Ack, ids: &mut Ids, output: &mut Output) {
        self.acknowledged = true;
        self.complete(ack, ids, output);
    }

    fn complete(&mut self, ack: Ack, ids: &mut Ids, output: &mut Output) {
        let Ack { mid, code, properties } = ack;
        if let Some(entry) = self.entries.remove(mid) {
            self.bytes -= entry.publish.size();
            self.inflight -= 1;
            ids.release(mid);
            output.effects.journal.note(|| Operation::Removed { order: entry.order });
            let refusal = (code >= FAILURE && code != PACKET_IDENTIFIER_NOT_FOUND).then_some(code);
            if let Some(code) = refusal {
                output.effects.refused(mid, &entry.publish.topic, code);
            } else {
                output.effects.counters.published.message(entry.publish.qos);
            }
            entry.progress.finish(refusal);
            output.effects.report(mid, code, properties);
        }
    }

    /// Ends all waits for messages that will not be sent or acknowledged for now.
    pub fn release(&self) {
        for entry in self.entries.values() {
            entry.progress.release();
        }
    }

    /// Messages in flight, while there is a connection.
    pub fn in_flight(&self) -> usize {
        self.entries.len() - self.queued() - self.aside.count
    }

    /// Messages that are set aside.
    pub fn set_aside(&self) -> usize {
        self.aside.count
    }

    /// Messages waiting to be stored, for room in the window, or for a connection.
    pub fn queued(&self) -> usize {
        self.queued.len() + self.storing
    }

    /// The file is gone: its messages are only in memory now.
    pub fn abandon(&mut self) {
        self.entries.values_mut().for_each(|entry| entry.kept = false);
    }

    /// Bytes of memory that the messages hold.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

//! QoS 1 and 2 messages to the broker: kept until they are confirmed, a window of them on the way.

use std::collections::{HashMap, VecDeque};

use super::super::error::Error;
use super::super::packet::{Control, Publish, PublishRef};
use super::super::qos::Qos;
use super::event::Event;
use super::ids::Ids;
use super::output::Output;

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
    pub fn accept(&mut self, publish: Publish) {
        let mid = publish.mid;
        self.bytes += size(&publish);
        self.accepted += 1;
        self.queued.push_back(mid);
        self.entries.insert(mid, Entry { publish, state: State::Queued, order: self.accepted });
    }

    /// Sends what the window has room for.
    pub fn pump(&mut self, window: usize, output: &mut Output) {
        while self.inflight < window {
            let Some(mid) = self.queued.pop_front() else { break };
            let Some(entry) = self.entries.get_mut(&mid) else { continue };
            entry.state = State::Sent;
            self.inflight += 1;
            output.publish(&PublishRef::from(&entry.publish));
            entry.publish.dup = true;
        }
    }

    /// Sends again, in the order of acceptance, what was on its way when the last connection ended
    /// (MQTT 3.1.1, section 4.4). Where the broker kept nothing, a released message is published
    /// anew too: it cannot be known whether the broker had handed it on.
    pub fn resend(&mut self, session_present: bool, output: &mut Output) -> Result<(), Error> {
        let mut unconfirmed: Vec<_> =
            self.entries.values_mut().filter(|entry| entry.state != State::Queued).collect();
        unconfirmed.sort_by_key(|entry| entry.order);
        for entry in unconfirmed {
            if entry.state == State::Released && session_present {
                output.control(&Control::PubRel(entry.publish.mid))?;
            } else {
                entry.state = State::Sent;
                output.publish(&PublishRef::from(&entry.publish));
            }
        }
        Ok(())
    }

    /// A PUBACK came. One for a message that is not waiting for it is ignored.
    pub fn acknowledged(&mut self, mid: u16, ids: &mut Ids, output: &mut Output) {
        if self.awaits(mid, Qos::AtLeastOnce, State::Sent) {
            self.complete(mid, ids, output);
        }
    }

    /// A PUBREC came: the answer is a PUBREL, also where the message is not known any more
    /// (MQTT 3.1.1, section 4.3.3).
    pub fn received(&mut self, mid: u16, output: &mut Output) -> Result<(), Error> {
        if let Some(entry) = self.entries.get_mut(&mid) {
            if entry.publish.qos != Qos::ExactlyOnce || entry.state == State::Queued {
                return Ok(());
            }
            entry.state = State::Released;
        }
        output.control(&Control::PubRel(mid))
    }

    /// A PUBCOMP came.
    pub fn completed(&mut self, mid: u16, ids: &mut Ids, output: &mut Output) {
        if self.awaits(mid, Qos::ExactlyOnce, State::Released) {
            self.complete(mid, ids, output);
        }
    }

    fn awaits(&self, mid: u16, qos: Qos, state: State) -> bool {
        self.entries.get(&mid).is_some_and(|entry| entry.publish.qos == qos && entry.state == state)
    }

    fn complete(&mut self, mid: u16, ids: &mut Ids, output: &mut Output) {
        if let Some(entry) = self.entries.remove(&mid) {
            self.bytes -= size(&entry.publish);
            self.inflight -= 1;
            ids.release(mid);
            output.events.push_back(Event::Published(mid));
        }
    }

    /// Whether every message is confirmed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes that the messages keep.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

fn size(publish: &Publish) -> usize {
    publish.topic.len() + publish.payload.len()
}

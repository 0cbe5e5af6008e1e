//! Messages set aside (MQTT 5): they were accepted for sending, but exceed the limits of the
//! present broker. They are kept for a broker that takes them, and block no other message.

use super::super::super::options::Limits;
use super::super::super::packet::{Ack, PublishRef};
use super::super::super::reason::reason_name;
use super::super::super::text::shown;
use super::super::event::{Event, LogLevel};
use super::super::ids::Ids;
use super::super::output::Output;
use super::super::server_limits::ServerLimits;
use super::{Entry, Outgoing, State};

/// Limit on messages set aside: half of the packet identifiers for messages, so that others find
/// room.
const MOST: usize = 32_640;

/// The messages set aside.
#[derive(Debug, Default)]
pub struct Aside {
    pub count: usize,
    bytes: usize,
}

impl Aside {
    pub fn add(&mut self, entry: &Entry) {
        self.count += 1;
        self.bytes += entry.publish.size();
    }

    /// A broker accepts the message.
    pub fn remove(&mut self, entry: &Entry) {
        self.count -= 1;
        self.bytes -= entry.publish.size();
        entry.progress.resume();
    }

    /// Whether another one fits: up to half of the limit on pending bytes, or a single message.
    fn has_room(&self, size: usize, limits: &Limits) -> bool {
        let fits = self.bytes + size <= limits.outgoing_bytes / 2;
        self.count < MOST && (fits || self.count == 0)
    }
}

/// The messages set aside at one time, for the log.
#[derive(Default)]
struct Told {
    count: u64,
    first: Option<(u16, String, u8)>,
}

impl Told {
    fn notice(self) -> Option<Event> {
        let (count, (mid, topic, code)) = (self.count, self.first?);
        let reason = reason_name(code);
        let text = format!(
            "the broker does not take messages that were accepted ({count}), which are kept for a \
             connection that does; the first is message {mid} on {}: {reason} (code {code})",
            shown(&topic)
        );
        let notice = Event::notice(LogLevel::Warning, "messages_set_aside", text);
        let notice = notice.with("count", count).with("mid", u64::from(mid));
        let notice = notice.with("topic", topic).with("rc", u64::from(code));
        Some(notice.with("error", reason))
    }
}

impl Outgoing {
    /// Sets aside queued messages that exceed the broker's limits. Those that do not fit are
    /// dropped.
    pub fn sort_out(
        &mut self,
        limits: &Limits,
        server_limits: &ServerLimits,
        ids: &mut Ids,
        output: &mut Output,
    ) {
        if !server_limits.are_limited() {
            return;
        }
        let mut told = Told::default();
        for mid in std::mem::take(&mut self.queued) {
            let Some(entry) = self.entries.get_mut(mid) else { continue };
            let refusal = server_limits.refusal(&PublishRef::from(&entry.publish));
            let is_later = self.last.is_some_and(|last| entry.order > last);
            let Some(code) = refusal.filter(|_| !is_later) else {
                self.queued.push_back(mid);
                continue;
            };
            if !self.aside.has_room(entry.publish.size(), limits) {
                self.inflight += 1;
                self.complete(Ack { mid, code, properties: None }, ids, output);
                continue;
            }
            entry.state = State::Aside;
            entry.progress.set_aside(code);
            self.aside.add(entry);
            told.count += 1;
            told.first.get_or_insert_with(|| (mid, entry.publish.topic.clone(), code));
        }
        output.effects.events.extend(told.notice());
    }
}

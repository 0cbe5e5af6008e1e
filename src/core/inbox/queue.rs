//! What waits for the dispatcher, and what is dropped instead.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::super::options::{Limits, Overflow};
use super::super::qos::Qos;
use super::super::session::{Event, LogLevel};
use super::super::stats::Dropped;
use super::Bound;

/// Reports that may wait beyond the bound on messages before they are dropped.
pub const SPARE_REPORTS: usize = 20_000;

/// Bytes that may wait beyond the bound on bytes before reports are dropped.
const SPARE_BYTES: usize = 16 * 1024 * 1024;

/// Dropping is over when nothing was dropped for so long: what comes and goes is told once.
const CALM: Duration = Duration::from_secs(1);

/// Why something is dropped, in the fields of log records.
const OVERFLOW: &str = "incoming_overflow";
const REPORTS: &str = "reports";

/// A time in which something is dropped again and again.
#[derive(Debug)]
struct Spell {
    last: Instant,
    /// What was dropped before it.
    before: Dropped,
}

/// Events in order, and their sums.
#[derive(Debug)]
pub struct Queue {
    /// Each event has its number, since those that may be dropped are in a queue of their own.
    events: VecDeque<(u64, Event)>,
    /// Messages of QoS 0, where the policy drops some.
    droppable: VecDeque<(u64, Event)>,
    next: u64,
    /// What there is to say about dropping; it goes before everything else that waits.
    notices: VecDeque<Event>,
    pub messages: usize,
    pub bytes: usize,
    pub dropped: Dropped,
    spell: Option<Spell>,
    limit_messages: usize,
    limit_bytes: usize,
    overflow: Overflow,
    /// Whether somebody listens to `on_publish`.
    pub reporting: bool,
}

impl Queue {
    pub fn new(limits: &Limits) -> Self {
        Self {
            events: VecDeque::new(),
            droppable: VecDeque::new(),
            next: 0,
            notices: VecDeque::new(),
            messages: 0,
            bytes: 0,
            dropped: Dropped::default(),
            spell: None,
            limit_messages: limits.incoming_messages.max(1),
            limit_bytes: limits.incoming_bytes.max(1),
            overflow: limits.overflow,
            reporting: true,
        }
    }

    /// Sets the bounds. What waits already stays.
    pub fn set_limits(&mut self, limits: &Limits) {
        self.limit_messages = limits.incoming_messages.max(1);
        self.limit_bytes = limits.incoming_bytes.max(1);
        self.overflow = limits.overflow;
    }

    /// How many events there are, with what there is to say about dropping.
    pub fn len(&self) -> usize {
        self.events.len() + self.droppable.len() + self.notices.len()
    }

    /// Adds events, or drops them.
    pub fn extend(&mut self, events: &mut VecDeque<Event>) {
        let before = self.dropped;
        for event in events.drain(..) {
            match event {
                Event::Message { .. } if self.overflow == Overflow::Block => {
                    self.messages += 1;
                    self.push(event);
                }
                Event::Message { .. } => self.push_or_drop(event),
                Event::Published { .. } if !self.reporting => {}
                Event::Published { .. } | Event::Log { .. } if self.is_overfull() => {
                    self.dropped.reports += 1;
                }
                _ => self.push(event),
            }
        }
        if self.dropped != before {
            self.note_drops(before);
        }
    }

    fn push(&mut self, event: Event) {
        self.bytes += event.size();
        self.events.push_back((self.next, event));
        self.next += 1;
    }

    /// Adds a message, for which others may be dropped, or drops it. One that is larger than the bound
    /// is taken when no other waits.
    fn push_or_drop(&mut self, mut event: Event) {
        let size = event.size();
        let Event::Message { publish, .. } = &mut event else { return };
        let optional = publish.qos == Qos::AtMostOnce;
        if self.overflow == Overflow::DropOldest {
            self.make_room(size);
        }
        if optional && self.messages > 0 && !self.has_room_for(size) {
            self.dropped.messages += 1;
            return;
        }
        // What came in the same read may be dropped, and must not stay because of this one.
        publish.payload = Bytes::copy_from_slice(&publish.payload);
        self.messages += 1;
        if optional {
            self.bytes += size;
            self.droppable.push_back((self.next, event));
            self.next += 1;
        } else {
            self.push(event);
        }
    }

    fn make_room(&mut self, size: usize) {
        while !self.has_room_for(size)
            && let Some((_, oldest)) = self.droppable.pop_front()
        {
            self.messages -= 1;
            self.bytes -= oldest.size();
            self.dropped.messages += 1;
        }
    }

    fn has_room_for(&self, size: usize) -> bool {
        self.messages < self.limit_messages && self.bytes + size <= self.limit_bytes
    }

    /// Takes out the oldest event, with its size.
    pub fn pop(&mut self) -> Option<(usize, Event)> {
        if let Some(notice) = self.notices.pop_front() {
            return Some((0, notice));
        }
        let queue = match (self.events.front(), self.droppable.front()) {
            (Some((event, _)), Some((droppable, _))) if droppable < event => &mut self.droppable,
            (None, Some(_)) => &mut self.droppable,
            _ => &mut self.events,
        };
        let (_, event) = queue.pop_front()?;
        let size = event.size();
        self.bytes -= size;
        self.messages -= usize::from(matches!(event, Event::Message { .. }));
        Some((size, event))
    }

    /// For what nothing more may be read. Where messages of QoS 0 are dropped, those of QoS 1 and 2
    /// fill it.
    pub fn full(&self) -> Option<Bound> {
        let reaches = self.overflow == Overflow::Block || self.droppable.is_empty();
        let is_full = |count, limit| count > limit || reaches && count == limit;
        if is_full(self.messages, self.limit_messages) {
            return Some(Bound::Messages);
        }
        is_full(self.bytes, self.limit_bytes).then_some(Bound::Bytes)
    }

    /// Whether so little is left that reading may go on: half, so that it does not stutter.
    pub fn has_room(&self) -> bool {
        self.messages <= self.limit_messages / 2 && self.bytes <= self.limit_bytes / 2
    }

    /// Whether so much waits that not even reports have room.
    pub fn is_overfull(&self) -> bool {
        self.len() >= self.limit_messages.saturating_add(SPARE_REPORTS)
            || self.bytes >= self.limit_bytes.saturating_add(SPARE_BYTES)
    }

    /// Says that dropping begins, and remembers when it went on last.
    fn note_drops(&mut self, before: Dropped) {
        let last = Instant::now();
        if let Some(spell) = &mut self.spell {
            spell.last = last;
            return;
        }
        self.spell = Some(Spell { last, before });
        let (reason, text) = if self.dropped.messages > before.messages {
            (OVERFLOW, "messages of QoS 0 are dropped: more come than the handlers can take")
        } else {
            let text =
                "reports for on_publish and on_log are dropped: the handlers are too slow for them";
            (REPORTS, text)
        };
        self.notices.push_back(notice("dropping", reason, text.to_owned()));
    }

    /// When dropping is over, unless it goes on.
    pub fn calm_at(&self) -> Option<Instant> {
        self.spell.as_ref().map(|spell| spell.last + CALM)
    }

    /// Says that dropping is over, and how much was dropped. Returns whether there was any.
    pub fn end_spell(&mut self) -> bool {
        let Some(Spell { before, .. }) = self.spell.take() else { return false };
        let messages = self.dropped.messages - before.messages;
        let reports = self.dropped.reports - before.reports;
        let text = format!(
            "nothing is dropped any more: {messages} messages of QoS 0 and {reports} reports were"
        );
        let reason = if messages > 0 { OVERFLOW } else { REPORTS };
        let over = notice("dropping_ended", reason, text).with("count", messages + reports);
        self.notices.push_back(over);
        true
    }
}

fn notice(event: &'static str, reason: &'static str, text: String) -> Event {
    Event::notice(LogLevel::Warning, event, text).with("reason", reason)
}

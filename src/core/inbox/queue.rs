//! The queue of events for the dispatcher, and the rules for what it drops.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::super::options::{Limits, Overflow};
use super::super::qos::Qos;
use super::super::session::{Event, LogLevel};
use super::super::stats::Dropped;
use super::Bound;

/// Lines for `on_log` that may wait before others are dropped.
pub const MOST_LINES: usize = 20_000;

/// Bytes that may wait beyond the bound on bytes before lines for `on_log` are dropped, and no other
/// connection is tried.
const SPARE_BYTES: usize = 16 * 1024 * 1024;

/// Bytes that everything but messages and lines for `on_log` may take, beside its properties. None of it
/// is dropped.
pub const MOST_REPORTS: usize = 4 * 1024 * 1024;

/// Dropping is over when nothing was dropped for so long: what comes and goes is told once.
const CALM: Duration = Duration::from_secs(1);

/// Why something is dropped, in the fields of log records.
const OVERFLOW: &str = "incoming_overflow";
const LOG_LINES: &str = "log_lines";

/// A time in which something is dropped again and again.
#[derive(Debug)]
struct DropPeriod {
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
    /// Lines for `on_log`.
    lines: usize,
    /// Bytes of what else waits, beside its properties.
    reports: usize,
    pub dropped: Dropped,
    drop_period: Option<DropPeriod>,
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
            lines: 0,
            reports: 0,
            dropped: Dropped::default(),
            drop_period: None,
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
                Event::Published { .. } => self.push_report(event),
                Event::Log { .. } if !self.has_room_for_lines() => self.dropped.log_lines += 1,
                Event::Log { .. } => {
                    self.lines += 1;
                    self.push(event);
                }
                _ => self.push(event),
            }
        }
        if self.dropped != before {
            self.note_drops(before);
        }
    }

    /// Adds a report to the last one, where that says the same and nothing has come in between; or
    /// something has that may be dropped, and so many are there that the order is not worth it.
    fn push_report(&mut self, event: Event) {
        let any_order = self.reports >= MOST_REPORTS / 2;
        if let Some((number, last)) = self.events.back_mut()
            && (*number + 1 == self.next || any_order)
        {
            let before = last.overhead();
            if last.merge(&event) {
                self.reports += last.overhead() - before;
                return;
            }
        }
        self.push(event);
    }

    fn push(&mut self, event: Event) {
        self.bytes += event.size();
        self.reports += event.overhead();
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

    /// Takes out the oldest event, with its size. A report of more than `most` messages is divided.
    pub fn pop(&mut self, most: usize) -> Option<(usize, Event)> {
        if let Some(notice) = self.notices.pop_front() {
            return Some((0, notice));
        }
        let queue = match (self.events.front(), self.droppable.front()) {
            (Some((event, _)), Some((droppable, _))) if droppable < event => &mut self.droppable,
            (None, Some(_)) => &mut self.droppable,
            _ => &mut self.events,
        };
        let (number, mut event) = queue.pop_front()?;
        let size = event.size();
        self.bytes -= size;
        match &event {
            Event::Message { .. } => self.messages -= 1,
            Event::Log { .. } => self.lines -= 1,
            _ => {
                self.reports -= event.overhead();
                if let Some(left) = event.split_off(most) {
                    self.bytes += left.size();
                    self.reports += left.overhead();
                    self.events.push_front((number, left));
                }
            }
        }
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
        if is_full(self.bytes, self.limit_bytes) {
            return Some(Bound::Bytes);
        }
        self.is_crowded().then_some(Bound::Reports)
    }

    /// Whether so little is left that reading may go on: half, so that it does not stutter.
    pub fn has_room(&self) -> bool {
        self.messages <= self.limit_messages / 2
            && self.bytes <= self.limit_bytes / 2
            && self.has_room_for_reports()
    }

    /// Whether so many reports wait that nothing may happen that makes more of them.
    pub fn is_crowded(&self) -> bool {
        self.reports >= MOST_REPORTS
    }

    /// Whether so few reports are left that more of them may come: half, as with messages.
    pub fn has_room_for_reports(&self) -> bool {
        self.reports <= MOST_REPORTS / 2
    }

    fn has_room_for_lines(&self) -> bool {
        self.lines < MOST_LINES && self.has_spare_bytes()
    }

    /// Whether there is room for what another connection would tell.
    pub fn has_spare_room(&self) -> bool {
        !self.is_crowded() && self.has_spare_bytes()
    }

    fn has_spare_bytes(&self) -> bool {
        self.bytes < self.limit_bytes.saturating_add(SPARE_BYTES)
    }

    /// Says that dropping begins, and remembers when it went on last.
    fn note_drops(&mut self, before: Dropped) {
        let last = Instant::now();
        if let Some(drop_period) = &mut self.drop_period {
            drop_period.last = last;
            return;
        }
        self.drop_period = Some(DropPeriod { last, before });
        let (reason, text) = if self.dropped.messages > before.messages {
            (OVERFLOW, "dropping QoS 0 messages: more arrive than the handlers can take")
        } else {
            let text = "dropping lines for on_log: the handlers are too slow";
            (LOG_LINES, text)
        };
        self.notices.push_back(notice("dropping", reason, text.to_owned()));
    }

    /// When dropping is over, unless it goes on.
    pub fn calm_at(&self) -> Option<Instant> {
        self.drop_period.as_ref().map(|drop_period| drop_period.last + CALM)
    }

    /// Says that dropping is over, and how much was dropped. Returns whether there was any.
    pub fn end_drop_period(&mut self) -> bool {
        let Some(DropPeriod { before, .. }) = self.drop_period.take() else { return false };
        let messages = self.dropped.messages - before.messages;
        let lines = self.dropped.log_lines - before.log_lines;
        let (reason, what) = match (messages, lines) {
            (0, _) => (LOG_LINES, format!("{lines} lines for on_log")),
            (_, 0) => (OVERFLOW, format!("{messages} QoS 0 messages")),
            _ => (OVERFLOW, format!("{messages} QoS 0 messages and {lines} lines for on_log")),
        };
        let text = format!("no longer dropping: {what} were discarded");
        let over = notice("dropping_ended", reason, text).with("count", messages + lines);
        self.notices.push_back(over);
        true
    }
}

fn notice(event: &'static str, reason: &'static str, text: String) -> Event {
    Event::notice(LogLevel::Warning, event, text).with("reason", reason)
}

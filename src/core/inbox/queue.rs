//! The queue of events for the dispatcher, and the rules for what it drops.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::super::options::{Limits, Overflow};
use super::super::qos::Qos;
use super::super::session::{Event, LogLevel};
use super::super::stats::Dropped;
use super::Bound;

/// Lines for `on_log` that may be pending before further ones are dropped.
pub const MOST_LINES: usize = 20_000;

/// Bytes that may be pending beyond the limit before lines for `on_log` are dropped and no new
/// connection is tried.
const SPARE_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of all other events, not counting their properties. None of these is dropped.
pub const MOST_REPORTS: usize = 4 * 1024 * 1024;

/// A drop period ends when nothing was dropped for this long, so that repeated drops are reported
/// once.
const CALM: Duration = Duration::from_secs(1);

/// The cause of drops in the fields of log records.
const OVERFLOW: &str = "incoming_overflow";
const LOG_LINES: &str = "log_lines";

/// A period with repeated drops.
#[derive(Debug)]
struct DropPeriod {
    last: Instant,
    /// The drop counters at its start.
    before: Dropped,
}

/// The events in order, and their totals.
#[derive(Debug)]
pub struct Queue {
    /// Each event has a number, because droppable ones are in a separate queue.
    events: VecDeque<(u64, Event)>,
    /// QoS 0 messages, if the policy drops them.
    droppable: VecDeque<(u64, Event)>,
    next: u64,
    /// Notices about drops; they come before all other events.
    notices: VecDeque<Event>,
    pub messages: usize,
    pub bytes: usize,
    /// Lines for `on_log`.
    lines: usize,
    /// Bytes of the other events, without their properties.
    reports: usize,
    pub dropped: Dropped,
    drop_period: Option<DropPeriod>,
    limit_messages: usize,
    limit_bytes: usize,
    overflow: Overflow,
    /// Whether `on_publish` has a handler.
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

    /// Sets the limits. Pending events stay.
    pub fn set_limits(&mut self, limits: &Limits) {
        self.limit_messages = limits.incoming_messages.max(1);
        self.limit_bytes = limits.incoming_bytes.max(1);
        self.overflow = limits.overflow;
    }

    /// The number of events, including notices about drops.
    pub fn len(&self) -> usize {
        self.events.len() + self.droppable.len() + self.notices.len()
    }

    /// Adds events, and drops some if necessary.
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

    /// Merges a report with the last one, if both say the same and no other event is between them.
    /// With very many reports, droppable events may be between them, because the bound matters more
    /// than the order.
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

    /// Adds a message and drops older ones for it, or drops it. A message larger than the limit is
    /// accepted only when no other is pending.
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
        // Other messages of the same read may be dropped; this one must not keep their memory.
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

    /// Removes the oldest event, and returns it with its size. A report of more than `most`
    /// messages is split.
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

    /// The limit for which reading pauses. A queue that is exactly full still takes messages while
    /// it has a QoS 0 message to drop for them.
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

    /// Whether the queue is half empty, so that reading may resume. At the limit itself it would
    /// stutter.
    pub fn has_room(&self) -> bool {
        self.messages <= self.limit_messages / 2
            && self.bytes <= self.limit_bytes / 2
            && self.has_room_for_reports()
    }

    /// Whether too many reports are pending to allow more.
    pub fn is_crowded(&self) -> bool {
        self.reports >= MOST_REPORTS
    }

    /// Whether at most half of the reports are left, so that more are allowed.
    pub fn has_room_for_reports(&self) -> bool {
        self.reports <= MOST_REPORTS / 2
    }

    fn has_room_for_lines(&self) -> bool {
        self.lines < MOST_LINES && self.has_spare_bytes()
    }

    /// Whether there is room for the events of another connection.
    pub fn has_spare_room(&self) -> bool {
        !self.is_crowded() && self.has_spare_bytes()
    }

    fn has_spare_bytes(&self) -> bool {
        self.bytes < self.limit_bytes.saturating_add(SPARE_BYTES)
    }

    /// Reports the start of a drop period, and records the time of the last drop.
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

    /// When the drop period ends, unless it continues.
    pub fn calm_at(&self) -> Option<Instant> {
        self.drop_period.as_ref().map(|drop_period| drop_period.last + CALM)
    }

    /// Reports the end of a drop period with the number of drops. Returns whether there was one.
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

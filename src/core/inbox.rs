//! Events on their way from the I/O thread to the dispatcher: bounded, in order, fetched in batches.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::session::{Event, LogLevel};
use super::stats::Waiting;

/// Reports that may wait beyond the bound on messages before they are dropped.
const SPARE_REPORTS: usize = 20_000;

/// A bound that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Messages that wait.
    Messages,
    /// Bytes of them.
    Bytes,
}

impl Bound {
    /// Its name in the fields of log records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Bytes => "bytes",
        }
    }

    /// The configuration key, without its prefix.
    pub fn key(self) -> &'static str {
        match self {
            Self::Messages => "MAX_INCOMING_MESSAGES",
            Self::Bytes => "MAX_INCOMING_BYTES",
        }
    }
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Event>,
    messages: usize,
    bytes: usize,
    /// Reports that were dropped, ever and since the log was told so.
    dropped: u64,
    dropping: u64,
    limit_messages: usize,
    limit_bytes: usize,
}

impl Queue {
    fn push(&mut self, event: Event) {
        self.bytes += event.size();
        self.events.push_back(event);
    }

    fn full(&self) -> Option<Bound> {
        if self.messages >= self.limit_messages {
            Some(Bound::Messages)
        } else {
            (self.bytes >= self.limit_bytes).then_some(Bound::Bytes)
        }
    }

    fn drop_report(&mut self) {
        if self.dropping == 0 {
            self.push(dropping());
        }
        self.dropped += 1;
        self.dropping += 1;
    }

    /// Whether so little is left that reading may go on: half, so that it does not stutter.
    fn has_room(&self) -> bool {
        self.messages <= self.limit_messages / 2 && self.bytes <= self.limit_bytes / 2
    }
}

/// The queue between the I/O thread and the dispatcher.
///
/// The lock guards the queue. Both threads hold it for moving events only; the I/O thread takes it
/// while it holds the session's lock, never the other way round.
#[derive(Debug)]
pub struct Inbox {
    queue: Mutex<Queue>,
    /// A byte is written when the queue was empty, so that the dispatcher wakes.
    wake: UnixStream,
    /// Given when there is room again after the queue was full.
    room: Notify,
}

impl Inbox {
    /// An inbox, and the descriptor that becomes readable when there is something in it.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn new() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let queue = Queue { limit_messages: 1, limit_bytes: 1, ..Queue::default() };
        Ok((Self { queue: Mutex::new(queue), wake: ours, room: Notify::new() }, theirs.into()))
    }

    /// Sets the bounds: messages, and bytes of messages.
    pub fn set_limits(&self, messages: usize, bytes: usize) {
        let mut queue = self.lock();
        queue.limit_messages = messages.max(1);
        queue.limit_bytes = bytes.max(1);
    }

    /// Moves events in. Messages are never dropped: the I/O thread stops reading when
    /// [`Self::full`]. Reports of what was sent can pile up without reading, so those are dropped
    /// and counted past the bound.
    pub fn extend(&self, events: &mut VecDeque<Event>) {
        if events.is_empty() {
            return;
        }
        let mut queue = self.lock();
        let was_empty = queue.events.is_empty();
        let most = queue.limit_messages + SPARE_REPORTS;
        for event in events.drain(..) {
            match event {
                Event::Message { .. } => queue.messages += 1,
                Event::Published { .. } | Event::Log { .. } if queue.events.len() >= most => {
                    queue.drop_report();
                    continue;
                }
                _ => {}
            }
            queue.push(event);
        }
        drop(queue);
        if was_empty {
            self.wake();
        }
    }

    /// Wakes the dispatcher though nothing may have happened.
    pub fn wake(&self) {
        // A full socket buffer means that the dispatcher has been woken often enough.
        let _ = (&self.wake).write(&[1]);
    }

    /// Moves out up to `most` events, the oldest first.
    pub fn take(&self, most: usize) -> Vec<Event> {
        let mut queue = self.lock();
        let was_short = !queue.has_room();
        let count = most.min(queue.events.len());
        let mut taken: Vec<_> = queue.events.drain(..count).collect();
        for event in &taken {
            queue.bytes -= event.size();
            queue.messages -= usize::from(matches!(event, Event::Message { .. }));
        }
        // Not before: while some come and some are dropped, one line is enough.
        if queue.dropping > 0 && queue.events.is_empty() {
            taken.push(dropped(std::mem::take(&mut queue.dropping)));
        }
        let has_room = queue.has_room();
        drop(queue);
        if was_short && has_room {
            self.room.notify_one();
        }
        taken
    }

    /// The bound for which the I/O thread has to stop reading.
    pub fn full(&self) -> Option<Bound> {
        self.lock().full()
    }

    /// Waits until the dispatcher made room.
    pub async fn room(&self) {
        while !self.lock().has_room() {
            self.room.notified().await;
        }
    }

    /// What waits, and what was dropped.
    pub fn waiting(&self) -> Waiting {
        let queue = self.lock();
        Waiting {
            messages: queue.messages,
            bytes: queue.bytes,
            dropped_reports: queue.dropped,
            dropped_messages: 0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn dropping() -> Event {
    let text = "reports for on_publish and on_log are dropped: the handlers are too slow for them";
    Event::notice(LogLevel::Warning, "dropping", text).with("reason", "reports")
}

fn dropped(count: u64) -> Event {
    let text = format!("no more reports for on_publish and on_log are dropped; {count} were");
    let notice = Event::notice(LogLevel::Warning, "dropping_ended", text);
    notice.with("reason", "reports").with("count", count)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Read;
    use std::time::Instant;

    use super::super::packet::Publish;
    use super::super::qos::Qos;
    use super::*;

    fn message(size: usize) -> Event {
        let payload = vec![0; size].into();
        let qos = Qos::AtMostOnce;
        let publish = Publish {
            topic: String::new(),
            payload,
            qos,
            retain: false,
            dup: false,
            mid: 0,
            properties: None,
        };
        Event::Message { publish, received: Instant::now(), receipt: None }
    }

    fn inbox(messages: usize, bytes: usize) -> (Inbox, UnixStream) {
        let (inbox, end) = Inbox::new().unwrap();
        inbox.set_limits(messages, bytes);
        let end = UnixStream::from(end);
        end.set_nonblocking(true).unwrap();
        (inbox, end)
    }

    #[test]
    fn one_byte_wakes_the_dispatcher_however_many_events_come() {
        let (inbox, mut end) = inbox(10, 1000);
        inbox.extend(&mut [message(1), message(1)].into());
        inbox.extend(&mut [message(1)].into());
        assert_eq!(end.read(&mut [0; 16]).unwrap(), 1);
        assert_eq!(inbox.take(100).len(), 3);
        inbox.extend(&mut [message(1)].into());
        assert_eq!(end.read(&mut [0; 16]).unwrap(), 1);
    }

    #[test]
    fn it_is_full_by_messages_or_by_bytes_and_has_room_at_half() {
        let (inbox, _end) = inbox(4, 100);
        inbox.extend(&mut [message(99)].into());
        assert_eq!(inbox.full(), None);
        inbox.extend(&mut [message(1)].into());
        assert_eq!(inbox.full(), Some(Bound::Bytes));
        inbox.take(1);
        inbox.extend(&mut [message(1), message(1), message(1)].into());
        assert_eq!(inbox.full(), Some(Bound::Messages));
        inbox.take(2);
        assert_eq!(inbox.full(), None);
    }

    #[test]
    fn messages_are_never_dropped_and_reports_are_counted_when_they_are() {
        let (inbox, _end) = inbox(2, 1000);
        let mut reports: VecDeque<_> = (0..SPARE_REPORTS + 10)
            .map(|_| Event::Published { mid: 1, code: 0, properties: None })
            .collect();
        inbox.extend(&mut reports);
        inbox.extend(&mut [message(1)].into());
        assert_eq!(inbox.waiting().dropped_reports, 8);
        let taken = inbox.take(usize::MAX);
        let [.., Event::Message { .. }, Event::Notice { text, .. }] = &taken[..] else {
            panic!("{taken:?}")
        };
        assert_eq!(text, "no more reports for on_publish and on_log are dropped; 8 were");
    }

    #[test]
    fn dropping_is_told_when_it_begins_and_when_it_ends_and_no_more() {
        let (inbox, _end) = inbox(2, 1000);
        for _ in 0..2 {
            for _ in 0..SPARE_REPORTS + 10 {
                let report = Event::Published { mid: 1, code: 0, properties: None };
                inbox.extend(&mut [report].into());
            }
            let is_notice = |event: &&Event| matches!(event, Event::Notice { .. });
            // Room for a moment is no end.
            let few = inbox.take(100);
            inbox.extend(&mut few.into_iter().take(10).collect());
            assert_eq!(inbox.take(usize::MAX).iter().filter(is_notice).count(), 2);
        }
        assert_eq!(inbox.waiting().dropped_reports, 16);
    }
}

//! Events on their way from the I/O thread to the dispatcher: bounded, in order, fetched in batches.

mod queue;

use std::collections::VecDeque;
use std::time::Instant;

use self::queue::Queue;
use super::options::Limits;
use super::session::Event;
use super::stats::Waiting;
use super::sync::atomic::{AtomicBool, Ordering};
use super::sync::{Mutex, MutexGuard, Notify, PoisonError};
use super::wake::Wakeup;

/// Bytes after which a batch ends, so that what was fetched and waits for its handler is bounded too.
const BATCH_BYTES: usize = 1024 * 1024;

/// A bound for which nothing is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Messages that wait for their handlers.
    Messages,
    /// Bytes of them.
    Bytes,
    /// Reports of what became of messages and requests.
    Reports,
    /// Answers that the broker does not take.
    Answers,
}

/// The queue between the I/O thread and the dispatcher.
///
/// The lock guards the queue. Both threads hold it for moving events only; the I/O thread takes it
/// while it holds the session's lock, never the other way round.
#[derive(Debug)]
pub struct Inbox {
    queue: Mutex<Queue>,
    /// Whether so many reports wait that nothing may make more of them, until half of them are gone.
    /// Written under the lock, and read without it: `publish` looks each time.
    crowded: AtomicBool,
    /// Given when the queue was empty, so that the dispatcher wakes.
    pub wakeup: Wakeup,
    /// Given when there is room again after there was none.
    room: Notify,
}

impl Default for Inbox {
    fn default() -> Self {
        Self {
            queue: Mutex::new(Queue::new(&Limits::default())),
            crowded: AtomicBool::new(false),
            wakeup: Wakeup::default(),
            room: Notify::new(),
        }
    }
}

impl Inbox {
    /// Sets how many messages, and bytes of them, may wait, and what happens to more.
    pub fn set_limits(&self, limits: &Limits) {
        self.lock().set_limits(limits);
    }

    /// Whether there is anybody to tell which messages were published.
    pub fn set_reporting(&self, reporting: bool) {
        self.lock().reporting = reporting;
    }

    /// Moves events in. Where the policy is so, messages of QoS 0 are dropped; otherwise the I/O thread
    /// stops reading when [`Self::is_full`]. Lines for `on_log` can pile up without reading, so those
    /// are dropped past their bound. Reports of what was written can as well: they take next to nothing
    /// each, and no message of QoS 0 is taken while [`Self::is_crowded`].
    pub fn extend(&self, events: &mut VecDeque<Event>) {
        if events.is_empty() {
            return;
        }
        let mut queue = self.lock();
        let was_empty = queue.len() == 0;
        queue.extend(events);
        if queue.is_crowded() {
            self.crowded.store(true, Ordering::Relaxed);
        }
        // What nobody listens to is not there.
        let is_filled = was_empty && queue.len() > 0;
        drop(queue);
        if is_filled {
            self.wakeup.give();
        }
    }

    /// Moves out up to `most` events, the oldest first, and not much more than a mebibyte of them. A
    /// report counts as many as there are messages in it.
    ///
    /// Returns them, and whether [`Self::is_crowded`] is over by that.
    pub fn take(&self, most: usize) -> (Vec<Event>, bool) {
        let mut queue = self.lock();
        let room = |queue: &Queue| (queue.has_room(), queue.has_spare_room());
        let before = room(&queue);
        let mut taken = Vec::with_capacity(most.min(queue.len()));
        let (mut count, mut bytes) = (0, 0);
        while count < most
            && bytes < BATCH_BYTES
            && let Some((size, event)) = queue.pop(most - count)
        {
            bytes += size;
            count += event.count();
            taken.push(event);
        }
        let after = room(&queue);
        let calm = queue.has_room_for_reports() && self.crowded.swap(false, Ordering::Relaxed);
        drop(queue);
        if before != after {
            self.room.notify_waiters();
        }
        (taken, calm)
    }

    /// Whether nothing is to be taken.
    pub fn is_empty(&self) -> bool {
        self.lock().len() == 0
    }

    /// Whether so many reports wait that nothing may happen that makes more of them.
    pub fn is_crowded(&self) -> bool {
        self.crowded.load(Ordering::Relaxed)
    }

    /// For what the I/O thread has to stop reading, and when it has to call [`Self::end_dropping`].
    pub fn look(&self) -> (Option<Bound>, Option<Instant>) {
        let queue = self.lock();
        (queue.full(), queue.calm_at())
    }

    /// Whether the I/O thread has to stop reading.
    pub fn is_full(&self) -> bool {
        self.lock().full().is_some()
    }

    /// Waits until the dispatcher made room.
    pub async fn room(&self) {
        self.until(Queue::has_room).await;
    }

    /// Waits until there is room for the beginning and the end of another connection, which tell
    /// something however full it is.
    pub async fn spare(&self) {
        self.until(Queue::has_spare_room).await;
    }

    async fn until(&self, condition: impl Fn(&Queue) -> bool) {
        loop {
            // Made before the look, so that no room is missed between the two.
            let room = self.room.notified();
            if condition(&self.lock()) {
                return;
            }
            room.await;
        }
    }

    /// Says that dropping is over, if nothing was dropped for a while or, with `now`, at once.
    pub fn end_dropping(&self, now: bool) {
        let mut queue = self.lock();
        let due = now || queue.calm_at().is_some_and(|at| at <= Instant::now());
        let told = due && queue.end_drop_period();
        drop(queue);
        if told {
            self.wakeup.give();
        }
    }

    /// What waits, and what was dropped.
    pub fn waiting(&self) -> Waiting {
        let queue = self.lock();
        Waiting { messages: queue.messages, bytes: queue.bytes, dropped: queue.dropped }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

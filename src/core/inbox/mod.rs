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

/// A batch ends after this many bytes, to bound what is fetched and pending for its handlers.
const BATCH_BYTES: usize = 1024 * 1024;

/// The limit for which reading pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Messages pending for their handlers.
    Messages,
    /// Their bytes.
    Bytes,
    /// Reports about messages and requests.
    Reports,
    /// Responses that the broker does not read.
    Answers,
}

/// The queue between the I/O thread and the dispatcher.
///
/// The lock guards the queue. Both threads hold it only to move events. The I/O thread takes it
/// under the session's lock, never the other way round.
#[derive(Debug)]
pub struct Inbox {
    queue: Mutex<Queue>,
    /// Whether too many reports are pending, until half of them are gone. Written under the lock,
    /// but read without it, because every `publish` checks it.
    crowded: AtomicBool,
    /// Given when the queue is no longer empty, to wake the dispatcher.
    pub wakeup: Wakeup,
    /// Given when a full queue has room again.
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
    /// Sets the limits on pending messages and their bytes, and what happens beyond them.
    pub fn set_limits(&self, limits: &Limits) {
        self.lock().set_limits(limits);
    }

    /// Sets whether `on_publish` reports are wanted.
    pub fn set_reporting(&self, reporting: bool) {
        self.lock().reporting = reporting;
    }

    /// Appends events. Depending on the policy, QoS 0 messages beyond the limit are dropped, or the
    /// I/O thread stops reading when [`Self::is_full`]. Lines for `on_log` can pile up without
    /// reading, so they are dropped beyond their limit. So can reports of written messages, but
    /// they are tiny, and no QoS 0 message is accepted while [`Self::is_crowded`].
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
        // An event that nobody listens to is not queued.
        let is_filled = was_empty && queue.len() > 0;
        drop(queue);
        if is_filled {
            self.wakeup.give();
        }
    }

    /// Removes up to `most` events, oldest first, and little more than a mebibyte of them. A report
    /// counts once for each of its messages.
    ///
    /// Returns them, and whether this ends [`Self::is_crowded`].
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

    /// Whether there is no event.
    pub fn is_empty(&self) -> bool {
        self.lock().len() == 0
    }

    /// Whether too many reports are pending to allow more.
    pub fn is_crowded(&self) -> bool {
        self.crowded.load(Ordering::Relaxed)
    }

    /// The reason why the I/O thread has to stop reading, and the time at which to call
    /// [`Self::end_dropping`].
    pub fn look(&self) -> (Option<Bound>, Option<Instant>) {
        let queue = self.lock();
        (queue.full(), queue.calm_at())
    }

    /// Whether the I/O thread has to stop reading.
    pub fn is_full(&self) -> bool {
        self.lock().full().is_some()
    }

    /// Waits until the dispatcher has made room.
    pub async fn room(&self) {
        self.until(Queue::has_room).await;
    }

    /// Waits until there is room for the first and last events of another connection, which are
    /// never dropped.
    pub async fn spare(&self) {
        self.until(Queue::has_spare_room).await;
    }

    async fn until(&self, condition: impl Fn(&Queue) -> bool) {
        loop {
            // Created before the check, so that no notification is missed in between.
            let room = self.room.notified();
            if condition(&self.lock()) {
                return;
            }
            room.await;
        }
    }

    /// Reports the end of dropping, if nothing was dropped for a while or, with `now`, at once.
    pub fn end_dropping(&self, now: bool) {
        let mut queue = self.lock();
        let due = now || queue.calm_at().is_some_and(|at| at <= Instant::now());
        let told = due && queue.end_drop_period();
        drop(queue);
        if told {
            self.wakeup.give();
        }
    }

    /// The pending events and the dropped ones.
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

//! The outcome of published messages, for callers that wait for it.
//!
//! The session updates a [`Progress`]; the application reads it through a [`Delivery`]. Each QoS 1
//! or 2 message has its own. All QoS 0 messages of a connection share one, which counts the bytes
//! written: a message is written once the count reaches its last byte.

use std::collections::BTreeMap;

use super::error::ReturnCode;
use super::reason::{NOT_AUTHORIZED, PACKET_TOO_LARGE, QOS_NOT_SUPPORTED, RETAIN_NOT_SUPPORTED};
use super::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use super::wake::{Completions, Waiter};

/// The steps of a message with its own progress.
const STORED: u64 = 1;
const SENT: u64 = 2;
const PUBLISHED: u64 = 3;

/// The state of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not decided.
    Pending,
    /// Written (QoS 0) or acknowledged (QoS 1 and 2).
    Published,
    /// Not published, and nothing will send it.
    Lost,
    /// The broker refused it with a reason code of MQTT 5 (section 2.4).
    Refused(u8),
    /// Refused as well, but kept for a broker that accepts it.
    SetAside(u8),
}

impl State {
    /// The corresponding return code.
    pub fn return_code(self) -> ReturnCode {
        match self {
            Self::Pending | Self::Published => ReturnCode::Success,
            Self::Lost => ReturnCode::ConnectionLost,
            Self::Refused(code) | Self::SetAside(code) => match code {
                PACKET_TOO_LARGE => ReturnCode::PayloadSize,
                QOS_NOT_SUPPORTED | RETAIN_NOT_SUPPORTED => ReturnCode::NotSupported,
                NOT_AUTHORIZED => ReturnCode::AclDenied,
                _ => ReturnCode::Unknown,
            },
        }
    }
}

/// Every thread holds the lock only to look, or to add or remove a waiter. It may be taken under
/// the session's lock.
#[derive(Debug, Default)]
struct Record(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    reached: u64,
    /// The final state of everything that was not reached.
    end: Option<State>,
    /// Waiters, by the position that they wait for.
    waiting: BTreeMap<u64, Vec<Waiting>>,
}

/// A waiter: one of an event loop, or a thread, which may have stopped waiting.
#[derive(Debug)]
enum Waiting {
    Loop { completions: Arc<Completions>, number: u64 },
    Thread(Weak<Waiter>),
}

impl Waiting {
    fn wake(&self) {
        match self {
            Self::Loop { completions, number } => completions.push(*number),
            Self::Thread(waiter) => {
                if let Some(waiter) = waiter.upgrade() {
                    waiter.wake();
                }
            }
        }
    }

    fn is_given_up(&self) -> bool {
        matches!(self, Self::Thread(waiter) if waiter.strong_count() == 0)
    }
}

impl Inner {
    fn state(&self, position: u64) -> State {
        if position <= self.reached { State::Published } else { self.end.unwrap_or(State::Pending) }
    }
}

impl Record {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and wakes the waiters that it satisfies.
    fn change(&self, change: impl FnOnce(&mut Inner)) {
        let mut inner = self.lock();
        change(&mut inner);
        let Some(first) = inner.waiting.keys().next() else { return };
        let due = if inner.end.is_some() {
            std::mem::take(&mut inner.waiting)
        } else if *first <= inner.reached {
            let next = inner.reached + 1;
            let waiting = inner.waiting.split_off(&next);
            std::mem::replace(&mut inner.waiting, waiting)
        } else {
            return;
        };
        drop(inner);
        wake(due);
    }
}

fn wake(waiting: BTreeMap<u64, Vec<Waiting>>) {
    waiting.into_values().flatten().for_each(|waiting| waiting.wake());
}

/// The progress of messages, updated by the session. Positions not reached when it is dropped are
/// lost.
#[derive(Debug, Default)]
pub struct Progress(Arc<Record>);

impl Progress {
    /// The connection has written this many bytes.
    pub fn reach(&self, position: u64) {
        self.0.change(|inner| inner.reached = inner.reached.max(position));
    }

    /// The message is stored in the file.
    pub fn stored(&self) {
        self.reach(STORED);
    }

    /// The message was sent for the first time.
    pub fn sent(&self) {
        self.reach(SENT);
    }

    /// The present broker does not accept the message, which is kept for another one.
    pub fn set_aside(&self, code: u8) {
        self.0.change(|inner| inner.end = Some(State::SetAside(code)));
    }

    /// A broker accepts the message that was set aside.
    pub fn resume(&self) {
        self.0.change(|inner| inner.end = None);
    }

    /// The message is written or acknowledged, or was refused with a reason code.
    pub fn finish(&self, refusal: Option<u8>) {
        match refusal {
            None => self.reach(PUBLISHED),
            Some(code) => self.0.change(|inner| inner.end = Some(State::Refused(code))),
        }
    }

    /// Ends all waits without an outcome, because nothing is being done for the message at present.
    pub fn release(&self) {
        let waiting = std::mem::take(&mut self.0.lock().waiting);
        wake(waiting);
    }

    /// Whether a delivery belongs to this progress.
    pub fn is_of(&self, delivery: &Delivery) -> bool {
        Arc::ptr_eq(&self.0, &delivery.record)
    }

    /// The delivery of this message, for the application.
    pub fn delivery(&self) -> Delivery {
        self.delivery_at(PUBLISHED)
    }

    /// The delivery of the message that ends at a position.
    pub fn delivery_at(&self, position: u64) -> Delivery {
        Delivery { record: self.0.clone(), position }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.change(|inner| {
            inner.end.get_or_insert(State::Lost);
        });
    }
}

/// The outcome of one message.
#[derive(Debug, Clone)]
pub struct Delivery {
    record: Arc<Record>,
    position: u64,
}

impl Delivery {
    /// The present state.
    pub fn state(&self) -> State {
        self.record.lock().state(self.position)
    }

    /// Whether anything other than storing has happened since the message was accepted.
    pub fn has_begun(&self) -> bool {
        let inner = self.record.lock();
        inner.reached >= SENT || inner.end.is_some()
    }

    /// A delivery that reports storing, if QoS 1 and 2 messages are stored: published then means
    /// stored.
    #[must_use]
    pub fn storing(&self) -> Self {
        Self { record: self.record.clone(), position: STORED }
    }

    /// Adds a number to a list when the wait is over. Returns whether there is anything to wait
    /// for; if not, the list is unchanged.
    ///
    /// The wait also ends, with the state still [`State::Pending`], when the application ends the
    /// connection.
    pub fn listen(&self, completions: &Arc<Completions>, number: u64) -> bool {
        let mut inner = self.record.lock();
        if inner.state(self.position) != State::Pending {
            return false;
        }
        let waiting = Waiting::Loop { completions: completions.clone(), number };
        inner.waiting.entry(self.position).or_default().push(waiting);
        true
    }

    /// Undoes [`Self::listen`], for a caller that stops waiting.
    pub fn forget(&self, completions: &Arc<Completions>, number: u64) {
        let mut inner = self.record.lock();
        if let Some(waiting) = inner.waiting.get_mut(&self.position) {
            waiting.retain(|each| match each {
                Waiting::Loop { completions: others, number: other } => {
                    *other != number || !Arc::ptr_eq(others, completions)
                }
                Waiting::Thread(_) => true,
            });
            if waiting.is_empty() {
                inner.waiting.remove(&self.position);
            }
        }
    }

    /// A wait that ends as [`Self::listen`] describes. Dropping it stops waiting.
    pub fn waiter(&self) -> Arc<Waiter> {
        let waiter = Arc::new(Waiter::default());
        let mut inner = self.record.lock();
        if inner.state(self.position) == State::Pending {
            let waiting = inner.waiting.entry(self.position).or_default();
            waiting.retain(|each| !each.is_given_up());
            waiting.push(Waiting::Thread(Arc::downgrade(&waiter)));
        } else {
            waiter.wake();
        }
        waiter
    }
}

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

/// The steps of a message with a progress of its own.
const STORED: u64 = 1;
const SENT: u64 = 2;
const PUBLISHED: u64 = 3;

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing yet.
    Pending,
    /// Written (QoS 0) or acknowledged (QoS 1 and 2).
    Published,
    /// It was not, and nobody will try again.
    Lost,
    /// The broker does not take it, with a reason code of MQTT 5 (section 2.4).
    Refused(u8),
    /// The same, and the message is kept for a broker that takes it.
    SetAside(u8),
}

impl State {
    /// The return code that says the same.
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

/// The lock is held for looking or for moving those who wait in or out, by every thread, also under the
/// session's.
#[derive(Debug, Default)]
struct Record(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    reached: u64,
    /// What became of everything that was not reached.
    end: Option<State>,
    /// Who waits, by the position that is waited for.
    waiting: BTreeMap<u64, Vec<Waiting>>,
}

/// Who waits: one of the waits of an event loop, or a thread that may have given up.
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

    /// Changes it, and wakes those who have nothing more to wait for.
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

/// How far messages have come, told by the session. What is not reached when it is dropped is lost.
#[derive(Debug, Default)]
pub struct Progress(Arc<Record>);

impl Progress {
    /// So many bytes of a connection are written.
    pub fn reach(&self, position: u64) {
        self.0.change(|inner| inner.reached = inner.reached.max(position));
    }

    /// The message is kept beyond the end of the process.
    pub fn stored(&self) {
        self.reach(STORED);
    }

    /// The message has gone out for the first time.
    pub fn sent(&self) {
        self.reach(SENT);
    }

    /// The present broker does not take the message, which is kept for one that does.
    pub fn set_aside(&self, code: u8) {
        self.0.change(|inner| inner.end = Some(State::SetAside(code)));
    }

    /// A broker takes the message that was set aside.
    pub fn resume(&self) {
        self.0.change(|inner| inner.end = None);
    }

    /// The message is written or acknowledged, or refused with a reason code.
    pub fn finish(&self, refusal: Option<u8>) {
        match refusal {
            None => self.reach(PUBLISHED),
            Some(code) => self.0.change(|inner| inner.end = Some(State::Refused(code))),
        }
    }

    /// Ends the waiting, though nothing became of the message yet: nobody works at it for now.
    pub fn release(&self) {
        let waiting = std::mem::take(&mut self.0.lock().waiting);
        wake(waiting);
    }

    /// Whether it is the progress of that message.
    pub fn is_of(&self, delivery: &Delivery) -> bool {
        Arc::ptr_eq(&self.0, &delivery.record)
    }

    /// For the application: the message that this is of.
    pub fn delivery(&self) -> Delivery {
        self.delivery_at(PUBLISHED)
    }

    /// For the application: the message that ends at a position.
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

/// What became of one message.
#[derive(Debug, Clone)]
pub struct Delivery {
    record: Arc<Record>,
    position: u64,
}

impl Delivery {
    /// What became of it so far.
    pub fn state(&self) -> State {
        self.record.lock().state(self.position)
    }

    /// Whether anything happened since the message was accepted: that it is stored is not counted.
    pub fn has_begun(&self) -> bool {
        let inner = self.record.lock();
        inner.reached >= SENT || inner.end.is_some()
    }

    /// What became of storing it, where messages of QoS 1 and 2 are: published means stored.
    #[must_use]
    pub fn storing(&self) -> Self {
        Self { record: self.record.clone(), position: STORED }
    }

    /// Has a number put into a list when there is nothing more to wait for. Returns whether there is
    /// anything to wait for; where there is nothing, the list stays as it is.
    ///
    /// Waiting also ends, with the state still [`State::Pending`], when the application ends the connection.
    pub fn listen(&self, completions: &Arc<Completions>, number: u64) -> bool {
        let mut inner = self.record.lock();
        if inner.state(self.position) != State::Pending {
            return false;
        }
        let waiting = Waiting::Loop { completions: completions.clone(), number };
        inner.waiting.entry(self.position).or_default().push(waiting);
        true
    }

    /// Undoes [`Self::listen`], for who gave up.
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

    /// A wait that is over when there is nothing more to wait for, as with [`Self::listen`]. Who drops
    /// it has given up.
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

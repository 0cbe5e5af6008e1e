//! What the application's threads and the I/O thread share.

use std::collections::VecDeque;
use std::time::{Instant, SystemTime};

use super::error::Error;
use super::inbox::Inbox;
use super::pace::Pace;
use super::packet::Incoming;
use super::refresh::SettingsRefresh;
use super::session::{Event, Session};
use super::socket::Socket;
use super::stats::Stats;
use super::sync::{Arc, Mutex, MutexGuard, Notify, PoisonError, TryLockError};
use super::wake::{Notifier, Signal, Waiter};

/// Bytes of messages from which on the rest of what was read waits until there is room.
const MOST_AT_ONCE: usize = 1024 * 1024;

/// What the application's threads and the I/O thread share.
pub struct Shared {
    /// Guards the state machine. Every thread holds it for bounded work without waiting: a call of the
    /// application, or one read of the I/O thread. Nobody calls Python under it.
    session: Mutex<Session>,
    /// Events for the dispatcher.
    pub inbox: Inbox,
    /// Given when there is something new to write.
    pub outgoing: Notify,
    /// Notified when there is something to store.
    pub storage: Notifier,
    /// Given when what waits for the broker got less.
    pub room: Signal,
    /// What the application is asked before an attempt to connect.
    pub refresh: SettingsRefresh,
    /// Guards the delays between connections. The I/O threads hold it for a look or a change.
    pace: Mutex<Pace>,
    /// The socket of the connection, for the application.
    pub socket: Socket,
}

impl Shared {
    /// A session and the way of its events to the dispatcher.
    pub fn new(session: Session) -> Self {
        Self {
            session: Mutex::new(session),
            inbox: Inbox::default(),
            outgoing: Notify::new(),
            storage: Notifier::default(),
            room: Signal::default(),
            refresh: SettingsRefresh::default(),
            pace: Mutex::default(),
            socket: Socket::default(),
        }
    }

    /// Calls the session and hands on what happened, in order.
    pub fn with_session<T>(&self, call: impl FnOnce(&mut Session) -> T) -> T {
        let mut session = self.lock();
        let result = call(&mut session);
        self.inbox.extend(session.take_events());
        if session.has_journal() {
            self.storage.notify();
        }
        result
    }

    /// Hands packets of a read of so many bytes to the session, until they have become much more than
    /// was read, as topics do that came as an alias. The others are left for the next time.
    pub fn received(
        &self,
        count: usize,
        packets: &mut VecDeque<Incoming>,
        now: Instant,
    ) -> Result<(), Error> {
        let (result, roomy) = self.with_session(|session| {
            let (before, connections) = (session.outgoing_bytes(), session.counters().connections);
            let identifiers = session.identifiers();
            session.read(count, now);
            let mut bytes = 0;
            let mut result = Ok(());
            while result.is_ok()
                && bytes < MOST_AT_ONCE
                && let Some(packet) = packets.pop_front()
            {
                result = session.receive(packet, now);
                bytes += session.last_event().map_or(0, Event::size);
            }
            if session.counters().connections > connections {
                session.counters().connected_since = Some(SystemTime::now());
            }
            let roomy = session.outgoing_bytes() < before || session.identifiers() < identifiers;
            (result, roomy)
        });
        if roomy {
            self.room.give();
        }
        result
    }

    /// The I/O thread wrote so many bytes.
    pub fn wrote(&self, count: usize) {
        self.with_session(|session| session.wrote(count, Instant::now()));
        self.room.give();
    }

    /// Calls the session for the application, and wakes the I/O thread if there is something to write.
    pub fn call<T>(&self, call: impl FnOnce(&mut Session) -> T) -> T {
        let (result, wake) = self.with_session(|session| {
            let had_output = session.has_output();
            let result = call(session);
            (result, !had_output && session.has_output())
        });
        if wake {
            self.outgoing.notify_one();
        }
        result
    }

    /// Everything in the journal up to a number is stored: what has waited for that goes on, reading too.
    pub fn stored(&self, number: u64) {
        // An answer that waited is never too long to be sent.
        let _ = self.unclog(|session| session.stored(number));
    }

    /// As [`Self::call`], for what may let reading go on.
    pub fn unclog<T>(&self, call: impl FnOnce(&mut Session) -> T) -> T {
        let (result, was_clogged) = self.call(|session| {
            let was_clogged = session.is_clogged();
            (call(session), was_clogged)
        });
        if was_clogged {
            self.outgoing.notify_one();
        }
        result
    }

    /// Everything that is counted, at one moment.
    pub fn stats(&self) -> Stats {
        let session = self.lock();
        session.stats(self.inbox.waiting())
    }

    /// The delays between connections.
    pub fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the session, unless another thread has it, as one that a forked child has not.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, Session>> {
        match self.session.try_lock() {
            Ok(session) => Some(session),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Looks at the session.
    pub fn lock(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The result of an attempt, for one who waits for it.
#[derive(Default)]
pub struct Outcome {
    result: Mutex<Option<Result<(), Error>>>,
    done: Signal,
}

impl Outcome {
    /// Says how it went.
    pub fn finish(&self, result: Result<(), Error>) {
        self.settle(result);
        self.done.give();
    }

    /// Notes how it went, for who is woken later.
    pub fn settle(&self, result: Result<(), Error>) {
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    }

    /// A wait that is over when it is known, or when nobody will say it any more.
    pub fn waiter(&self) -> Arc<Waiter> {
        self.done.waiter()
    }

    /// Wakes who waits, though nothing may have been said.
    pub fn give_up(&self) {
        self.done.give_for_good();
    }

    /// How it went, once.
    pub fn take(&self) -> Option<Result<(), Error>> {
        self.result.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

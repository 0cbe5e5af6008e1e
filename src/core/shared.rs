//! The state that the application's threads and the I/O thread share.

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
use super::sync::atomic::{AtomicBool, Ordering};
use super::sync::{Arc, Mutex, MutexGuard, Notify, PoisonError, TryLockError};
use super::wake::{Notifier, Signal, Waiter, Wakeup};

/// When packets of one read have become this many bytes of messages, the others wait until there is
/// room.
const MOST_AT_ONCE: usize = 1024 * 1024;

/// After this many packets the session's lock is released for a moment, for the application's
/// threads.
const IN_A_ROW: usize = 64;

/// How often a thread tries the session's lock before it releases what others wait for: about as
/// long as most calls take.
const LOOKS: usize = 100;

/// The state that the application's threads and the I/O thread share.
pub struct Shared {
    /// Guards the state machine. Every thread holds it only for bounded work without waiting: one
    /// call of the application, or one read of the I/O thread. No Python runs under it.
    session: Mutex<Session>,
    /// Events for the dispatcher.
    pub inbox: Inbox,
    /// Notified when there is new output.
    pub outgoing: Notify,
    /// Whether the I/O thread waits on `interruption` instead, to gather messages. Read and written
    /// under the session's lock.
    gathering: AtomicBool,
    /// Given to end that wait.
    pub interruption: Wakeup,
    /// Notified when there are operations to store.
    pub storage: Notifier,
    /// Given when less data is pending for the broker.
    pub room: Signal,
    /// The settings refresh before an attempt to connect.
    pub refresh: SettingsRefresh,
    /// Guards the delays between connections. The I/O threads hold it only to read or change them.
    pace: Mutex<Pace>,
    /// The socket of the connection, for the application.
    pub socket: Socket,
}

impl Shared {
    /// Creates the shared state of a session.
    pub fn new(session: Session) -> Self {
        Self {
            session: Mutex::new(session),
            inbox: Inbox::default(),
            outgoing: Notify::new(),
            gathering: AtomicBool::new(false),
            interruption: Wakeup::default(),
            storage: Notifier::default(),
            room: Signal::default(),
            refresh: SettingsRefresh::default(),
            pace: Mutex::default(),
            socket: Socket::default(),
        }
    }

    /// Calls the session and queues its events, in order.
    pub fn with_session<T>(&self, call: impl FnOnce(&mut Session) -> T) -> T {
        self.with_locked(self.lock(), call)
    }

    fn with_locked<T>(
        &self,
        mut session: MutexGuard<'_, Session>,
        call: impl FnOnce(&mut Session) -> T,
    ) -> T {
        let result = call(&mut session);
        self.inbox.extend(session.take_events());
        if session.has_journal() {
            self.storage.notify();
        }
        result
    }

    /// Passes the packets of a read of `count` bytes to the session, until they have become far
    /// larger than the data read, as topics sent by alias can. The others stay for the next call.
    pub fn received(
        &self,
        count: usize,
        packets: &mut VecDeque<Incoming>,
        now: Instant,
    ) -> Result<(), Error> {
        let (mut count, mut bytes) = (Some(count), 0);
        loop {
            let (result, roomy) = self.with_session(|session| {
                let before = (session.outgoing_bytes(), session.identifiers());
                if let Some(count) = count.take() {
                    session.read(count, now);
                }
                let result = receive_some(session, packets, now);
                let after = (session.outgoing_bytes(), session.identifiers());
                (result, after.0 < before.0 || after.1 < before.1)
            });
            if roomy {
                self.room.give();
            }
            bytes += result?;
            if packets.is_empty() || bytes >= MOST_AT_ONCE {
                return Ok(());
            }
        }
    }

    /// The I/O thread wrote `count` bytes.
    pub fn wrote(&self, count: usize) {
        self.with_session(|session| session.wrote(count, Instant::now()));
        self.room.give();
    }

    /// Calls the session for the application, and wakes the I/O thread if there is output or
    /// reading may resume.
    pub fn call<T>(&self, call: impl FnOnce(&mut Session) -> T) -> T {
        self.call_locked(self.lock(), call)
    }

    /// Like [`Self::call`], but returns the call if another thread holds the session for more than
    /// a moment.
    pub fn try_call<T, F: FnOnce(&mut Session) -> T>(&self, call: F) -> Result<T, F> {
        for _ in 0..LOOKS {
            if let Some(session) = self.try_lock() {
                return Ok(self.call_locked(session, call));
            }
            std::hint::spin_loop();
        }
        Err(call)
    }

    fn call_locked<T>(
        &self,
        session: MutexGuard<'_, Session>,
        call: impl FnOnce(&mut Session) -> T,
    ) -> T {
        let (result, wake, gathering) = self.with_locked(session, |session| {
            let (had_output, was_clogged) = (session.has_output(), session.is_clogged());
            let requested = session.requested();
            let result = call(session);
            let gathering = self.gathering.load(Ordering::Relaxed);
            // While messages are gathered, their acknowledgements are sent together.
            let wake = if gathering {
                session.requested() != requested
            } else {
                was_clogged || !had_output && session.has_output()
            };
            (result, wake, gathering)
        });
        if wake {
            if gathering {
                self.interruption.give();
            } else {
                self.outgoing.notify_one();
            }
        }
        result
    }

    /// Sets whether the I/O thread, which holds the session's lock, will wait on
    /// [`Self::interruption`].
    pub fn set_gathering(&self, gathering: bool) {
        self.gathering.store(gathering, Ordering::Relaxed);
    }

    /// Every received message is handled: pending acknowledgements are sent now.
    pub fn all_handled(&self) {
        if self.gathering.load(Ordering::Relaxed) && self.lock().has_output() {
            self.interruption.give();
        }
    }

    /// The journal is stored up to a number: continues what waited for that, including reading.
    pub fn stored(&self, number: u64) {
        // Cannot fail: a response is never too long.
        let _ = self.call(|session| session.stored(number));
    }

    /// All counters, read at one moment.
    pub fn stats(&self) -> Stats {
        let session = self.lock();
        session.stats(self.inbox.waiting())
    }

    /// The delays between connections.
    pub fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the session, unless another thread holds it; in a forked child that thread may not
    /// exist.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, Session>> {
        match self.session.try_lock() {
            Ok(session) => Some(session),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Locks the session.
    pub fn lock(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Passes some packets to the session, and returns the bytes of messages that they became.
fn receive_some(
    session: &mut Session,
    packets: &mut VecDeque<Incoming>,
    now: Instant,
) -> Result<usize, Error> {
    let connections = session.counters().connections;
    let (mut handed, mut bytes) = (0, 0);
    let mut result = Ok(());
    while result.is_ok()
        && handed < IN_A_ROW
        && bytes < MOST_AT_ONCE
        && let Some(packet) = packets.pop_front()
    {
        result = session.receive(packet, now);
        handed += 1;
        bytes += session.last_event().map_or(0, Event::size);
    }
    if session.counters().connections > connections {
        session.counters().connected_since = Some(SystemTime::now());
    }
    result.map(|()| bytes)
}

/// The result of an attempt, and a wait for it.
#[derive(Default)]
pub struct Outcome {
    result: Mutex<Option<Result<(), Error>>>,
    done: Signal,
}

impl Outcome {
    /// Sets the result, and wakes the waiters.
    pub fn finish(&self, result: Result<(), Error>) {
        self.settle(result);
        self.done.give();
    }

    /// Sets the result without waking anybody yet.
    pub fn settle(&self, result: Result<(), Error>) {
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    }

    /// A wait that is over when the result is known, or will never be.
    pub fn waiter(&self) -> Arc<Waiter> {
        self.done.waiter()
    }

    /// Wakes the waiters, perhaps without a result.
    pub fn give_up(&self) {
        self.done.give_for_good();
    }

    /// Takes the result; `None` the second time.
    pub fn take(&self) -> Option<Result<(), Error>> {
        self.result.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

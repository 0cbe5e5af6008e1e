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

/// Bytes of messages from which on the rest of what was read waits until there is room.
const MOST_AT_ONCE: usize = 1024 * 1024;

/// Packets after which the session is let go of in between: the application's threads wait for it.
const IN_A_ROW: usize = 64;

/// How often a thread looks whether the session is free before it lets go of what others wait for: about
/// as long as most calls take.
const LOOKS: usize = 100;

/// What the application's threads and the I/O thread share.
pub struct Shared {
    /// Guards the state machine. Every thread holds it for bounded work without waiting: a call of the
    /// application, or one read of the I/O thread. Nobody calls Python under it.
    session: Mutex<Session>,
    /// Events for the dispatcher.
    pub inbox: Inbox,
    /// Given when there is something new to write.
    pub outgoing: Notify,
    /// Whether the I/O thread waits at `interruption` instead, until more messages have come. Written and
    /// read with the session's lock.
    gathering: AtomicBool,
    /// Given when it is not to wait any longer.
    pub interruption: Wakeup,
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
            gathering: AtomicBool::new(false),
            interruption: Wakeup::default(),
            storage: Notifier::default(),
            room: Signal::default(),
            refresh: SettingsRefresh::default(),
            pace: Mutex::default(),
            socket: Socket::default(),
        }
    }

    /// Calls the session and hands on what happened, in order.
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

    /// Hands packets of a read of so many bytes to the session, until they have become much more than
    /// was read, as topics do that came as an alias. The others are left for the next time.
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

    /// The I/O thread wrote so many bytes.
    pub fn wrote(&self, count: usize) {
        self.with_session(|session| session.wrote(count, Instant::now()));
        self.room.give();
    }

    /// Calls the session for the application, and wakes the I/O thread if there is something to write, or
    /// reading may go on.
    pub fn call<T>(&self, call: impl FnOnce(&mut Session) -> T) -> T {
        self.call_locked(self.lock(), call)
    }

    /// As [`Self::call`], unless another thread has the session, and keeps it for more than a moment: the
    /// call comes back then.
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
            // Acknowledgements go out together.
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

    /// The I/O thread, which has the session's lock, is to wait at [`Self::interruption`], or is not.
    pub fn set_gathering(&self, gathering: bool) {
        self.gathering.store(gathering, Ordering::Relaxed);
    }

    /// Everything that was received is handled: acknowledgements wait for no more of them.
    pub fn all_handled(&self) {
        if self.gathering.load(Ordering::Relaxed) && self.lock().has_output() {
            self.interruption.give();
        }
    }

    /// Everything in the journal up to a number is stored: what has waited for that goes on, reading too.
    pub fn stored(&self, number: u64) {
        // An answer that waited is never too long to be sent.
        let _ = self.call(|session| session.stored(number));
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

/// Hands some packets to the session, and returns how many bytes of messages they have become.
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

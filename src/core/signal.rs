//! A signal that any kind of thread can wait for.
//!
//! The waiter gets one end of a socket pair and reads from it; the other end is dropped when the
//! moment comes. A blocking thread, an eventlet or gevent green thread and an event loop can all wait
//! for a readable socket, so there is one way to wait for all of them.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Waiters for a moment, which may come again or once for all.
///
/// The lock guards the list; it is held for a push or a clear, and for a look now and then at who has given
/// up, never while anything waits.
#[derive(Debug, Default)]
pub struct Signal {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiters: Vec<UnixStream>,
    over: bool,
    /// With so many in the list, those who gave up are looked for.
    many: usize,
}

impl State {
    fn push(&mut self, waiter: UnixStream) {
        if self.waiters.len() >= self.many {
            self.waiters.retain(waits);
            self.many = 2 * self.waiters.len().max(8);
        }
        self.waiters.push(waiter);
    }
}

/// Whether the other end is open still. Nobody writes to it.
fn waits(mut waiter: &UnixStream) -> bool {
    waiter.read(&mut [0]).is_err()
}

impl Signal {
    /// A descriptor that reads as closed once the signal is given. The caller owns it.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn waiter(&self) -> io::Result<OwnedFd> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut state = self.lock();
        if !state.over {
            state.push(ours);
        }
        Ok(theirs.into())
    }

    /// Wakes everybody who waits now.
    pub fn give(&self) {
        self.lock().waiters.clear();
    }

    /// Wakes everybody who waits, now or later.
    pub fn give_for_good(&self) {
        let mut state = self.lock();
        state.over = true;
        state.waiters.clear();
    }

    /// Whether it was given for good.
    pub fn is_over(&self) -> bool {
        self.lock().over
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::{ErrorKind, Read};

    use super::*;

    fn read(waiter: &mut UnixStream) -> io::Result<usize> {
        waiter.set_nonblocking(true)?;
        waiter.read(&mut [0])
    }

    #[test]
    fn a_waiter_reads_as_closed_when_the_signal_is_given_and_not_before() {
        let signal = Signal::default();
        let mut waiter = UnixStream::from(signal.waiter().unwrap());
        assert_eq!(read(&mut waiter).unwrap_err().kind(), ErrorKind::WouldBlock);
        signal.give();
        assert_eq!(read(&mut waiter).unwrap(), 0);
    }

    #[test]
    fn who_gave_up_is_forgotten_and_the_others_wait_on() {
        let signal = Signal::default();
        let waiters: Vec<_> = (0..20).map(|_| signal.waiter().unwrap()).collect();
        for _ in 0..1000 {
            drop(signal.waiter().unwrap());
        }
        assert!(signal.lock().waiters.len() <= 40);
        signal.give();
        for waiter in waiters {
            assert_eq!(read(&mut UnixStream::from(waiter)).unwrap(), 0);
        }
    }

    #[test]
    fn who_comes_late_waits_for_the_next_time_unless_it_was_given_for_good() {
        let signal = Signal::default();
        signal.give();
        let mut waiter = UnixStream::from(signal.waiter().unwrap());
        assert_eq!(read(&mut waiter).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(!signal.is_over());
        signal.give_for_good();
        assert!(signal.is_over());
        let mut late = UnixStream::from(signal.waiter().unwrap());
        assert_eq!(read(&mut late).unwrap(), 0);
    }
}

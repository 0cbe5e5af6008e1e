//! Wakes the thread that calls handlers, any number of times.
//!
//! As with a [`Waiter`](super::Waiter), an ordinary thread needs no descriptor, and a green thread
//! asks for one.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::super::sync::{Condvar, Mutex, MutexGuard, PoisonError, UnixStream};

/// A wake-up that stays set until it is taken; giving it again meanwhile has no effect.
///
/// The lock guards the state; it is held only to read or change it, and is released while a thread
/// waits.
#[derive(Debug, Default)]
pub struct Wakeup {
    state: Mutex<State>,
    given: Condvar,
}

#[derive(Debug, Default)]
struct State {
    given: bool,
    /// The other end of a requested descriptor. It gets a byte for each wake-up.
    socket: Option<UnixStream>,
}

impl Wakeup {
    /// Sets the wake-up.
    pub fn give(&self) {
        let mut state = self.lock();
        let is_new = !std::mem::replace(&mut state.given, true);
        if let Some(socket) = &state.socket {
            // A full buffer means that the reader has been woken often enough.
            let _ = (&*socket).write(&[1]);
        }
        drop(state);
        if is_new {
            self.given.notify_one();
        }
    }

    /// Blocks the thread, for at most `timeout` if given. Returns whether the wake-up came.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        let waits = |state: &mut State| !state.given;
        let (state, given) = (self.lock(), &self.given);
        let mut state = match timeout {
            None => given.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner),
            Some(timeout) => {
                let waited = given.wait_timeout_while(state, timeout, waits);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        std::mem::take(&mut state.given)
    }

    /// A descriptor that has a byte to read for each wake-up, including one already set. The caller
    /// owns it; a descriptor from an earlier call then reads as closed.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut state = self.lock();
        if std::mem::take(&mut state.given) {
            let _ = (&ours).write(&[1]);
        }
        state.socket = Some(ours);
        Ok(theirs.into())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Read;
    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[test]
    fn it_waits_until_it_is_taken_and_is_one() {
        let wakeup = Wakeup::default();
        assert!(!wakeup.wait(Some(Duration::ZERO)));
        wakeup.give();
        wakeup.give();
        assert!(wakeup.wait(None));
        assert!(!wakeup.wait(Some(Duration::from_millis(5))));
    }

    #[test]
    fn it_wakes_a_thread_that_waits() {
        let wakeup = Arc::new(Wakeup::default());
        let waiting = wakeup.clone();
        let thread = thread::spawn(move || waiting.wait(None));
        wakeup.give();
        assert!(thread.join().unwrap());
    }

    #[test]
    fn who_has_a_descriptor_reads_bytes_from_it() {
        let wakeup = Wakeup::default();
        wakeup.give();
        let mut first = UnixStream::from(wakeup.descriptor().unwrap());
        assert_eq!(first.read(&mut [0; 9]).unwrap(), 1);
        let mut second = UnixStream::from(wakeup.descriptor().unwrap());
        assert_eq!(first.read(&mut [0; 9]).unwrap(), 0);
        wakeup.give();
        wakeup.give();
        assert_eq!(second.read(&mut [0; 9]).unwrap(), 2);
    }
}

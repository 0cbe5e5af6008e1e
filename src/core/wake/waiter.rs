//! One caller's wait for something that happens once.
//!
//! An ordinary thread waits on a condition variable, which needs no descriptor. A green thread has
//! to wait on a socket, because its hub watches only those; it gets one on request.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::super::sync::{Condvar, Mutex, MutexGuard, PoisonError, UnixStream};

/// A wait that is over or not.
///
/// The lock guards the state; it is held only to read or change it, and is released while a thread
/// waits.
#[derive(Debug, Default)]
pub struct Waiter {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    over: bool,
    /// The other end of a requested descriptor. It is closed when the wait is over.
    socket: Option<UnixStream>,
}

impl Waiter {
    /// Ends the wait.
    pub fn wake(&self) {
        let mut state = self.lock();
        state.over = true;
        state.socket = None;
        drop(state);
        self.changed.notify_all();
    }

    /// Blocks the thread, for at most `timeout` if given. Returns whether the wait is over.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        let waits = |state: &mut State| !state.over;
        let (state, changed) = (self.lock(), &self.changed);
        match timeout {
            None => changed.wait_while(state, waits).map(|state| state.over),
            Some(timeout) => changed
                .wait_timeout_while(state, timeout, waits)
                .map(|(state, _)| state.over)
                .map_err(|error| PoisonError::new(error.into_inner().0)),
        }
        .unwrap_or_else(|error| error.into_inner().over)
    }

    /// A descriptor that reads as closed when the wait is over. The caller owns it.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut state = self.lock();
        if !state.over {
            state.socket = Some(ours);
        }
        Ok(theirs.into())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::{ErrorKind, Read};
    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[test]
    fn a_thread_waits_until_it_is_over_or_the_time_is() {
        let waiter = Arc::new(Waiter::default());
        assert!(!waiter.wait(Some(Duration::ZERO)));
        assert!(!waiter.wait(Some(Duration::from_millis(5))));
        let threads: Vec<_> = [None, Some(Duration::from_secs(60))]
            .map(|timeout| {
                let waiter = waiter.clone();
                thread::spawn(move || waiter.wait(timeout))
            })
            .into();
        waiter.wake();
        for thread in threads {
            assert!(thread.join().unwrap());
        }
        assert!(waiter.wait(None));
    }

    #[test]
    fn a_descriptor_reads_as_closed_when_it_is_over_and_not_before() {
        let waiter = Waiter::default();
        let mut end = UnixStream::from(waiter.descriptor().unwrap());
        end.set_nonblocking(true).unwrap();
        assert_eq!(end.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        waiter.wake();
        assert_eq!(end.read(&mut [0]).unwrap(), 0);
        assert_eq!(UnixStream::from(waiter.descriptor().unwrap()).read(&mut [0]).unwrap(), 0);
    }
}

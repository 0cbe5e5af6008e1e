//! Wakes one of our threads that waits for work.

use std::time::Duration;

use super::super::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Notified of work, and of the end. The lock guards two flags, and is held only to read or set
/// them.
#[derive(Debug, Default)]
pub struct Notifier {
    state: Mutex<State>,
    notified: Condvar,
}

#[derive(Debug, Default)]
struct State {
    work: bool,
    end: bool,
}

impl Notifier {
    /// Announces work.
    pub fn notify(&self) {
        self.lock().work = true;
        self.notified.notify_one();
    }

    /// Announces the end, after the remaining work.
    pub fn finish(&self) {
        self.lock().end = true;
        self.notified.notify_one();
    }

    /// Resets it for another thread.
    pub fn reset(&self) {
        *self.lock() = State::default();
    }

    /// Waits for a notification, for at most `timeout` if given. Returns, once, that the end has
    /// come.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        let idle = |state: &mut State| !state.work && !state.end;
        let mut state = match timeout {
            None => {
                self.notified.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner)
            }
            Some(timeout) => {
                let waited = self.notified.wait_timeout_while(self.lock(), timeout, idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        std::mem::take(&mut *state).end
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

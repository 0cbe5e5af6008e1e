//! Opening a file in a thread of its own, for callers that must not block: green threads share one
//! thread, and opening may wait for another client or process that has the file.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::error::Error;
use super::super::options::ConnectOptions;
use super::super::threads::start;
use super::super::wake::Waiter;
use super::handle::Handle;

/// A file that is being opened. Whoever drops it without asking for the outcome gets no open file:
/// it is closed as soon as it is open.
pub struct Opening {
    /// The process that owns the thread.
    process: u32,
    waiter: Arc<Waiter>,
    state: Arc<Mutex<State>>,
}

/// The lock is held only to read or change it.
enum State {
    Pending,
    Done(Result<bool, Error>, Arc<Handle>),
    /// The outcome was taken, or nobody wants it.
    Over,
}

impl Opening {
    /// Starts the thread, which opens the file of persistent messages as [`Handle::open`] does.
    ///
    /// # Errors
    /// [`Error::Io`] when no thread can be started.
    pub fn begin(file: Arc<Handle>, options: ConnectOptions) -> Result<Self, Error> {
        let waiter = Arc::new(Waiter::default());
        let state = Arc::new(Mutex::new(State::Pending));
        let (end, result) = (End(waiter.clone()), state.clone());
        start("mqtt-open", move || {
            let _end = end;
            let opened = file.open(&options);
            let mut state = lock(&result);
            if matches!(*state, State::Pending) {
                *state = State::Done(opened, file);
                return;
            }
            drop(state);
            if matches!(opened, Ok(true)) {
                file.close();
            }
        })?;
        Ok(Self { process: std::process::id(), waiter, state })
    }

    /// A wait that is over when the outcome is known.
    #[must_use]
    pub fn waiter(&self) -> &Arc<Waiter> {
        &self.waiter
    }

    /// Takes the outcome: whether the file was opened for this caller. `None` while it is pending.
    #[must_use]
    pub fn outcome(&self) -> Option<Result<bool, Error>> {
        let mut state = lock(&self.state);
        match mem::replace(&mut *state, State::Pending) {
            State::Done(opened, _file) => {
                *state = State::Over;
                Some(opened)
            }
            other => {
                *state = other;
                None
            }
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        // In a forked child, a thread of the parent may hold the lock forever.
        if self.process != std::process::id() {
            return;
        }
        let state = mem::replace(&mut *lock(&self.state), State::Over);
        if let State::Done(Ok(true), file) = state {
            file.close();
        }
    }
}

/// Ends the wait, even after a panic.
struct End(Arc<Waiter>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.wake();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

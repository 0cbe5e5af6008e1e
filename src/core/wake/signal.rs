//! An event that occurs once, for which any number of callers wait, each with a [`Waiter`].

use super::super::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use super::waiter::Waiter;

/// A list of waiters for an event, which may occur several times or once for good.
///
/// The lock guards the list. It is held to push, to take the list, and now and then to remove
/// abandoned waiters, but never while anything waits. The waiters' own locks are taken after it.
#[derive(Debug, Default)]
pub struct Signal {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiters: Vec<Weak<Waiter>>,
    over: bool,
    /// At this length, abandoned waiters are removed from the list.
    many: usize,
}

impl State {
    fn push(&mut self, waiter: &Arc<Waiter>) {
        if self.waiters.len() >= self.many {
            self.waiters.retain(|waiter| waiter.strong_count() > 0);
            self.many = 2 * self.waiters.len().max(8);
        }
        self.waiters.push(Arc::downgrade(waiter));
    }
}

impl Signal {
    /// A wait that is over once the signal is given. Dropping it abandons the wait.
    pub fn waiter(&self) -> Arc<Waiter> {
        let waiter = Arc::new(Waiter::default());
        let mut state = self.lock();
        if state.over {
            waiter.wake();
        } else {
            state.push(&waiter);
        }
        waiter
    }

    /// Wakes all present waiters.
    pub fn give(&self) {
        let mut state = self.lock();
        if state.waiters.is_empty() {
            return;
        }
        let waiters = std::mem::take(&mut state.waiters);
        drop(state);
        wake(&waiters);
    }

    /// Wakes all present and future waiters.
    pub fn give_for_good(&self) {
        let mut state = self.lock();
        state.over = true;
        let waiters = std::mem::take(&mut state.waiters);
        drop(state);
        wake(&waiters);
    }

    /// Whether it was given for good.
    pub fn is_over(&self) -> bool {
        self.lock().over
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waiters: &[Weak<Waiter>]) {
    waiters.iter().filter_map(Weak::upgrade).for_each(|waiter| waiter.wake());
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn is_over(waiter: &Waiter) -> bool {
        waiter.wait(Some(Duration::ZERO))
    }

    #[test]
    fn a_waiter_is_woken_when_the_signal_is_given_and_not_before() {
        let signal = Signal::default();
        let waiter = signal.waiter();
        assert!(!is_over(&waiter));
        signal.give();
        assert!(is_over(&waiter));
    }

    #[test]
    fn who_gave_up_is_forgotten_and_the_others_wait_on() {
        let signal = Signal::default();
        let waiters: Vec<_> = (0..20).map(|_| signal.waiter()).collect();
        for _ in 0..1000 {
            drop(signal.waiter());
        }
        assert!(signal.lock().waiters.len() <= 40);
        signal.give();
        assert!(waiters.iter().all(|waiter| is_over(waiter)));
    }

    #[test]
    fn who_comes_late_waits_for_the_next_time_unless_it_was_given_for_good() {
        let signal = Signal::default();
        signal.give();
        assert!(!is_over(&signal.waiter()));
        assert!(!signal.is_over());
        signal.give_for_good();
        assert!(signal.is_over());
        assert!(is_over(&signal.waiter()));
    }
}

//! The settings refresh before an attempt to connect: the I/O thread asks the application for the
//! options of this attempt. The user name may have changed since the last attempt, or a token may
//! need renewal.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use super::options::ConnectOptions;

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    /// The application has not answered yet.
    Pending,
    /// New options, or none for the same as before.
    Answered(Option<Box<ConnectOptions>>),
}

/// A request that may be answered late, or never. There is one at a time: as long as it is pending, there
/// is no other, so nothing piles up where nobody answers.
#[derive(Debug)]
pub struct SettingsRefresh {
    wanted: AtomicBool,
    state: watch::Sender<State>,
}

impl Default for SettingsRefresh {
    fn default() -> Self {
        Self { wanted: AtomicBool::new(false), state: watch::Sender::new(State::default()) }
    }
}

impl SettingsRefresh {
    /// Chooses whether the application wants it.
    pub fn want(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::Release);
    }

    /// Whether the application wants it.
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
    }

    /// Asks for it. Returns whether that is new: a pending request stays the same one.
    pub fn request(&self) -> bool {
        self.state.send_if_modified(|state| {
            let new = !matches!(state, State::Pending);
            if new {
                *state = State::Pending;
            }
            new
        })
    }

    /// Whether the application is still to answer.
    pub fn is_pending(&self) -> bool {
        matches!(*self.state.borrow(), State::Pending)
    }

    /// Answers; without effect where nothing is pending.
    pub fn answer(&self, options: Option<ConnectOptions>) {
        self.state.send_if_modified(|state| {
            let pending = matches!(state, State::Pending);
            if pending {
                *state = State::Answered(options.map(Box::new));
            }
            pending
        });
    }

    /// Waits until it is answered.
    pub async fn answered(&self) {
        // It cannot fail: the other end is `self`.
        let _ = self.state.subscribe().wait_for(|state| !matches!(state, State::Pending)).await;
    }

    /// Takes the options of an answer, if there is one with options.
    pub fn take(&self) -> Option<ConnectOptions> {
        let mut options = None;
        self.state.send_if_modified(|state| {
            if let State::Answered(answer) = state {
                options = answer.take();
                *state = State::Idle;
            }
            false
        });
        options.map(|options| *options)
    }

    /// Forgets the request: there will be no attempt.
    pub fn cancel(&self) {
        self.state.send_replace(State::Idle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> ConnectOptions {
        ConnectOptions::new(name, 1883)
    }

    fn taken(refresh: &SettingsRefresh) -> Option<String> {
        refresh.take().map(|options| options.broker().host.clone())
    }

    #[test]
    fn an_answer_is_taken_once() {
        let refresh = SettingsRefresh::default();
        assert!(refresh.request());
        refresh.answer(Some(named("new")));
        assert_eq!(taken(&refresh).as_deref(), Some("new"));
        assert_eq!(taken(&refresh), None);
    }

    #[test]
    fn a_pending_request_is_not_made_again_and_a_late_answer_is_there_for_later() {
        let refresh = SettingsRefresh::default();
        assert!(refresh.request());
        assert!(!refresh.request());
        assert_eq!(taken(&refresh), None);
        refresh.answer(Some(named("late")));
        assert_eq!(taken(&refresh).as_deref(), Some("late"));
        assert!(refresh.request());
    }

    #[test]
    fn an_answer_to_no_request_is_nothing() {
        let refresh = SettingsRefresh::default();
        refresh.answer(Some(named("unasked")));
        assert_eq!(taken(&refresh), None);
        refresh.request();
        refresh.cancel();
        refresh.answer(Some(named("too late")));
        assert_eq!(taken(&refresh), None);
        assert!(!refresh.is_pending());
    }
}

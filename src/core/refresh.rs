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
    /// The application has not responded yet.
    Pending,
    /// New options, or `None` to keep the previous ones.
    Answered(Option<Box<ConnectOptions>>),
}

/// A request that may be answered late, or never. Only one exists at a time: while it is pending,
/// no further one is made, so requests cannot pile up.
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
    /// Sets whether the application wants it.
    pub fn want(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::Release);
    }

    /// Whether the application wants it.
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
    }

    /// Requests a refresh. Returns whether the request is new: a pending one is kept.
    pub fn request(&self) -> bool {
        self.state.send_if_modified(|state| {
            let new = !matches!(state, State::Pending);
            if new {
                *state = State::Pending;
            }
            new
        })
    }

    /// Whether the application has not responded yet.
    pub fn is_pending(&self) -> bool {
        matches!(*self.state.borrow(), State::Pending)
    }

    /// Responds to a pending request; otherwise has no effect.
    pub fn answer(&self, options: Option<ConnectOptions>) {
        self.state.send_if_modified(|state| {
            let pending = matches!(state, State::Pending);
            if pending {
                *state = State::Answered(options.map(Box::new));
            }
            pending
        });
    }

    /// Waits for the response.
    pub async fn answered(&self) {
        // Cannot fail: `self` holds the sender.
        let _ = self.state.subscribe().wait_for(|state| !matches!(state, State::Pending)).await;
    }

    /// Takes the options of the response, if it has any.
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

    /// Drops the request: no attempt follows.
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

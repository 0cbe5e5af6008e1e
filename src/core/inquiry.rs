//! What the I/O thread asks the application before it tries to connect, and the answer: the options
//! to do it with. A user name may have changed since the last attempt, or a token have to be renewed.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use super::options::ConnectOptions;

#[derive(Debug, Default)]
enum State {
    #[default]
    Quiet,
    /// The application has not answered yet.
    Asked,
    /// New options, or none for the same as before.
    Answered(Option<Box<ConnectOptions>>),
}

/// A question that may be answered late, or never. There is one at a time: as long as it is open, it
/// is not asked again, so nothing piles up where nobody answers.
#[derive(Debug)]
pub struct Inquiry {
    wanted: AtomicBool,
    state: watch::Sender<State>,
}

impl Default for Inquiry {
    fn default() -> Self {
        Self { wanted: AtomicBool::new(false), state: watch::Sender::new(State::default()) }
    }
}

impl Inquiry {
    /// Chooses whether the application wants to be asked.
    pub fn want(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::Release);
    }

    /// Whether the application wants to be asked.
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
    }

    /// Asks. Returns whether that is new: an open question stays the same one.
    pub fn ask(&self) -> bool {
        self.state.send_if_modified(|state| {
            let new = !matches!(state, State::Asked);
            if new {
                *state = State::Asked;
            }
            new
        })
    }

    /// Whether the question is open.
    pub fn is_open(&self) -> bool {
        matches!(*self.state.borrow(), State::Asked)
    }

    /// Answers; without effect where nothing was asked.
    pub fn answer(&self, options: Option<ConnectOptions>) {
        self.state.send_if_modified(|state| {
            let open = matches!(state, State::Asked);
            if open {
                *state = State::Answered(options.map(Box::new));
            }
            open
        });
    }

    /// Waits until the question is answered.
    pub async fn answered(&self) {
        // It cannot fail: the other end is `self`.
        let _ = self.state.subscribe().wait_for(|state| !matches!(state, State::Asked)).await;
    }

    /// Takes the options of an answer, if there is one with options.
    pub fn take(&self) -> Option<ConnectOptions> {
        let mut options = None;
        self.state.send_if_modified(|state| {
            if let State::Answered(answer) = state {
                options = answer.take();
                *state = State::Quiet;
            }
            false
        });
        options.map(|options| *options)
    }

    /// Drops the question: there will be no attempt.
    pub fn drop_it(&self) {
        self.state.send_replace(State::Quiet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> ConnectOptions {
        ConnectOptions::new(name, 1883)
    }

    fn taken(inquiry: &Inquiry) -> Option<String> {
        inquiry.take().map(|options| options.broker().host.clone())
    }

    #[test]
    fn an_answer_is_taken_once() {
        let inquiry = Inquiry::default();
        assert!(inquiry.ask());
        inquiry.answer(Some(named("new")));
        assert_eq!(taken(&inquiry).as_deref(), Some("new"));
        assert_eq!(taken(&inquiry), None);
    }

    #[test]
    fn an_open_question_is_not_asked_again_and_a_late_answer_is_there_for_later() {
        let inquiry = Inquiry::default();
        assert!(inquiry.ask());
        assert!(!inquiry.ask());
        assert_eq!(taken(&inquiry), None);
        inquiry.answer(Some(named("late")));
        assert_eq!(taken(&inquiry).as_deref(), Some("late"));
        assert!(inquiry.ask());
    }

    #[test]
    fn an_answer_to_no_question_is_nothing() {
        let inquiry = Inquiry::default();
        inquiry.answer(Some(named("unasked")));
        assert_eq!(taken(&inquiry), None);
        inquiry.ask();
        inquiry.drop_it();
        inquiry.answer(Some(named("too late")));
        assert_eq!(taken(&inquiry), None);
        assert!(!inquiry.is_open());
    }
}

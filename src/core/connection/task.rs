//! The I/O thread's task: where and how to connect, and the changes to that over time.

use std::sync::Arc;

use tokio::sync::watch;

use super::super::options::{ConnectOptions, Endpoint, Protocol};
use super::super::session::{Event, LogLevel};
use super::super::shared::{Outcome, Shared};

/// How a stop is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Not at all.
    No,
    /// With an event for `on_disconnect`.
    Reported,
    /// Without.
    Silent,
    /// Without, and another connection replaces it.
    Replaced,
}

/// What becomes of the first attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// It is one as all others.
    Automatic,
    /// Somebody waits for it, and it is the last one if it fails.
    Reported,
    /// Somebody waits for it, and others follow if it fails.
    ReportedOfMany,
}

/// What the thread is started with.
pub struct Task {
    /// What it shares with the application's threads.
    pub shared: Arc<Shared>,
    /// Where to connect and how.
    pub options: Arc<ConnectOptions>,
    /// Changes when the connection is to end.
    pub stop: watch::Receiver<Stop>,
    /// How the first attempt to connect went.
    pub opened: Arc<Outcome>,
    /// What becomes of the first attempt.
    pub first: First,
    /// Whether a handler wants it, which can be called by what comes of it, again and again.
    pub by_handler: bool,
    /// The identifier that was made up, where the application has none.
    pub chosen_client_id: Option<String>,
}

impl Task {
    /// Changes the options of the next attempt.
    pub fn configure(&mut self, change: impl FnOnce(&mut ConnectOptions)) {
        let mut options = ConnectOptions::clone(&self.options);
        change(&mut options);
        self.options = Arc::new(options);
        self.shared.inbox.set_limits(&self.options.limits);
        self.shared.with_session(|session| session.configure(self.options.clone()));
    }

    /// From now on there is an identifier: a broker may insist on one (MQTT 3.1.1, section 3.1.3.1), and
    /// MQTT 3.1 always does.
    pub fn choose_client_id(&mut self) {
        let make_up = || std::iter::repeat_with(fastrand::alphanumeric).take(22).collect();
        let id = self.chosen_client_id.get_or_insert_with(make_up).clone();
        self.configure(|options| options.client_id = id);
    }

    /// Sees to it that there is an identifier where one is needed.
    pub fn ensure_client_id(&mut self) {
        let needed = self.options.protocol == Protocol::V31 || self.chosen_client_id.is_some();
        if needed && self.options.client_id.is_empty() {
            self.choose_client_id();
        }
    }

    /// Asks the application for the options of the next attempt, where it wants that. Who does not
    /// answer within the connection timeout is not waited for any longer; the answer is taken when it
    /// comes. Returns false when the connection is to end.
    pub async fn ask(&mut self) -> bool {
        // A late answer to the last request.
        self.adopt_answer();
        let shared = self.shared.clone();
        if !shared.refresh.is_wanted() {
            return true;
        }
        if shared.refresh.request() {
            shared.with_session(|session| session.report(Event::Attempt));
        }
        let timeout = self.options.connect_timeout;
        let answered = tokio::select! {
            answered = tokio::time::timeout(timeout, shared.refresh.answered()) => answered.is_ok(),
            _ = self.stop.wait_for(|stop| *stop != Stop::No) => return false,
        };
        if !answered {
            let seconds = timeout.as_secs_f64();
            let text = format!(
                "handlers did not respond within {seconds} s; connecting with the previous settings"
            );
            self.notice(Event::notice(LogLevel::Warning, "not_asked", text));
        }
        self.adopt_answer();
        true
    }

    fn adopt_answer(&mut self) {
        let Some(mut options) = self.shared.refresh.take() else { return };
        keep_turn(&self.options.brokers, &mut options.brokers);
        self.configure(|old| *old = options);
        self.ensure_client_id();
    }

    /// Tells the application's log.
    pub fn notice(&self, notice: Event) {
        self.shared.with_session(|session| session.report(notice));
    }
}

/// Begins with the broker whose turn it is, where new options name the same brokers.
fn keep_turn(old: &[Endpoint], new: &mut [Endpoint]) {
    let is_turn = |turn: &usize| {
        let mut turned = new.iter().cycle().skip(*turn);
        old.iter().all(|old| turned.next().is_some_and(|new| old.is_same_place(new)))
    };
    if old.len() == new.len()
        && let Some(turn) = (0..new.len()).find(is_turn)
    {
        new.rotate_left(turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brokers(hosts: &[&str]) -> Vec<Endpoint> {
        hosts.iter().map(|host| Endpoint::tcp(*host, 1883)).collect()
    }

    fn kept(old: &[&str], new: &[&str]) -> Vec<String> {
        let mut new = brokers(new);
        keep_turn(&brokers(old), &mut new);
        new.into_iter().map(|broker| broker.host).collect()
    }

    #[test]
    fn the_same_brokers_go_on_with_the_one_whose_turn_it_is() {
        assert_eq!(kept(&["b", "c", "a"], &["a", "b", "c"]), ["b", "c", "a"]);
        assert_eq!(kept(&["a"], &["a"]), ["a"]);
        assert_eq!(kept(&["b", "a", "b", "c"], &["b", "c", "b", "a"]), ["b", "a", "b", "c"]);
    }

    #[test]
    fn other_brokers_begin_with_the_first() {
        assert_eq!(kept(&["b", "a"], &["a", "c"]), ["a", "c"]);
        assert_eq!(kept(&["b", "a"], &["a", "b", "c"]), ["a", "b", "c"]);
        assert_eq!(kept(&["b", "a"], &["b"]), ["b"]);
    }
}

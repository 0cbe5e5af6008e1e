//! The I/O thread's task: where and how to connect, and the changes to that over time.

use std::sync::Arc;

use tokio::sync::watch;

use super::super::options::{ConnectOptions, Endpoint, Protocol};
use super::super::session::{Event, LogLevel};
use super::super::shared::{Outcome, Shared};

/// Whether and how to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// No stop.
    No,
    /// Stop, with an event for `on_disconnect`.
    Reported,
    /// Stop without an event.
    Silent,
    /// Stop without an event, because another connection replaces this one.
    Replaced,
}

/// How the first attempt is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// Like any other attempt.
    Automatic,
    /// A caller waits for it. If it fails, no other attempt follows.
    Reported,
    /// A caller waits for it. If it fails, others follow.
    ReportedOfMany,
}

/// The parameters of the thread.
pub struct Task {
    /// The state shared with the application's threads.
    pub shared: Arc<Shared>,
    /// Where and how to connect.
    pub options: Arc<ConnectOptions>,
    /// Tells the connection to end.
    pub stop: watch::Receiver<Stop>,
    /// The outcome of the first attempt.
    pub opened: Arc<Outcome>,
    /// How the first attempt is treated.
    pub first: First,
    /// Whether a handler started it. The result may call the same handler again, endlessly.
    pub by_handler: bool,
    /// The generated client identifier, if the application set none.
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

    /// Generates a client identifier from now on: a broker may require one (MQTT 3.1.1, section
    /// 3.1.3.1), and MQTT 3.1 always does.
    pub fn choose_client_id(&mut self) {
        let make_up = || std::iter::repeat_with(fastrand::alphanumeric).take(22).collect();
        let id = self.chosen_client_id.get_or_insert_with(make_up).clone();
        self.configure(|options| options.client_id = id);
    }

    /// Generates a client identifier if one is required.
    pub fn ensure_client_id(&mut self) {
        let needed = self.options.protocol == Protocol::V31 || self.chosen_client_id.is_some();
        if needed && self.options.client_id.is_empty() {
            self.choose_client_id();
        }
    }

    /// Requests a settings refresh for the next attempt, if the application wants that. The wait is
    /// limited by the connection timeout; a late answer is used when it comes. Returns false if
    /// told to end meanwhile.
    pub async fn ask(&mut self) -> bool {
        // There may be a late answer to the previous request.
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

    /// Writes to the application's log.
    pub fn notice(&self, notice: Event) {
        self.shared.with_session(|session| session.report(notice));
    }
}

/// Keeps the position in the list of brokers if the new options have the same brokers.
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

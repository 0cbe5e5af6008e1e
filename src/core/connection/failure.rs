//! Log texts for a failed connection or attempt to connect.

use super::super::error::Error;
use super::super::options::ConnectOptions;
use super::super::reason::SESSION_TAKEN_OVER;
use super::super::session::{Event, LogLevel, Suspect};
use super::super::text::line;
use super::diagnosis::advise;

/// A failure as text and as fields of a log record.
#[derive(Debug)]
pub struct Failure {
    /// The error, the broker if there are several, and a hint.
    pub text: String,
    event: &'static str,
    broker: String,
    error: String,
    code: Option<u64>,
    suspect: Option<Suspect>,
}

impl Failure {
    /// Describes a failure with the options of the connection. `accepted` says whether the broker
    /// had accepted it. `is_new` marks a client that no broker has accepted yet, so its settings
    /// may be wrong.
    pub fn new(options: &ConnectOptions, error: &Error, accepted: bool, is_new: bool) -> Self {
        let (event, code) = match error {
            Error::Refused(code) => ("refused", Some(u64::from(*code))),
            _ if !accepted => ("connect_failed", None),
            Error::Disconnected { code: SESSION_TAKEN_OVER, .. } => {
                ("taken_over", Some(u64::from(SESSION_TAKEN_OVER)))
            }
            Error::Disconnected { code, .. } => ("broker_disconnected", Some(u64::from(*code))),
            _ => ("connection_lost", u64::try_from(error.return_code() as i32).ok()),
        };
        Self {
            text: line(&describe(options, error, is_new)),
            event,
            broker: options.broker().address(),
            error: line(&error.to_string()),
            code,
            suspect: None,
        }
    }

    /// Names the packet that was unacknowledged when several connections in a row ended early.
    pub fn blame(&mut self, suspect: Suspect, times: u32) {
        let Suspect { text, .. } = &suspect;
        let why = format!("the last {times} connections ended soon after {text} was sent");
        self.text = format!("{}; {why}, unacknowledged: the broker may not take it", self.text);
        self.suspect = Some(suspect);
    }

    /// The log record, with the next step.
    pub fn notice(&self, next: &str) -> Event {
        self.notice_of(self.event, next)
    }

    /// The log record of the final failure, and why no attempt follows.
    pub fn last_notice(&self, reason: &str) -> Event {
        self.notice_of("stopped", reason)
    }

    fn notice_of(&self, event: &'static str, rest: &str) -> Event {
        let text = format!("{}; {rest}", self.text);
        let notice = Event::notice(LogLevel::Warning, event, text);
        let notice = notice.with("broker", &*self.broker).with("error", &*self.error);
        let notice = match self.code {
            Some(code) => notice.with("rc", code),
            None => notice,
        };
        match &self.suspect {
            None => notice,
            Some(Suspect { mid: None, topic, .. }) => notice.with("topic", &**topic),
            Some(Suspect { mid: Some(mid), topic, size, .. }) => notice
                .with("mid", u64::from(*mid))
                .with("topic", &**topic)
                .with("size", *size as u64),
        }
    }
}

/// The error, the broker if there are several, and a hint.
fn describe(options: &ConnectOptions, error: &Error, is_new: bool) -> String {
    let advice = if is_new { advise(error, options, false) } else { None };
    let text = match (hint(options, error), advice) {
        (Some(hint), _) => format!("{error}; look at {hint}"),
        (None, Some(advice)) => format!("{error}. {advice}"),
        (None, None) => error.to_string(),
    };
    if options.brokers.len() == 1 {
        return text;
    }
    format!("broker {}: {text}", options.broker().address())
}

/// The key that a broker's refusal is about, by its code in MQTT 3.1.1 or 5.
fn hint(options: &ConnectOptions, error: &Error) -> Option<String> {
    let Error::Refused(code) = error else {
        return None;
    };
    match code {
        1 | 0x84 => Some(options.key("PROTOCOL_VERSION")),
        2 | 0x85 => Some(options.key("CLIENT_ID")),
        4 | 5 | 0x86 | 0x87 => {
            Some(format!("{} and {}", options.key("USERNAME"), options.key("PASSWORD")))
        }
        _ => None,
    }
}

//! A session's side effects: events and journal entries, which the owner of the session takes after
//! each call.

use std::collections::VecDeque;
use std::time::Instant;

use super::super::packet::{Control, Publish};
use super::super::property::Properties;
use super::super::reason::{PACKET_TOO_LARGE, reason_name};
use super::super::stats::Counters;
use super::super::text::line;
use super::event::{Event, LogLevel, Receipt};
use super::journal::Journal;
use super::log;

/// Events, counters and the journal, and which events have listeners.
#[derive(Debug, Default)]
pub struct Effects {
    /// Events that the owner of the session has not taken yet.
    pub events: VecDeque<Event>,
    /// The counters of sent, received and lost messages.
    pub counters: Counters,
    /// Operations to store beyond the end of the process.
    pub journal: Journal,
    /// Whether `on_log` has a handler.
    pub logging: bool,
    /// Whether `on_publish` has a handler.
    pub reporting: bool,
}

impl Effects {
    /// Adds a line for `on_log`. The text is only built if there is a handler.
    pub fn log(&mut self, text: impl FnOnce() -> String) {
        if self.logging {
            self.events.push_back(Event::Log { level: LogLevel::Debug, text: line(&text()) });
        }
    }

    /// Reports the outcome of a message. Equal reports are merged.
    pub fn report(&mut self, mid: u16, code: u8, properties: Option<Properties>) {
        if let Some(Event::Published { mids, code: last, properties: others }) =
            self.events.back_mut()
            && *last == code
            && *others == properties
        {
            mids.push(mid);
        } else {
            self.events.push_back(Event::published(mid, code, properties));
        }
    }

    /// Delivers a message to the application.
    pub fn deliver(&mut self, publish: Publish, received: Instant, receipt: Option<Receipt>) {
        self.counters.received.message(publish.qos);
        self.events.push_back(Event::Message { publish, received, receipt });
    }

    /// Counts and reports a message that is not sent because it exceeds the broker's limits.
    pub fn refused(&mut self, mid: u16, topic: &str, code: u8) {
        let reason = reason_name(code);
        let text =
            format!("the broker does not take message {mid} on {topic:?}: {reason} (code {code})");
        self.counters.refused += 1;
        let notice = Event::notice(LogLevel::Error, "message_refused", text);
        let notice = notice.with("mid", u64::from(mid)).with("topic", topic);
        self.events.push_back(notice.with("rc", u64::from(code)).with("error", reason));
    }

    /// Reports a request that is not sent because it exceeds the broker's limits.
    pub fn request_refused(&mut self, request: &Control, code: u8) {
        let reason = match code {
            PACKET_TOO_LARGE => "the broker takes no packet as large".to_owned(),
            _ => format!("the broker does not take it: {} (code {code})", reason_name(code)),
        };
        let text = format!("{reason}: {}", log::sending(request));
        self.events.push_back(Event::notice(LogLevel::Error, "request_refused", text));
    }
}

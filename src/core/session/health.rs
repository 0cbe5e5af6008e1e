//! What an application that is asked about its health wants to know.

use std::time::{Duration, Instant};

use super::super::delivery::Delivery;
use super::super::error::Error;
use super::super::packet::Control;
use super::Session;

/// How many filters are named.
const NAMED: usize = 10;

/// The filters that the present connection is not subscribed to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// How many the broker has not answered, and the first ones.
    pub unanswered: (usize, Vec<String>),
    /// How many it has refused, and the first ones.
    pub refused: (usize, Vec<String>),
}

impl Missing {
    /// Adds a filter with the reason code of its SUBACK.
    pub fn add(&mut self, filter: &str, code: Option<u8>) {
        let (count, named) = match code {
            Some(_) => &mut self.refused,
            None => &mut self.unanswered,
        };
        *count += 1;
        if named.len() < NAMED {
            named.push(filter.to_owned());
        }
    }
}

/// The state of the connection and of its subscriptions.
#[derive(Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether the broker has accepted the present connection.
    pub connected: bool,
    /// The time since the broker has sent anything on it.
    pub silence: Option<Duration>,
    /// Whether nothing is read, because the handlers are behind.
    pub paused: bool,
    /// Empty while subscriptions are held.
    pub missing: Missing,
}

impl Session {
    /// The health at `now`.
    pub fn health(&self, now: Instant) -> Health {
        let connected = self.is_connected();
        Health {
            connected,
            silence: connected.then(|| self.keep_alive.silence(now)),
            paused: self.output.effects.counters.paused_since.is_some(),
            missing: self.subscriptions.missing(),
        }
    }

    /// Sends a PINGREQ, unless one is unanswered. Returns what tells whether the broker has
    /// answered, or `None` without a connection.
    pub fn ping(&mut self) -> Result<Option<Delivery>, Error> {
        if !self.is_connected() || self.finishing {
            return Ok(None);
        }
        if !self.pings.is_pending() {
            self.output.control(&Control::PingReq)?;
            self.pings.sent();
        }
        Ok(Some(self.pings.last()))
    }
}

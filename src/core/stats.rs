//! The counters of a client's lifetime. They are plain integers inside data that a lock already
//! guards, so a message costs one addition.

use std::time::{Duration, Instant, SystemTime};

use super::qos::Qos;

/// Messages and bytes in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes of MQTT: without those of TLS, websockets and proxies.
    pub bytes: u64,
    /// Messages by QoS.
    pub messages: [u64; 3],
}

impl Traffic {
    /// Counts a message.
    pub fn message(&mut self, qos: Qos) {
        self.messages[qos as usize] += 1;
    }
}

/// What the session, and the owner of its connection, count. Nothing is ever set back.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    /// Messages for the application; one with QoS 2 counts once, when the broker released it.
    pub received: Traffic,
    /// Messages of the application's: written (QoS 0), or acknowledged (QoS 1 and 2).
    pub published: Traffic,
    /// Messages that were sent again on a later connection.
    pub repeated: u64,
    /// Connections that a broker accepted.
    pub connections: u64,
    /// Those that came after one that was lost.
    pub reconnects: u64,
    /// Attempts to connect that no broker accepted.
    pub failed_attempts: u64,
    /// Messages with QoS 0 that a connection was lost with before they were written.
    pub unsent: u64,
    /// Messages with QoS 0 that were published without a connection.
    pub offline: u64,
    /// Messages that were not taken, because too much waits already.
    pub queue_full: u64,
    /// Messages that were not taken, because they could not be stored.
    pub not_stored: u64,
    /// Messages that the broker does not take.
    pub refused: u64,
    /// How often reading was paused.
    pub pauses: u64,
    /// How long, without the pause that there is.
    pub paused: Duration,
    /// Since when reading is paused.
    pub paused_since: Option<Instant>,
    /// Since when the broker's acceptance holds.
    pub connected_since: Option<SystemTime>,
    /// What went wrong last with a connection or an attempt, without secrets, and when.
    pub last_error: Option<(String, SystemTime)>,
    /// Whether the last connection was lost.
    lost: bool,
}

impl Counters {
    /// A broker accepted a connection.
    pub fn connected(&mut self) {
        self.connections += 1;
        self.reconnects += u64::from(std::mem::take(&mut self.lost));
    }

    /// An accepted connection failed, or an attempt to have one.
    pub fn failed(&mut self, error: String, accepted: bool) {
        self.lost |= accepted;
        self.failed_attempts += u64::from(!accepted);
        self.last_error = Some((error, SystemTime::now()));
    }

    /// Nothing is read from now on.
    pub fn pause(&mut self, now: Instant) {
        self.pauses += 1;
        self.paused_since = Some(now);
    }

    /// Reading goes on, or its connection has ended.
    pub fn resume(&mut self, now: Instant) {
        self.paused = self.paused_until(now);
        self.paused_since = None;
    }

    /// How long reading was paused in sum.
    pub fn paused_until(&self, now: Instant) -> Duration {
        let current = self.paused_since.map(|since| now.saturating_duration_since(since));
        self.paused + current.unwrap_or_default()
    }
}

/// What waits between the connection and the handlers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Waiting {
    /// Messages.
    pub messages: usize,
    /// Their bytes, with those of texts for the log.
    pub bytes: usize,
    /// What was dropped there.
    pub dropped: Dropped,
}

/// What was dropped on the way to the handlers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Messages of QoS 0, where the policy drops them.
    pub messages: u64,
    /// Lines for `on_log`.
    pub log_lines: u64,
}

/// A client at one moment.
#[derive(Debug, Clone)]
pub struct Stats {
    /// Whether a broker accepted the present connection.
    pub connected: bool,
    /// The broker that is connected to, or is tried next; none before the first attempt.
    pub broker: Option<String>,
    /// The client identifier, also one that a broker chose.
    pub client_id: String,
    /// What is counted.
    pub counters: Counters,
    /// Messages with QoS 1 and 2 that are sent and not acknowledged.
    pub in_flight: usize,
    /// Messages with QoS 1 and 2 that wait to be sent.
    pub queued: usize,
    /// Messages with QoS 1 and 2 that wait for a broker which takes them.
    pub set_aside: usize,
    /// Messages with QoS 0 that are not written.
    pub unwritten: usize,
    /// Bytes that wait for the broker, with what is kept until it is acknowledged.
    pub outgoing_bytes: usize,
    /// What waits for the handlers.
    pub waiting: Waiting,
}

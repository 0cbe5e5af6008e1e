//! The counters of a client's lifetime. They are plain integers inside data that a lock already
//! guards, so a message costs one addition.

use std::time::{Duration, Instant, SystemTime};

use super::qos::Qos;

/// Messages and bytes in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes of MQTT, without the overhead of TLS, websockets and proxies.
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

/// The counters of the session and of the owner of its connection. They never decrease.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    /// Messages for the application. A QoS 2 message counts once, when the broker releases it.
    pub received: Traffic,
    /// Messages of the application: written (QoS 0), or acknowledged (QoS 1 and 2).
    pub published: Traffic,
    /// Messages retransmitted on a later connection.
    pub repeated: u64,
    /// Connections that a broker accepted.
    pub connections: u64,
    /// Connections that followed a lost one.
    pub reconnects: u64,
    /// Attempts to connect that failed.
    pub failed_attempts: u64,
    /// QoS 0 messages lost with a connection before they were written.
    pub unsent: u64,
    /// QoS 0 messages published without a connection.
    pub offline: u64,
    /// Messages rejected because the queue was full.
    pub queue_full: u64,
    /// Messages rejected because they could not be stored.
    pub not_stored: u64,
    /// Messages that the broker refused.
    pub refused: u64,
    /// How often reading was paused.
    pub pauses: u64,
    /// Total time of those pauses, without the current one.
    pub paused: Duration,
    /// The start of the current pause in reading.
    pub paused_since: Option<Instant>,
    /// When the broker accepted the present connection.
    pub connected_since: Option<SystemTime>,
    /// The last error of a connection or an attempt, without secrets, and its time.
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

    /// An accepted connection failed, or an attempt to connect did.
    pub fn failed(&mut self, error: String, accepted: bool) {
        self.lost |= accepted;
        self.failed_attempts += u64::from(!accepted);
        self.last_error = Some((error, SystemTime::now()));
    }

    /// Reading pauses.
    pub fn pause(&mut self, now: Instant) {
        self.pauses += 1;
        self.paused_since = Some(now);
    }

    /// Reading resumes, or its connection has ended.
    pub fn resume(&mut self, now: Instant) {
        self.paused = self.paused_until(now);
        self.paused_since = None;
    }

    /// The total time of pauses in reading until `now`.
    pub fn paused_until(&self, now: Instant) -> Duration {
        let current = self.paused_since.map(|since| now.saturating_duration_since(since));
        self.paused + current.unwrap_or_default()
    }
}

/// The events pending between the connection and the handlers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Waiting {
    /// Messages.
    pub messages: usize,
    /// Their bytes, with those of log lines.
    pub bytes: usize,
    /// The events dropped there.
    pub dropped: Dropped,
}

/// Events dropped before they reached a handler.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// QoS 0 messages, if the policy drops them.
    pub messages: u64,
    /// Lines for `on_log`.
    pub log_lines: u64,
}

/// A snapshot of a client.
#[derive(Debug, Clone)]
pub struct Stats {
    /// Whether a broker accepted the present connection.
    pub connected: bool,
    /// The broker that is connected, or is tried next; `None` before the first attempt.
    pub broker: Option<String>,
    /// The client identifier, even if a broker assigned it.
    pub client_id: String,
    /// The counters.
    pub counters: Counters,
    /// QoS 1 and 2 messages in flight.
    pub in_flight: usize,
    /// QoS 1 and 2 messages that are queued.
    pub queued: usize,
    /// QoS 1 and 2 messages set aside for another broker.
    pub set_aside: usize,
    /// Unwritten QoS 0 messages.
    pub unwritten: usize,
    /// Bytes pending for the broker, with those of unacknowledged messages.
    pub outgoing_bytes: usize,
    /// The events pending for the handlers.
    pub waiting: Waiting,
}

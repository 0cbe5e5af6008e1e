//! The packets that a broker may have ended a connection for.

use std::time::{Duration, Instant};

use super::super::packet::Control;
use super::super::text::shown;
use super::Session;

/// The maximum number of characters of a topic in a log text.
const MOST_TOPIC: usize = 1000;

/// A connection that lasted this long has proved itself, however it ended.
const PROOF: Duration = Duration::from_secs(10);

/// The oldest unacknowledged packet of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Suspect {
    /// Position of a message in the order of acceptance; 0 for a request.
    pub order: u64,
    /// Packet identifier of a message. A request gets a new one on each connection.
    pub mid: Option<u16>,
    /// Topic of a message, or filters of a request, shortened.
    pub topic: String,
    /// Bytes of topic, payload and properties of a message.
    pub size: usize,
    /// Description for the log.
    pub text: String,
}

impl Session {
    /// Whether the present connection has proved itself: the broker has acknowledged a message on
    /// it, or it has lasted for some time.
    pub fn has_proved(&self, now: Instant) -> bool {
        self.is_connected()
            && (self.outgoing.has_acknowledged()
                || self.accepted_at.is_some_and(|at| now.saturating_duration_since(at) >= PROOF))
    }

    /// The oldest unacknowledged message of the present connection, or else the oldest request.
    pub fn suspect(&self) -> Option<Suspect> {
        let message = self.outgoing.oldest().map(|(order, publish)| {
            let (mid, qos, size) = (publish.mid, publish.qos as u8, publish.size());
            let topic = shown(&publish.topic);
            let text = format!("message {mid} on {topic} (QoS {qos}, {size} bytes)");
            Suspect { order, mid: Some(mid), topic: bounded(&publish.topic), size, text }
        });
        message.or_else(|| {
            let (name, filters) = match self.subscriptions.oldest_request()? {
                Control::Subscribe { filters, .. } => {
                    ("SUBSCRIBE to", filters.iter().map(|one| one.filter.as_str()).collect())
                }
                Control::Unsubscribe { filters, .. } => {
                    ("UNSUBSCRIBE from", filters.iter().map(String::as_str).collect::<Vec<_>>())
                }
                _ => return None,
            };
            let topic = bounded(&filters.join(" "));
            let text = format!("{name} {}", shown(&topic));
            Some(Suspect { topic, text, ..Suspect::default() })
        })
    }
}

fn bounded(topic: &str) -> String {
    topic.chars().take(MOST_TOPIC).collect()
}

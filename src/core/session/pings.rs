//! The PINGREQs of a connection, and their answers.

use super::super::delivery::{Delivery, Progress};

/// Counts PINGREQs and PINGRESPs. A broker answers in order, so the numbers are the positions of a
/// [`Progress`]; who waits for an answer has lost it with the connection.
#[derive(Debug, Default)]
pub struct Pings {
    sent: u64,
    answered: u64,
    progress: Progress,
}

impl Pings {
    /// Whether a PINGREQ is unanswered.
    pub fn is_pending(&self) -> bool {
        self.sent > self.answered
    }

    /// A PINGREQ was encoded.
    pub fn sent(&mut self) {
        self.sent += 1;
    }

    /// A PINGRESP arrived.
    pub fn answered(&mut self) {
        self.answered = self.sent.min(self.answered + 1);
        self.progress.reach(self.answered);
    }

    /// Whether the last PINGREQ is answered, for a caller that waits.
    pub fn last(&self) -> Delivery {
        self.progress.delivery_at(self.sent)
    }
}

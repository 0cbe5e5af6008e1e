//! The journal: operations to store beyond the end of the process, in order, and the output that is
//! held until they are stored.

use std::collections::VecDeque;

use super::super::delivery::{Delivery, Progress};
use super::super::packet::{Control, Publish};

/// Reading pauses above this number: a message and a PUBREL of ours, and two responses, for each
/// packet identifier.
const MOST_WAITING: usize = 4 * (1 << 16);

/// One change of the stored session. Messages have a number of their own here, because packet
/// identifiers are reused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// A message was published.
    Put {
        /// Position in the order of acceptance.
        order: u64,
        /// The message.
        publish: Publish,
    },
    /// Whether the broker has a published message, so that only its PUBREL is retransmitted.
    Released {
        /// Position in the order of acceptance.
        order: u64,
        /// The value.
        released: bool,
    },
    /// A published message was acknowledged, refused or withdrawn.
    Removed {
        /// Position in the order of acceptance.
        order: u64,
    },
    /// A QoS 2 message arrived. After the PUBREC the broker never retransmits it.
    Received {
        /// Position in the order of arrival.
        order: u64,
        /// The message.
        publish: Publish,
    },
    /// The application has handled a QoS 2 message.
    Handled {
        /// Position in the order of arrival.
        order: u64,
    },
    /// The broker forgot the session: the packet identifiers of earlier messages are void.
    Forgotten,
    /// The client identifier of the session at the broker.
    Session {
        /// The identifier.
        client_id: String,
    },
}

/// The content of a file when it is opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Which file it is.
    pub file: u64,
    /// How often it was opened, including this time.
    pub opened: u64,
    /// The client identifier of the session at the broker.
    pub client_id: String,
    /// Published messages in the order of acceptance.
    pub outgoing: Vec<KeptOutgoing>,
    /// QoS 2 messages in the order of arrival.
    pub incoming: Vec<KeptIncoming>,
}

/// A published message that the broker has not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptOutgoing {
    /// Position in the order of acceptance.
    pub order: u64,
    /// The message.
    pub publish: Publish,
    /// Whether the broker has it, so that only its PUBREL is retransmitted.
    pub released: bool,
}

/// A QoS 2 message that the application has not handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptIncoming {
    /// Position in the order of arrival.
    pub order: u64,
    /// The message.
    pub publish: Publish,
    /// Whether the broker has since forgotten the session, and will not release the message.
    pub forgotten: bool,
}

/// A step to take once everything before it is stored.
#[derive(Debug)]
pub enum Then {
    /// A published message may be sent.
    Publish { mid: u16, order: u64 },
    /// The PUBREL of a published message may be sent.
    Release { mid: u16, order: u64 },
    /// A response may be sent on that connection.
    Answer { answer: Control, connection: u32 },
    /// Wakes a waiter.
    Tell(Progress),
}

/// Operations to be stored. Without a file, none are recorded and nothing waits.
#[derive(Debug, Default)]
pub struct Journal {
    open: bool,
    operations: Vec<Operation>,
    /// Number of the last operation, and of the last stored one.
    last: u64,
    stored: u64,
    /// Bytes of received messages in the pending operations, and in those already taken.
    bytes: usize,
    bytes_taken: usize,
    /// Steps that wait for an operation, by its number, in order.
    waiting: VecDeque<(u64, Then)>,
}

impl Journal {
    /// Starts to record operations.
    pub fn open(&mut self) {
        self.open = true;
    }

    /// Whether operations are recorded.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Whether there are operations to store.
    pub fn has_operations(&self) -> bool {
        !self.operations.is_empty()
    }

    /// Whether every recorded operation is stored.
    pub fn is_stored(&self) -> bool {
        self.stored == self.last
    }

    /// Records an operation.
    pub fn note(&mut self, operation: impl FnOnce() -> Operation) {
        if self.open {
            let operation = operation();
            if let Operation::Received { publish, .. } = &operation {
                self.bytes += publish.size();
            }
            self.operations.push(operation);
            self.last += 1;
        }
    }

    /// Removes a published message that was not taken for storing yet. Returns whether it was
    /// removed.
    pub fn take_back(&mut self, number: u64) -> bool {
        let is_put = |operation: &Operation| matches!(operation, Operation::Put { order, .. } if *order == number);
        let is_it = |then: &Then| matches!(then, Then::Publish { order, .. } if *order == number);
        self.waiting.retain(|(_, then)| !is_it(then));
        let place = self.operations.iter().position(is_put);
        place.map(|place| self.operations.remove(place)).is_some()
    }

    /// Whether more is pending than a correct broker causes, or too many bytes of received
    /// messages.
    pub fn is_clogged(&self, limit: usize) -> bool {
        self.waiting.len() >= MOST_WAITING || self.bytes + self.bytes_taken >= limit
    }

    /// Makes a step wait for all operations recorded so far.
    pub fn wait(&mut self, then: Then) {
        self.waiting.push_back((self.last, then));
    }

    /// A delivery that reports when all operations recorded so far are stored; `None` if they are.
    pub fn storing(&mut self) -> Option<Delivery> {
        if self.is_stored() {
            return None;
        }
        let progress = Progress::default();
        let storing = progress.delivery().storing();
        self.wait(Then::Tell(progress));
        Some(storing)
    }

    /// The operations to store, and the number to report afterwards.
    pub fn take(&mut self) -> (Vec<Operation>, u64) {
        self.bytes_taken += std::mem::take(&mut self.bytes);
        (std::mem::take(&mut self.operations), self.last)
    }

    /// All operations up to a number are stored: returns the steps that waited for that.
    pub fn stored(&mut self, number: u64) -> VecDeque<(u64, Then)> {
        self.stored = number;
        self.bytes_taken = 0;
        let due = self.waiting.partition_point(|(waits, _)| *waits <= number);
        let later = self.waiting.split_off(due);
        std::mem::replace(&mut self.waiting, later)
    }
}

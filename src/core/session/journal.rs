//! The journal: operations to store beyond the end of the process, in order, and the output that is
//! held until they are stored.

use std::collections::VecDeque;

use super::super::delivery::{Delivery, Progress};
use super::super::packet::{Control, Publish};

/// So much may wait before nothing more is read: for each packet identifier a message and a PUBREL of
/// ours, and two answers.
const MOST_WAITING: usize = 4 * (1 << 16);

/// One change of what is kept. Messages have a number of their own for it, since packet identifiers are
/// used again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// A message of ours was accepted.
    Put {
        /// Position in the order of acceptance.
        order: u64,
        /// The message.
        publish: Publish,
    },
    /// Whether the broker has a message of ours, so that only its PUBREL is sent again.
    Released {
        /// Position in the order of acceptance.
        order: u64,
        /// Whether it has.
        released: bool,
    },
    /// A message of ours is acknowledged, refused or withdrawn.
    Removed {
        /// Position in the order of acceptance.
        order: u64,
    },
    /// A QoS 2 message came. After the PUBREC the broker never repeats it.
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
    /// The broker forgot the session: the identifiers of what has arrived so far mean nothing any more.
    Forgotten,
    /// The client identifier by which the broker knows the session.
    Session {
        /// The identifier.
        client_id: String,
    },
}

/// What was kept, as it was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Which file it is.
    pub file: u64,
    /// How often it was opened, this time included.
    pub opened: u64,
    /// The client identifier by which the broker knows the session.
    pub client_id: String,
    /// Messages of ours in the order of acceptance.
    pub outgoing: Vec<KeptOutgoing>,
    /// QoS 2 messages in the order of arrival.
    pub incoming: Vec<KeptIncoming>,
}

/// A message of ours that the broker has not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptOutgoing {
    /// Position in the order of acceptance.
    pub order: u64,
    /// The message.
    pub publish: Publish,
    /// Whether the broker has it, so that only its PUBREL is sent again.
    pub released: bool,
}

/// A QoS 2 message that the application has not handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptIncoming {
    /// Position in the order of arrival.
    pub order: u64,
    /// The message.
    pub publish: Publish,
    /// Whether the broker forgot the session since, and will not release the message.
    pub forgotten: bool,
}

/// What goes on when everything before it is stored.
#[derive(Debug)]
pub enum Then {
    /// A message of ours may be sent.
    Publish { mid: u16, order: u64 },
    /// The PUBREL of a message of ours may be sent.
    Release { mid: u16, order: u64 },
    /// An answer may be sent, on that connection.
    Answer { answer: Control, connection: u32 },
    /// Somebody waits.
    Tell(Progress),
}

/// Operations on their way to the file. Where nothing is kept, none is noted and nothing waits.
#[derive(Debug, Default)]
pub struct Journal {
    open: bool,
    operations: Vec<Operation>,
    /// Number of the last operation, and of the last one that is stored.
    last: u64,
    stored: u64,
    /// Bytes of the messages from the broker among the operations, and among those that were taken.
    bytes: usize,
    bytes_taken: usize,
    /// What waits for the operation with a number, in order.
    waiting: VecDeque<(u64, Then)>,
}

impl Journal {
    /// From now on operations are noted.
    pub fn open(&mut self) {
        self.open = true;
    }

    /// Whether operations are noted.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Whether there are operations to store.
    pub fn has_operations(&self) -> bool {
        !self.operations.is_empty()
    }

    /// Whether everything noted so far is stored.
    pub fn is_stored(&self) -> bool {
        self.stored == self.last
    }

    /// Notes an operation.
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

    /// Takes a message of ours out that is not on its way to the file yet. Returns whether it was so.
    pub fn take_back(&mut self, number: u64) -> bool {
        let is_put = |operation: &Operation| matches!(operation, Operation::Put { order, .. } if *order == number);
        let is_it = |then: &Then| matches!(then, Then::Publish { order, .. } if *order == number);
        self.waiting.retain(|(_, then)| !is_it(then));
        let place = self.operations.iter().position(is_put);
        place.map(|place| self.operations.remove(place)).is_some()
    }

    /// Whether so much waits that no sane broker makes more of it, or so many bytes of what came.
    pub fn is_clogged(&self, limit: usize) -> bool {
        self.waiting.len() >= MOST_WAITING || self.bytes + self.bytes_taken >= limit
    }

    /// Has something wait for what is noted so far.
    pub fn wait(&mut self, then: Then) {
        self.waiting.push_back((self.last, then));
    }

    /// For who waits until what is noted so far is stored; `None` where it is.
    pub fn storing(&mut self) -> Option<Delivery> {
        if self.is_stored() {
            return None;
        }
        let progress = Progress::default();
        let storing = progress.delivery().storing();
        self.wait(Then::Tell(progress));
        Some(storing)
    }

    /// What is to be stored, and the number to report when it is.
    pub fn take(&mut self) -> (Vec<Operation>, u64) {
        self.bytes_taken += std::mem::take(&mut self.bytes);
        (std::mem::take(&mut self.operations), self.last)
    }

    /// Everything that was taken, up to a number, is stored: returns what has waited for that.
    pub fn stored(&mut self, number: u64) -> VecDeque<(u64, Then)> {
        self.stored = number;
        self.bytes_taken = 0;
        let due = self.waiting.partition_point(|(waits, _)| *waits <= number);
        let later = self.waiting.split_off(due);
        std::mem::replace(&mut self.waiting, later)
    }
}

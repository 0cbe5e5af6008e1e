//! The upper bounds of everything that could grow.

use super::limit_keys;

macro_rules! define_limits {
    ($($(#[$documentation:meta])* $field:ident: $type:ty = $key:literal,)*) => {
        /// Bounds of everything that could grow. By default nothing may: the application says how much.
        #[derive(Debug, Clone, Default)]
        pub struct Limits { $($(#[$documentation])* pub $field: $type,)* }
    };
}

limit_keys!(define_limits);

impl Limits {
    /// How many QoS 1 and 2 messages may be unacknowledged at a time.
    pub fn inflight(&self) -> usize {
        or_no_limit(self.inflight)
    }

    /// How many QoS 1 and 2 messages may wait beyond those.
    pub fn queued(&self) -> usize {
        or_no_limit(self.queued)
    }
}

fn or_no_limit(messages: usize) -> usize {
    if messages == 0 { usize::MAX } else { messages }
}

/// What happens when as many received messages wait for their handlers as may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// Nothing more is read until there is room.
    #[default]
    Block,
    /// The oldest message of QoS 0 makes room.
    DropOldest,
    /// A new message of QoS 0 is dropped.
    DropNewest,
}

//! The upper bounds of everything that could grow.

use super::limit_keys;

macro_rules! define_limits {
    ($($(#[$documentation:meta])* $field:ident: $type:ty = $key:literal,)*) => {
        /// Limits on everything that could grow. The default is zero: the application sets them.
        #[derive(Debug, Clone, Default)]
        pub struct Limits { $($(#[$documentation])* pub $field: $type,)* }
    };
}

limit_keys!(define_limits);

impl Limits {
    /// The maximum of unacknowledged QoS 1 and 2 messages in flight.
    pub fn inflight(&self) -> usize {
        or_no_limit(self.inflight)
    }

    /// The maximum of QoS 1 and 2 messages queued beyond those.
    pub fn queued(&self) -> usize {
        or_no_limit(self.queued)
    }
}

fn or_no_limit(messages: usize) -> usize {
    if messages == 0 { usize::MAX } else { messages }
}

/// What to do when too many received messages are pending for their handlers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// Stop reading until there is room.
    #[default]
    Block,
    /// Drop the oldest QoS 0 message.
    DropOldest,
    /// Drop a new QoS 0 message.
    DropNewest,
}

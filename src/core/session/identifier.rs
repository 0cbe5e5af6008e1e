//! The QoS 2 messages of one of the broker's packet identifiers.
//!
//! A broker may reuse an identifier after the PUBCOMP (MQTT 3.1.1, section 2.3.1). Some reuse it
//! right after their PUBREL, while the previous message is being handled: then one identifier has
//! several messages.

use std::collections::VecDeque;

use super::super::packet::Publish;
use super::event::Receipt;

/// How many PUBRELs beyond the messages of an identifier get a PUBCOMP each, so that a broker that sends
/// them without end is not answered without end.
const MOST_REPEATED: u32 = 16;

/// A message that is received, and whose PUBREL is awaited.
#[derive(Debug)]
pub struct Waiting {
    /// Position in the order of arrival, and number in the file if there is one.
    pub order: u64,
    /// The message.
    pub publish: Publish,
}

/// A message that the application was given.
#[derive(Debug, Clone, Copy)]
pub struct Given {
    /// Number and connection of its receipt.
    pub number: u32,
    pub connection: u32,
    /// Number in the file, if there is one.
    pub order: u64,
}

impl Given {
    /// Whether a receipt is that of the message.
    pub fn is_of(&self, receipt: Receipt) -> bool {
        (self.number, self.connection) == (receipt.number, receipt.connection)
    }
}

/// A message that is being handled.
#[derive(Debug)]
struct Handling {
    given: Given,
    /// How many messages are to be completed when it is handled: with it those after it that are handled
    /// already, since PUBCOMPs go out in the order of the PUBRELs.
    messages: u32,
    /// PUBRELs of those that came on the connection of the last one, and were not answered.
    released: u32,
}

/// What follows when a message is handled.
pub struct Handled {
    /// Its number in the file, if there is one.
    pub order: u64,
    /// How many PUBCOMPs go out now.
    pub answers: u32,
}

/// The messages of an identifier.
#[derive(Debug, Default)]
pub struct Identifier {
    handling: VecDeque<Handling>,
    /// How many messages before those are handled, without a PUBCOMP: the broker may send the last one
    /// again until then.
    handled: u32,
    /// The connection of the last PUBREL.
    released_on: u32,
    /// The last message, if its PUBREL has not come.
    pub waiting: Option<Waiting>,
}

impl Identifier {
    /// Whether a PUBLISH is one that came before. After the PUBREL on the same connection, one without
    /// the DUP flag is another message.
    pub fn is_repeated(&self, dup: bool, connection: u32) -> bool {
        let is_through = self.handling.is_empty() || self.released_on == connection;
        // One that waits for its PUBREL is there already, whatever the DUP flag says.
        self.waiting.is_some() || dup || !is_through
    }

    /// A message came, and waits for its PUBREL.
    pub fn wait(&mut self, waiting: Waiting) {
        if self.handling.is_empty() {
            // The broker is through with those before.
            self.handled = 0;
        }
        self.waiting = Some(waiting);
    }

    /// A message goes to the application, because its PUBREL came.
    pub fn give(&mut self, given: Given) {
        self.released(given.connection);
        self.handling.push_back(Handling { given, messages: 1, released: 1 });
    }

    /// A PUBREL came once more: on another connection, each message has one again, and on the same one
    /// a broker may repeat it. Each gets its PUBCOMP. Returns whether that goes out now.
    pub fn release_again(&mut self, connection: u32) -> bool {
        self.released(connection);
        if self.handled > 0 {
            self.handled -= 1;
            return true;
        }
        let due = self.handling.iter().position(|next| next.released < next.messages);
        let place = due.unwrap_or(self.handling.len().saturating_sub(1));
        if let Some(next) = self.handling.get_mut(place)
            && next.released < next.messages + MOST_REPEATED
        {
            next.released += 1;
        }
        false
    }

    fn released(&mut self, connection: u32) {
        if self.released_on != connection {
            self.released_on = connection;
            self.handling.iter_mut().for_each(|handling| handling.released = 0);
        }
    }

    /// The application has handled a message. `None` for a receipt of none of these.
    pub fn handle(&mut self, receipt: Receipt, connection: Option<u32>) -> Option<Handled> {
        let place = self.handling.iter().position(|handling| handling.given.is_of(receipt))?;
        let Handling { given, messages, released } = self.handling.remove(place)?;
        let order = given.order;
        if let Some(before) = place.checked_sub(1).and_then(|place| self.handling.get_mut(place)) {
            before.messages += messages;
            before.released += released;
            return Some(Handled { order, answers: 0 });
        }
        let answers = if connection == Some(self.released_on) { released } else { 0 };
        self.handled += messages.saturating_sub(answers);
        Some(Handled { order, answers })
    }

    /// The oldest message that the application has not handled.
    pub fn oldest(&self) -> Option<&Given> {
        self.handling.front().map(|handling| &handling.given)
    }

    /// Whether nothing is left of it.
    pub fn is_free(&self) -> bool {
        self.handling.is_empty() && self.waiting.is_none() && self.handled == 0
    }

    /// Numbers in the file.
    pub fn orders(&self) -> impl Iterator<Item = u64> + '_ {
        let given = self.handling.iter().map(|handling| handling.given.order);
        given.chain(self.waiting.as_ref().map(|waiting| waiting.order))
    }

    /// Gives messages that are being handled other numbers for the file, after the last one. Returns how
    /// many those are.
    pub fn renumber(&mut self, last: &mut u64) -> usize {
        for handling in &mut self.handling {
            *last += 1;
            handling.given.order = *last;
        }
        self.handling.len()
    }

    /// The messages that are being handled, and the one that waits.
    pub fn split(self) -> (impl Iterator<Item = Given>, Option<Waiting>) {
        (self.handling.into_iter().map(|handling| handling.given), self.waiting)
    }
}

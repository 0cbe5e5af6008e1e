//! The QoS 2 messages of one of the broker's packet identifiers.
//!
//! A broker may reuse an identifier after the PUBCOMP (MQTT 3.1.1, section 2.3.1). Some reuse it
//! right after their PUBREL, while the previous message is being handled: then one identifier has
//! several messages.

use std::collections::VecDeque;

use super::super::packet::Publish;
use super::event::Receipt;

/// How many PUBRELs beyond the messages of an identifier get a PUBCOMP. The limit keeps a broker
/// from causing endless responses.
const MOST_REPEATED: u32 = 16;

/// A received message that waits for its PUBREL.
#[derive(Debug)]
pub struct Waiting {
    /// Position in the order of arrival; also its number in the file, if there is one.
    pub order: u64,
    /// The message.
    pub publish: Publish,
}

/// A message that was delivered to the application.
#[derive(Debug, Clone, Copy)]
pub struct Given {
    /// Number and connection of the receipt.
    pub number: u32,
    pub connection: u32,
    /// Number in the file, if there is one.
    pub order: u64,
}

impl Given {
    /// Whether a receipt belongs to this message.
    pub fn is_of(&self, receipt: Receipt) -> bool {
        (self.number, self.connection) == (receipt.number, receipt.connection)
    }
}

/// A message that is being handled.
#[derive(Debug)]
struct Handling {
    given: Given,
    /// How many messages are completed when this one is handled: itself, and those after it that
    /// are handled already. PUBCOMPs must be sent in the order of the PUBRELs.
    messages: u32,
    /// Their PUBRELs on the connection of the last PUBREL that have no PUBCOMP yet.
    released: u32,
}

/// The effects of handling a message.
pub struct Handled {
    /// Its number in the file, if there is one.
    pub order: u64,
    /// How many PUBCOMPs to send now.
    pub answers: u32,
}

/// The messages of an identifier.
#[derive(Debug, Default)]
pub struct Identifier {
    handling: VecDeque<Handling>,
    /// How many earlier messages are handled but have no PUBCOMP. Until then the broker may
    /// retransmit the last one.
    handled: u32,
    /// The connection of the last PUBREL.
    released_on: u32,
    /// The last message, until its PUBREL arrives.
    pub waiting: Option<Waiting>,
}

impl Identifier {
    /// Whether a PUBLISH is a retransmission. After the PUBREL on the same connection, a PUBLISH
    /// without the DUP flag is a new message.
    pub fn is_repeated(&self, dup: bool, connection: u32) -> bool {
        let is_through = self.handling.is_empty() || self.released_on == connection;
        // A message that waits for its PUBREL was received already, whatever the DUP flag says.
        self.waiting.is_some() || dup || !is_through
    }

    /// Adds a message that waits for its PUBREL.
    pub fn wait(&mut self, waiting: Waiting) {
        if self.handling.is_empty() {
            // The broker has completed the previous messages.
            self.handled = 0;
        }
        self.waiting = Some(waiting);
    }

    /// Adds a message whose PUBREL arrived, so that it is delivered to the application.
    pub fn give(&mut self, given: Given) {
        self.released(given.connection);
        self.handling.push_back(Handling { given, messages: 1, released: 1 });
    }

    /// Handles a repeated PUBREL: on a new connection each message has its own, and on the same one
    /// a broker may repeat it. Each gets a PUBCOMP. Returns whether to send it now.
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

    /// The application has handled a message. `None` if the receipt belongs to none of these.
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

    /// The oldest unhandled message.
    pub fn oldest(&self) -> Option<&Given> {
        self.handling.front().map(|handling| &handling.given)
    }

    /// Whether no state is left.
    pub fn is_free(&self) -> bool {
        self.handling.is_empty() && self.waiting.is_none() && self.handled == 0
    }

    /// Numbers in the file.
    pub fn orders(&self) -> impl Iterator<Item = u64> + '_ {
        let given = self.handling.iter().map(|handling| handling.given.order);
        given.chain(self.waiting.as_ref().map(|waiting| waiting.order))
    }

    /// Gives new numbers in the file, after the last one, to the messages being handled. Returns
    /// how many there are.
    pub fn renumber(&mut self, last: &mut u64) -> usize {
        for handling in &mut self.handling {
            *last += 1;
            handling.given.order = *last;
        }
        self.handling.len()
    }

    /// Splits into the messages being handled and the one that waits for its PUBREL.
    pub fn split(self) -> (impl Iterator<Item = Given>, Option<Waiting>) {
        (self.handling.into_iter().map(|handling| handling.given), self.waiting)
    }
}

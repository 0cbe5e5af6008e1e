//! Topic aliases (MQTT 5.0, section 3.3.2.3.4): numbers that replace topics during one connection.

use std::collections::HashMap;

use super::super::error::Error;
use super::super::packet::{Alias, Publish, PublishRef};
use super::super::property::Property;

/// Limit on our topic aliases, whatever the broker allows: each keeps a topic of up to 64 KiB.
const MOST: u16 = 256;

/// A shorter topic gets no alias, which would take as many bytes.
const SHORTEST: usize = 4;

/// By how many bytes a new alias can enlarge a packet: the property, and both lengths before it.
const GROWTH: usize = 5;

/// The aliases of published messages. The first topics of a connection get one.
#[derive(Debug, Default)]
pub struct OutgoingAliases {
    allowed: u16,
    /// The broker's Maximum Packet Size in bytes.
    packet_size: usize,
    numbers: HashMap<String, u16>,
}

impl OutgoingAliases {
    /// Resets for a new connection, with the broker's limits.
    pub fn reset(&mut self, allowed: u16, packet_size: usize) {
        self.numbers.clear();
        self.allowed = allowed.min(MOST);
        self.packet_size = packet_size;
    }

    /// The form in which to send the topic of a message.
    pub fn alias(&mut self, publish: &PublishRef<'_>) -> Alias {
        let topic = publish.topic;
        if self.allowed == 0 || topic.len() < SHORTEST {
            return Alias::None;
        }
        if let Some(number) = self.numbers.get(topic) {
            return Alias::Use(*number);
        }
        // At most the highest alias allowed.
        let number = u16::try_from(self.numbers.len() + 1).unwrap_or(u16::MAX);
        if number > self.allowed || publish.v5_size() + GROWTH > self.packet_size {
            return Alias::None;
        }
        self.numbers.insert(topic.to_owned(), number);
        Alias::Define(number)
    }
}

/// The aliases of received messages.
#[derive(Debug, Default)]
pub struct IncomingAliases {
    allowed: u16,
    topics: HashMap<u16, String>,
    bytes: usize,
}

impl IncomingAliases {
    /// Resets for a new connection, with the limit of our CONNECT.
    pub fn reset(&mut self, allowed: u16) {
        *self = Self { allowed, ..Self::default() };
    }

    /// Replaces an alias by its topic, and removes the alias, which has no meaning for the
    /// application. The stored topics take at most `limit` bytes.
    pub fn resolve(&mut self, publish: &mut Publish, limit: usize) -> Result<(), Error> {
        let Some(properties) = &mut publish.properties else { return Ok(()) };
        let Some(number) = properties.number(Property::TopicAlias) else { return Ok(()) };
        let number = u16::try_from(number).unwrap_or(u16::MAX);
        if number > self.allowed {
            let text = format!("topic alias {number}, but at most {} are allowed", self.allowed);
            return Err(Error::TopicAlias(text));
        }
        properties.remove(Property::TopicAlias);
        if !publish.topic.is_empty() {
            return self.define(number, &publish.topic, limit);
        }
        match self.topics.get(&number) {
            Some(topic) => publish.topic.clone_from(topic),
            None => return Err(Error::TopicAlias(format!("unknown topic alias {number}"))),
        }
        Ok(())
    }

    fn define(&mut self, number: u16, topic: &str, limit: usize) -> Result<(), Error> {
        let replaced = self.topics.insert(number, topic.to_owned());
        self.bytes = self.bytes + topic.len() - replaced.map_or(0, |topic| topic.len());
        if self.bytes <= limit {
            return Ok(());
        }
        Err(Error::TopicAlias(format!("topics with an alias of more than {limit} bytes")))
    }
}

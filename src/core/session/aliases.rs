//! Topic aliases (MQTT 5.0, section 3.3.2.3.4): numbers that replace topics during one connection.

use std::collections::HashMap;

use super::super::error::Error;
use super::super::packet::{Alias, Publish, PublishRef};
use super::super::property::Property;

/// Aliases of ours, however many the broker allows: each keeps a topic of up to 64 KiB.
const MOST: u16 = 256;

/// A shorter topic is not worth a number, which takes as many bytes.
const SHORTEST: usize = 4;

/// Bytes by which a number given to a topic can make its packet larger: the property, and both lengths
/// before it.
const GROWTH: usize = 5;

/// The aliases of what we publish: the first topics of a connection get one.
#[derive(Debug, Default)]
pub struct OutgoingAliases {
    allowed: u16,
    /// Bytes of the largest packet that the broker takes.
    packet_size: usize,
    numbers: HashMap<String, u16>,
}

impl OutgoingAliases {
    /// Starts anew, with as many as the broker allows in packets as large as it takes.
    pub fn reset(&mut self, allowed: u16, packet_size: usize) {
        self.numbers.clear();
        self.allowed = allowed.min(MOST);
        self.packet_size = packet_size;
    }

    /// How to write the topic of a message.
    pub fn alias(&mut self, publish: &PublishRef<'_>) -> Alias {
        let topic = publish.topic;
        if self.allowed == 0 || topic.len() < SHORTEST {
            return Alias::None;
        }
        if let Some(number) = self.numbers.get(topic) {
            return Alias::Use(*number);
        }
        // As many as there are numbers at most.
        let number = u16::try_from(self.numbers.len() + 1).unwrap_or(u16::MAX);
        if number > self.allowed || publish.v5_size() + GROWTH > self.packet_size {
            return Alias::None;
        }
        self.numbers.insert(topic.to_owned(), number);
        Alias::Define(number)
    }
}

/// The aliases of what the broker publishes.
#[derive(Debug, Default)]
pub struct IncomingAliases {
    allowed: u16,
    topics: HashMap<u16, String>,
    bytes: usize,
}

impl IncomingAliases {
    /// Starts anew, with as many as the CONNECT allowed.
    pub fn reset(&mut self, allowed: u16) {
        *self = Self { allowed, ..Self::default() };
    }

    /// Puts the topic in the place of its alias. The alias means nothing to the application. The
    /// topics that are kept have `limit` bytes at most.
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

//! The broker's view of one connection.

use std::collections::{HashMap, HashSet, VecDeque};

use bytes::Bytes;
use flask_mqtt_core::core::options::Protocol;
use flask_mqtt_core::core::property::{Properties, Property};

use super::action::SHORTEST;
use super::frame::Frame;

/// The state of the present connection.
#[derive(Default)]
pub struct Link {
    /// The server limits in the CONNACK.
    pub server_limits: Properties,
    /// Identifiers of PUBLISH packets that are not acknowledged.
    pub sent: HashSet<u16>,
    /// QoS 1 messages that were received and not acknowledged.
    pub received: HashSet<u16>,
    /// QoS 1 messages that the application has handled.
    pub handled: HashSet<u16>,
    /// Unwritten bytes of each packet, and whether it is a PUBLISH.
    unwritten: VecDeque<(usize, bool)>,
    aliases: HashMap<u16, Bytes>,
    begun: bool,
}

impl Link {
    /// Checks a packet of the client.
    pub fn frame(&mut self, frame: &Frame, protocol: Protocol) {
        assert_eq!(frame.kind() == 1, !self.begun, "a CONNECT is first, and only once");
        self.begun = true;
        self.unwritten.push_back((frame.size, frame.kind() == 3));
        match frame.kind() {
            1 | 12 | 14 => {}
            3 => self.published(frame, protocol),
            4 => {
                assert!(self.handled.remove(&frame.mid()), "a PUBACK before the handler");
                assert!(self.received.remove(&frame.mid()), "a PUBACK too many");
            }
            5..=7 => assert_ne!(frame.mid(), 0),
            8 | 10 => self.is_taken(frame),
            kind => panic!("a client does not send packets of type {kind}"),
        }
    }

    fn published(&mut self, frame: &Frame, protocol: Protocol) {
        self.is_taken(frame);
        assert!(usize::from(frame.qos()) <= self.term(Property::MaximumQoS).unwrap_or(2));
        assert!(!frame.retain() || self.term(Property::RetainAvailable) != Some(0));
        let publish = frame.published(protocol);
        match publish.alias {
            Some(alias) => self.aliased(alias, publish.topic),
            None => assert!(publish.topic.len() >= SHORTEST),
        }
        if publish.mid != 0 {
            self.sent.insert(publish.mid);
            let allowed = self.term(Property::ReceiveMaximum).unwrap_or(usize::MAX);
            assert!(self.sent.len() <= allowed, "{} on the way of {allowed}", self.sent.len());
        }
    }

    fn aliased(&mut self, alias: u16, topic: Bytes) {
        let allowed = self.term(Property::TopicAliasMaximum).unwrap_or(0);
        assert!(usize::from(alias) <= allowed, "topic alias {alias} of {allowed}");
        if topic.is_empty() {
            assert!(self.aliases.contains_key(&alias), "topic alias {alias} is unknown");
        } else {
            self.aliases.insert(alias, topic);
        }
    }

    /// Checks that a packet is within the broker's size limit.
    fn is_taken(&self, frame: &Frame) {
        let largest = self.term(Property::MaximumPacketSize).unwrap_or(usize::MAX);
        assert!(frame.size <= largest, "{} bytes, while {largest} are allowed", frame.size);
    }

    fn term(&self, property: Property) -> Option<usize> {
        self.server_limits.number(property).map(|number| number as usize)
    }

    /// Writes up to `count` bytes; returns how many.
    pub fn write(&mut self, count: usize) -> usize {
        let mut left = count;
        while left > 0
            && let Some((size, _)) = self.unwritten.front_mut()
        {
            let written = left.min(*size);
            left -= written;
            *size -= written;
            if *size == 0 {
                self.unwritten.pop_front();
            }
        }
        count - left
    }

    /// Whether everything is written.
    pub fn is_written(&self) -> bool {
        self.unwritten.is_empty()
    }

    /// Pending bytes, without those of messages.
    pub fn controls(&self) -> usize {
        self.unwritten.iter().filter(|(_, publish)| !publish).map(|(size, _)| size).sum()
    }
}

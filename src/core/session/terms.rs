//! What the broker allows on the present connection (MQTT 5.0, section 3.2.2.3). Before MQTT 5 it has
//! no way to say, so everything is allowed.

use super::super::error::ReturnCode;
use super::super::options::MAX_REMAINING_LENGTH;
use super::super::packet::PublishRef;
use super::super::property::{Properties, Property};
use super::super::qos::Qos;
use super::super::reason::{PACKET_TOO_LARGE, QOS_NOT_SUPPORTED, RETAIN_NOT_SUPPORTED};

/// Bytes of the largest packet there can be.
const LARGEST_PACKET: usize = 5 + MAX_REMAINING_LENGTH;

/// Limits that a CONNACK sets.
#[derive(Debug, Clone)]
pub struct Terms {
    /// QoS 1 and 2 messages that may be unacknowledged at a time.
    pub receive_maximum: usize,
    /// Bytes of the largest packet that the broker takes, with its fixed header.
    pub packet_size: usize,
    qos: Qos,
    retain: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            receive_maximum: usize::from(u16::MAX),
            packet_size: LARGEST_PACKET,
            qos: Qos::ExactlyOnce,
            retain: true,
        }
    }
}

impl Terms {
    /// What the properties of a CONNACK say.
    pub fn new(properties: &Properties) -> Self {
        let number = |property| properties.number(property).map(|number| number as usize);
        let defaults = Self::default();
        Self {
            receive_maximum: number(Property::ReceiveMaximum).unwrap_or(defaults.receive_maximum),
            packet_size: number(Property::MaximumPacketSize).unwrap_or(defaults.packet_size),
            qos: match number(Property::MaximumQoS) {
                Some(0) => Qos::AtMostOnce,
                Some(1) => Qos::AtLeastOnce,
                _ => Qos::ExactlyOnce,
            },
            retain: number(Property::RetainAvailable) != Some(0),
        }
    }

    /// Why a message may not be sent, as a reason code; `None` if it may.
    pub fn refusal(&self, publish: &PublishRef<'_>) -> Option<u8> {
        if publish.qos > self.qos {
            Some(QOS_NOT_SUPPORTED)
        } else if publish.retain && !self.retain {
            Some(RETAIN_NOT_SUPPORTED)
        } else if self.packet_size < LARGEST_PACKET && publish.v5_size() > self.packet_size {
            Some(PACKET_TOO_LARGE)
        } else {
            None
        }
    }
}

/// What `publish` returns for a refusal.
pub fn return_code(refusal: u8) -> ReturnCode {
    if refusal == PACKET_TOO_LARGE { ReturnCode::PayloadSize } else { ReturnCode::NotSupported }
}

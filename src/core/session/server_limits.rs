//! The server limits of the present connection (MQTT 5.0, section 3.2.2.3). A broker before MQTT 5
//! cannot announce any, so everything is allowed.

use super::super::error::ReturnCode;
use super::super::options::{Limits, MAX_REMAINING_LENGTH};
use super::super::packet::{Control, PublishRef};
use super::super::property::{Properties, Property};
use super::super::qos::Qos;
use super::super::reason::{
    IDENTIFIERS_NOT_SUPPORTED, PACKET_TOO_LARGE, QOS_NOT_SUPPORTED, RETAIN_NOT_SUPPORTED,
    SHARED_NOT_SUPPORTED, WILDCARDS_NOT_SUPPORTED,
};

/// The size of the largest possible packet in bytes.
const LARGEST_PACKET: usize = 5 + MAX_REMAINING_LENGTH;

/// The limits in a CONNACK.
#[derive(Debug, Clone)]
pub struct ServerLimits {
    /// Maximum of QoS 1 and 2 messages in flight.
    receive_maximum: usize,
    /// The broker's Maximum Packet Size in bytes, with the fixed header.
    pub packet_size: usize,
    qos: Qos,
    retain: bool,
    /// The supported kinds of subscriptions.
    pub subscriptions: Available,
}

/// The kinds of subscriptions that the broker supports.
#[derive(Debug, Clone, Copy)]
pub struct Available {
    wildcards: bool,
    shared: bool,
    identifiers: bool,
}

impl Default for Available {
    fn default() -> Self {
        Self { wildcards: true, shared: true, identifiers: true }
    }
}

impl Available {
    /// The reason code if a request must not be sent; `None` if it may. A server may end the
    /// connection of a client that uses an unsupported kind of subscription (MQTT 5.0, section
    /// 3.2.2.3.11 and following).
    pub fn refusal(self, request: &Control) -> Option<u8> {
        let Control::Subscribe { filters, properties, .. } = request else { return None };
        let any = |is: fn(&str) -> bool| filters.iter().any(|one| is(&one.filter));
        if !self.shared && any(|filter| filter.starts_with("$share/")) {
            Some(SHARED_NOT_SUPPORTED)
        } else if !self.wildcards && any(|filter| filter.contains(['+', '#'])) {
            Some(WILDCARDS_NOT_SUPPORTED)
        } else if !self.identifiers && properties.number(Property::SubscriptionIdentifier).is_some()
        {
            Some(IDENTIFIERS_NOT_SUPPORTED)
        } else {
            None
        }
    }
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            receive_maximum: usize::from(u16::MAX),
            packet_size: LARGEST_PACKET,
            qos: Qos::ExactlyOnce,
            retain: true,
            subscriptions: Available::default(),
        }
    }
}

impl ServerLimits {
    /// Reads the limits from the properties of a CONNACK.
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
            subscriptions: Available {
                wildcards: number(Property::WildcardSubscriptionAvailable) != Some(0),
                shared: number(Property::SharedSubscriptionAvailable) != Some(0),
                identifiers: number(Property::SubscriptionIdentifierAvailable) != Some(0),
            },
        }
    }

    /// Maximum of QoS 1 and 2 messages in flight, with the application's own limit.
    pub fn window(&self, limits: &Limits) -> usize {
        limits.inflight().min(self.receive_maximum)
    }

    /// Whether any limit could forbid a message.
    pub fn are_limited(&self) -> bool {
        self.qos < Qos::ExactlyOnce || !self.retain || self.packet_size < LARGEST_PACKET
    }

    /// The reason code if a message must not be sent; `None` if it may.
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

/// The return code of `publish` for a refusal.
pub fn return_code(refusal: u8) -> ReturnCode {
    if refusal == PACKET_TOO_LARGE { ReturnCode::PayloadSize } else { ReturnCode::NotSupported }
}

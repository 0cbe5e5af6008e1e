//! Values for comparisons in tests of MQTT 3.1.1: without properties.

#![allow(dead_code)] // each test program uses some

use flask_mqtt_core::core::error::ReturnCode;
use flask_mqtt_core::core::packet::{Incoming, Subscription};
use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::session::{End, Event};

/// Subscriptions from filters and their QoS.
pub fn subscriptions(filters: Vec<(String, Qos)>) -> Vec<Subscription> {
    let subscription = |(filter, qos): (String, Qos)| Subscription { filter, options: qos.into() };
    filters.into_iter().map(subscription).collect()
}

/// The event of an acknowledged message.
pub fn published(mid: u16) -> Event {
    Event::published(mid, 0, None)
}

/// The events, with reports split into one per message.
pub fn each(events: impl IntoIterator<Item = Event>) -> Vec<Event> {
    let reports = |event| match event {
        Event::Published { mids, code, properties } => {
            mids.iter().map(|mid| Event::published(mid, code, properties.clone())).collect()
        }
        event => vec![event],
    };
    events.into_iter().flat_map(reports).collect()
}

/// The event for a connection that ended without a DISCONNECT of the broker.
pub fn ended(code: ReturnCode) -> Event {
    Event::Disconnected(End { code, reason: None, properties: None })
}

/// A CONNACK.
pub fn connack(session_present: bool, code: u8) -> Incoming {
    Incoming::ConnAck { session_present, code, properties: None }
}

/// A SUBACK that grants QoS 0 to one filter.
pub fn suback(mid: u16) -> Incoming {
    Incoming::SubAck { properties: None, mid, granted: vec![0] }
}

/// An UNSUBACK.
pub fn unsuback(mid: u16) -> Incoming {
    Incoming::UnsubAck { mid, codes: Vec::new(), properties: None }
}

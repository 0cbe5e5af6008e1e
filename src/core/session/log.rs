//! The texts of `on_log`. They are paho's, because people search for them.

use super::super::options::ConnectOptions;
use super::super::packet::{
    Control, Incoming, PublishRef, PythonBytes, Subscription, connect_flags,
};
use super::super::reason::reason_name;
use super::super::text::told;

/// A packet from the broker.
pub fn received(packet: &Incoming) -> String {
    match packet {
        Incoming::ConnAck { session_present, code, .. } => {
            format!("Received CONNACK ({}, {code})", u8::from(*session_present))
        }
        Incoming::Publish(publish) => format!(
            "Received PUBLISH (d{}, q{}, r{}, m{}), '{}', ...  ({} bytes)",
            u8::from(publish.dup),
            publish.qos as u8,
            u8::from(publish.retain),
            publish.mid,
            told(&publish.topic),
            publish.payload.len(),
        ),
        Incoming::PubAck(ack) => format!("Received PUBACK (Mid: {})", ack.mid),
        Incoming::PubRec(ack) => format!("Received PUBREC (Mid: {})", ack.mid),
        Incoming::PubRel(ack) => format!("Received PUBREL (Mid: {})", ack.mid),
        Incoming::PubComp(ack) => format!("Received PUBCOMP (Mid: {})", ack.mid),
        Incoming::SubAck { .. } => "Received SUBACK".to_owned(),
        Incoming::UnsubAck { mid, .. } => format!("Received UNSUBACK (Mid: {mid})"),
        Incoming::PingResp => "Received PINGRESP".to_owned(),
        Incoming::Disconnect { code, .. } => {
            format!("Received DISCONNECT {} ({code})", reason_name(*code))
        }
    }
}

/// A CONNECT to the broker.
pub fn sending_connect(options: &ConnectOptions) -> String {
    let flags = connect_flags(options);
    format!(
        "Sending CONNECT (u{}, p{}, wr{}, wq{}, wf{}, c{}, k{}) client_id={}",
        flags >> 7,
        (flags >> 6) & 1,
        (flags >> 5) & 1,
        (flags >> 3) & 3,
        (flags >> 2) & 1,
        (flags >> 1) & 1,
        options.keep_alive,
        PythonBytes(options.client_id.as_bytes()),
    )
}

/// A PUBLISH to the broker.
pub fn sending_publish(publish: &PublishRef<'_>) -> String {
    let size = match publish.payload.len() {
        0 => " (NULL payload)".to_owned(),
        length => format!(", ... ({length} bytes)"),
    };
    format!(
        "Sending PUBLISH (d{}, q{}, r{}, m{}), '{}'{size}",
        u8::from(publish.dup),
        publish.qos as u8,
        u8::from(publish.retain),
        publish.mid,
        PythonBytes(publish.topic.as_bytes()),
    )
}

/// Any other packet to the broker.
pub fn sending(control: &Control) -> String {
    match control {
        Control::Subscribe { mid, filters, .. } => {
            let list = filters.iter().map(|Subscription { filter, options }| {
                format!("({}, {})", PythonBytes(filter.as_bytes()), options.qos as u8)
            });
            format!("Sending SUBSCRIBE (d0, m{mid}) [{}]", join(list))
        }
        Control::Unsubscribe { mid, filters, .. } => {
            let list = filters.iter().map(|filter| PythonBytes(filter.as_bytes()).to_string());
            format!("Sending UNSUBSCRIBE (d0, m{mid}) [{}]", join(list))
        }
        Control::PubAck(mid) => format!("Sending PUBACK (Mid: {mid})"),
        Control::PubRec(mid) => format!("Sending PUBREC (Mid: {mid})"),
        Control::PubRel(mid) => format!("Sending PUBREL (Mid: {mid})"),
        Control::PubComp(mid) => format!("Sending PUBCOMP (Mid: {mid})"),
        Control::PingReq => "Sending PINGREQ".to_owned(),
        Control::Disconnect { .. } => "Sending DISCONNECT".to_owned(),
    }
}

fn join(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

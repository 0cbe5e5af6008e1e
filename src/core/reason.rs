//! The reason codes of MQTT 5 (MQTT 5.0, section 2.4) and what they mean.

/// The other side violated the protocol.
pub const PROTOCOL_ERROR: u8 = 0x82;
/// The client is not authorized.
pub const NOT_AUTHORIZED: u8 = 0x87;
/// Another client has connected with the same client identifier.
pub const SESSION_TAKEN_OVER: u8 = 0x8e;
/// The packet identifier is unknown.
pub const PACKET_IDENTIFIER_NOT_FOUND: u8 = 0x92;
/// A topic alias is too high, or unknown.
pub const TOPIC_ALIAS_INVALID: u8 = 0x94;
/// A packet exceeds the other side's limit.
pub const PACKET_TOO_LARGE: u8 = 0x95;
/// The broker does not support retained messages.
pub const RETAIN_NOT_SUPPORTED: u8 = 0x9a;
/// The QoS exceeds the broker's maximum.
pub const QOS_NOT_SUPPORTED: u8 = 0x9b;

/// The broker does not support shared subscriptions.
pub const SHARED_NOT_SUPPORTED: u8 = 0x9e;
/// The broker does not support subscription identifiers.
pub const IDENTIFIERS_NOT_SUPPORTED: u8 = 0xa1;
/// The broker does not support wildcard subscriptions.
pub const WILDCARDS_NOT_SUPPORTED: u8 = 0xa2;

/// Codes from here on are failures (section 2.4).
pub const FAILURE: u8 = 0x80;

/// The name of a reason code in the specification. Codes up to 4 have other names in some packets;
/// these are the most common ones.
pub fn reason_name(code: u8) -> &'static str {
    match code {
        0x00 => "Success",
        0x01 => "Granted QoS 1",
        0x02 => "Granted QoS 2",
        0x04 => "Disconnect with Will Message",
        0x10 => "No matching subscribers",
        0x11 => "No subscription existed",
        0x18 => "Continue authentication",
        0x19 => "Re-authenticate",
        0x80 => "Unspecified error",
        0x81 => "Malformed Packet",
        0x82 => "Protocol Error",
        0x83 => "Implementation specific error",
        0x84 => "Unsupported Protocol Version",
        0x85 => "Client Identifier not valid",
        0x86 => "Bad User Name or Password",
        0x87 => "Not authorized",
        0x88 => "Server unavailable",
        0x89 => "Server busy",
        0x8a => "Banned",
        0x8b => "Server shutting down",
        0x8c => "Bad authentication method",
        0x8d => "Keep Alive timeout",
        0x8e => "Session taken over",
        0x8f => "Topic Filter invalid",
        0x90 => "Topic Name invalid",
        0x91 => "Packet Identifier in use",
        0x92 => "Packet Identifier not found",
        0x93 => "Receive Maximum exceeded",
        0x94 => "Topic Alias invalid",
        0x95 => "Packet too large",
        0x96 => "Message rate too high",
        0x97 => "Quota exceeded",
        0x98 => "Administrative action",
        0x99 => "Payload format invalid",
        0x9a => "Retain not supported",
        0x9b => "QoS not supported",
        0x9c => "Use another server",
        0x9d => "Server moved",
        0x9e => "Shared Subscriptions not supported",
        0x9f => "Connection rate exceeded",
        0xa0 => "Maximum connect time",
        0xa1 => "Subscription Identifiers not supported",
        0xa2 => "Wildcard Subscriptions not supported",
        _ => "reserved code",
    }
}

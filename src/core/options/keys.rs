//! The configuration keys that are passed to the core unchanged. A new one needs a line here, and
//! the code that uses it.
//!
//! `python/flask_mqtt/config/keys.py` has their checks and their defaults; the bindings read all of
//! these.

/// Passes the limits to a macro: `documentation, field: type = "name of its key"`.
macro_rules! limit_keys {
    ($then:ident) => {
        $then! {
            /// Remaining length in bytes of the largest packet to read.
            packet_size: usize = "max_packet_size",
            /// Bytes pending for the broker: published, but not sent or not acknowledged.
            outgoing_bytes: usize = "max_outgoing_bytes",
            /// Bytes of received messages pending for their handlers.
            incoming_bytes: usize = "max_incoming_bytes",
            /// Received messages pending for their handlers.
            incoming_messages: usize = "max_incoming_messages",
            /// Maximum of unacknowledged QoS 1 and 2 messages in flight; 0 for no limit.
            inflight: usize = "max_inflight",
            /// Maximum of QoS 1 and 2 messages queued beyond those; 0 for no limit.
            queued: usize = "max_queued",
            /// What to do with received messages beyond their limits.
            overflow: Overflow = "incoming_overflow",
        }
    };
}

/// The same for all other options.
macro_rules! connect_keys {
    ($then:ident) => {
        $then! {
            /// The version of MQTT.
            protocol: Protocol = "protocol_version",
            /// Client identifier; if empty, the broker assigns one.
            client_id: String = "client_id",
            /// Whether the broker forgets the session when the connection ends.
            clean_session: bool = "clean_session",
            /// Seconds without a packet before a PINGREQ is sent; 0 disables it.
            keep_alive: u16 = "keepalive",
            /// Timeout for reaching a broker, or the proxy to it: resolving the name, and TCP.
            connect_timeout: Duration = "connection_timeout",
            /// Timeout for the later steps up to the CONNACK; at least `connect_timeout`.
            handshake_timeout: Duration = "handshake_timeout",
            /// The shortest delay before another attempt to connect; it doubles each time.
            reconnect_delay_min: Duration = "reconnect_delay_min",
            /// The longest delay before another attempt to connect.
            reconnect_delay_max: Duration = "reconnect_delay_max",
            /// Whether to reconnect at all.
            reconnect_on_failure: bool = "reconnect_on_failure",
            /// Properties of the CONNECT, for MQTT 5.
            properties: Properties = "connect_properties",
            /// The proxy to every broker.
            proxy: Option<Proxy> = "proxy",
            /// The local address to connect from.
            bind_address: Option<IpAddr> = "bind_address",
            /// Whether to send small packets at once (`TCP_NODELAY`).
            tcp_nodelay: bool = "tcp_nodelay",
            /// How long messages of a stream may be delayed to be read together; zero disables it.
            gather_time: Duration = "gather_time",
        }
    };
}

pub(crate) use {connect_keys, limit_keys};

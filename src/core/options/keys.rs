//! The configuration keys that are passed to the core unchanged. A new one needs a line here, and
//! the code that uses it.
//!
//! `python/flask_mqtt/config/keys.py` has their checks and their defaults; the bindings read all of
//! these.

/// Hands bounds to a macro: `documentation, field: type = "name of its key"`.
macro_rules! limit_keys {
    ($then:ident) => {
        $then! {
            /// Remaining length in bytes of the largest packet that is read.
            packet_size: usize = "max_packet_size",
            /// Bytes that may wait for the broker: written by the application, not yet sent or not yet
            /// acknowledged.
            outgoing_bytes: usize = "max_outgoing_bytes",
            /// Bytes of received messages that may wait for their handler.
            incoming_bytes: usize = "max_incoming_bytes",
            /// Received messages that may wait for their handler.
            incoming_messages: usize = "max_incoming_messages",
            /// QoS 1 and 2 messages that may be unacknowledged at a time; 0 for no limit.
            inflight: usize = "max_inflight",
            /// QoS 1 and 2 messages that may wait beyond those; 0 for no limit.
            queued: usize = "max_queued",
            /// What happens to received messages beyond their bounds.
            overflow: Overflow = "incoming_overflow",
        }
    };
}

/// The same with all others.
macro_rules! connect_keys {
    ($then:ident) => {
        $then! {
            /// The version of MQTT.
            protocol: Protocol = "protocol_version",
            /// Client identifier; empty lets the broker choose one.
            client_id: String = "client_id",
            /// Whether the broker forgets the session when the connection ends.
            clean_session: bool = "clean_session",
            /// Seconds between packets before a PINGREQ goes out; 0 switches that off.
            keep_alive: u16 = "keepalive",
            /// How long it may take to reach a broker, or the proxy before it: the look-up of the name, and
            /// TCP.
            connect_timeout: Duration = "connection_timeout",
            /// How long everything after that may take, up to the CONNACK; as long as `connect_timeout`
            /// where that is longer.
            handshake_timeout: Duration = "handshake_timeout",
            /// The shortest delay before another attempt to connect; it doubles each time.
            reconnect_delay_min: Duration = "reconnect_delay_min",
            /// The longest delay before another attempt to connect.
            reconnect_delay_max: Duration = "reconnect_delay_max",
            /// Whether there is another attempt at all.
            reconnect_on_failure: bool = "reconnect_on_failure",
            /// Properties of the CONNECT, for MQTT 5.
            properties: Properties = "connect_properties",
            /// The proxy on the way to every broker.
            proxy: Option<Proxy> = "proxy",
            /// The local address to connect from.
            bind_address: Option<IpAddr> = "bind_address",
            /// Whether small packets go out at once (`TCP_NODELAY`).
            tcp_nodelay: bool = "tcp_nodelay",
            /// How long messages of a stream may wait to be read together; zero for not at all.
            gather_time: Duration = "gather_time",
        }
    };
}

pub(crate) use {connect_keys, limit_keys};

//! Options for tests and fuzz targets of the core. The package uses none of these values.

use std::time::Duration;

use super::{ConnectOptions, Endpoint, Limits, MAX_REMAINING_LENGTH};

impl ConnectOptions {
    /// The options of a test's connection to a broker.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            brokers: vec![Endpoint::tcp(host, port)],
            clean_session: true,
            keep_alive: 60,
            connect_timeout: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(10),
            reconnect_delay_min: Duration::from_secs(1),
            reconnect_delay_max: Duration::from_secs(60),
            reconnect_on_failure: true,
            tcp_nodelay: true,
            gather_time: Duration::from_micros(700),
            limits: Limits::example(),
            ..Self::default()
        }
    }
}

impl Limits {
    /// Limits large enough that only tests about them reach them.
    pub fn example() -> Self {
        Self {
            packet_size: MAX_REMAINING_LENGTH,
            outgoing_bytes: 100_000_000,
            incoming_bytes: 100_000_000,
            incoming_messages: 100_000,
            inflight: 10,
            ..Self::default()
        }
    }
}

//! The actions of a scenario, each with a bound on how often it happens, so that the search ends.

use flask_mqtt_core::core::options::Protocol;
use flask_mqtt_core::core::qos::Qos::{
    self, AtLeastOnce as Q1, AtMostOnce as Q0, ExactlyOnce as Q2,
};

/// A request of the application for a filter of one letter.
#[derive(Debug, Clone, Copy)]
pub enum Request {
    Subscribe(u8),
    Unsubscribe(u8),
    /// Hold subscriptions, or no longer.
    Hold(bool),
}

/// How often each failure may happen.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    pub losses: usize,
    pub forgets: usize,
    pub refusals: usize,
    pub finishes: usize,
    pub failures: usize,
    pub closes: usize,
    pub crashes: usize,
}

const NEVER: Limit =
    Limit { losses: 0, forgets: 0, refusals: 0, finishes: 0, failures: 0, closes: 0, crashes: 0 };

/// The parameters of a world.
#[derive(Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub protocol: Protocol,
    /// Messages to the broker and from it, in order.
    pub ups: &'static [Qos],
    pub downs: &'static [Qos],
    pub requests: &'static [Request],
    pub inflight: usize,
    /// Possible limits of the broker: Receive Maximum and Maximum QoS.
    pub server_limits: &'static [(Option<u32>, Option<u32>)],
    /// Whether the session ends with each connection.
    pub clean: bool,
    pub file: bool,
    /// Whether the transport writes packets in halves, which matters for QoS 0.
    pub slow: bool,
    /// Whether the broker responds in the order of the packets it read.
    pub in_order: bool,
    /// Whether the broker reuses packet identifiers too early.
    pub early: bool,
    /// Whether it forwards a QoS 2 message on PUBREL.
    pub late: bool,
    /// Whether a child is forked in each state.
    pub forks: bool,
    pub limit: Limit,
}

const PLAIN: Scenario = Scenario {
    name: "",
    protocol: Protocol::V311,
    ups: &[],
    downs: &[],
    requests: &[],
    inflight: 2,
    server_limits: &[(None, None)],
    clean: false,
    file: false,
    slow: false,
    in_order: false,
    early: false,
    late: false,
    forks: false,
    limit: NEVER,
};

/// The scenarios that the tests explore completely.
pub static SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "publish",
        ups: &[Q1, Q2, Q2],
        limit: Limit { losses: 2, finishes: 1, refusals: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "publish, window of 1",
        ups: &[Q2, Q1, Q1],
        inflight: 1,
        forks: true,
        limit: Limit { losses: 2, forgets: 1, finishes: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "publish, forgetful broker",
        ups: &[Q2, Q1, Q2],
        limit: Limit { losses: 2, forgets: 2, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "publish, forgetful broker that waits for PUBREL",
        ups: &[Q2, Q2],
        in_order: true,
        late: true,
        limit: Limit { losses: 2, forgets: 2, finishes: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "publish, clean session",
        ups: &[Q2, Q1],
        clean: true,
        limit: Limit { losses: 2, finishes: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "publish, server limits",
        protocol: Protocol::V5,
        ups: &[Q2, Q1, Q1],
        server_limits: &[(None, None), (Some(1), None), (None, Some(1))],
        limit: Limit { losses: 2, forgets: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "publish, half packets",
        ups: &[Q0, Q1, Q0],
        slow: true,
        limit: Limit { losses: 1, finishes: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "receive",
        downs: &[Q1, Q2],
        limit: Limit { losses: 2, finishes: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "receive, forgetful broker",
        downs: &[Q2, Q1],
        forks: true,
        limit: Limit { losses: 2, forgets: 2, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "receive QoS 1, forgetful broker",
        downs: &[Q1, Q1],
        limit: Limit { losses: 1, forgets: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "receive, clean session",
        downs: &[Q2, Q0, Q2],
        clean: true,
        limit: Limit { losses: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "receive, identifiers used early",
        downs: &[Q2, Q2, Q2],
        early: true,
        ..PLAIN
    },
    Scenario {
        name: "subscribe",
        requests: &[Request::Subscribe(b'a'), Request::Unsubscribe(b'a')],
        forks: true,
        limit: Limit { losses: 2, forgets: 1, finishes: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "subscribe, clean session",
        requests: &[Request::Subscribe(b'a'), Request::Subscribe(b'b'), Request::Unsubscribe(b'a')],
        clean: true,
        forks: true,
        limit: Limit { losses: 1, finishes: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "subscribe, held",
        requests: &[
            Request::Hold(true),
            Request::Subscribe(b'a'),
            Request::Unsubscribe(b'b'),
            Request::Hold(false),
        ],
        forks: true,
        limit: Limit { losses: 2, forgets: 1, finishes: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "subscribe, held later",
        requests: &[
            Request::Subscribe(b'a'),
            Request::Hold(true),
            Request::Unsubscribe(b'a'),
            Request::Hold(false),
        ],
        clean: true,
        forks: true,
        limit: Limit { losses: 1, finishes: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "both ways",
        ups: &[Q2, Q1],
        downs: &[Q2],
        limit: Limit { losses: 1, finishes: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "file, publish",
        file: true,
        ups: &[Q2, Q1],
        limit: Limit { losses: 1, crashes: 1, failures: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "file, publish, forgetful broker",
        file: true,
        ups: &[Q2],
        limit: Limit { losses: 1, forgets: 1, crashes: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "file, publish, server limits",
        protocol: Protocol::V5,
        ups: &[Q2],
        server_limits: &[(None, None), (None, Some(1))],
        file: true,
        limit: Limit { losses: 1, crashes: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "file, receive",
        file: true,
        downs: &[Q2],
        forks: true,
        limit: Limit { losses: 1, crashes: 1, finishes: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "file, receive, forgetful broker",
        file: true,
        downs: &[Q2],
        limit: Limit { losses: 1, forgets: 1, crashes: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "file, receive, closed and opened",
        downs: &[Q2],
        file: true,
        limit: Limit { losses: 1, closes: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "file, closed and opened",
        file: true,
        ups: &[Q2, Q1],
        limit: Limit { losses: 1, closes: 1, ..NEVER },
        ..PLAIN
    },
];

/// Larger scenarios, explored while there is time.
pub static LARGER: &[Scenario] = &[
    Scenario {
        name: "publish, three losses",
        ups: &[Q1, Q2, Q2, Q1],
        limit: Limit { losses: 3, finishes: 1, refusals: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "publish, clean session, two losses",
        ups: &[Q2, Q1, Q2],
        clean: true,
        limit: Limit { losses: 2, finishes: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "publish, server limits, four messages",
        protocol: Protocol::V5,
        ups: &[Q2, Q1, Q1, Q2],
        server_limits: &[(None, None), (Some(1), None), (None, Some(1))],
        limit: Limit { losses: 2, forgets: 1, finishes: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "publish, half packets, two losses",
        ups: &[Q0, Q2, Q0, Q1],
        slow: true,
        limit: Limit { losses: 2, finishes: 1, refusals: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "receive, three messages",
        downs: &[Q1, Q2, Q2],
        limit: Limit { losses: 1, finishes: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "receive, three messages, in order",
        downs: &[Q2, Q2, Q1],
        in_order: true,
        limit: Limit { losses: 2, forgets: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "subscribe and publish",
        requests: &[Request::Subscribe(b'a'), Request::Unsubscribe(b'a'), Request::Subscribe(b'a')],
        ups: &[Q1],
        forks: true,
        limit: Limit { losses: 2, forgets: 1, finishes: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "subscribe and receive, clean session",
        requests: &[Request::Subscribe(b'a'), Request::Subscribe(b'b'), Request::Unsubscribe(b'a')],
        downs: &[Q2],
        clean: true,
        forks: true,
        limit: Limit { losses: 1, finishes: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "both ways, two losses",
        ups: &[Q2, Q1],
        downs: &[Q2, Q1],
        protocol: Protocol::V5,
        limit: Limit { losses: 2, forgets: 1, finishes: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "file, publish, two failures",
        file: true,
        ups: &[Q2, Q1, Q2],
        limit: Limit { losses: 1, crashes: 1, failures: 2, finishes: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "file, publish, forgetful broker, two messages",
        file: true,
        ups: &[Q2, Q2],
        limit: Limit { losses: 1, forgets: 1, crashes: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "file, publish, server limits, two messages",
        protocol: Protocol::V5,
        ups: &[Q2, Q2],
        server_limits: &[(None, None), (None, Some(1))],
        file: true,
        limit: Limit { losses: 1, crashes: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "file, receive, two messages",
        file: true,
        downs: &[Q2, Q2],
        limit: Limit { losses: 1, crashes: 1, failures: 1, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "file, receive, two kills",
        file: true,
        downs: &[Q2],
        limit: Limit { losses: 2, forgets: 1, crashes: 2, ..NEVER },
        ..PLAIN
    },
    Scenario {
        name: "file, both ways, closed and opened",
        file: true,
        ups: &[Q2, Q1],
        downs: &[Q2],
        limit: Limit { losses: 1, closes: 1, ..NEVER },
        ..PLAIN
    },
];

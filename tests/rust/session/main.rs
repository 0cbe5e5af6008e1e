//! The session without a socket and without a clock: every rule of MQTT that it follows.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that fails is to panic

mod acknowledge;
mod clean_start;
mod connecting;
mod counters;
mod deliveries;
#[path = "../support/disk.rs"]
mod disk;
mod early_reuse;
mod flood;
mod held_subscriptions;
mod identifiers;
mod incoming;
mod model;
mod model_broker;
mod model_crash;
mod outgoing;
mod parting;
mod peer;
mod peer_v5;
mod persistence;
mod pings;
mod queue;
mod reporting;
mod subscriptions;
mod unsubscribing;
mod v5_aliases;
mod v5_messages;
mod v5_server_limits;
mod v5_set_aside;
mod v5_subscriptions;
#[path = "../support/values.rs"]
mod values;

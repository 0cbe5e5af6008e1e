//! The session without a socket and without a clock: every rule of MQTT 3.1.1 that it keeps.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that fails is to panic

mod connecting;
mod incoming;
mod model;
mod model_broker;
mod outgoing;
mod peer;
mod queue;
mod reporting;
mod subscriptions;
#[path = "../support/values.rs"]
mod values;

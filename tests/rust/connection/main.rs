//! The client over TCP, against a broker that the test scripts.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that fails is to panic

mod attempts;
mod bad_brokers;
mod connect;
mod disconnect;
mod ending;
mod flow;
mod hostile;
mod reconnect;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/values.rs"]
mod values;

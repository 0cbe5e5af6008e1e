//! Every way to reach a broker, against servers in the test that do what it says.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that fails is to panic

mod brokers;
mod headers;
mod proxy;
mod proxy_programs;
mod servers;
#[path = "../support/mod.rs"]
mod support;
mod tcp;
mod unix;
mod url;
mod websocket;
mod wss;

//! Every transport, against servers that the tests script.
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

//! The transports.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that fails is to panic

#[path = "../support/mod.rs"]
mod support;
mod tls;

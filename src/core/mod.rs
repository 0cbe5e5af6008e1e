//! The MQTT client without Python.
//!
//! Imports run one way:
//! `error`, `topic` ← `options`, `packet` ← `session` ← `inbox`, `signal`, `transport` ← `connection` ← `client`.
#![forbid(unsafe_code)]

pub mod client;
mod connection;
pub mod error;
pub mod inbox;
pub mod options;
pub mod packet;
pub mod session;
pub mod signal;
pub mod topic;
mod transport;

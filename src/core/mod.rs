//! The MQTT client without Python.
//!
//! Imports run one way: `reason` ← `error` ← `topic`, `qos`, `property` ← `options` ← `packet` ← `session` ←
//! `inbox`, `signal` ← `shared`; `options` ← `url`, `unanswered` ← `transport`; `shared`, `transport` ←
//! `connection` ← `client`.
#![forbid(unsafe_code)]

pub mod client;
mod connection;
pub mod error;
pub mod inbox;
pub mod options;
pub mod packet;
pub mod property;
pub mod qos;
pub mod reason;
pub mod session;
mod shared;
pub mod signal;
pub mod topic;
mod transport;
mod unanswered;
pub mod url;

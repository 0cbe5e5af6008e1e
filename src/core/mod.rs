//! The MQTT client without Python.
//!
//! Imports run one way: `reason` ← `error` ← `topic`, `qos`, `property` ← `options` ← `packet`; `error`,
//! `completions` ← `delivery`; `packet`, `delivery` ← `session` ← `inbox`, `inquiry`, `signal` ← `shared` ←
//! `task`; `options` ← `url`, `unanswered` ← `transport`; `task`, `transport` ← `connection` ← `client`.
#![forbid(unsafe_code)]

pub mod client;
pub mod completions;
mod connection;
pub mod delivery;
pub mod error;
pub mod inbox;
mod inquiry;
pub mod options;
pub mod packet;
pub mod property;
pub mod qos;
pub mod reason;
pub mod session;
mod shared;
pub mod signal;
mod task;
pub mod topic;
mod transport;
mod unanswered;
pub mod url;

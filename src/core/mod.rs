//! The MQTT client without Python.
//!
//! Imports run one way: `docs/modules.md` lists the order, and a test checks it.
#![forbid(unsafe_code)]

pub mod client;
mod connection;
pub mod delivery;
pub mod error;
pub mod gate;
pub mod inbox;
pub mod options;
mod pace;
pub mod packet;
pub mod process;
pub mod property;
pub mod qos;
pub mod reason;
mod refresh;
pub mod session;
mod shared;
pub mod socket;
pub mod stats;
pub mod store;
mod sync;
pub mod text;
mod threads;
pub mod topic;
mod transport;
pub mod url;
pub mod wake;

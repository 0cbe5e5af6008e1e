//! The MQTT client without Python.
//!
//! Imports run one way: `reason` ← `error` ← `topic`, `qos`, `property` ← `options` ← `packet`; `sync` ←
//! `completions`, `waiter`, `wakeup`, `bell`, `shared`; `error`, `completions`, `waiter` ← `delivery`; `waiter` ← `signal`; `wakeup` ← `inbox`; `qos` ← `stats`; `packet`,
//! `delivery`, `stats`, `text` ← `session` ← `bell`, `inbox`, `inquiry`, `pace`, `signal`, `socket` ← `shared` ← `task`,
//! `store`; `session` ← `failure`; `inbox` ← `pause`; `options`, `text` ← `url`,
//! `socket`, `unanswered`, `gate` ← `transport`; `pause`, `shared`, `transport` ← `link`; `failure`, `link`, `task` ← `connection`;
//! `connection`, `store` ← `client`.
#![forbid(unsafe_code)]

mod bell;
pub mod client;
pub mod completions;
mod connection;
pub mod delivery;
pub mod error;
mod failure;
pub mod gate;
pub mod inbox;
mod inquiry;
mod link;
pub mod options;
mod pace;
pub mod packet;
mod pause;
pub mod process;
pub mod property;
pub mod qos;
pub mod reason;
pub mod session;
mod shared;
pub mod signal;
pub mod socket;
pub mod stats;
pub mod store;
mod sync;
mod task;
pub mod text;
pub mod topic;
mod transport;
mod unanswered;
pub mod url;
pub mod waiter;
pub mod wakeup;

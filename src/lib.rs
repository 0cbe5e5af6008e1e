//! Flask-MQTT's interface on a Rust core.
//!
//! * [`core`]: the MQTT client. No Python in it; `cargo test --no-default-features --features
//!   vendored-openssl` runs it alone.
//! * `bindings`: the module `flask_mqtt._core`, signatures and conversions only (feature `python`).

pub mod core;

#[cfg(feature = "python")]
mod bindings;

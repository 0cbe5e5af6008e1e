//! The parts of the core where threads meet, with locks that try one order of threads after the
//! other: no thread waits forever, and nothing is lost.
//!
//! The sources of these parts are compiled a second time here, with shuttle's locks in place of the
//! standard library's. Timeouts never expire here, so each wait must end by its condition. Models
//! of two threads run in all orders, larger ones in many random orders; `MODEL_SECONDS` sets how
//! long each of the latter runs.
#![allow(dead_code, unused_imports, missing_docs, clippy::unwrap_used, clippy::expect_used)]

use flask_mqtt_core::core::{error, options, packet, property, qos, reason, session, stats};

#[path = "../../../src/core/delivery.rs"]
mod delivery;
#[path = "../../../src/core/inbox/mod.rs"]
mod inbox;
mod models;
#[path = "../../../src/core/pace.rs"]
mod pace;
mod pairs;
#[path = "../../../src/core/refresh.rs"]
mod refresh;
#[path = "../../../src/core/shared.rs"]
mod shared;
#[path = "../../../src/core/socket.rs"]
mod socket;
mod sync;
#[path = "../../../src/core/wake/mod.rs"]
mod wake;

fn main() {
    if cfg!(feature = "python") {
        println!(
            "threads: these parts have no Python in them, so they are run where the core is tested alone"
        );
        return;
    }
    let names: Vec<_> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    let is_named = |name: &str| names.is_empty() || names.iter().any(|part| name.contains(part));
    for (name, model) in pairs::PAIRS.iter().filter(|(name, _)| is_named(name)) {
        pairs::run(name, *model);
    }
    for (name, model) in models::MODELS.iter().filter(|(name, _)| is_named(name)) {
        models::run(name, *model);
    }
}

//! The parts of the core that threads meet in, with locks that try one order of threads after the other:
//! nobody waits for ever, and nothing is lost.
//!
//! The sources of these parts are compiled once more here, with shuttle's locks in place of the standard
//! library's. A time that a thread waits for does not end here, so a wait has to be ended by what it waits for.
//! Two threads are run in all orders, more of them in many that are drawn at random; `MODEL_SECONDS` lets each
//! of those models run so long.
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

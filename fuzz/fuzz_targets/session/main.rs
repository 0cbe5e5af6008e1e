//! A session under arbitrary actions: see `World` for the invariants.
#![no_main]

mod action;
#[path = "../../../tests/rust/support/disk.rs"]
#[allow(dead_code)] // the tests look into it, too
mod disk;
mod frame;
mod link;
mod waits;
mod world;

use libfuzzer_sys::fuzz_target;

use action::Scenario;
use world::World;

fuzz_target!(|scenario: Scenario| {
    let mut world = World::new(&scenario);
    for action in &scenario.actions {
        world.act(action);
    }
    world.finish();
});

//! An exhaustive model of the session: every order in which things can happen, up to a bound.
//!
//! It prints how many states it visited. An argument selects scenarios by name. With
//! `MODEL_SECONDS` it also explores the larger ones, each for at most so many seconds.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a model that fails is to panic
#![allow(clippy::struct_excessive_bools)] // they are independent, and each is a part of a state

mod broker;
mod canonical;
#[allow(dead_code)] // others store and say so in one
#[path = "../support/disk.rs"]
mod disk;
mod packet;
mod scenario;
mod search;
mod world;

use std::time::{Duration, Instant};

use scenario::{LARGER, SCENARIOS};

fn main() {
    if cfg!(feature = "python") {
        println!(
            "model: the session has no Python in it, so it is explored where the core is tested alone"
        );
        return;
    }
    let names: Vec<_> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    let seconds = std::env::var("MODEL_SECONDS").ok().map(|seconds| {
        Duration::from_secs(seconds.parse().expect("MODEL_SECONDS is a number of seconds"))
    });
    let whole = SCENARIOS.iter().map(|scenario| (scenario, Duration::MAX));
    let larger = seconds.map(|seconds| LARGER.iter().map(move |scenario| (scenario, seconds)));
    let (start, mut states, mut transitions) = (Instant::now(), 0, 0);
    for (scenario, time) in whole.chain(larger.into_iter().flatten()) {
        let is_named = |name: &String| scenario.name.contains(name.as_str());
        if !names.is_empty() && !names.iter().any(is_named) {
            continue;
        }
        let start = Instant::now();
        let explored = search::explore(scenario, time);
        let whole = if explored.complete { "all" } else { "not all" };
        println!(
            "model {:46} {:>8} states, {:>9} transitions, {:>2} deep, {whole} {:6.1} s",
            scenario.name,
            explored.states,
            explored.transitions,
            explored.depth,
            start.elapsed().as_secs_f64(),
        );
        states += explored.states;
        transitions += explored.transitions;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "model: {states} states, {transitions} transitions, {seconds:.1} s; everything holds in all of them"
    );
}

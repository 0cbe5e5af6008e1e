//! A breadth-first search through all reachable states. A session cannot be copied, so each state
//! is rebuilt by replaying the actions that lead to it.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::canonical::Canonical;
use super::scenario::Scenario;
use super::world::{Action, World};

/// The result of a search.
pub struct Explored {
    pub states: usize,
    pub transitions: usize,
    /// Number of actions to the deepest state whose successors were all visited.
    pub depth: usize,
    /// Whether every state was visited.
    pub complete: bool,
}

struct Step {
    before: u32,
    action: Action,
    depth: u16,
}

struct Search {
    scenario: &'static Scenario,
    canonical: Canonical,
    steps: Vec<Step>,
    seen: HashSet<u64>,
}

/// Prints the path to a failure, even if the session panics.
struct Tell<'a>(&'a [Action]);

impl Drop for Tell<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{} actions led to it:", self.0.len());
            self.0.iter().for_each(|action| eprintln!("    {action:?}"));
        }
    }
}

fn world(scenario: &'static Scenario, path: &[Action]) -> World {
    let _tell = Tell(path);
    let mut world = World::new(scenario);
    for action in path {
        world.apply(*action).unwrap_or_else(|text| panic!("{}: {text}", scenario.name));
    }
    world
}

/// Explores for at most `time`.
pub fn explore(scenario: &'static Scenario, time: Duration) -> Explored {
    let start = Instant::now();
    let (steps, seen) = (Vec::new(), HashSet::new());
    let mut search = Search { scenario, canonical: Canonical::new(scenario.slow), steps, seen };
    let mut explored = Explored { states: 1, transitions: 0, depth: 0, complete: true };
    search.visit(&[]);
    search.expand(&[], None, &mut explored);
    let mut next = 0;
    while next < search.steps.len() {
        let depth = usize::from(search.steps[next].depth);
        if start.elapsed() > time {
            explored.complete = false;
            break;
        }
        explored.depth = depth;
        let path = search.path(next);
        search.expand(&path, Some(next), &mut explored);
        next += 1;
    }
    explored
}

impl Search {
    fn path(&self, index: usize) -> Vec<Action> {
        let mut path = Vec::new();
        let mut index = u32::try_from(index).expect("memory ends before");
        while index != u32::MAX {
            let step = &self.steps[index as usize];
            path.push(step.action);
            index = step.before;
        }
        path.reverse();
        path
    }

    fn expand(&mut self, path: &[Action], index: Option<usize>, explored: &mut Explored) {
        let mut path = path.to_vec();
        let before =
            index.map_or(u32::MAX, |index| u32::try_from(index).expect("memory ends before"));
        let depth = u16::try_from(path.len() + 1).expect("it ends before");
        for action in world(self.scenario, &path).enabled() {
            path.push(action);
            if self.visit(&path) {
                self.steps.push(Step { before, action, depth });
                explored.states += 1;
            }
            explored.transitions += 1;
            path.pop();
        }
    }

    /// Returns whether the state is new, and whether the invariants hold in it and after it.
    fn visit(&mut self, path: &[Action]) -> bool {
        let reached = world(self.scenario, path);
        if !self.seen.insert(reached.fingerprint(&mut self.canonical)) {
            return false;
        }
        let _tell = Tell(path);
        let holds = |result: Result<(), String>| {
            result.unwrap_or_else(|text| panic!("{}: {text}", self.scenario.name));
        };
        holds(reached.drain(false));
        // If one identifier has two messages, another connection cannot distinguish them.
        if !self.scenario.early {
            holds(world(self.scenario, path).drain(true));
        }
        if self.scenario.forks {
            holds(world(self.scenario, path).fork());
        }
        true
    }
}

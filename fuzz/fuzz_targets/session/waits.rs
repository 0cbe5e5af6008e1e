//! Callers that wait for messages of a session.

use std::collections::HashMap;
use std::sync::Arc;

use flask_mqtt_core::core::delivery::{Delivery, State};
use flask_mqtt_core::core::wake::Completions;

/// The callers that wait, and their messages.
#[derive(Default)]
pub struct Waits {
    /// Created for the first wait, because it takes descriptors.
    completions: Option<Arc<Completions>>,
    pending: HashMap<u64, Delivery>,
    count: u64,
}

impl Waits {
    /// Adds a caller that waits for a message.
    pub fn add(&mut self, delivery: &Delivery) {
        let completions = self
            .completions
            .get_or_insert_with(|| Arc::new(Completions::new().expect("descriptors")));
        self.count += 1;
        if delivery.listen(completions, self.count) {
            self.pending.insert(self.count, delivery.clone());
        }
    }

    /// Checks that a caller is woken exactly once if its wait is over; with `all`, every wait is
    /// over.
    pub fn check(&mut self, all: bool) {
        let Some(completions) = &self.completions else { return };
        for number in completions.take() {
            let delivery = self.pending.remove(&number).expect("somebody waits");
            assert!(all || delivery.state() != State::Pending, "woken too early");
        }
        assert!(!all || self.pending.is_empty(), "somebody waits on");
        let pending = |delivery: &Delivery| delivery.state() == State::Pending;
        assert!(self.pending.values().all(pending), "somebody is forgotten");
    }
}

//! Callers that wait for messages of a session.

use std::collections::HashMap;
use std::sync::Arc;

use flask_mqtt_core::core::delivery::{Delivery, State};
use flask_mqtt_core::core::wake::Completions;

/// Who waits, and for which message.
#[derive(Default)]
pub struct Waits {
    /// Made for the first one: it takes descriptors.
    completions: Option<Arc<Completions>>,
    pending: HashMap<u64, Delivery>,
    count: u64,
}

impl Waits {
    /// Somebody waits for a message.
    pub fn add(&mut self, delivery: &Delivery) {
        let completions = self
            .completions
            .get_or_insert_with(|| Arc::new(Completions::new().expect("descriptors")));
        self.count += 1;
        if delivery.listen(completions, self.count) {
            self.pending.insert(self.count, delivery.clone());
        }
    }

    /// Everybody is woken once who has nothing more to wait for; where all waiting ends, the others too.
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

//! What is to be called for a message.

use std::mem;

use super::tree::TopicTree;
use super::without_share;

/// Values by the filter of a subscription, found by the topics of the messages that the subscription
/// gets. That of a shared one is its filter without `$share/<group>/`, so several subscriptions may
/// have the same; each keeps its value.
#[derive(Debug)]
pub struct Routes<V> {
    tree: TopicTree<Vec<Route<V>>>,
}

#[derive(Debug)]
struct Route<V> {
    subscription: Box<str>,
    value: V,
}

impl<V> Routes<V> {
    /// Gives a subscription a value, and returns the one that it had.
    pub fn insert(&mut self, subscription: &str, value: V) -> Option<V> {
        let filter = without_share(subscription);
        let route = Route { subscription: subscription.into(), value };
        let Some(routes) = self.tree.get_mut(filter) else {
            self.tree.insert(filter, vec![route]);
            return None;
        };
        let Some(known) = routes.iter_mut().find(|known| known.subscription == route.subscription)
        else {
            routes.push(route);
            return None;
        };
        Some(mem::replace(known, route).value)
    }

    /// Takes the value of a subscription.
    pub fn remove(&mut self, subscription: &str) -> Option<V> {
        let filter = without_share(subscription);
        let routes = self.tree.get_mut(filter)?;
        let place = routes.iter().position(|route| *route.subscription == *subscription)?;
        let removed = routes.remove(place);
        if routes.is_empty() {
            self.tree.remove(filter);
        }
        Some(removed.value)
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.tree.is_empty()
    }

    /// All values, in no order.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.tree.values().flatten().map(|route| &route.value)
    }

    /// The values for a message, in the order of [`TopicTree::matches`]; those of the same filter as
    /// they came.
    pub fn matches<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = &'a V> {
        self.tree.matches(topic).flatten().map(|route| &route.value)
    }
}

impl<V> Default for Routes<V> {
    fn default() -> Self {
        Self { tree: TopicTree::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(routes: &Routes<u8>, topic: &str) -> Vec<u8> {
        routes.matches(topic).copied().collect()
    }

    #[test]
    fn a_shared_subscription_gets_what_its_filter_matches() {
        let mut routes = Routes::default();
        for (subscription, value) in [
            ("jobs/1", 1),
            ("$share/workers/jobs/+", 2),
            ("jobs/+", 3),
            ("$share/others/jobs/+", 4),
        ] {
            assert_eq!(routes.insert(subscription, value), None);
        }
        assert_eq!(found(&routes, "jobs/1"), [1, 2, 3, 4]);
        assert!(found(&routes, "$share/workers/jobs/1").is_empty());
        assert_eq!(routes.insert("$share/workers/jobs/+", 5), Some(2));
        assert_eq!(routes.remove("jobs/+"), Some(3));
        assert_eq!(routes.remove("jobs/+"), None);
        assert_eq!(found(&routes, "jobs/1"), [1, 5, 4]);
        assert_eq!(routes.values().count(), 3);
    }

    #[test]
    fn the_last_one_of_a_filter_leaves_nothing() {
        let mut routes = Routes::default();
        assert!(routes.is_empty());
        routes.insert("$share/g/a", 1);
        routes.insert("a", 2);
        routes.remove("$share/g/a");
        assert!(!routes.is_empty());
        routes.remove("a");
        assert!(routes.is_empty());
    }
}

//! The handlers to call for a message.

use std::mem;

use super::tree::TopicTree;
use super::without_share;

/// Values by the filter of a subscription, found by the topic of a message. The filter of a shared
/// subscription is the part after `$share/<group>/`, so several subscriptions may have the same
/// filter. A subscription has at most one set value, and any number of added ones.
#[derive(Debug)]
pub struct Routes<V> {
    tree: TopicTree<Vec<Route<V>>>,
    /// How many values were added so far.
    added: u64,
}

#[derive(Debug)]
struct Route<V> {
    subscription: Box<str>,
    /// The number of an added value; `None` for the set one.
    number: Option<u64>,
    value: V,
}

impl<V> Routes<V> {
    /// Sets the value of a subscription, and returns the previously set one.
    pub fn set(&mut self, subscription: &str, value: V) -> Option<V> {
        let routes = self.routes(subscription);
        if let Some(known) = routes.iter_mut().find(|route| route.is(subscription, None)) {
            return Some(mem::replace(&mut known.value, value));
        }
        routes.push(Route { subscription: subscription.into(), number: None, value });
        None
    }

    /// Adds a value to those of a subscription. Returns its unique number.
    pub fn add(&mut self, subscription: &str, value: V) -> u64 {
        self.added += 1;
        let number = self.added;
        let route = Route { subscription: subscription.into(), number: Some(number), value };
        self.routes(subscription).push(route);
        number
    }

    /// Removes a value of a subscription: the one with this number, otherwise the set one.
    pub fn remove(&mut self, subscription: &str, number: Option<u64>) -> Option<V> {
        let filter = without_share(subscription);
        let routes = self.tree.get_mut(filter)?;
        let place = routes.iter().position(|route| route.is(subscription, number))?;
        let removed = routes.remove(place);
        if routes.is_empty() {
            self.tree.remove(filter);
        }
        Some(removed.value)
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.tree.is_empty()
    }

    /// All values, in arbitrary order.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.tree.values().flatten().map(|route| &route.value)
    }

    /// The values for a message, in the order of [`TopicTree::matches`]; those of the same filter
    /// in the order of insertion.
    pub fn matches<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = &'a V> {
        self.tree.matches(topic).flatten().map(|route| &route.value)
    }

    /// The list of a subscription's filter, created if needed.
    fn routes(&mut self, subscription: &str) -> &mut Vec<Route<V>> {
        self.tree.get_or_insert_with(without_share(subscription), Vec::new)
    }
}

impl<V> Route<V> {
    fn is(&self, subscription: &str, number: Option<u64>) -> bool {
        self.number == number && *self.subscription == *subscription
    }
}

impl<V> Default for Routes<V> {
    fn default() -> Self {
        Self { tree: TopicTree::default(), added: 0 }
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
            assert_eq!(routes.set(subscription, value), None);
        }
        assert_eq!(found(&routes, "jobs/1"), [1, 2, 3, 4]);
        assert!(found(&routes, "$share/workers/jobs/1").is_empty());
        assert_eq!(routes.set("$share/workers/jobs/+", 5), Some(2));
        assert_eq!(routes.remove("jobs/+", None), Some(3));
        assert_eq!(routes.remove("jobs/+", None), None);
        assert_eq!(found(&routes, "jobs/1"), [1, 5, 4]);
        assert_eq!(routes.values().count(), 3);
    }

    #[test]
    fn the_last_one_of_a_filter_leaves_nothing() {
        let mut routes = Routes::default();
        assert!(routes.is_empty());
        routes.set("$share/g/a", 1);
        routes.set("a", 2);
        routes.remove("$share/g/a", None);
        assert!(!routes.is_empty());
        routes.remove("a", None);
        assert!(routes.is_empty());
    }

    #[test]
    fn a_subscription_has_values_beside_the_one_that_is_set() {
        let mut routes = Routes::default();
        let first = routes.add("a/+", 1);
        routes.set("a/+", 2);
        let third = routes.add("a/+", 3);
        routes.set("a/1", 4);
        let shared = routes.add("$share/g/a/+", 5);
        assert_eq!(found(&routes, "a/1"), [4, 1, 2, 3, 5]);

        assert_eq!(routes.set("a/+", 6), Some(2));
        assert_eq!(found(&routes, "a/1"), [4, 1, 6, 3, 5]);
        assert_eq!(routes.remove("a/+", Some(shared)), None, "it is another subscription's");
        assert_eq!(routes.remove("a/+", Some(first)), Some(1));
        assert_eq!(routes.remove("a/+", Some(first)), None);
        assert_eq!(routes.remove("a/+", None), Some(6));
        assert_eq!(routes.remove("a/+", None), None);
        assert_eq!(found(&routes, "a/1"), [4, 3, 5]);

        assert_eq!(routes.remove("$share/g/a/+", Some(shared)), Some(5));
        assert_eq!(routes.remove("a/+", Some(third)), Some(3));
        assert_ne!(routes.add("a/+", 7), third);
        assert_eq!(routes.remove("a/1", None), Some(4));
        assert_eq!(found(&routes, "a/1"), [7]);
    }
}

//! An index of values by topic filter.

use std::collections::HashMap;

/// Values by topic filter, found by topic. The cost of a match depends on the levels of the topic
/// and on the matching filters, not on the total number of filters.
///
/// Any string is accepted as a filter. A wildcard counts only if it is a whole level, `#` only at
/// the end; otherwise it is a literal (MQTT 3.1.1, section 4.7).
#[derive(Debug)]
pub struct TopicTree<V> {
    /// Nodes refer to each other by index: dropping nested nodes, one for each level of a filter,
    /// could overflow the stack. An index is never out of bounds, because nodes are never removed:
    /// an unused one is emptied and reused.
    nodes: Vec<Node<V>>,
    free: Vec<usize>,
}

#[derive(Debug)]
struct Node<V> {
    exact: HashMap<Box<str>, usize>,
    plus: Option<usize>,
    hash: Option<usize>,
    value: Option<V>,
}

const ROOT: usize = 0;

/// The initial capacity for open steps: up to two at each level, most of which end at once.
const USUAL_STEPS: usize = 8;

impl<V> TopicTree<V> {
    /// The value of a filter.
    pub fn get(&self, filter: &str) -> Option<&V> {
        let node = filter.split('/').try_fold(ROOT, |node, level| self.nodes[node].child(level))?;
        self.nodes[node].value.as_ref()
    }

    /// The value of a filter, mutable.
    pub fn get_mut(&mut self, filter: &str) -> Option<&mut V> {
        let node = filter.split('/').try_fold(ROOT, |node, level| self.nodes[node].child(level))?;
        self.nodes[node].value.as_mut()
    }

    /// Sets the value of a filter, and returns the previous one.
    pub fn insert(&mut self, filter: &str, value: V) -> Option<V> {
        let node = self.reach(filter);
        self.nodes[node].value.replace(value)
    }

    /// The value of a filter, mutable; it is created if there is none.
    pub fn get_or_insert_with(&mut self, filter: &str, make: impl FnOnce() -> V) -> &mut V {
        let node = self.reach(filter);
        self.nodes[node].value.get_or_insert_with(make)
    }

    /// Removes the value of a filter, and the nodes that only this filter needed.
    pub fn remove(&mut self, filter: &str) -> Option<V> {
        let mut path = vec![ROOT];
        for level in filter.split('/') {
            path.push(self.nodes[*path.last()?].child(level)?);
        }
        let value = self.nodes[*path.last()?].value.take()?;
        for (pair, level) in path.windows(2).rev().zip(filter.rsplit('/')) {
            if !self.nodes[pair[1]].is_empty() {
                break;
            }
            self.nodes[pair[0]].detach(level);
            // The emptied node owns no memory.
            self.nodes[pair[1]] = Node::default();
            self.free.push(pair[1]);
        }
        Some(value)
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.nodes[ROOT].is_empty()
    }

    /// All values, in arbitrary order.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.nodes.iter().filter_map(|node| node.value.as_ref())
    }

    /// The values of the filters that match a topic: at each level the exact name before `+`, and
    /// `+` before `#`.
    pub fn matches<'a>(&'a self, topic: &'a str) -> Matches<'a, V> {
        let mut open = Vec::with_capacity(USUAL_STEPS);
        open.push(Step::Below(ROOT, Some(topic)));
        Matches { nodes: &self.nodes, open }
    }

    /// The node of a filter, created if needed.
    fn reach(&mut self, filter: &str) -> usize {
        filter.split('/').fold(ROOT, |parent, level| {
            self.nodes[parent].child(level).unwrap_or_else(|| self.grow(parent, level))
        })
    }

    fn grow(&mut self, parent: usize, level: &str) -> usize {
        let child = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(Node::default());
            self.nodes.len() - 1
        });
        self.nodes[parent].attach(level, child);
        child
    }
}

impl<V> Default for TopicTree<V> {
    fn default() -> Self {
        Self { nodes: vec![Node::default()], free: Vec::new() }
    }
}

impl<V> Node<V> {
    fn child(&self, level: &str) -> Option<usize> {
        match level {
            "+" => self.plus,
            "#" => self.hash,
            _ => self.exact.get(level).copied(),
        }
    }

    fn attach(&mut self, level: &str, child: usize) {
        match level {
            "+" => self.plus = Some(child),
            "#" => self.hash = Some(child),
            _ => _ = self.exact.insert(level.into(), child),
        }
    }

    fn detach(&mut self, level: &str) {
        match level {
            "+" => self.plus = None,
            "#" => self.hash = None,
            _ => _ = self.exact.remove(level),
        }
    }

    fn is_empty(&self) -> bool {
        self.value.is_none() && self.plus.is_none() && self.hash.is_none() && self.exact.is_empty()
    }
}

impl<V> Default for Node<V> {
    fn default() -> Self {
        Self { exact: HashMap::new(), plus: None, hash: None, value: None }
    }
}

/// The values that match a topic, each once. No node is visited twice in the same way, whatever the
/// topic, and nothing is recursive.
#[derive(Debug)]
pub struct Matches<'a, V> {
    nodes: &'a [Node<V>],
    open: Vec<Step<'a>>,
}

#[derive(Debug)]
enum Step<'a> {
    /// A node, and the remaining levels of the topic below it.
    Below(usize, Option<&'a str>),
    /// The node of a `#` that matches the rest of the topic.
    Rest(usize),
}

impl<'a, V> Iterator for Matches<'a, V> {
    type Item = &'a V;

    fn next(&mut self) -> Option<&'a V> {
        while let Some(step) = self.open.pop() {
            let value = match step {
                Step::Rest(node) => self.nodes[node].value.as_ref(),
                Step::Below(node, Some(topic)) => {
                    self.descend(node, topic);
                    None
                }
                Step::Below(node, None) => {
                    let node = &self.nodes[node];
                    self.open.extend(node.hash.map(Step::Rest));
                    node.value.as_ref()
                }
            };
            if value.is_some() {
                return value;
            }
        }
        None
    }
}

impl<'a, V> Matches<'a, V> {
    /// Pushes the children of a node in reverse order, because the last one is visited first.
    fn descend(&mut self, parent: usize, topic: &'a str) {
        let node = &self.nodes[parent];
        let (level, below) = match topic.split_once('/') {
            Some((level, below)) => (level, Some(below)),
            None => (topic, None),
        };
        let exact = node.child(level);
        // Section 4.7.2: a wildcard at the start does not match a topic that starts with `$`.
        if parent != ROOT || !topic.starts_with('$') {
            // A topic level that is itself `+` or `#`, which MQTT forbids, matches as the exact
            // name.
            if level != "#" || below.is_some() {
                self.open.extend(node.hash.map(Step::Rest));
            }
            if level != "+" {
                self.open.extend(node.plus.map(|child| Step::Below(child, below)));
            }
        }
        self.open.extend(exact.map(|child| Step::Below(child, below)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::matches;
    use super::*;

    /// More levels than a valid filter of 65,535 bytes can have.
    const DEEP: usize = 100_000;

    fn tree_of<'a>(filters: &[&'a str]) -> TopicTree<&'a str> {
        let mut tree = TopicTree::default();
        for filter in filters {
            tree.insert(filter, *filter);
        }
        tree
    }

    fn found<'a>(tree: &TopicTree<&'a str>, topic: &str) -> Vec<&'a str> {
        tree.matches(topic).copied().collect()
    }

    #[test]
    fn exact_levels_come_before_plus_and_plus_before_hash() {
        let tree = tree_of(&["#", "+/#", "+/+", "+/b", "a/b/#", "a/#", "a/+", "a/b", "b/a", "+"]);
        let order = ["a/b", "a/b/#", "a/+", "a/#", "+/b", "+/+", "+/#", "#"];
        assert_eq!(found(&tree, "a/b"), order);
    }

    #[test]
    fn wildcards_at_the_start_do_not_match_a_topic_with_a_dollar() {
        let tree = tree_of(&["#", "+/a", "$SYS/a", "$SYS/+", "$SYS/#"]);
        assert_eq!(found(&tree, "$SYS/a"), ["$SYS/a", "$SYS/+", "$SYS/#"]);
        assert_eq!(found(&tree, "x/a"), ["+/a", "#"]);
    }

    #[test]
    fn a_topic_with_wildcards_gets_each_value_once() {
        let tree = tree_of(&["+", "#", "#/x", "+/x", "#/#"]);
        assert_eq!(found(&tree, "+"), ["+", "#"]);
        assert_eq!(found(&tree, "#"), ["#", "#/#", "+"]);
        assert_eq!(found(&tree, "#/x"), ["#/x", "#/#", "+/x", "#"]);
    }

    #[test]
    fn a_value_is_replaced_and_taken_once() {
        let mut tree = TopicTree::default();
        assert_eq!(tree.insert("a/+", 1), None);
        assert_eq!(tree.insert("a/+", 2), Some(1));
        assert_eq!((tree.get("a/+"), tree.get("a"), tree.get("a/b")), (Some(&2), None, None));
        assert_eq!((tree.remove("a"), tree.remove("a/+/b")), (None, None));
        assert_eq!((tree.remove("a/+"), tree.remove("a/+")), (Some(2), None));
    }

    #[test]
    fn a_value_is_made_once() {
        let mut tree = TopicTree::default();
        *tree.get_or_insert_with("a/+", || 1) += 1;
        assert_eq!(*tree.get_or_insert_with("a/+", || 9), 2);
        assert_eq!(tree.values().collect::<Vec<_>>(), [&2]);
        assert_eq!(tree.remove("a/+"), Some(2));
        assert!(tree.is_empty());
    }

    #[test]
    fn what_is_removed_leaves_no_nodes_and_their_places_are_used_again() {
        let mut tree = tree_of(&["a", "a/b/c/d", "a/b/x", "+/#"]);
        assert_eq!(tree.nodes.len() - tree.free.len(), 8);
        for (filter, nodes) in [("a/b/c/d", 6), ("a", 6), ("a/b/x", 3), ("+/#", 1)] {
            tree.remove(filter);
            assert_eq!(tree.nodes.len() - tree.free.len(), nodes, "after {filter}");
        }
        assert!(tree.is_empty());
        for number in 0..1_000 {
            let filter = format!("{number}/+");
            tree.insert(&filter, "");
            tree.remove(&filter);
        }
        assert_eq!(tree.nodes.len(), 8);
    }

    #[test]
    fn the_depth_of_filters_and_topics_costs_no_stack() {
        for level in ["a", "", "+"] {
            let filter = vec![level; DEEP].join("/");
            let mut tree = TopicTree::default();
            tree.insert(&filter, 1);
            tree.insert(&format!("{filter}/#"), 2);
            assert_eq!(tree.matches(&filter).collect::<Vec<_>>(), [&1, &2]);
            assert_eq!(tree.matches(&format!("{filter}/b")).collect::<Vec<_>>(), [&2]);
            assert_eq!(tree.remove(&filter), Some(1));
        }
    }

    #[test]
    fn no_more_nodes_are_visited_than_there_are() {
        // Both the exact name and `+` at every level: each of the 2^12 filters once.
        let mut tree = TopicTree::default();
        for number in 0..1_u32 << 12 {
            let level = |bit: u32| if number >> bit & 1 == 1 { "+" } else { "a" };
            let filter: Vec<_> = (0..12).map(level).collect();
            tree.insert(&filter.join("/"), number);
        }
        let mut numbers: Vec<_> = tree.matches(&["a"; 12].join("/")).copied().collect();
        numbers.sort_unstable();
        assert!(numbers.iter().copied().eq(0..1 << 12));
        // If reached both as exact names and as wildcards, these would be 2^1000 visits.
        let plus = ["+"; 1_000].join("/");
        assert_eq!(found(&tree_of(&[&plus]), &plus), [&plus]);
    }

    /// The sort key that puts filters in the order of calls.
    fn rank(filter: &str) -> Vec<u8> {
        let rank_of_level = |level| match level {
            "+" => 1,
            "#" => 2,
            _ => 0,
        };
        filter.split('/').map(rank_of_level).collect()
    }

    const FILTER: &str = "(a|b||ü|\\$SYS|\\$share|\\+|a\\+)(/(a|b||ü|\\$SYS|\\+|#|\\+b)){0,4}(/#)?";
    const TOPIC: &str = "(a|b||ü|\\$SYS|\\$share)(/(a|b||ü|\\$SYS)){0,4}";

    proptest! {
        #[test]
        fn the_tree_finds_what_matches_in_the_order_of_calls(
            filters in vec(FILTER, 0..30), removed in vec(any::<prop::sample::Index>(), 0..10), topic in TOPIC,
        ) {
            let mut filters = filters;
            let mut tree = TopicTree::default();
            for filter in &filters {
                tree.insert(filter, filter.clone());
            }
            filters.sort_by_key(|filter| (rank(filter), filter.clone()));
            filters.dedup();
            for index in removed {
                if !filters.is_empty() {
                    let filter = filters.remove(index.index(filters.len()));
                    prop_assert_eq!(tree.remove(&filter), Some(filter));
                }
            }
            let expected: Vec<_> = filters.iter().filter(|filter| matches(filter, &topic)).collect();
            prop_assert_eq!(tree.matches(&topic).collect::<Vec<_>>(), expected);
            prop_assert_eq!(tree.values().count(), filters.len());
        }
    }
}

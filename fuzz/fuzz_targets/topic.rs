//! Topics and filters: the index finds the matching filters in the order of insertion, and forgets
//! removed ones.
//!
//! The input is lines of text: a topic, then one filter per line. A filter after a `!` is removed
//! again.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};

use flask_mqtt_core::core::topic::{
    Routes, TopicTree, matches, validate_filter, validate_topic, without_share,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut lines = text.split('\n');
    let topic = lines.next().unwrap_or_default();
    let mut tree = TopicTree::default();
    let mut routes = Routes::default();
    let mut kept = BTreeSet::new();
    for line in lines {
        if let Some(filter) = line.strip_prefix('!') {
            let known = kept.remove(filter).then_some(filter);
            assert_eq!((tree.remove(filter), routes.remove(filter, None)), (known, known));
        } else {
            let known = (!kept.insert(line)).then_some(line);
            assert_eq!((tree.insert(line, line), routes.set(line, line)), (known, known));
            check_filter(line);
        }
    }
    assert_eq!(validate_topic(topic).is_ok(), is_topic(topic), "{topic:?}");
    check_tree(&tree, &kept, topic);
    check_routes(&routes, &kept, topic);
    for filter in &kept {
        assert_eq!(tree.get(filter), Some(filter));
        assert_eq!(
            (tree.remove(filter), routes.remove(filter, None)),
            (Some(*filter), Some(*filter))
        );
    }
    assert!(tree.is_empty() && routes.is_empty());
});

fn check_tree(tree: &TopicTree<&str>, kept: &BTreeSet<&str>, topic: &str) {
    let found: Vec<_> = tree.matches(topic).copied().collect();
    let mut expected: Vec<_> =
        kept.iter().copied().filter(|filter| matches(filter, topic)).collect();
    if topic.contains(['+', '#']) {
        // Not a valid topic: the order is undefined among levels that are exact and wildcards at
        // once.
        assert_eq!(
            found.iter().copied().collect::<BTreeSet<_>>(),
            expected.iter().copied().collect()
        );
        assert_eq!(found.len(), expected.len(), "a value twice: {found:?}");
    } else {
        expected.sort_by_key(|filter| rank(filter));
        assert_eq!(found, expected, "{topic:?}");
    }
}

/// Checks that a subscription is found by its filter, including shared ones.
fn check_routes(routes: &Routes<&str>, kept: &BTreeSet<&str>, topic: &str) {
    let found: Vec<_> = routes.matches(topic).copied().collect();
    let distinct: BTreeSet<_> = found.iter().copied().collect();
    assert_eq!(found.len(), distinct.len(), "a value twice: {found:?}");
    let matching = |subscription: &&&str| matches(without_share(subscription), topic);
    assert_eq!(distinct, kept.iter().filter(matching).copied().collect(), "{topic:?}");
}

fn check_filter(filter: &str) {
    let valid = validate_filter(filter).is_ok();
    assert_eq!(valid, is_filter(filter), "{filter:?}");
    if valid && is_topic(filter) {
        assert!(matches(filter, filter), "{filter:?}");
    }
}

/// The sort key that puts the filters of a topic into the order of calls: the exact level, then
/// `+`, then `#`.
fn rank(filter: &str) -> Vec<u8> {
    let rank_of_level = |level| match level {
        "+" => 1,
        "#" => 2,
        _ => 0,
    };
    filter.split('/').map(rank_of_level).collect()
}

fn fits(text: &str) -> bool {
    (1..=65_535).contains(&text.len()) && !text.contains('\0')
}

/// MQTT 3.1.1, sections 3.3.2.1 and 4.7.3.
fn is_topic(text: &str) -> bool {
    fits(text) && !text.contains(['+', '#'])
}

/// MQTT 3.1.1, sections 4.7.1 and 4.7.3.
fn is_filter(text: &str) -> bool {
    let levels: BTreeMap<usize, &str> = text.split('/').enumerate().collect();
    let last = levels.len() - 1;
    fits(text)
        && levels.into_iter().all(|(position, level)| match level {
            "+" => true,
            "#" => position == last,
            _ => !level.contains(['+', '#']),
        })
}

//! Topic names and topic filters: what is valid, and what matches (MQTT 3.1.1, section 4.7).

mod routes;
mod tree;

pub use routes::Routes;
pub use tree::TopicTree;

use super::error::Error;

const MAX_LENGTH: usize = 65_535;
const SHOWN_LENGTH: usize = 80;

/// Checks a topic name for publishing.
pub fn validate_topic(topic: &str) -> Result<(), Error> {
    // The loop does not stop early, so that the compiler can vectorise it.
    let is_wrong = |wrong, byte| wrong | matches!(byte, b'+' | b'#' | 0);
    let reason = if topic.is_empty() {
        "it must not be empty"
    } else if topic.len() > MAX_LENGTH {
        "it must not be longer than 65535 bytes"
    } else if !topic.bytes().fold(false, is_wrong) {
        return Ok(());
    } else if topic.contains(['+', '#']) {
        "the wildcards '+' and '#' are for subscriptions only"
    } else {
        "it must not contain the null character"
    };
    Err(Error::Topic { topic: shorten(topic), reason })
}

/// Checks a topic filter for subscribing.
pub fn validate_filter(filter: &str) -> Result<(), Error> {
    let reason = if filter.is_empty() {
        "it must not be empty"
    } else if filter.len() > MAX_LENGTH {
        "it must not be longer than 65535 bytes"
    } else if filter.bytes().any(|byte| byte == 0) {
        "it must not contain the null character"
    } else if filter.split('/').any(|level| level.len() > 1 && level.contains(['+', '#'])) {
        "a wildcard must be a whole level, as in 'a/+/b' or 'a/#'"
    } else if filter.contains("#/") {
        "'#' must be the last level"
    } else {
        return Ok(());
    };
    Err(Error::Filter { filter: shorten(filter), reason })
}

/// Whether `filter` matches `topic`. A wildcard at the start of a filter does not match a topic
/// that starts with `$` (section 4.7.2). In an invalid filter, `#` before the end, and `+` or `#`
/// beside other characters, are literals.
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    let mut wanted_levels = filter.split('/').peekable();
    while let Some(wanted) = wanted_levels.next() {
        if wanted == "#" && wanted_levels.peek().is_none() {
            return true;
        }
        match levels.next() {
            Some(level) if wanted == "+" || wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// The filter that a subscription's messages match. For a shared subscription it is the part after
/// `$share/<group>/` (MQTT 5.0, section 4.8.2).
pub fn without_share(subscription: &str) -> &str {
    match subscription.strip_prefix("$share/").and_then(|shared| shared.split_once('/')) {
        Some((group, filter))
            if !group.is_empty() && !group.contains(['+', '#']) && !filter.is_empty() =>
        {
            filter
        }
        _ => subscription,
    }
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= SHOWN_LENGTH {
        return text.to_owned();
    }
    text.chars().take(SHOWN_LENGTH).chain("…".chars()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_filter_matches_as_the_specification_shows() {
        for (filter, topic) in [
            ("sport/tennis/player1/#", "sport/tennis/player1"),
            ("sport/tennis/player1/#", "sport/tennis/player1/ranking"),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"),
            ("sport/#", "sport"),
            ("#", "anything/at/all"),
            ("sport/tennis/+", "sport/tennis/player1"),
            ("sport/+", "sport/"),
            ("+/+", "/finance"),
            ("/+", "/finance"),
            ("$SYS/#", "$SYS/monitor/Clients"),
            ("$SYS/monitor/+", "$SYS/monitor/Clients"),
            ("ü/+", "ü/x"),
            ("a/#/b", "a/#/b"),
            ("a+", "a+"),
            ("+", ""),
            ("", ""),
        ] {
            assert!(matches(filter, topic), "{filter} should match {topic}");
        }
    }

    #[test]
    fn a_filter_does_not_match_as_the_specification_shows() {
        for (filter, topic) in [
            ("sport/tennis/+", "sport/tennis/player1/ranking"),
            ("sport/+", "sport"),
            ("+", "/finance"),
            ("#", "$SYS/monitor/Clients"),
            ("+/monitor/Clients", "$SYS/monitor/Clients"),
            ("a", "a/b"),
            ("a/b", "a"),
            ("a/#/b", "a/x/b"),
            ("$share/g/a", "a"),
            ("", "a"),
        ] {
            assert!(!matches(filter, topic), "{filter} should not match {topic}");
        }
    }

    #[test]
    fn malformed_filters_and_topics_are_refused() {
        for filter in ["", "a/#/b", "a#", "a+/b", "#/a", "a\0b"] {
            assert!(validate_filter(filter).is_err(), "{filter:?}");
        }
        for topic in ["", "a/+", "#", "a\0b", &"x".repeat(65_536)] {
            assert!(validate_topic(topic).is_err(), "{topic:.10?}");
        }
        assert!(validate_filter("a/+/b/#").is_ok());
        assert!(validate_topic("/flask/mqtt").is_ok());
    }

    #[test]
    fn a_shared_subscription_has_a_group_and_a_filter() {
        for (subscription, filter) in [
            ("$share/g/a", "a"),
            ("$share/g/a/#", "a/#"),
            ("$share/g//", "/"),
            ("$share/g/$share/h/a", "$share/h/a"),
            ("a", "a"),
            ("$share/g", "$share/g"),
            ("$share/g/", "$share/g/"),
            ("$share//a", "$share//a"),
            ("$share/+/a", "$share/+/a"),
            ("$shared/g/a", "$shared/g/a"),
        ] {
            assert_eq!(without_share(subscription), filter);
        }
    }

    #[test]
    fn a_long_topic_is_shortened_in_the_message() {
        let shown = validate_topic(&"#".repeat(70_000)).map_err(|error| error.to_string().len());
        assert!(shown.is_err_and(|length| length < 400));
    }

    proptest! {
        #[test]
        fn matching_never_panics_and_a_topic_matches_itself(topic in "[^+#\0]{1,40}", filter in ".{0,40}") {
            let _ = matches(&filter, &topic);
            prop_assert!(matches(&topic, &topic));
            prop_assert_eq!(matches("#", &topic), !topic.starts_with('$'));
        }
    }
}

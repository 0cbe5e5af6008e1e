//! URLs of brokers and proxies: any text is parsed or refused, and an error shows no secret.
//!
//! The input is a text. It is parsed as it is, and its lines are also placed around a secret.
#![no_main]

use flask_mqtt_core::core::url::{parse_broker, parse_proxy};
use libfuzzer_sys::fuzz_target;

const SECRET: &str = "SECRET";

fuzz_target!(|text: &str| {
    errors(text);
    if text.to_uppercase().contains(SECRET) {
        return;
    }
    let mut lines = text.splitn(4, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (front, before, after, rest) = (line(), line(), line(), line());
    let password = format!("{front}:{before}{SECRET}{after}@{rest}");
    let query = format!("{front}?{before}{SECRET}{after}");
    // Without an @, text in the place of the port may be a password.
    let port: String =
        format!("{before}{SECRET}{after}").split(['/', '?', '#', ':', '@']).collect();
    let forgotten = format!("mqtt://user:{port}");
    for text in [password, query, forgotten] {
        for error in errors(&text) {
            assert!(!error.contains(SECRET), "{text:?}: {error}");
        }
    }
});

/// The errors of a text as a broker's URL, and as a proxy's.
fn errors(text: &str) -> Vec<String> {
    let broker = parse_broker(text).map(|url| {
        assert!(!url.host.is_empty() && url.port != Some(0), "{text:?}: {url:?}");
    });
    let proxy = parse_proxy(text).map(|proxy| {
        assert!(!proxy.host.is_empty() && proxy.port != 0, "{text:?}: {proxy:?}");
    });
    [broker, proxy].into_iter().filter_map(Result::err).map(|error| error.to_string()).collect()
}

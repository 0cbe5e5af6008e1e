//! URLs of brokers and proxies.

use flask_mqtt_core::core::options::{Credentials, ProxyKind, Transport};
use flask_mqtt_core::core::url::{parse_broker, parse_proxy};
use proptest::prelude::*;

type Parts<'a> = (Transport, bool, &'a str, Option<u16>, Option<&'a str>);

#[test]
fn a_brokers_url_has_these_parts() {
    use Transport::{Tcp, Unix, Websocket};
    let cases: [(&str, Parts<'_>); 16] = [
        ("mqtt://h", (Tcp, false, "h", None, None)),
        ("mqtt://h/", (Tcp, false, "h", None, None)),
        ("MQTT://H.example:1884", (Tcp, false, "h.example", Some(1884), None)),
        ("mqtts://h:8884", (Tcp, true, "h", Some(8884), None)),
        ("mqtt://127.0.0.1:1", (Tcp, false, "127.0.0.1", Some(1), None)),
        ("mqtt://[::1]", (Tcp, false, "::1", None, None)),
        ("mqtt://[2001:DB8::1]:65535", (Tcp, false, "2001:db8::1", Some(65535), None)),
        ("mqtt://b\u{fc}cher.example", (Tcp, false, "xn--bcher-kva.example", None, None)),
        ("wss://b\u{fc}cher.example", (Websocket, true, "xn--bcher-kva.example", None, None)),
        ("ws://h", (Websocket, false, "h", None, None)),
        ("ws://h/", (Websocket, false, "h", None, None)),
        ("ws://h:80/mqtt", (Websocket, false, "h", Some(80), Some("/mqtt"))),
        ("wss://h:443/a%20b?x=1&y", (Websocket, true, "h", Some(443), Some("/a%20b?x=1&y"))),
        ("wss://[::1]:8084/?x", (Websocket, true, "::1", Some(8084), Some("/?x"))),
        ("unix:///run/x.sock", (Unix, false, "/run/x.sock", None, None)),
        ("unix:///run/a%20%C3%A4", (Unix, false, "/run/a \u{e4}", None, None)),
    ];
    for (text, parts) in cases {
        let url = parse_broker(text).expect(text);
        let found = (url.transport, url.tls, &*url.host, url.port, url.path.as_deref());
        assert_eq!(found, parts, "{text}");
        assert!(url.credentials.is_none(), "{text}");
    }
}

fn login(text: &str) -> (String, Option<String>) {
    let Credentials { username, password } = parse_broker(text).unwrap().credentials.unwrap();
    (username, password.map(|password| String::from_utf8(password).unwrap()))
}

#[test]
fn user_and_password_are_percent_decoded() {
    let some = |user: &str, password: &str| (user.to_owned(), Some(password.to_owned()));
    assert_eq!(login("mqtt://user@h"), ("user".to_owned(), None));
    assert_eq!(login("mqtt://user:pw@h:1"), some("user", "pw"));
    assert_eq!(login("wss://a%40b:p%3A%2F%23%C3%A4@h/x"), some("a@b", "p:/#\u{e4}"));
    assert_eq!(login("mqtt://u:p@ss@h"), some("u", "p@ss"));
    assert_eq!(login("mqtt://u:a:b@h"), some("u", "a:b"));
    assert!(parse_broker("mqtt://@h").unwrap().credentials.is_none());
}

#[test]
fn a_password_may_be_any_bytes_and_that_of_a_socks_proxy_may_not() {
    let login = parse_broker("mqtt://u:%ff%00@h").unwrap().credentials.unwrap();
    assert_eq!(login.password.unwrap(), b"\xff\0");
    assert!(parse_proxy("http://u:%ff@h").is_ok());
    let text = parse_proxy("socks5://u:%ff@h").unwrap_err().to_string();
    assert!(text.contains("percent-encoded UTF-8") && !text.contains("%ff"), "{text}");
}

#[test]
fn a_proxy_without_a_scheme_is_told_one_of_a_proxy() {
    let text = parse_proxy("proxy").unwrap_err().to_string();
    assert!(text.ends_with("it has no scheme, as in socks5://"), "{text}");
}

fn broker_error(text: &str) -> String {
    parse_broker(text).expect_err(text).to_string()
}

#[test]
fn what_is_no_url_of_a_broker_is_told_with_what_would_be_right() {
    let cases = [
        ("h", "it has no scheme, as in mqtt://"),
        ("", "it has no scheme, as in mqtt://"),
        ("amqp://h", "its scheme must be mqtt, mqtts, ws, wss or unix"),
        ("tcp://h", "its scheme must be mqtt, mqtts, ws, wss or unix; use mqtt for tcp"),
        ("ssl://h", "its scheme must be mqtt, mqtts, ws, wss or unix; use mqtts for ssl"),
        ("tls://h", "its scheme must be mqtt, mqtts, ws, wss or unix; use mqtts for tls"),
        ("http://h", "its scheme must be mqtt, mqtts, ws, wss or unix; use ws for http"),
        ("https://h", "its scheme must be mqtt, mqtts, ws, wss or unix; use wss for https"),
        ("mqtt:h", "// must follow its scheme"),
        ("ws:h", "// must follow its scheme"),
        ("mqtt://", "it names no host"),
        ("mqtt://:1883", "it names no host"),
        ("ws://", "it names no host"),
        ("mqtt://h/topic", "only a ws or wss URL has a path, a query or a fragment"),
        ("mqtt://h?x=1", "only a ws or wss URL has a path, a query or a fragment"),
        ("mqtts://h#x", "only a ws or wss URL has a path, a query or a fragment"),
        ("ws://h/x#y", "a broker's URL has no fragment; write # as %23"),
        ("mqtt://h:0", "the port must be a number from 1 to 65535"),
        ("mqtt://h:65536", "the port must be a number from 1 to 65535"),
        ("mqtt://h:x", "the port must be a number from 1 to 65535"),
        ("mqtt://:pw@h", "it has a password without a user name"),
        ("mqtt://%ff:u@h", "the user name must be percent-encoded UTF-8"),
        ("mqtt://h h", "it has a space or control character in it"),
        ("mqtt://h\n", "it has a space or control character in it"),
        ("ws:\\\\h", "// must follow its scheme"),
        ("ws://h\\x", "it has a \\ in it"),
        ("ws://u:1/2@h", "an @ after the host"),
        ("mqtt://[::1", "invalid IPv6 address"),
        ("unix:relative", "the absolute path of the socket must follow unix://"),
        ("unix://relative/x", "the absolute path of the socket must follow unix://"),
        ("unix://", "the absolute path of the socket must follow unix://"),
        ("unix:///", "the path must name a socket"),
        ("unix:///x%00", "the path must name a socket"),
        ("unix:///x?y", "a unix URL has no query or fragment"),
    ];
    for (text, reason) in cases {
        let error = broker_error(text);
        let (_, found) = error.split_once(" is no URL of a broker: ").expect(&error);
        assert!(found.starts_with(reason), "{text}: {found}");
    }
}

#[test]
fn a_url_is_shown_without_what_may_be_secret() {
    let cases = [
        ("tcp://u:secret@h:1/x", "tcp://…@h:1/x"),
        ("mqtt://u:se#cret@h", "mqtt://…"),
        ("mqtt://u:se?cret@h", "mqtt://…"),
        ("mqtt://u:se/cret@h:x", "mqtt://…@h:…"),
        ("mqtt://u:se@cret@h:x", "mqtt://…@h:…"),
        ("mqtt://u:secret", "mqtt://u:…"),
        ("mqtt://u:secret]", "mqtt://u:…"),
        ("mqtt:u:secret@h", "…@h"),
        ("u:secret//secret@h", "…@h"),
        ("u:secret", "u:…"),
        ("ws://h:0/x?token=secret", "ws://h:0/x…"),
        ("mqtt://u:secret@[::1]:0", "mqtt://…@[::1]:0"),
        ("http://[::1]", "http://[::1]"),
    ];
    for (text, shown) in cases {
        let error = broker_error(text);
        assert!(error.starts_with(&format!("{shown:?} is no URL")), "{text}: {error}");
        assert!(!error.contains("secret"), "{text}: {error}");
    }
}

#[test]
fn a_proxys_url_has_these_parts() {
    for (text, kind, host, port) in [
        ("socks5://h", ProxyKind::Socks5, "h", 1080),
        ("socks5h://[::1]:9050/", ProxyKind::Socks5, "::1", 9050),
        ("http://h:3128", ProxyKind::Http, "h", 3128),
        ("http://h", ProxyKind::Http, "h", 80),
        ("http://h:80", ProxyKind::Http, "h", 80),
    ] {
        let proxy = parse_proxy(text).expect(text);
        assert_eq!((proxy.kind, &*proxy.host, proxy.port), (kind, host, port), "{text}");
        assert!(proxy.credentials.is_none());
    }
    let login = parse_proxy("socks5://u%40:p%3A@h").unwrap().credentials.unwrap();
    assert_eq!((&*login.username, login.password.as_deref()), ("u@", Some(b"p:".as_slice())));
}

#[test]
fn what_is_no_url_of_a_proxy_is_told_with_what_would_be_right() {
    let long = format!("socks5://u:{}@h", "x".repeat(256));
    let socks_login = "SOCKS 5 takes a user name and a password of 1 to 255 bytes each";
    for (text, reason) in [
        ("h:1080", "its scheme must be socks5, socks5h or http"),
        ("socks4://h", "its scheme must be socks5, socks5h or http"),
        (
            "https://u:secret@h",
            "TLS to a proxy is not supported; its scheme must be http or socks5",
        ),
        ("http://h/x", "a proxy's URL has no path, query or fragment"),
        ("socks5://", "it names no host"),
        ("socks5://u@h", socks_login),
        (&long, socks_login),
        ("http://a%3Ab:c@h", "HTTP takes no user name with a colon in it"),
    ] {
        let error = parse_proxy(text).expect_err(text).to_string();
        let (_, found) = error.split_once(" is no URL of a proxy: ").expect(&error);
        assert!(found.starts_with(reason), "{text}: {found}");
        assert!(!error.contains("secret"), "{text}: {error}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".*", rest in "[a-z0-9:/@?#%\\[\\].\\\\ \u{e4}-]{0,40}") {
        for scheme in ["", "mqtt://", "mqtts:", "ws://", "wss://u:p@", "unix://", "socks5://", "http://"] {
            for text in [&text, &rest] {
                let text = format!("{scheme}{text}");
                let _ = parse_broker(&text);
                let _ = parse_proxy(&text);
            }
        }
    }

    #[test]
    fn no_error_shows_a_password(
        scheme in "mqtts?|wss?|unix|tcp|https?|socks5|x",
        separator in "://|:|//|",
        user in "[a-z]{0,3}",
        before in "[:/?#@%\\\\ a-z0-9\\[\\]]{0,4}",
        after in "[:/?#@%\\\\ a-z0-9\\[\\]]{0,4}",
        host in "[a-z0-9.:/?#\\[\\] -]{0,12}",
    ) {
        let text = format!("{scheme}{separator}{user}:{before}SECRET{after}@{host}");
        for error in [parse_broker(&text).map(drop), parse_proxy(&text).map(drop)] {
            if let Err(error) = error {
                prop_assert!(!error.to_string().contains("SECRET"), "{text}: {error}");
            }
        }
    }

    #[test]
    fn what_is_encoded_comes_back(user in "\\PC{1,10}", password in "\\PC{0,10}") {
        let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat();
        let url = format!("mqtt://{}:{}@h", encode(&user), encode(&password));
        let login = parse_broker(&url).unwrap().credentials.unwrap();
        prop_assert_eq!(login.username, user);
        prop_assert_eq!(login.password.unwrap_or_default(), password.into_bytes());
    }
}

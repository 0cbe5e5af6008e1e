//! Proxies: the requests to them, and their responses. These stand-ins follow RFC 1928, RFC 1929
//! and RFC 9110; `proxy_programs` tests against real programs.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flask_mqtt_core::core::error::Error;
use flask_mqtt_core::core::options::{ConnectOptions, Credentials, Proxy, ProxyKind, Transport};
use flask_mqtt_core::core::url::parse_proxy;

use super::servers::{MOMENT, answering, nobody, read_head, silent, take};
use super::support::App;

fn options(proxy: Proxy) -> ConnectOptions {
    let mut options = ConnectOptions::new("broker.example", 1883);
    options.key_prefix = Some("MQTT".to_owned());
    options.proxy = Some(proxy);
    options
}

fn proxy(kind: ProxyKind, port: u16) -> Proxy {
    Proxy { kind, host: "127.0.0.1".to_owned(), port, credentials: None }
}

fn with_password(mut proxy: Proxy) -> Proxy {
    let (username, password) = ("user".to_owned(), Some("secret".into()));
    proxy.credentials = Some(Credentials { username, password });
    proxy
}

/// How many bytes to read, and what to write then.
type Step = (usize, &'static [u8]);

/// A proxy that follows these steps: each reads some bytes and then writes some. Returns all bytes
/// read, and the connection.
fn steps(answers: Vec<Step>) -> (JoinHandle<(Vec<u8>, TcpStream)>, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let mut stream = take(&listener);
        let mut all = Vec::new();
        for (count, answer) in answers {
            let start = all.len();
            all.resize(start + count, 0);
            stream.read_exact(&mut all[start..]).unwrap();
            stream.write_all(answer).unwrap();
        }
        (all, stream)
    });
    (thread, port)
}

/// The error about a proxy, without the prefix that names it.
fn reason(proxy: Proxy) -> String {
    let port = proxy.port;
    let error = App::new().connect(options(proxy)).unwrap_err();
    assert!(matches!(error, Error::Proxy { .. }), "{error:?}");
    let text = error.to_string();
    assert!(!text.contains("secret"), "{text}");
    text.strip_prefix(&format!("proxy 127.0.0.1:{port}: ")).expect(&text).to_owned()
}

const CONNECTED: &[u8] = &[5, 0, 0, 1, 127, 0, 0, 1, 0, 80];

#[test]
fn socks5_gets_the_name_of_the_broker_and_then_mqtt() {
    // Address type 3: a name of 14 bytes follows; port 1883 is 0x075b.
    let (server, port) = steps(vec![(3, &[5, 0]), (21, CONNECTED), (1, &[])]);
    let app = App::new();
    app.connect(options(proxy(ProxyKind::Socks5, port))).unwrap();
    let (read, _) = server.join().unwrap();
    assert_eq!(read[..7], [5, 1, 0, 5, 1, 0, 3]);
    assert_eq!(read[7..], *b"\x0ebroker.example\x07\x5b\x10");
}

#[test]
fn socks5_gets_user_and_password() {
    let (server, port) = steps(vec![(4, &[5, 2]), (13, &[1, 0]), (21, CONNECTED)]);
    let app = App::new();
    app.connect(options(with_password(proxy(ProxyKind::Socks5, port)))).unwrap();
    let (read, _) = server.join().unwrap();
    assert_eq!(read[4..17], *b"\x01\x04user\x06secret");
}

#[test]
fn socks5_refusals_are_told() {
    let cases: [(Vec<Step>, &str); 4] = [
        (vec![(3, &[5, 0xff])], "it requires a login method that MQTT_PROXY does not provide"),
        (
            vec![(3, &[5, 0]), (21, &[5, 5, 0, 1, 0, 0, 0, 0, 0, 0])],
            "it cannot connect to broker.example:1883: Connection refused",
        ),
        (
            vec![(3, b"HTTP/1.1 400 Bad Request\r\n\r\n")],
            "the answer is not of SOCKS 5; look at the scheme in MQTT_PROXY",
        ),
        (vec![(3, &[])], "the connection failed: "),
    ];
    for (answers, text) in cases {
        let (server, port) = steps(answers);
        let server = std::thread::spawn(move || drop(server.join().unwrap()));
        let reason = reason(proxy(ProxyKind::Socks5, port));
        assert!(reason.starts_with(text), "{reason}");
        server.join().unwrap();
    }
}

#[test]
fn a_wrong_password_for_socks5_is_told_without_it() {
    let (server, port) = steps(vec![(4, &[5, 2]), (13, &[1, 1])]);
    let text = reason(with_password(proxy(ProxyKind::Socks5, port)));
    assert_eq!(text, "it does not accept the user name and password in MQTT_PROXY");
    server.join().unwrap();
}

#[test]
fn http_gets_the_name_of_the_broker_user_and_password_and_then_mqtt() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let app = App::new();
    let options = options(with_password(proxy(ProxyKind::Http, port)));
    let _waiter = app.client.connect(options, true).unwrap();
    let mut stream = take(&listener);
    let head = read_head(&mut stream);
    assert!(head.starts_with("CONNECT broker.example:1883 HTTP/1.1\r\n"), "{head}");
    let head = head.to_lowercase();
    assert!(head.contains("\r\nhost: broker.example:1883\r\n"), "{head}");
    assert!(head.contains("\r\nproxy-authorization: basic dxnlcjpzzwnyzxq=\r\n"), "{head}");
    stream.write_all(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n").unwrap();
    let mut first = [0];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(first, [0x10]);
}

#[test]
fn http_gets_an_ipv6_address_in_brackets() {
    let (server, port) = answering("HTTP/1.0 200 OK\r\n\r\n");
    let mut options = options(proxy(ProxyKind::Http, port));
    options.brokers[0].host = "::1".to_owned();
    App::new().connect(options).unwrap();
    assert!(server.join().unwrap().starts_with("CONNECT [::1]:1883 HTTP/1.1\r\n"));
}

#[test]
fn http_refusals_are_told() {
    let cases = [
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            "it does not accept the user name and password in MQTT_PROXY (407)",
        ),
        (
            "HTTP/1.1 403 Forbidden\r\n\r\n",
            "it answered 403 Forbidden to connecting to broker.example:1883",
        ),
        (
            "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 9\r\n\r\n",
            "it answered 502 Bad Gateway to connecting to broker.example:1883",
        ),
        (
            "SSH-2.0-OpenSSH_9.2\r\n\r\n",
            "the answer is not of HTTP; look at the scheme in MQTT_PROXY",
        ),
        ("", "the connection failed: connection closed before message completed"),
    ];
    for (answer, text) in cases {
        let (server, port) = answering(answer);
        assert_eq!(reason(with_password(proxy(ProxyKind::Http, port))), text);
        server.join().unwrap();
    }
}

#[test]
fn an_endless_answer_is_not_read_to_its_end() {
    let (server, port) = answering("HTTP/1.1 200 OK\r\nX: ".to_owned() + &"y".repeat(30_000_000));
    reason(proxy(ProxyKind::Http, port));
    server.join().unwrap();
}

#[test]
fn a_proxy_that_says_nothing_is_named_as_what_timed_out() {
    for kind in [ProxyKind::Http, ProxyKind::Socks5] {
        let (_listener, port) = silent();
        let mut options = options(proxy(kind, port));
        options.connect_timeout = MOMENT;
        options.handshake_timeout = MOMENT;
        let error = App::new().connect(options).unwrap_err();
        let text = format!(
            "no proxy connection from 127.0.0.1:{port} within 0.3 s (MQTT_HANDSHAKE_TIMEOUT)"
        );
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn all_steps_after_tcp_share_one_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = options(proxy(ProxyKind::Http, listener.local_addr().unwrap().port()));
    options.brokers[0].transport = Transport::Websocket;
    let timeout = Duration::from_secs(1);
    options.connect_timeout = timeout;
    options.handshake_timeout = timeout;
    let app = App::new();
    let start = Instant::now();
    let attempt = app.client.connect(options, true).unwrap();
    let mut stream = take(&listener);
    read_head(&mut stream);
    // The next step begins when this part of the time has passed.
    std::thread::sleep(timeout * 4 / 5);
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    super::support::wait_over(&attempt);
    let elapsed = start.elapsed();
    assert!(elapsed < timeout * 3 / 2, "{elapsed:?}");
    let text = attempt.outcome().unwrap().unwrap_err().to_string();
    assert_eq!(
        text,
        "no websocket handshake from broker.example:1883 within 1 s (MQTT_HANDSHAKE_TIMEOUT)"
    );
}

#[test]
fn a_proxy_that_cannot_be_reached_is_named_with_the_systems_error() {
    let port = nobody().port;
    let error = App::new().connect(options(proxy(ProxyKind::Http, port))).unwrap_err();
    let text = error.to_string();
    let Error::Connect { source, .. } = error else { panic!("{text}") };
    assert_eq!(source.kind(), ErrorKind::ConnectionRefused);
    assert!(text.starts_with(&format!("cannot connect to proxy 127.0.0.1:{port}: ")), "{text}");
}

#[test]
fn a_proxy_whose_name_has_no_address_is_named() {
    let error = App::new().connect(options(parse_proxy("socks5://no.invalid").unwrap()));
    let text = error.unwrap_err().to_string();
    assert!(text.starts_with("proxy no.invalid:1080: cannot resolve its name: "), "{text}");
}

//! A broker at a unix socket.

use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use flask_mqtt_core::core::error::Error;
use flask_mqtt_core::core::options::{ConnectOptions, Proxy, ProxyKind, Transport};

use super::support::App;

fn options(path: &str) -> ConnectOptions {
    let mut options = ConnectOptions::new(path, 0);
    options.brokers[0].transport = Transport::Unix;
    options
}

/// A path that only one test uses.
fn path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("flask-mqtt-{}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

fn failure(path: &str) -> (String, std::io::Error) {
    let error = App::new().connect(options(path)).unwrap_err();
    let text = error.to_string();
    let Error::Connect { source, .. } = error else { panic!("{text}") };
    (text, source)
}

#[test]
fn a_connect_arrives_at_the_socket() {
    let path = path("arrives");
    let listener = UnixListener::bind(&path).unwrap();
    let app = App::new();
    app.connect(options(path.to_str().unwrap())).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let mut first = [0];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(first, [0x10]);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_missing_socket_is_reported_with_its_path_and_the_systems_number() {
    let path = path("missing");
    let (text, source) = failure(path.to_str().unwrap());
    assert_eq!(source.raw_os_error(), Some(2));
    assert!(text.starts_with(&format!("cannot connect to {}: ", path.display())), "{text}");
}

#[test]
fn a_socket_that_nobody_listens_at_is_refused() {
    let path = path("left");
    drop(UnixListener::bind(&path).unwrap());
    assert_eq!(failure(path.to_str().unwrap()).1.kind(), ErrorKind::ConnectionRefused);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_path_that_is_too_long_is_reported() {
    let (text, source) = failure(&format!("/{}", "x".repeat(200)));
    assert_eq!(source.kind(), ErrorKind::InvalidInput);
    assert!(text.contains("path must be shorter than"), "{text}");
}

#[test]
fn a_unix_socket_behind_a_proxy_is_an_error_when_connecting() {
    let mut options = options("/run/x");
    let host = "127.0.0.1".to_owned();
    options.proxy = Some(Proxy { kind: ProxyKind::Socks5, host, port: 1, credentials: None });
    let error = App::new().client.connect(options, true).unwrap_err();
    assert_eq!(error.to_string(), "proxy given: a unix socket is not reached through a proxy");
}

//! The local and remote address of a TCP connection. The unit tests of the module cover the race
//! between the addresses of a name.

use std::io::ErrorKind;
use std::net::TcpListener;

use flask_mqtt_core::core::error::Error;
use flask_mqtt_core::core::options::ConnectOptions;

use super::servers::take;
use super::support::{App, Broker};

#[test]
fn the_connection_comes_from_the_local_address_that_is_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = ConnectOptions::new("127.0.0.1", listener.local_addr().unwrap().port());
    options.bind_address = Some("127.0.0.77".parse().unwrap());
    let app = App::new();
    app.connect(options).unwrap();
    assert_eq!(take(&listener).peer_addr().unwrap().ip().to_string(), "127.0.0.77");
}

fn bind_error(address: &str) -> (String, std::io::Error) {
    let broker = Broker::new();
    let mut options = broker.options();
    options.key_prefix = Some("MQTT".to_owned());
    options.bind_address = Some(address.parse().unwrap());
    let error = App::new().connect(options).unwrap_err();
    let text = error.to_string();
    let Error::Bind { source, .. } = error else { panic!("{text}") };
    (text, source)
}

#[test]
fn a_local_address_that_this_machine_does_not_have_is_reported_with_its_key() {
    let (text, source) = bind_error("192.0.2.1");
    assert!(text.starts_with("MQTT_BIND_ADDRESS: cannot connect from 192.0.2.1: "), "{text}");
    assert_eq!(source.kind(), ErrorKind::AddrNotAvailable);
}

#[test]
fn a_local_address_of_another_family_is_reported_with_its_key() {
    let (text, _) = bind_error("::1");
    assert_eq!(text, "MQTT_BIND_ADDRESS: cannot connect from ::1: 127.0.0.1 has no IPv6 address");
}

#[test]
fn an_ipv6_address_is_a_host() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        eprintln!("not tested: this machine has no IPv6");
        return;
    };
    let port = listener.local_addr().unwrap().port();
    let app = App::new();
    app.connect(ConnectOptions::new("::1", port)).unwrap();
    take(&listener);
    drop(listener);
    let error = App::new().connect(ConnectOptions::new("::1", port)).unwrap_err();
    assert!(error.to_string().starts_with(&format!("cannot connect to [::1]:{port}: ")), "{error}");
}

//! TLS, against servers with certificates made for each test.

mod agreement;
mod certificates;
mod client_certificate;
mod server;
mod setup;
mod verification;

use flask_mqtt_core::core::error::Error;
use flask_mqtt_core::core::options::{ConnectOptions, Pem};
use flask_mqtt_core::core::session::Event;

use self::certificates::Certified;
use crate::support::App;

/// Options for a server at `localhost`, as the extension sets them.
fn options(port: u16, trusted: &Certified) -> ConnectOptions {
    let mut options = ConnectOptions::new("localhost", port);
    options.brokers[0].tls = true;
    options.key_prefix = Some("MQTT".to_owned());
    options.tls.ca = Some(trusted.pem());
    options
}

/// Connects, and waits until the broker has accepted.
fn connect(options: ConnectOptions) -> App {
    let app = App::new();
    app.connect(options).unwrap();
    app.wait(|event| matches!(event, Event::ConnAck { code: 0, .. }));
    app
}

/// Connects, expecting an error.
fn fail(options: ConnectOptions) -> Error {
    App::new().connect(options).expect_err("the connection is refused")
}

/// Asserts that a text is one line and contains all parts.
fn assert_says(text: &str, parts: &[&str]) {
    assert!(!text.contains('\n'), "more than a line: {text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

fn text(pem: Vec<u8>) -> Pem {
    Pem::Text(pem.into())
}

//! The application's own headers in the websocket request.

use flask_mqtt_core::core::error::Error;
use flask_mqtt_core::core::options::{ConnectOptions, Secret};
use flask_mqtt_core::core::session::Event;

use super::servers::{WsBroker, websocket};
use super::support::App;

fn headers(pairs: &[(&str, &str)]) -> Vec<(String, Secret)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), Secret((*value).to_owned()))).collect()
}

fn error_of(options: ConnectOptions) -> String {
    let error = App::new().client.connect(options, true).unwrap_err();
    assert!(matches!(error, Error::Option { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn headers_are_added_and_host_and_origin_may_be_others() {
    let (broker, app) = (WsBroker::new(), App::new());
    let mut options = broker.options();
    let pairs = [("Authorization", "Bearer x"), ("HOST", "other"), ("Origin", "https://app")];
    options.websocket_headers = headers(&pairs);
    let connection = broker.accept(&app, options);
    for (name, value) in pairs {
        assert_eq!(connection.header(name), value);
        assert_eq!(connection.request.headers().get_all(name).iter().count(), 1);
    }
}

#[test]
fn headers_may_be_replaced_for_the_next_attempt() {
    let (broker, app) = (WsBroker::new(), App::new());
    let mut options = broker.options();
    options.websocket_headers = headers(&[("Authorization", "old")]);
    app.client.ask(true);
    drop(broker.accept(&app, options));
    app.wait(|event| *event == Event::Attempt);
    let mut options = broker.options();
    options.websocket_headers = headers(&[("Authorization", "new")]);
    app.client.answer(Some(options)).unwrap();
    assert_eq!(broker.shake_hands(Some("mqtt")).header("authorization"), "new");
}

#[test]
fn headers_that_do_not_do_are_an_error_when_connecting_and_when_replacing_which_shows_no_value() {
    for (name, value) in [
        ("Connection", "secret"),
        ("upgrade", "secret"),
        ("Sec-WebSocket-Key", "secret"),
        ("sec-websocket-protocol", "secret"),
        ("a b", "secret"),
        ("", "secret"),
        ("X", "secret\r\nY: z"),
        ("X", "secret\0"),
        ("Host", "secret\u{e4}"),
    ] {
        let mut options = websocket(1);
        options.websocket_headers = headers(&[(name, value)]);
        let answered = App::new().client.answer(Some(options.clone()));
        let text = error_of(options);
        assert!(text.contains(&format!("websocket_headers {name:?}: ")), "{text}");
        assert!(!text.contains("secret"), "{text}");
        assert_eq!(answered.unwrap_err().to_string(), text);
    }
}

#[test]
fn a_path_that_does_not_do_is_an_error_when_connecting_which_shows_no_query() {
    for path in ["mqtt", "", "/with space?secret", "/x?a b=secret"] {
        let mut options = websocket(1);
        options.brokers[0].path = path.to_owned();
        let text = error_of(options);
        assert!(text.starts_with("websocket path \""), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}

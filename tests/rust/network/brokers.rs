//! Several brokers, tried one after the other.

use std::time::{Duration, Instant};

use flask_mqtt_core::core::error::Error;
use flask_mqtt_core::core::options::{ConnectOptions, Credentials, Endpoint, Protocol};
use flask_mqtt_core::core::property::Properties;
use flask_mqtt_core::core::session::Event;
use rumqttc::mqttbytes::v4::Packet;

use super::servers::{MOMENT, nobody, silent, websocket};
use super::support::{App, Broker, wait_over};

/// Shorter than the delay after all brokers failed.
const AT_ONCE: Duration = Duration::from_millis(700);

fn options(brokers: Vec<Endpoint>) -> ConnectOptions {
    let mut options = ConnectOptions::new("", 0);
    options.brokers = brokers;
    options
}

fn endpoint(broker: &Broker) -> Endpoint {
    Endpoint::tcp("127.0.0.1", broker.port())
}

fn notice(app: &App) -> String {
    let notice = app.wait(|event| matches!(event, Event::Notice { .. }));
    let Event::Notice { text, .. } = notice else { unreachable!() };
    text
}

#[test]
fn the_first_attempt_goes_through_the_list_without_a_delay() {
    let broker = Broker::new();
    let (first, second) = (nobody(), nobody());
    let app = App::new();
    let start = Instant::now();
    app.connect(options(vec![first.clone(), second.clone(), endpoint(&broker)])).unwrap();
    broker.accept();
    assert!(start.elapsed() < AT_ONCE);
    let (text, next) = (notice(&app), second.address());
    assert!(
        text.starts_with(&format!("broker {0}: cannot connect to {0}: ", first.address())),
        "{text}"
    );
    assert!(text.ends_with(&format!("; trying {next} next")), "{text}");
    app.wait(|event| matches!(event, Event::ConnAck { code: 0, .. }));
}

#[test]
fn where_none_can_be_reached_the_error_names_each() {
    let brokers = vec![nobody(), nobody()];
    let error = App::new().connect(options(brokers.clone())).unwrap_err();
    let text = error.to_string();
    let Error::Brokers(errors) = error else { panic!("{text}") };
    assert_eq!(errors.len(), 2);
    assert!(text.starts_with("no broker could be reached: cannot connect to "), "{text}");
    assert!(brokers.iter().all(|broker| text.contains(&broker.address())), "{text}");
}

#[test]
fn each_broker_has_its_own_timeout() {
    let ((_one, first), (_two, second)) = (silent(), silent());
    let mut options = websocket(first);
    options.brokers.extend(websocket(second).brokers);
    options.connect_timeout = MOMENT;
    options.handshake_timeout = MOMENT;
    let start = Instant::now();
    let text = App::new().connect(options).unwrap_err().to_string();
    assert!(start.elapsed() >= MOMENT * 2);
    for port in [first, second] {
        assert!(text.contains(&format!("no websocket handshake from 127.0.0.1:{port}")), "{text}");
    }
}

#[test]
fn a_delay_comes_after_each_round() {
    let brokers = vec![nobody(), nobody()];
    let app = App::new();
    let _waiter = app.client.connect(options(brokers.clone()), false).unwrap();
    let start = Instant::now();
    assert!(notice(&app).contains(&format!("; trying {} next", brokers[1].address())));
    let end = format!("; next attempt to reach {} in ", brokers[0].address());
    assert!(notice(&app).contains(&end));
    assert!(start.elapsed() < AT_ONCE);
    assert!(notice(&app).contains(" next"));
    assert!(start.elapsed() >= AT_ONCE);
}

#[test]
fn a_broker_that_refuses_is_followed_by_the_next_one_at_once_with_its_own_password() {
    let (first, second) = (Broker::new(), Broker::new());
    let mut brokers = vec![endpoint(&first), endpoint(&second)];
    let credentials = Credentials { username: "u".to_owned(), password: Some("p".into()) };
    brokers[1].credentials = Some(credentials);
    let app = App::new();
    app.connect(options(brokers)).unwrap();
    first.meet().send(&[0x20, 2, 0, 5]);
    let start = Instant::now();
    app.client.listen(true, false);
    second.accept();
    assert!(start.elapsed() < AT_ONCE);
    let connects = |event: &Event| matches!(event, Event::Log { text, .. } if text.starts_with("Sending CONNECT (u1, p1"));
    app.wait(connects);
}

#[test]
fn a_broker_that_was_lost_is_tried_first_again_and_the_others_after_it() {
    let (lost, other) = (Broker::new(), Broker::new());
    let app = App::new();
    app.connect(options(vec![nobody(), endpoint(&lost), endpoint(&other)])).unwrap();
    let connection = lost.accept();
    app.wait(|event| matches!(event, Event::ConnAck { code: 0, .. }));
    drop(connection);
    let (_, text) = app.wait_lost();
    let address = endpoint(&lost).address();
    let expected = format!(
        "broker {address}: connection closed by the broker; next attempt to reach {address} in "
    );
    assert!(text.starts_with(&expected), "{text}");
    lost.accept();
    app.wait(|event| matches!(event, Event::ConnAck { code: 0, .. }));
    drop(lost);
    app.wait_lost();
    other.accept();
    app.wait(|event| matches!(event, Event::ConnAck { code: 0, .. }));
}

#[test]
fn a_disconnect_ends_the_round() {
    let (_silent, port) = silent();
    let mut options = websocket(port);
    options.brokers.push(options.brokers[0].clone());
    let app = App::new();
    let _waiter = app.client.connect(options, false).unwrap();
    let start = Instant::now();
    wait_over(&app.client.disconnect(true, 0, Properties::default()).unwrap());
    assert!(start.elapsed() < AT_ONCE);
}

#[test]
fn mqtt_3_1_has_an_identifier_from_the_first_attempt_on() {
    let broker = Broker::new();
    let mut options = broker.options();
    options.protocol = Protocol::V31;
    let app = App::new();
    app.client.listen(true, false);
    app.connect(options).unwrap();
    let connect = app.wait(|event| matches!(event, Event::Log { .. }));
    let Event::Log { text, .. } = connect else { unreachable!() };
    let (_, id) = text.split_once("client_id=b'").unwrap();
    assert_eq!(id.len(), 23, "{text}");
}

#[test]
fn a_single_broker_that_cannot_be_reached_is_its_own_error() {
    let error = App::new().connect(options(vec![nobody()])).unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
}

#[test]
fn a_packet_of_the_round_before_does_not_reach_the_next_broker() {
    let (first, second) = (Broker::new(), Broker::new());
    let app = App::new();
    app.connect(options(vec![endpoint(&first), endpoint(&second)])).unwrap();
    drop(first.meet());
    let mut connection = second.accept();
    app.wait(|event| matches!(event, Event::ConnAck { code: 0, .. }));
    app.disconnect();
    assert_eq!(connection.read_to_end(), [Packet::Disconnect]);
}

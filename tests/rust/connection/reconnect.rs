//! Unexpected ends of a connection.

use super::values::{published, subscriptions};
use flask_mqtt_core::core::property::Properties;
use std::time::{Duration, Instant};

use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::session::{Event, Session};
use rumqttc::mqttbytes::v4::Packet;

use super::support::{App, Broker, ClosedPort, wait_over};

#[test]
fn a_lost_connection_is_made_again_and_what_was_unacknowledged_is_sent_again() {
    let broker = Broker::new();
    let (app, mut connection) = App::connected(&broker, broker.options());
    let wanted = subscriptions(vec![("a".to_owned(), Qos::AtMostOnce)]);
    app.client.session(|session| session.subscribe(wanted, Properties::default(), false)).unwrap();
    app.client.publish("t", b"x", Qos::AtLeastOnce, false, None).unwrap();
    assert!(matches!(connection.read(), Some(Packet::Subscribe(_))));
    assert!(matches!(connection.read(), Some(Packet::Publish(publish)) if !publish.dup));
    drop(connection);
    let (code, notice) = app.wait_lost();
    assert_eq!(code, 7);
    assert!(notice.starts_with("connection closed by the broker; next attempt"), "{notice}");
    assert!(!app.client.look(Session::is_open));

    let mut connection = broker.accept();
    assert!(matches!(connection.read(), Some(Packet::Subscribe(_))));
    assert!(matches!(connection.read(), Some(Packet::Publish(publish)) if publish.dup));
    connection.send(&[0x40, 2, 0, 2]);
    app.wait(|event| *event == published(2));
}

#[test]
fn the_first_attempt_to_connect_again_comes_after_about_a_second() {
    let broker = Broker::new();
    let (app, connection) = App::connected(&broker, broker.options());
    drop(connection);
    app.wait_lost();
    let start = Instant::now();
    broker.accept();
    let waited = start.elapsed();
    assert!((Duration::from_millis(600)..Duration::from_secs(3)).contains(&waited), "{waited:?}");
}

#[test]
fn disconnect_ends_the_attempts_at_once() {
    let broker = Broker::new();
    let (app, connection) = App::connected(&broker, broker.options());
    drop(connection);
    app.wait_lost();
    assert!(app.disconnect() < Duration::from_millis(500));
    assert_eq!(app.client.take(10), []);
}

#[test]
fn a_refusal_is_reported_with_its_code_and_tried_again() {
    let broker = Broker::new();
    let app = App::new();
    app.connect(broker.options()).unwrap();
    broker.meet().send(&[0x20, 2, 0, 5]);
    app.wait(|event| matches!(event, Event::ConnAck { code: 5, .. }));
    let (code, notice) = app.wait_lost();
    assert_eq!(code, 5);
    assert!(notice.contains("not authorized (code 5)"), "{notice}");
    broker.accept();
}

#[test]
fn where_the_broker_insists_on_an_identifier_the_client_makes_one_up_and_keeps_it() {
    let broker = Broker::new();
    let app = App::new();
    app.connect(broker.options()).unwrap();
    broker.meet().send(&[0x20, 2, 0, 2]);
    app.wait_lost();
    app.client.listen(true, false);
    let connection = broker.accept();
    let is_connect = |event: &Event| matches!(event, Event::Log { text, .. } if text.starts_with("Sending CONNECT"));
    let Event::Log { text: first, .. } = app.wait(is_connect) else { unreachable!() };
    let (_, id) = first.split_once("client_id=b'").unwrap();
    assert_eq!(id.len(), 23, "{first}");
    drop(connection);
    app.wait_lost();
    broker.accept();
    let Event::Log { text: second, .. } = app.wait(is_connect) else { unreachable!() };
    assert_eq!(first, second);
}

#[test]
fn a_broker_that_does_not_answer_the_connect_is_given_up_and_tried_again() {
    let broker = Broker::new();
    let mut options = broker.options();
    options.connect_timeout = Duration::from_millis(200);
    options.handshake_timeout = Duration::from_millis(200);
    let app = App::new();
    app.connect(options).unwrap();
    let _silent = broker.meet();
    let (code, notice) = app.wait_lost();
    assert_eq!(code, 7);
    assert!(notice.contains("no CONNACK"), "{notice}");
    broker.meet();
}

#[test]
fn a_broker_that_does_not_answer_a_ping_is_given_up() {
    let broker = Broker::new();
    let mut options = broker.options();
    options.keep_alive = 1;
    let (app, mut connection) = App::connected(&broker, options);
    assert_eq!(connection.read(), Some(Packet::PingReq));
    let (code, notice) = app.wait_lost();
    assert_eq!(code, 16);
    assert!(
        notice.contains("the broker did not answer PINGREQ within 1 s (keep alive)"),
        "{notice}"
    );
}

#[test]
fn an_attempt_that_fails_does_not_end_the_automatic_ones() {
    let (broker, closed) = (Broker::new(), ClosedPort::new());
    let mut options = broker.options();
    options.reconnect_delay_min = Duration::from_millis(50);
    let (app, connection) = App::connected(&broker, options.clone());
    drop(connection);
    app.wait_lost();
    // No broker listens at either address.
    let mut elsewhere = closed.options();
    elsewhere.reconnect_delay_min = Duration::from_millis(50);
    app.connect(elsewhere).unwrap_err();
    assert!(app.client.is_wanted());
    app.wait(|event| *event == Event::ConnectFailed);
    app.connect(options).unwrap();
    broker.accept();
}

#[test]
fn the_first_attempt_is_the_last_one_unless_others_are_wanted() {
    let closed = ClosedPort::new();
    let mut options = closed.options();
    options.reconnect_delay_min = Duration::from_millis(50);
    let app = App::new();
    app.connect(options.clone()).unwrap_err();
    assert!(!app.client.is_running());
    let attempt = app.client.connect_for_good(options, true, false).unwrap();
    wait_over(&attempt);
    attempt.outcome().unwrap().unwrap_err();
    assert!(app.client.is_wanted());
    app.wait(|event| *event == Event::ConnectFailed);
    app.disconnect();
    assert!(!app.client.is_running());
}

//! When the I/O thread ends by itself, and what it reports about failed attempts.

use std::time::Duration;

use super::values::ended;
use flask_mqtt_core::core::error::ReturnCode;
use flask_mqtt_core::core::options::{ConnectOptions, Endpoint};
use flask_mqtt_core::core::property::Properties;
use flask_mqtt_core::core::session::Event;

use super::support::{App, Broker, ClosedPort, wait_for};

fn once(mut options: ConnectOptions) -> ConnectOptions {
    options.reconnect_on_failure = false;
    options
}

fn wait_ended(app: &App) {
    wait_for("the thread's end", || (!app.client.is_running()).then_some(()));
}

/// All events until the thread has ended.
fn rest(app: &App) -> Vec<Event> {
    wait_ended(app);
    app.client.take(usize::MAX)
}

fn notices(events: &[Event]) -> Vec<&str> {
    let mut found = Vec::new();
    for event in events {
        if let Event::Notice { text, .. } = event {
            found.push(text.as_str());
        }
    }
    found
}

#[test]
fn a_client_runs_from_connect_to_the_end_of_its_thread() {
    let broker = Broker::new();
    let app = App::new();
    assert!(!app.client.is_running());
    let _waiter = app.client.connect(broker.options(), false).unwrap();
    assert!(app.client.is_running());
    let connection = broker.accept();
    drop(connection);
    app.wait_lost();
    assert!(app.client.is_running());
    app.disconnect();
    wait_ended(&app);
}

#[test]
fn the_dispatcher_is_woken_when_the_thread_has_ended() {
    let broker = Broker::new();
    let (app, _connection) = App::connected(&broker, broker.options());
    // Discards earlier wake-ups.
    while app.client.wakeup().wait(Some(Duration::from_millis(200))) {}
    app.client.disconnect(false, 0, Properties::default()).unwrap();
    assert!(app.client.wakeup().wait(Some(super::support::PATIENCE)));
    assert!(!app.client.is_running());
}

#[test]
fn where_it_is_not_to_be_made_again_the_end_of_a_connection_is_the_end() {
    let broker = Broker::new();
    let (app, connection) = App::connected(&broker, once(broker.options()));
    drop(connection);
    let events = rest(&app);
    assert_eq!(events[0], ended(ReturnCode::ConnectionLost));
    let expected = "connection closed by the broker; reconnect_on_failure is off, so there is no \
                    other attempt";
    assert_eq!(notices(&events), [expected]);
}

#[test]
fn where_it_is_not_to_be_made_again_a_refusal_is_the_end() {
    let broker = Broker::new();
    let app = App::new();
    app.connect(once(broker.options())).unwrap();
    broker.meet().send(&[0x20, 2, 0, 5]);
    let events = rest(&app);
    assert!(matches!(events[0], Event::ConnAck { code: 5, .. }));
    assert_eq!(events[1], ended(ReturnCode::ConnectionRefused));
    assert_eq!(events.len(), 3);
}

#[test]
fn where_it_is_not_to_be_made_again_an_attempt_that_failed_is_the_last() {
    let (app, closed) = (App::new(), ClosedPort::new());
    let _waiter = app.client.connect(once(closed.options()), false).unwrap();
    let events = rest(&app);
    assert_eq!(events[0], Event::ConnectFailed);
    assert_eq!(events.len(), 2);
    assert!(notices(&events)[0].contains("reconnect_on_failure is off"));
}

#[test]
fn all_brokers_are_tried_before_that() {
    let (broker, closed) = (Broker::new(), ClosedPort::new());
    let mut options = once(closed.options());
    options.brokers.push(Endpoint::tcp("127.0.0.1", broker.port()));
    let app = App::new();
    let _waiter = app.client.connect(options, false).unwrap();
    drop(broker.accept());
    let events = rest(&app);
    assert_eq!(events[0], Event::ConnectFailed);
    assert_eq!(events.iter().filter(|event| **event == Event::ConnectFailed).count(), 1);
    assert!(events.contains(&ended(ReturnCode::ConnectionLost)));
}

#[test]
fn an_attempt_that_failed_is_reported_for_every_broker_except_to_who_waits_for_it() {
    let (one, two) = (ClosedPort::new(), ClosedPort::new());
    let mut options = one.options();
    options.brokers.extend(two.options().brokers);
    options.reconnect_delay_min = Duration::from_secs(60);
    let app = App::new();
    let _waiter = app.client.connect(options.clone(), false).unwrap();
    app.wait(|event| *event == Event::ConnectFailed);
    app.wait(|event| *event == Event::ConnectFailed);

    let app = App::new();
    app.connect(options).unwrap_err();
    assert!(!rest(&app).contains(&Event::ConnectFailed));
}

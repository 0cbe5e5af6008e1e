//! The settings refresh before an attempt to connect, and its effects.

use std::time::Duration;

use flask_mqtt_core::core::error::Error;
use flask_mqtt_core::core::options::{ConnectOptions, Endpoint, Protocol};
use flask_mqtt_core::core::session::{Event, Session};

use super::support::{App, Broker, ClosedPort, Connection, wait_for};

const PROMPT: Duration = Duration::from_millis(500);

/// Options with short delays between attempts.
fn quick(broker: &Broker) -> ConnectOptions {
    let mut options = broker.options();
    options.reconnect_delay_min = Duration::from_millis(10);
    options
}

fn named(options: &ConnectOptions, name: &str) -> ConnectOptions {
    ConnectOptions { client_id: name.to_owned(), ..options.clone() }
}

fn wait_asked(app: &App) {
    app.wait(|event| *event == Event::Attempt);
}

/// Waits for a CONNECT with this user name, and accepts it.
fn accept(broker: &Broker, name: &str) -> Connection {
    let (mut connection, connect) = broker.meet_client();
    assert_eq!(connect.client_id, name);
    connection.send(super::support::ACCEPTED);
    connection
}

/// A connected application, with settings refreshes from now on.
fn asked(broker: &Broker, options: ConnectOptions) -> (App, Connection) {
    let (app, connection) = App::connected(broker, options);
    app.client.ask(true);
    (app, connection)
}

#[test]
fn an_attempt_waits_for_the_answer_and_takes_its_options() {
    let broker = Broker::new();
    let options = quick(&broker);
    let (app, connection) = asked(&broker, options.clone());
    drop(connection);
    wait_asked(&app);
    assert!(app.client.is_asking() && !app.client.look(Session::is_open));
    app.client.answer(Some(named(&options, "new"))).unwrap();
    let connection = accept(&broker, "new");
    assert!(!app.client.is_asking());

    // The new options hold for later attempts too.
    drop(connection);
    wait_asked(&app);
    app.client.answer(None).unwrap();
    drop(accept(&broker, "new"));
    wait_asked(&app);
}

#[test]
fn who_does_not_want_to_be_asked_is_not_asked() {
    let broker = Broker::new();
    let (app, connection) = asked(&broker, quick(&broker));
    app.client.ask(false);
    drop(connection);
    let _connection = broker.accept();
    let event = app.wait(|event| matches!(event, Event::Attempt | Event::ConnAck { .. }));
    assert_ne!(event, Event::Attempt);
}

#[test]
fn the_attempt_that_connect_reports_is_not_asked_for() {
    let broker = Broker::new();
    let app = App::new();
    app.client.ask(true);
    app.connect(broker.options()).unwrap();
    assert!(!app.client.is_asking());
    let closed = ClosedPort::new();
    assert!(matches!(app.connect(closed.options()), Err(Error::Connect { .. })));
    assert!(!std::iter::from_fn(|| app.client.take(1).pop()).any(|event| event == Event::Attempt));
}

#[test]
fn every_attempt_is_asked_for_where_none_is_reported() {
    let broker = Broker::new();
    let (app, options) = (App::new(), quick(&broker));
    app.client.ask(true);
    let _waiter = app.client.connect(options.clone(), false).unwrap();
    for name in ["one", "two", "three"] {
        wait_asked(&app);
        app.client.answer(Some(named(&options, name))).unwrap();
        let (_, connect) = broker.meet_client();
        assert_eq!(connect.client_id, name);
    }
}

#[test]
fn without_an_answer_the_attempt_is_made_as_before_and_a_late_answer_holds_for_the_next() {
    let broker = Broker::new();
    let mut options = quick(&broker);
    options.connect_timeout = Duration::from_millis(100);
    let (app, connection) = asked(&broker, named(&options, "old"));
    drop(connection);
    wait_asked(&app);
    let connection = accept(&broker, "old");
    let notice = app.wait(|event| matches!(event, Event::Notice { .. }));
    let Event::Notice { text, .. } = notice else { unreachable!() };
    assert!(text.starts_with("handlers did not respond within"), "{text}");
    assert!(text.contains("within 0.1 s"), "{text}");

    app.client.answer(Some(named(&options, "late"))).unwrap();
    app.client.ask(false);
    drop(connection);
    accept(&broker, "late");
}

#[test]
fn an_open_question_is_not_asked_a_second_time() {
    let broker = Broker::new();
    let mut options = quick(&broker);
    options.connect_timeout = Duration::from_millis(20);
    let (app, connection) = asked(&broker, options);
    drop(connection);
    for _ in 0..3 {
        drop(broker.accept());
    }
    let events = std::iter::from_fn(|| app.client.take(1).pop());
    assert_eq!(events.filter(|event| *event == Event::Attempt).count(), 1);
}

#[test]
fn a_disconnect_does_not_wait_for_the_answer_and_drops_the_question() {
    let broker = Broker::new();
    let (app, connection) = asked(&broker, quick(&broker));
    drop(connection);
    wait_asked(&app);
    assert!(app.disconnect() < PROMPT);
    assert!(!app.client.is_asking());
    app.client.answer(Some(named(&broker.options(), "nobody"))).unwrap();
    app.client.ask(false);
    let options = quick(&broker);
    let _waiter = app.client.connect(options, false).unwrap();
    accept(&broker, "");
}

#[test]
fn options_that_cannot_be_used_are_an_error_and_the_question_stays_open() {
    let broker = Broker::new();
    let (app, connection) = asked(&broker, quick(&broker));
    drop(connection);
    wait_asked(&app);
    let wrong = named(&broker.options(), &"x".repeat(70_000));
    assert!(matches!(app.client.answer(Some(wrong)), Err(Error::Option { .. })));
    assert!(app.client.is_asking());
    app.client.answer(None).unwrap();
    accept(&broker, "");
}

#[test]
fn the_same_brokers_go_on_in_turn_and_others_begin_with_the_first() {
    let (one, two) = (Broker::new(), Broker::new());
    let mut options = quick(&one);
    options.brokers.push(Endpoint::tcp("127.0.0.1", two.port()));
    let (app, connection) = asked(&one, options.clone());
    // The first broker refuses, so that the second one is tried.
    drop(connection);
    wait_asked(&app);
    app.client.answer(Some(options.clone())).unwrap();
    one.meet().send(&[0x20, 2, 0, 3]);
    wait_asked(&app);
    app.client.answer(Some(named(&options, "in turn"))).unwrap();
    let connection = accept(&two, "in turn");
    drop(connection);
    wait_asked(&app);
    app.client.answer(Some(named(&options, "again"))).unwrap();
    let connection = accept(&two, "again");

    drop(connection);
    wait_asked(&app);
    app.client.answer(Some(named(&quick(&one), "elsewhere"))).unwrap();
    accept(&one, "elsewhere");
}

#[test]
fn an_identifier_that_was_made_up_stays() {
    let broker = Broker::new();
    let options = quick(&broker);
    let app = App::new();
    app.client.ask(true);
    app.connect(options.clone()).unwrap();
    broker.meet().send(&[0x20, 2, 0, 2]);
    wait_asked(&app);
    app.client.answer(Some(options.clone())).unwrap();
    let (connection, first) = broker.meet_client();
    assert_eq!(first.client_id.len(), 22);
    drop(connection);
    wait_asked(&app);
    app.client.answer(Some(options)).unwrap();
    assert_eq!(broker.meet_client().1.client_id, first.client_id);
}

#[test]
fn an_answer_with_mqtt_3_1_gets_an_identifier() {
    let broker = Broker::new();
    let options = quick(&broker);
    let (app, connection) = asked(&broker, options.clone());
    app.client.listen(true, false);
    drop(connection);
    wait_asked(&app);
    app.client.answer(Some(ConnectOptions { protocol: Protocol::V31, ..options })).unwrap();
    let is_connect = |event: &Event| matches!(event, Event::Log { text, .. } if text.starts_with("Sending CONNECT"));
    let Event::Log { text, .. } = app.wait(is_connect) else { unreachable!() };
    let (_, id) = text.split_once("client_id=b'").unwrap();
    assert_eq!(id.len(), 23, "{text}");
}

#[test]
fn other_delays_hold_from_the_next_delay_on() {
    let broker = Broker::new();
    let mut options = quick(&broker);
    let (app, connection) = asked(&broker, options.clone());
    drop(connection);
    wait_asked(&app);
    options.reconnect_delay_min = Duration::from_secs(3600);
    options.reconnect_delay_max = Duration::from_secs(3600);
    app.client.answer(Some(options)).unwrap();
    drop(broker.accept());
    let notice =
        app.wait(|event| matches!(event, Event::Notice { text, .. } if !text.contains(" 0.0 s")));
    let Event::Notice { text, .. } = notice else { unreachable!() };
    let (_, seconds) = text.rsplit_once("in ").unwrap();
    let seconds: f64 = seconds.trim_end_matches(" s").parse().unwrap();
    assert!((2700.0..=3600.0).contains(&seconds), "{text}");
    wait_for("the end", || (app.disconnect() < PROMPT).then_some(()));
}

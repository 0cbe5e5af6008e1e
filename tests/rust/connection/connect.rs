//! The first attempt to connect, and `connect` on a client that is running.

use super::values::subscriptions;
use flask_mqtt_core::core::property::Properties;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Duration;

use flask_mqtt_core::core::error::Error;
use flask_mqtt_core::core::options::{ConnectOptions, Transport};
use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::session::{Event, Session};
use rumqttc::mqttbytes::v4::Packet;

use super::support::{App, Broker, wait_for, wait_over};

/// A port without a listener.
fn closed_port() -> ConnectOptions {
    Broker::new().options()
}

#[test]
fn each_connect_has_the_outcome_of_its_own_attempt() {
    let (silent, closed) = (Broker::new(), closed_port());
    let mut options = silent.options();
    // A websocket, so that there is a handshake to wait for.
    options.brokers[0].transport = Transport::Websocket;
    let app = App::new();
    let first = app.client.connect(options, true).unwrap();
    let second = app.client.connect(closed, true).unwrap();
    wait_over(&first);
    wait_over(&second);
    assert!(first.outcome().is_none());
    second.outcome().unwrap().unwrap_err();
    assert!(second.outcome().is_none());
}

#[test]
fn connect_is_over_when_the_port_accepts_and_does_not_wait_for_the_connack() {
    let broker = Broker::new();
    let app = App::new();
    app.connect(broker.options()).unwrap();
    assert!(app.client.look(Session::is_open) && !app.client.look(Session::is_connected));
}

#[test]
fn the_connack_makes_it_connected() {
    let broker = Broker::new();
    let (app, _connection) = App::connected(&broker, broker.options());
    assert!(app.client.look(Session::is_connected));
}

#[test]
fn a_closed_port_is_reported_and_there_is_no_second_attempt() {
    let app = App::new();
    let error = app.connect(closed_port()).unwrap_err();
    let Error::Connect { source, .. } = &error else { panic!("{error}") };
    assert_eq!(source.kind(), ErrorKind::ConnectionRefused);
    wait_for("the thread's end", || {
        app.client.disconnect(false, 0, Properties::default()).is_none().then_some(())
    });
    assert_eq!(app.client.take(10), []);
}

#[test]
fn a_host_without_an_address_is_reported() {
    let error = App::new().connect(ConnectOptions::new("no..host", 1883)).unwrap_err();
    assert!(matches!(&error, Error::Resolve { host, .. } if host == "no..host"), "{error}");
}

#[test]
fn a_broker_that_does_not_accept_in_time_is_reported() {
    // A listener with a full queue does not respond to further connections.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let _runtime = runtime.enter();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let moment = Duration::from_millis(100);
    let _queue: Vec<_> =
        std::iter::from_fn(|| TcpStream::connect_timeout(&address, moment).ok()).collect();

    let mut options = ConnectOptions::new("127.0.0.1", address.port());
    options.connect_timeout = moment;
    let error = App::new().connect(options).unwrap_err();
    let text = format!("no TCP connection from {address} within 0.1 s (connection_timeout)");
    assert_eq!(error.to_string(), text);
}

#[test]
fn without_report_the_client_goes_on_trying() {
    let options = closed_port();
    let port = options.broker().port;
    let app = App::new();
    let _waiter = app.client.connect(options, false).unwrap();
    let notice = app.wait(|event| matches!(event, Event::Notice { .. }));
    let Event::Notice { text, .. } = notice else { unreachable!() };
    assert!(text.contains(&format!("cannot connect to 127.0.0.1:{port}")), "{text}");
    let broker = Broker::on(port);
    let _connection = broker.accept();
    app.wait(|event| matches!(event, Event::ConnAck { code: 0, .. }));
}

#[test]
fn options_that_cannot_be_sent_are_an_error_and_leave_the_connection_alone() {
    let broker = Broker::new();
    let (app, mut connection) = App::connected(&broker, broker.options());
    let mut options = broker.options();
    options.client_id = "x".repeat(70_000);
    assert!(matches!(app.client.connect(options, true), Err(Error::Option { .. })));
    app.client.publish("t", b"x", Qos::AtMostOnce, false, None).unwrap();
    assert!(matches!(connection.read(), Some(Packet::Publish(_))));
}

#[test]
fn connect_on_a_running_client_ends_its_connection_first() {
    let (old, new) = (Broker::new(), Broker::new());
    let (app, mut connection) = App::connected(&old, old.options());
    app.connect(new.options()).unwrap();
    assert_eq!(connection.read_to_end(), [Packet::Disconnect]);
    let mut connection = new.accept();
    app.wait(|event| matches!(event, Event::ConnAck { code: 0, .. }));
    app.client.publish("t", b"x", Qos::AtMostOnce, false, None).unwrap();
    assert!(matches!(connection.read(), Some(Packet::Publish(_))));
}

#[test]
fn connect_on_a_running_client_reports_its_own_attempt() {
    let broker = Broker::new();
    for _ in 0..20 {
        let (app, _connection) = App::connected(&broker, broker.options());
        let error = app.connect(closed_port()).unwrap_err();
        assert!(matches!(error, Error::Connect { .. }), "{error}");
    }
}

#[test]
fn connect_while_the_client_waits_to_try_again_does_not_wait() {
    let broker = Broker::new();
    let app = App::new();
    let _waiter = app.client.connect(closed_port(), false).unwrap();
    app.wait(|event| matches!(event, Event::Notice { .. }));
    let waiter = app.client.connect(broker.options(), true).unwrap();
    assert!(wait_over(&waiter) < Duration::from_millis(500));
    broker.accept();
}

#[test]
fn a_client_connects_again_after_a_disconnect_and_sends_what_waited() {
    let broker = Broker::new();
    let (app, connection) = App::connected(&broker, broker.options());
    let wanted = subscriptions(vec![("a".to_owned(), Qos::AtMostOnce)]);
    app.client.session(|session| session.subscribe(wanted, Properties::default(), false)).unwrap();
    app.disconnect();
    drop(connection);
    app.client.publish("t", b"x", Qos::AtLeastOnce, false, None).unwrap();
    app.connect(broker.options()).unwrap();
    let mut connection = broker.accept();
    assert!(matches!(connection.read(), Some(Packet::Subscribe(_))));
    assert!(matches!(connection.read(), Some(Packet::Publish(_))));
}

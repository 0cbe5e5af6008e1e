//! Disconnects that the application asks for.

use super::values::ended;
use flask_mqtt_core::core::property::Properties;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use flask_mqtt_core::core::error::ReturnCode;
use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::session::{Event, Session};
use rumqttc::mqttbytes::v4::Packet;

use super::support::{App, Broker, publish, wait_for, wait_over};

const PROMPT: Duration = Duration::from_secs(1);

#[test]
fn a_disconnect_is_the_last_packet_after_everything_that_was_published() {
    let broker = Broker::new();
    let (app, mut connection) = App::connected(&broker, broker.options());
    for _ in 0..1000 {
        app.client.publish("t", b"x", Qos::AtMostOnce, false, None).unwrap();
    }
    app.disconnect();
    let packets = connection.read_to_end();
    assert_eq!(packets.len(), 1001);
    assert_eq!(packets.last(), Some(&Packet::Disconnect));
    app.wait(|event| *event == ended(ReturnCode::Success));
    assert!(!app.client.look(Session::is_open));
}

#[test]
fn a_silent_disconnect_reports_nothing() {
    let broker = Broker::new();
    let (app, mut connection) = App::connected(&broker, broker.options());
    wait_over(&app.client.disconnect(false, 0, Properties::default()).unwrap());
    assert_eq!(connection.read_to_end(), [Packet::Disconnect]);
    assert_eq!(app.client.take(10), []);
}

#[test]
fn a_second_disconnect_has_nothing_to_do() {
    let broker = Broker::new();
    let (app, _connection) = App::connected(&broker, broker.options());
    app.disconnect();
    wait_for("the thread's end", || {
        app.client.disconnect(true, 0, Properties::default()).is_none().then_some(())
    });
    assert_eq!(app.client.take(10), [ended(ReturnCode::Success)]);
}

#[test]
fn without_a_connection_there_is_nothing_to_disconnect() {
    assert!(App::new().client.disconnect(true, 0, Properties::default()).is_none());
}

#[test]
fn a_broker_that_reads_nothing_does_not_hold_up_a_disconnect() {
    let broker = Broker::new();
    let (app, _connection) = App::connected(&broker, broker.options());
    app.fill();
    assert!(app.disconnect() < PROMPT);
    app.wait(|event| *event == ended(ReturnCode::Success));
}

#[test]
fn a_broker_that_does_not_answer_the_connect_does_not_hold_up_a_disconnect() {
    let broker = Broker::new();
    let app = App::new();
    app.connect(broker.options()).unwrap();
    let mut connection = broker.meet();
    assert!(app.disconnect() < PROMPT);
    assert_eq!(connection.read_to_end(), [Packet::Disconnect]);
}

#[test]
fn a_broker_that_never_stops_sending_gets_a_disconnect() {
    let broker = Broker::new();
    let mut options = broker.options();
    options.limits.incoming_messages = 10;
    let (app, mut connection) = App::connected(&broker, options);
    for _ in 0..1000 {
        connection.send(&publish(b"x"));
    }
    assert!(app.disconnect() < PROMPT);
    assert_eq!(connection.read_to_end(), [Packet::Disconnect]);
}

#[test]
fn dropping_the_client_sends_disconnect_and_ends_its_thread() {
    let broker = Broker::new();
    let (app, mut connection) = App::connected(&broker, broker.options());
    let mut wake = UnixStream::from(app.client.wakeup().descriptor().unwrap());
    drop(app);
    assert_eq!(connection.read_to_end(), [Packet::Disconnect]);
    // The thread holds the other end until it ends.
    wake.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn dropping_a_client_that_waits_to_try_again_ends_its_thread() {
    let app = App::new();
    let options = Broker::new().options();
    let _waiter = app.client.connect(options, false).unwrap();
    app.wait(|event| matches!(event, Event::Notice { .. }));
    let mut wake = UnixStream::from(app.client.wakeup().descriptor().unwrap());
    drop(app);
    wake.read_to_end(&mut Vec::new()).unwrap();
}

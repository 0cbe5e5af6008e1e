//! Runs alone in its process, so that it can count descriptors.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that fails is to panic

#[path = "../support/mod.rs"]
mod support;

use flask_mqtt_core::core::session::Event;
use support::{App, Broker, wait_for};

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn fifty_connections_and_fifty_clients_leave_no_descriptor_behind() {
    let broker = Broker::new();
    let app = App::new();
    let before = descriptors();
    for _ in 0..50 {
        app.connect(broker.options()).unwrap();
        let mut connection = broker.accept();
        app.wait(|event| matches!(event, Event::ConnAck { code: 0, .. }));
        app.disconnect();
        connection.read_to_end();
    }
    for _ in 0..50 {
        let (_app, _connection) = App::connected(&broker, broker.options());
    }
    wait_for("the last thread's end", || (descriptors() == before).then_some(()));
}

//! Clean Start on the first CONNECT only (MQTT 5.0, section 3.1.2.4).

use std::sync::Arc;

use flask_mqtt_core::core::options::{ConnectOptions, Protocol};
use flask_mqtt_core::core::property::{Properties, Property, Value};
use rumqttc::mqttbytes::v4::Packet as PacketV4;
use rumqttc::v5::mqttbytes::v5::{Connect, Packet};

use super::peer::Peer;
use super::peer_v5::accepted;
use super::values::connack;

fn once(number: u32) -> Peer {
    Peer::v5(|options| options.clean_start_once = number)
}

/// The next CONNECT.
fn connect(peer: &mut Peer) -> Connect {
    peer.session.lost();
    peer.begin();
    match peer.v5_packets().remove(0) {
        Packet::Connect(connect, ..) => connect,
        other => panic!("{other:?} is no CONNECT"),
    }
}

#[test]
fn it_is_on_until_the_broker_has_accepted_and_off_from_then_on() {
    let mut peer = once(1);
    assert!(connect(&mut peer).clean_start);
    assert!(connect(&mut peer).clean_start);
    peer.refuse(connack(false, 0x88));
    assert!(connect(&mut peer).clean_start);
    peer.receive(accepted(false, Properties::default()));
    assert!(!connect(&mut peer).clean_start);
    peer.receive(accepted(true, Properties::default()));
    assert!(!connect(&mut peer).clean_start);
}

#[test]
fn another_number_begins_anew() {
    let mut peer = once(1);
    connect(&mut peer);
    peer.receive(accepted(false, Properties::default()));
    let mut options = ConnectOptions::new("broker", 1883);
    options.protocol = Protocol::V5;
    options.clean_start_once = 2;
    peer.session.configure(Arc::new(options));
    assert!(connect(&mut peer).clean_start);
    peer.receive(accepted(false, Properties::default()));
    assert!(!connect(&mut peer).clean_start);
}

#[test]
fn without_it_every_connect_has_what_the_application_wants() {
    for clean_session in [true, false] {
        let mut peer = Peer::v5(|options| options.clean_session = clean_session);
        for _ in 0..2 {
            assert_eq!(connect(&mut peer).clean_start, clean_session);
            peer.receive(accepted(false, Properties::default()));
        }
    }
}

#[test]
fn before_mqtt_5_it_means_nothing() {
    let mut peer = Peer::with(|options| options.clean_start_once = 1);
    for _ in 0..2 {
        peer.session.lost();
        peer.begin();
        let PacketV4::Connect(connect) = peer.packets().remove(0) else { unreachable!() };
        assert!(connect.clean_session);
        peer.receive(connack(false, 0));
    }
}

#[test]
fn a_session_that_goes_on_lasts_as_long_as_the_application_says_and_not_for_ever() {
    let expiry = |connect: Connect| connect.properties.and_then(|all| all.session_expiry_interval);
    let mut peer = once(1);
    connect(&mut peer);
    peer.receive(accepted(false, Properties::default()));
    assert_eq!(expiry(connect(&mut peer)), None);

    let mut peer = Peer::v5(|options| {
        options.clean_start_once = 1;
        options.properties.set(Property::SessionExpiryInterval, Value::Number(60)).unwrap();
    });
    assert_eq!(expiry(connect(&mut peer)), Some(60));
    peer.receive(accepted(false, Properties::default()));
    assert_eq!(expiry(connect(&mut peer)), Some(60));
}

#[test]
fn an_identifier_of_the_brokers_stays_with_the_session() {
    let mut peer = once(1);
    connect(&mut peer);
    let mut properties = Properties::default();
    let value = Value::Text("chosen".to_owned());
    properties.set(Property::AssignedClientIdentifier, value).unwrap();
    peer.receive(accepted(false, properties));
    let again = connect(&mut peer);
    assert_eq!((again.client_id.as_str(), again.clean_start), ("chosen", false));
}

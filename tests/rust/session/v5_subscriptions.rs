//! Options, identifiers and acknowledgements of subscriptions in MQTT 5.

use flask_mqtt_core::core::error::{Error, ReturnCode};
use flask_mqtt_core::core::packet::{Incoming, SubscribeOptions, Subscription};
use flask_mqtt_core::core::property::{Properties, Property, Value};
use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::session::Event;
use rumqttc::v5::mqttbytes::v5::{Filter, Packet, RetainForwardRule, Subscribe};

use super::peer::Peer;
use super::peer_v5::{numbers, text_of};
use super::values::subscriptions;

const OPTIONS: SubscribeOptions = SubscribeOptions {
    qos: Qos::AtLeastOnce,
    no_local: true,
    retain_as_published: true,
    retain_handling: 2,
};

fn identified(number: u32) -> Properties {
    numbers(&[(Property::SubscriptionIdentifier, number)])
}

/// Subscribes with [`OPTIONS`] and an identifier.
fn subscribe(peer: &mut Peer, filter: &str, identifier: u32, reuse: bool) -> Vec<Subscribe> {
    let filters = vec![Subscription { filter: filter.to_owned(), options: OPTIONS }];
    peer.session.subscribe(filters, identified(identifier), reuse).unwrap();
    subscribes(peer.v5_packets())
}

fn subscribes(packets: Vec<Packet>) -> Vec<Subscribe> {
    let subscribe = |packet| match packet {
        Packet::Subscribe(subscribe) => subscribe,
        other => panic!("{other:?} is no SUBSCRIBE"),
    };
    packets.into_iter().map(subscribe).collect()
}

fn filter(path: &str) -> Filter {
    Filter {
        path: path.to_owned(),
        qos: rumqttc::v5::mqttbytes::QoS::AtLeastOnce,
        nolocal: true,
        preserve_retain: true,
        retain_forward_rule: RetainForwardRule::Never,
    }
}

fn identifiers(sent: &[Subscribe]) -> Vec<Option<usize>> {
    sent.iter().map(|subscribe| subscribe.properties.as_ref().and_then(|list| list.id)).collect()
}

#[test]
fn options_and_identifiers_go_out_again_on_every_connection() {
    let mut peer = Peer::accepted(&[]);
    subscribe(&mut peer, "a", 5, false);
    subscribe(&mut peer, "b", 6, false);
    for session_present in [false, true] {
        peer.session.lost();
        let sent = subscribes(peer.accept(session_present, &[]));
        let filters: Vec<_> = sent.iter().map(|subscribe| subscribe.filters.clone()).collect();
        assert_eq!(filters, [[filter("a")], [filter("b")]]);
        assert_eq!(identifiers(&sent), [Some(5), Some(6)]);
    }
}

#[test]
fn user_properties_go_out_again_too() {
    let mut properties = Properties::default();
    let pair = Value::Pair("a".to_owned(), "1".to_owned());
    properties.set(Property::UserProperty, pair).unwrap();
    let mut peer = Peer::v5(|_| {});
    let filters = vec![Subscription { filter: "a".to_owned(), options: OPTIONS }];
    let offline = peer.session.subscribe(filters, properties, false).unwrap();
    assert_eq!(offline, (ReturnCode::NoConnection, None));
    let sent = subscribes(peer.accept(false, &[]));
    let properties = sent[0].properties.as_ref().unwrap();
    assert_eq!(properties.user_properties, [("a".to_owned(), "1".to_owned())]);
}

#[test]
fn the_on_connect_handler_sends_what_has_other_options_or_another_identifier() {
    let mut peer = Peer::v5(|_| {});
    subscribe(&mut peer, "a", 5, false);
    peer.accept(false, &[]);
    assert_eq!(subscribe(&mut peer, "a", 5, true), []);
    assert_eq!(identifiers(&subscribe(&mut peer, "a", 6, true)), [Some(6)]);
    assert_eq!(subscribe(&mut peer, "a", 6, true), []);
    let options = SubscribeOptions { no_local: false, ..OPTIONS };
    let filters = vec![Subscription { filter: "a".to_owned(), options }];
    peer.session.subscribe(filters, identified(6), true).unwrap();
    let sent = subscribes(peer.v5_packets());
    assert!(!sent[0].filters[0].nolocal);
}

#[test]
fn the_answers_carry_their_codes_and_properties() {
    let mut peer = Peer::accepted(&[]);
    let filters = ["a", "b", "c"].map(str::to_owned);
    let wanted = filters.clone().map(|filter| (filter, Qos::ExactlyOnce)).to_vec();
    peer.session.subscribe(subscriptions(wanted), Properties::default(), false).unwrap();
    peer.session.unsubscribe(filters[..2].to_vec(), Properties::default()).unwrap();
    let properties = Some(text_of(Property::ReasonString, "no"));
    let (granted, codes) = (vec![2, 0x87, 0xa2], vec![0, 0x11]);
    peer.receive(Incoming::SubAck {
        mid: 1,
        granted: granted.clone(),
        properties: properties.clone(),
    });
    peer.receive(Incoming::UnsubAck {
        mid: 2,
        codes: codes.clone(),
        properties: properties.clone(),
    });
    assert_eq!(
        peer.events(),
        [
            Event::Subscribed { mid: 1, granted, properties: properties.clone() },
            Event::Unsubscribed { mid: 2, codes, properties },
        ]
    );
}

#[test]
fn properties_that_a_request_cannot_have_are_an_error_and_nothing_is_remembered() {
    let mut peer = Peer::accepted(&[]);
    let mut twice = identified(1);
    twice.set(Property::SubscriptionIdentifier, Value::Number(2)).unwrap();
    for properties in [twice, numbers(&[(Property::TopicAlias, 1)])] {
        let filters = vec![Subscription { filter: "a".to_owned(), options: OPTIONS }];
        let error = peer.session.subscribe(filters, properties, false);
        assert!(matches!(error, Err(Error::Property { .. })), "{error:?}");
    }
    let error = peer.session.unsubscribe(vec!["a".to_owned()], identified(1));
    assert!(matches!(error, Err(Error::Property { .. })), "{error:?}");
    assert_eq!(peer.v5_bytes(), 0);
    peer.session.lost();
    assert_eq!(peer.accept(false, &[]), []);
}

#[test]
fn an_unsubscribe_goes_out_again_with_its_properties() {
    let mut properties = Properties::default();
    let pair = Value::Pair("a".to_owned(), "1".to_owned());
    properties.set(Property::UserProperty, pair).unwrap();
    let mut peer = Peer::accepted(&[]);
    peer.session.unsubscribe(vec!["a".to_owned()], properties).unwrap();
    peer.session.lost();
    let sent = peer.accept(true, &[]);
    let [Packet::Unsubscribe(unsubscribe)] = &sent[..] else { panic!("{sent:?}") };
    let properties = unsubscribe.properties.as_ref().unwrap();
    assert_eq!(properties.user_properties, [("a".to_owned(), "1".to_owned())]);
}

#[test]
fn a_request_larger_than_the_broker_takes_is_not_sent_and_is_tried_on_the_next_connection() {
    let small = [(Property::MaximumPacketSize, 20)];
    let long = "a/filter/of/some/length";
    let mut peer = Peer::accepted(&small);
    let filters = || vec![Subscription { filter: long.to_owned(), options: OPTIONS }];
    let refused = peer.session.subscribe(filters(), Properties::default(), false).unwrap();
    assert_eq!(refused, (ReturnCode::PayloadSize, None));
    assert_eq!(peer.unsubscribe(long), (ReturnCode::PayloadSize, None));
    assert_eq!(peer.v5_bytes(), 0);
    assert_eq!(peer.subscribe("b", Qos::AtMostOnce), (ReturnCode::Success, Some(1)));
    peer.session.lost();
    let sent = subscribes(peer.accept(false, &small));
    assert_eq!(sent[0].filters[0].path, "b");
    let events = peer.events();
    let [Event::Notice { text, .. }] = &events[..] else { panic!("{events:?}") };
    assert!(text.contains("no packet as large") && text.contains(long), "{text}");
    peer.session.lost();
    assert_eq!(subscribes(peer.accept(false, &[])).len(), 2);
}

//! Topic aliases, in both directions.

use flask_mqtt_core::core::error::{Error, ReturnCode};
use flask_mqtt_core::core::packet::Incoming;
use flask_mqtt_core::core::property::{Properties, Property};
use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::session::Event;
use rumqttc::v5::mqttbytes::v5::Packet;

use super::peer::{Peer, text};
use super::peer_v5::{message_to, numbers};

type Topic = (String, Option<u16>);

fn alias(number: u32) -> Properties {
    numbers(&[(Property::TopicAlias, number)])
}

fn allowing(number: u32) -> [(Property, u32); 1] {
    [(Property::TopicAliasMaximum, number)]
}

/// The topics and aliases of messages.
fn topics(packets: &[Packet]) -> Vec<Topic> {
    let topic = |packet: &Packet| match packet {
        Packet::Publish(publish) => {
            let alias = publish.properties.as_ref().and_then(|properties| properties.topic_alias);
            (text(&publish.topic), alias)
        }
        other => panic!("{other:?} is no PUBLISH"),
    };
    packets.iter().map(topic).collect()
}

fn topic(name: &str, alias: impl Into<Option<u16>>) -> Topic {
    (name.to_owned(), alias.into())
}

fn publish(peer: &mut Peer, topic: &str, qos: Qos) -> Topic {
    let code = peer.session.publish(topic, b"x", qos, false, None).unwrap().0;
    assert_eq!(code, ReturnCode::Success);
    topics(&peer.v5_packets()).remove(0)
}

/// Publishes like an application that sets an alias itself.
fn publish_named(peer: &mut Peer, topic: &str, number: u32) -> Result<Vec<Topic>, Error> {
    peer.session.publish(topic, b"x", Qos::AtMostOnce, false, Some(alias(number)))?;
    Ok(topics(&peer.v5_packets()))
}

/// The topic that the application sees for a message of the broker.
fn received(peer: &mut Peer, topic: &str, properties: Properties) -> String {
    peer.receive(message_to(topic, properties));
    match peer.events().remove(0) {
        Event::Message { publish, .. } => {
            assert_eq!(publish.properties, Some(Properties::default()));
            publish.topic
        }
        other => panic!("{other:?} is no message"),
    }
}

/// A session whose CONNECT allows this many aliases.
fn accepting(number: u32) -> Peer {
    let mut peer = Peer::v5(|options| options.properties = numbers(&allowing(number)));
    peer.accept(false, &[]);
    peer
}

#[test]
fn the_first_topics_of_a_connection_get_a_number_and_are_written_as_that_from_then_on() {
    let mut peer = Peer::accepted(&allowing(2));
    assert_eq!(publish(&mut peer, "topic/a", Qos::AtMostOnce), topic("topic/a", 1));
    assert_eq!(publish(&mut peer, "topic/a", Qos::AtLeastOnce), topic("", 1));
    assert_eq!(publish(&mut peer, "topic/b", Qos::AtMostOnce), topic("topic/b", 2));
    assert_eq!(publish(&mut peer, "topic/c", Qos::AtMostOnce), topic("topic/c", None));
    assert_eq!(publish(&mut peer, "topic/b", Qos::AtMostOnce), topic("", 2));
    assert_eq!(publish(&mut peer, "topic/a", Qos::AtMostOnce), topic("", 1));
}

#[test]
fn a_broker_that_allows_no_aliases_gets_none() {
    for list in [&allowing(0)[..], &[]] {
        let mut peer = Peer::accepted(list);
        for _ in 0..2 {
            assert_eq!(publish(&mut peer, "topic", Qos::AtMostOnce), topic("topic", None));
        }
    }
}

#[test]
fn a_topic_as_short_as_its_number_gets_none() {
    let mut peer = Peer::accepted(&allowing(9));
    assert_eq!(publish(&mut peer, "abc", Qos::AtMostOnce), topic("abc", None));
    assert_eq!(publish(&mut peer, "abcd", Qos::AtMostOnce), topic("abcd", 1));
}

#[test]
fn the_number_of_aliases_is_bounded_whatever_the_broker_allows() {
    let mut peer = Peer::accepted(&allowing(65_535));
    for number in 0..300 {
        publish(&mut peer, &format!("topic/{number}"), Qos::AtMostOnce);
    }
    assert_eq!(publish(&mut peer, "topic/255", Qos::AtMostOnce), topic("", 256));
    assert_eq!(publish(&mut peer, "topic/256", Qos::AtMostOnce), topic("topic/256", None));
}

#[test]
fn numbers_are_given_anew_on_every_connection_and_what_is_sent_again_has_its_topic() {
    let mut peer = Peer::accepted(&allowing(2));
    publish(&mut peer, "topic/a", Qos::AtMostOnce);
    publish(&mut peer, "topic/b", Qos::AtLeastOnce);
    publish(&mut peer, "topic/b", Qos::ExactlyOnce);
    peer.session.lost();
    let again = topics(&peer.accept(true, &allowing(2)));
    assert_eq!(again, [topic("topic/b", 1), topic("", 1)]);
    peer.session.lost();
    let again = topics(&peer.accept(true, &[]));
    assert_eq!(again, [topic("topic/b", None), topic("topic/b", None)]);
}

#[test]
fn a_message_that_waits_for_the_window_is_given_its_number_when_it_goes_out() {
    let mut peer = Peer::accepted(&[allowing(2)[0], (Property::ReceiveMaximum, 1)]);
    for name in ["topic/a", "topic/b"] {
        peer.session.publish(name, b"x", Qos::AtLeastOnce, false, None).unwrap();
    }
    publish(&mut peer, "topic/b", Qos::AtMostOnce);
    peer.session.receive(Incoming::PubAck(1.into()), peer.now).unwrap();
    assert_eq!(topics(&peer.v5_packets()), [topic("", 2)]);
}

#[test]
fn an_alias_of_the_application_is_resolved_and_not_sent() {
    let mut peer = Peer::accepted(&[]);
    assert_eq!(publish_named(&mut peer, "topic/a", 7).unwrap(), [topic("topic/a", None)]);
    assert_eq!(publish_named(&mut peer, "", 7).unwrap(), [topic("topic/a", None)]);
    assert_eq!(publish_named(&mut peer, "topic/b", 7).unwrap(), [topic("topic/b", None)]);
    assert_eq!(publish_named(&mut peer, "", 7).unwrap(), [topic("topic/b", None)]);
    let mut peer = Peer::accepted(&allowing(3));
    assert_eq!(publish_named(&mut peer, "topic/a", 7).unwrap(), [topic("topic/a", 1)]);
    assert_eq!(publish_named(&mut peer, "", 7).unwrap(), [topic("", 1)]);
}

#[test]
fn an_alias_that_the_application_has_not_named_on_this_connection_is_an_error() {
    let mut peer = Peer::accepted(&allowing(3));
    assert!(matches!(publish_named(&mut peer, "", 1), Err(Error::Topic { .. })));
    publish_named(&mut peer, "topic/a", 1).unwrap();
    peer.session.lost();
    peer.accept(true, &allowing(3));
    assert!(matches!(publish_named(&mut peer, "", 1), Err(Error::Topic { .. })));
}

#[test]
fn an_alias_of_the_broker_is_resolved_and_not_shown_to_the_application() {
    let mut peer = accepting(2);
    assert_eq!(received(&mut peer, "a/b", alias(2)), "a/b");
    assert_eq!(received(&mut peer, "", alias(2)), "a/b");
    assert_eq!(received(&mut peer, "c", alias(1)), "c");
    assert_eq!(received(&mut peer, "d", alias(2)), "d");
    assert_eq!(received(&mut peer, "", alias(2)), "d");
    assert_eq!(received(&mut peer, "", alias(1)), "c");
}

#[test]
fn an_alias_that_the_broker_has_not_given_on_this_connection_is_a_protocol_error() {
    let mut peer = accepting(2);
    let error = peer.refuse(message_to("", alias(1)));
    assert_eq!(error.to_string(), "protocol error: unknown topic alias 1");
    assert_eq!(error.reason_code(), Some(0x94));
    let mut peer = accepting(2);
    received(&mut peer, "a", alias(1));
    peer.session.lost();
    peer.accept(true, &[]);
    assert!(matches!(peer.refuse(message_to("", alias(1))), Error::TopicAlias(_)));
}

#[test]
fn an_alias_above_what_we_allowed_is_a_protocol_error() {
    let error = accepting(2).refuse(message_to("a", alias(3))).to_string();
    assert_eq!(error, "protocol error: topic alias 3, but at most 2 are allowed");
    let error = Peer::accepted(&[]).refuse(message_to("a", alias(1)));
    assert_eq!(error.return_code(), ReturnCode::Protocol);
}

#[test]
fn what_the_aliases_keep_is_bounded_by_the_bytes_that_may_come_in() {
    let mut peer = Peer::v5(|options| {
        options.limits.incoming_bytes = 8;
        options.properties = numbers(&allowing(3));
    });
    peer.accept(false, &[]);
    received(&mut peer, "four", alias(1));
    received(&mut peer, "five", alias(2));
    received(&mut peer, "4", alias(1));
    let error = peer.refuse(message_to("1234", alias(3)));
    assert_eq!(error.to_string(), "protocol error: topics with an alias of more than 8 bytes");
}

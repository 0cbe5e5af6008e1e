//! Cross-checks: rumqttc's codec reads what ours writes, and ours reads what rumqttc's writes.
#![allow(clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::prelude::*;
use rumqttc::v5::mqttbytes::QoS as OracleQos;
use rumqttc::v5::mqttbytes::v5 as oracle;

use super::super::super::options::{Credentials, Protocol, Will};
use super::super::super::property::tests::list;
use super::super::{SubscribeOptions, Subscription};
use super::*;

/// The values that rumqttc has fields for.
trait Fields {
    fn two(&self, property: Property) -> Option<u16>;
    fn one(&self, property: Property) -> Option<u8>;
    fn string(&self, property: Property) -> Option<String>;
    fn binary(&self, property: Property) -> Option<Bytes>;
    fn pairs(&self) -> Vec<(String, String)>;
    fn identifiers(&self) -> Vec<usize>;
    fn some<T>(&self, fields: impl FnOnce(&Self) -> T) -> Option<T>;
}

impl Fields for Properties {
    fn two(&self, property: Property) -> Option<u16> {
        self.number(property).map(|number| number.try_into().unwrap())
    }

    fn one(&self, property: Property) -> Option<u8> {
        self.number(property).map(|number| number.try_into().unwrap())
    }

    fn string(&self, property: Property) -> Option<String> {
        self.text(property).map(str::to_owned)
    }

    fn binary(&self, property: Property) -> Option<Bytes> {
        self.iter().find_map(|(present, value)| match value {
            Value::Binary(bytes) if present == property => Some(bytes.clone()),
            _ => None,
        })
    }

    fn pairs(&self) -> Vec<(String, String)> {
        let pair = |(_, value): (Property, &Value)| match value {
            Value::Pair(name, value) => Some((name.clone(), value.clone())),
            _ => None,
        };
        self.iter().filter_map(pair).collect()
    }

    fn identifiers(&self) -> Vec<usize> {
        let identifier = |(property, value): (Property, &Value)| match (property, value) {
            (Property::SubscriptionIdentifier, Value::Number(number)) => Some(*number as usize),
            _ => None,
        };
        self.iter().filter_map(identifier).collect()
    }

    fn some<T>(&self, fields: impl FnOnce(&Self) -> T) -> Option<T> {
        (!self.is_empty()).then(|| fields(self))
    }
}

/// rumqttc has a separate type of properties for each kind of acknowledgement.
macro_rules! ack_properties {
    ($kind:ident, $properties:expr) => {
        $properties.some(|list| oracle::$kind {
            reason_string: list.string(Property::ReasonString),
            user_properties: list.pairs(),
        })
    };
}

fn connack_properties(list: &Properties) -> oracle::ConnAckProperties {
    oracle::ConnAckProperties {
        session_expiry_interval: list.number(Property::SessionExpiryInterval),
        receive_max: list.two(Property::ReceiveMaximum),
        max_qos: list.one(Property::MaximumQoS),
        retain_available: list.one(Property::RetainAvailable),
        max_packet_size: list.number(Property::MaximumPacketSize),
        assigned_client_identifier: list.string(Property::AssignedClientIdentifier),
        topic_alias_max: list.two(Property::TopicAliasMaximum),
        reason_string: list.string(Property::ReasonString),
        user_properties: list.pairs(),
        wildcard_subscription_available: list.one(Property::WildcardSubscriptionAvailable),
        subscription_identifiers_available: list.one(Property::SubscriptionIdentifierAvailable),
        shared_subscription_available: list.one(Property::SharedSubscriptionAvailable),
        server_keep_alive: list.two(Property::ServerKeepAlive),
        response_information: list.string(Property::ResponseInformation),
        server_reference: list.string(Property::ServerReference),
        authentication_method: list.string(Property::AuthenticationMethod),
        authentication_data: list.binary(Property::AuthenticationData),
    }
}

fn connect_fields(list: &Properties) -> oracle::ConnectProperties {
    oracle::ConnectProperties {
        session_expiry_interval: list.number(Property::SessionExpiryInterval),
        receive_maximum: list.two(Property::ReceiveMaximum),
        max_packet_size: list.number(Property::MaximumPacketSize),
        topic_alias_max: list.two(Property::TopicAliasMaximum),
        request_response_info: list.one(Property::RequestResponseInformation),
        request_problem_info: list.one(Property::RequestProblemInformation),
        user_properties: list.pairs(),
        authentication_method: list.string(Property::AuthenticationMethod),
        authentication_data: list.binary(Property::AuthenticationData),
    }
}

fn will_properties(list: &Properties) -> oracle::LastWillProperties {
    oracle::LastWillProperties {
        delay_interval: list.number(Property::WillDelayInterval),
        payload_format_indicator: list.one(Property::PayloadFormatIndicator),
        message_expiry_interval: list.number(Property::MessageExpiryInterval),
        content_type: list.string(Property::ContentType),
        response_topic: list.string(Property::ResponseTopic),
        correlation_data: list.binary(Property::CorrelationData),
        user_properties: list.pairs(),
    }
}

fn publish_properties(list: &Properties) -> oracle::PublishProperties {
    oracle::PublishProperties {
        payload_format_indicator: list.one(Property::PayloadFormatIndicator),
        message_expiry_interval: list.number(Property::MessageExpiryInterval),
        topic_alias: list.two(Property::TopicAlias),
        response_topic: list.string(Property::ResponseTopic),
        correlation_data: list.binary(Property::CorrelationData),
        user_properties: list.pairs(),
        subscription_identifiers: list.identifiers(),
        content_type: list.string(Property::ContentType),
    }
}

fn disconnect_properties(list: &Properties) -> oracle::DisconnectProperties {
    oracle::DisconnectProperties {
        session_expiry_interval: list.number(Property::SessionExpiryInterval),
        reason_string: list.string(Property::ReasonString),
        user_properties: list.pairs(),
        server_reference: list.string(Property::ServerReference),
    }
}

/// Encodes with rumqttc and decodes with our codec. The properties are sorted by identifier,
/// because rumqttc has its own order.
fn read(packet: &oracle::Packet) -> Incoming {
    let mut bytes = BytesMut::new();
    packet.write(&mut bytes, None).unwrap();
    let mut packet = decode(&mut bytes, MAX_REMAINING_LENGTH).unwrap().unwrap();
    assert!(bytes.is_empty());
    match &mut packet {
        Incoming::ConnAck { properties: Some(list), .. }
        | Incoming::SubAck { properties: Some(list), .. }
        | Incoming::UnsubAck { properties: Some(list), .. }
        | Incoming::Disconnect { properties: Some(list), .. }
        | Incoming::Publish(Publish { properties: Some(list), .. })
        | Incoming::PubAck(Ack { properties: Some(list), .. })
        | Incoming::PubRec(Ack { properties: Some(list), .. })
        | Incoming::PubRel(Ack { properties: Some(list), .. })
        | Incoming::PubComp(Ack { properties: Some(list), .. }) => *list = sorted(list),
        other => panic!("{other:?} has no properties"),
    }
    packet
}

fn sorted(list: &Properties) -> Properties {
    let mut pairs: Vec<_> = list.iter().collect();
    pairs.sort_by_key(|(property, _)| *property);
    let mut sorted = Properties::default();
    for (property, value) in pairs {
        sorted.set(property, value.clone()).unwrap();
    }
    sorted
}

/// Encodes with our codec and decodes with rumqttc.
fn written(write: impl FnOnce(&mut BytesMut)) -> oracle::Packet {
    let mut bytes = BytesMut::new();
    write(&mut bytes);
    let packet = oracle::Packet::read(&mut bytes, None).unwrap();
    assert!(bytes.is_empty());
    packet
}

fn oracle_qos(qos: Qos) -> OracleQos {
    match qos {
        Qos::AtMostOnce => OracleQos::AtMostOnce,
        Qos::AtLeastOnce => OracleQos::AtLeastOnce,
        Qos::ExactlyOnce => OracleQos::ExactlyOnce,
    }
}

fn qos() -> impl Strategy<Value = Qos> {
    prop_oneof![Just(Qos::AtMostOnce), Just(Qos::AtLeastOnce), Just(Qos::ExactlyOnce)]
}

fn message(place: Place) -> impl Strategy<Value = Publish> {
    let parts = ("[^+#\0]{1,200}", any::<Vec<u8>>(), qos(), any::<(bool, bool)>(), 1_u16..);
    (parts, list(place)).prop_map(|((topic, payload, qos, (retain, dup), mid), properties)| {
        let mid = if qos == Qos::AtMostOnce { 0 } else { mid };
        let (payload, properties) = (payload.into(), Some(properties));
        Publish { topic, payload, qos, retain, dup, mid, properties }
    })
}

fn as_oracle(publish: &Publish) -> oracle::Publish {
    let list = publish.properties.as_ref().unwrap();
    oracle::Publish {
        dup: publish.dup,
        qos: oracle_qos(publish.qos),
        retain: publish.retain,
        topic: publish.topic.clone().into(),
        pkid: publish.mid,
        payload: publish.payload.clone(),
        properties: list.some(publish_properties),
    }
}

fn subscription() -> impl Strategy<Value = Subscription> {
    ("[^\0]{1,40}", qos(), any::<(bool, bool)>(), 0..3_u8).prop_map(
        |(filter, qos, (no_local, retain_as_published), retain_handling)| {
            let options = SubscribeOptions { qos, no_local, retain_as_published, retain_handling };
            Subscription { filter, options }
        },
    )
}

fn as_filter(subscription: &Subscription) -> oracle::Filter {
    let options = subscription.options;
    oracle::Filter {
        path: subscription.filter.clone(),
        qos: oracle_qos(options.qos),
        nolocal: options.no_local,
        preserve_retain: options.retain_as_published,
        retain_forward_rule: match options.retain_handling {
            0 => oracle::RetainForwardRule::OnEverySubscribe,
            1 => oracle::RetainForwardRule::OnNewSubscribe,
            _ => oracle::RetainForwardRule::Never,
        },
    }
}

proptest! {
    #[test]
    fn a_connack_is_read(present: bool, list in list(Place::ConnAck), code in prop::sample::select(vec![
        (oracle::ConnectReturnCode::Success, 0), (oracle::ConnectReturnCode::NotAuthorized, 0x87),
        (oracle::ConnectReturnCode::ServerMoved, 0x9d),
    ])) {
        let properties = list.some(connack_properties);
        let packet = oracle::ConnAck { session_present: present, code: code.0, properties };
        let expected = Incoming::ConnAck {
            session_present: present, code: code.1, properties: Some(sorted(&list)),
        };
        prop_assert_eq!(read(&oracle::Packet::ConnAck(packet)), expected);
    }

    #[test]
    fn a_publish_is_read(publish in message(Place::Publish)) {
        let packet = oracle::Packet::Publish(as_oracle(&publish));
        let properties = publish.properties.as_ref().map(sorted);
        prop_assert_eq!(read(&packet), Incoming::Publish(Publish { properties, ..publish }));
    }

    #[test]
    fn acknowledgements_are_read(mid in 1_u16.., list in list(Place::Ack), failed: bool) {
        let code = if failed { 0x97 } else { 0 };
        let ack = |code| Ack { mid, code, properties: Some(sorted(&list)) };
        let mut puback = oracle::PubAck::new(mid, ack_properties!(PubAckProperties, list));
        let mut pubrec = oracle::PubRec::new(mid, ack_properties!(PubRecProperties, list));
        let mut pubrel = oracle::PubRel::new(mid, ack_properties!(PubRelProperties, list));
        let mut pubcomp = oracle::PubComp::new(mid, ack_properties!(PubCompProperties, list));
        if failed {
            puback.reason = oracle::PubAckReason::QuotaExceeded;
            pubrec.reason = oracle::PubRecReason::QuotaExceeded;
            pubrel.reason = oracle::PubRelReason::PacketIdentifierNotFound;
            pubcomp.reason = oracle::PubCompReason::PacketIdentifierNotFound;
        }
        let unknown = if failed { 0x92 } else { 0 };
        prop_assert_eq!(read(&oracle::Packet::PubAck(puback)), Incoming::PubAck(ack(code)));
        prop_assert_eq!(read(&oracle::Packet::PubRec(pubrec)), Incoming::PubRec(ack(code)));
        prop_assert_eq!(read(&oracle::Packet::PubRel(pubrel)), Incoming::PubRel(ack(unknown)));
        prop_assert_eq!(read(&oracle::Packet::PubComp(pubcomp)), Incoming::PubComp(ack(unknown)));
    }

    #[test]
    fn a_suback_is_read(mid in 1_u16.., list in list(Place::Ack), codes in vec(prop::sample::select(vec![
        (oracle::SubscribeReasonCode::Success(OracleQos::ExactlyOnce), 2),
        (oracle::SubscribeReasonCode::NotAuthorized, 0x87),
        (oracle::SubscribeReasonCode::WildcardSubscriptionsNotSupported, 0xa2),
    ]), 1..5)) {
        let return_codes = codes.iter().map(|code| code.0).collect();
        let granted = codes.iter().map(|code| code.1).collect();
        let properties = ack_properties!(SubAckProperties, list);
        let packet = oracle::Packet::SubAck(oracle::SubAck { pkid: mid, return_codes, properties });
        let properties = Some(sorted(&list));
        prop_assert_eq!(read(&packet), Incoming::SubAck { mid, granted, properties });
    }

    #[test]
    fn an_unsuback_is_read(mid in 1_u16.., list in list(Place::Ack), codes in vec(prop::sample::select(vec![
        (oracle::UnsubAckReason::Success, 0), (oracle::UnsubAckReason::NoSubscriptionExisted, 0x11),
    ]), 1..5)) {
        let reasons = codes.iter().map(|code| code.0).collect();
        let codes = codes.iter().map(|code| code.1).collect();
        let properties = ack_properties!(UnsubAckProperties, list);
        let packet = oracle::Packet::UnsubAck(oracle::UnsubAck { pkid: mid, reasons, properties });
        let properties = Some(sorted(&list));
        prop_assert_eq!(read(&packet), Incoming::UnsubAck { mid, codes, properties });
    }

    #[test]
    fn a_disconnect_is_read_and_written(
        // rumqttc encodes a wrong length if there are no properties.
        list in list(Place::Disconnect).prop_filter("properties", |list| !list.is_empty()),
    ) {
        let properties = Some(disconnect_properties(&list));
        let packet = oracle::Packet::Disconnect(oracle::Disconnect {
            reason_code: oracle::DisconnectReasonCode::ServerBusy, properties,
        });
        let expected = Incoming::Disconnect { code: 0x89, properties: Some(sorted(&list)) };
        prop_assert_eq!(read(&packet), expected);
        let control = Control::Disconnect { code: 0x89, properties: list };
        prop_assert_eq!(written(|out| control.encode(Protocol::V5, out).unwrap()), packet);
    }

    #[test]
    fn a_connect_is_written(
        id in "[^\0]{0,40}", flags: (bool, bool), keep_alive: u16, own in list(Place::Connect),
        login in prop::option::of(("[^\0]{1,20}", prop::option::of("[^\0]{1,20}"))),
        will in prop::option::of(message(Place::Will)),
    ) {
        let (clean_session, limited) = flags;
        let mut options = ConnectOptions::new("broker", 1883);
        options.protocol = Protocol::V5;
        options.client_id.clone_from(&id);
        (options.clean_session, options.keep_alive) = (clean_session, keep_alive);
        if limited {
            options.limits.packet_size = 1000;
        }
        options.properties = own;
        options.properties.remove(Property::AuthenticationMethod); // AUTH is not supported
        options.brokers[0].credentials = login.clone().map(|(username, password)| Credentials { username, password: password.map(String::into_bytes) });
        options.will = will.clone().map(|Publish { topic, payload, qos, retain, properties, .. }| {
            Will { topic, payload, qos, retain, properties: properties.unwrap() }
        });
        options.validate().unwrap();
        let properties = connect_properties(&options).some(connect_fields);
        let connect = oracle::Connect { keep_alive, client_id: id, clean_start: clean_session, properties };
        let will = will.map(|publish| oracle::LastWill {
            topic: publish.topic.into(), message: publish.payload, qos: oracle_qos(publish.qos),
            retain: publish.retain, properties: publish.properties.unwrap().some(will_properties),
        });
        let login = login.map(|(name, password)| oracle::Login::new(name, password.unwrap_or_default()));
        let expected = oracle::Packet::Connect(connect, will, login);
        prop_assert_eq!(written(|out| super::super::encode_connect(&options, out)), expected);
    }

    #[test]
    fn a_publish_is_written_with_and_without_an_alias(publish in message(Place::Publish), number in 1_u16..) {
        let mut publish = publish;
        let list = publish.properties.as_mut().unwrap();
        list.remove(Property::SubscriptionIdentifier);
        list.remove(Property::TopicAlias);
        for alias in [Alias::None, Alias::Define(number), Alias::Use(number)] {
            let mut expected = as_oracle(&publish);
            if alias != Alias::None {
                expected.properties.get_or_insert_default().topic_alias = Some(number);
            }
            if let Alias::Use(_) = alias {
                expected.topic = Bytes::new();
            }
            let packet = written(|out| encode_publish(&(&publish).into(), alias, out));
            prop_assert_eq!(packet, oracle::Packet::Publish(expected));
        }
    }

    #[test]
    fn a_subscribe_and_an_unsubscribe_are_written(
        mid in 1_u16.., filters in vec(subscription(), 1..5), own in list(Place::Subscribe), identifier in 1..300_u32,
    ) {
        let mut pairs = own;
        pairs.remove(Property::SubscriptionIdentifier);
        let mut properties = pairs.clone();
        properties.set(Property::SubscriptionIdentifier, Value::Number(identifier)).unwrap();
        let expected = oracle::Packet::Subscribe(oracle::Subscribe {
            pkid: mid, filters: filters.iter().map(as_filter).collect(),
            properties: Some(oracle::SubscribeProperties {
                id: Some(identifier as usize), user_properties: properties.pairs(),
            }),
        });
        let names: Vec<_> = filters.iter().map(|subscription| subscription.filter.clone()).collect();
        let control = Control::Subscribe { mid, filters, properties };
        prop_assert_eq!(written(|out| control.encode(Protocol::V5, out).unwrap()), expected);
        let expected = oracle::Packet::Unsubscribe(oracle::Unsubscribe {
            pkid: mid, filters: names.clone(),
            properties: pairs.some(|list| oracle::UnsubscribeProperties { user_properties: list.pairs() }),
        });
        let control = Control::Unsubscribe { mid, filters: names, properties: pairs };
        prop_assert_eq!(written(|out| control.encode(Protocol::V5, out).unwrap()), expected);
    }
}

#![allow(clippy::unwrap_used, missing_docs)]

use proptest::prelude::*;

use super::*;

const PLACES: [Place; 8] = [
    Place::Connect,
    Place::Will,
    Place::ConnAck,
    Place::Publish,
    Place::Ack,
    Place::Subscribe,
    Place::Unsubscribe,
    Place::Disconnect,
];

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

fn pair(name: &str, value: &str) -> Value {
    Value::Pair(name.to_owned(), value.to_owned())
}

fn properties(list: Vec<(Property, Value)>) -> Properties {
    let mut properties = Properties::default();
    for (property, value) in list {
        properties.set(property, value).unwrap();
    }
    properties
}

fn read(bytes: &[u8], place: Place) -> Result<Properties, Error> {
    Properties::read(&mut Bytes::copy_from_slice(bytes), place)
}

/// The error for a list, given without its length.
fn refusal(list: &[u8], place: Place) -> String {
    let mut bytes = BytesMut::new();
    put_variable(&mut bytes, list.len());
    bytes.extend_from_slice(list);
    let error = read(&bytes, place).unwrap_err();
    assert!(matches!(error, Error::Protocol(_)), "{error:?}");
    error.to_string()
}

/// Any valid value of a property.
fn value(property: Property) -> BoxedStrategy<Value> {
    let Row { kind, low, high, .. } = *property.row();
    match kind {
        Kind::Byte | Kind::TwoByte | Kind::FourByte | Kind::Variable => {
            prop_oneof![Just(low), Just(high), low..=high].prop_map(Value::Number).boxed()
        }
        Kind::Text => "[^\0+#]{0,40}".prop_map(Value::Text).boxed(),
        Kind::Binary => any::<Vec<u8>>().prop_map(|bytes| Value::Binary(bytes.into())).boxed(),
        Kind::Pair => ("[^\0]{0,20}", "[^\0]{0,20}")
            .prop_map(|(name, value)| Value::Pair(name, value))
            .boxed(),
    }
}

/// Any valid list of a place.
pub fn list(place: Place) -> impl Strategy<Value = Properties> {
    let allowed: Vec<_> = Property::all().filter(|property| property.allowed_in(place)).collect();
    let one = prop::sample::select(allowed)
        .prop_flat_map(|property| value(property).prop_map(move |value| (property, value)));
    prop::collection::vec(one, 0..12).prop_map(properties)
}

fn place_and_list() -> impl Strategy<Value = (Place, Properties)> {
    prop::sample::select(PLACES.to_vec())
        .prop_flat_map(|place| list(place).prop_map(move |list| (place, list)))
}

#[test]
fn user_properties_and_identifiers_keep_their_order_and_their_repeats() {
    let list = properties(vec![
        (Property::UserProperty, pair("b", "1")),
        (Property::SubscriptionIdentifier, Value::Number(300)),
        (Property::UserProperty, pair("a", "2")),
        (Property::SubscriptionIdentifier, Value::Number(1)),
        (Property::UserProperty, pair("b", "1")),
    ]);
    let mut bytes = BytesMut::new();
    list.write(&mut bytes);
    assert_eq!(bytes.len(), 1 + 3 * 7 + 3 + 2);
    assert_eq!(read(&bytes, Place::Publish).unwrap(), list);
}

#[test]
fn setting_a_property_again_replaces_its_value() {
    let mut list = properties(vec![
        (Property::ContentType, text("a")),
        (Property::MessageExpiryInterval, Value::Number(5)),
        (Property::ContentType, text("b")),
    ]);
    assert_eq!(list.text(Property::ContentType), Some("b"));
    assert_eq!(list.iter().count(), 2);
    list.remove(Property::ContentType);
    assert_eq!(list.number(Property::MessageExpiryInterval), Some(5));
    assert_eq!(list.iter().count(), 1);
}

#[test]
fn every_property_is_found_by_its_name_and_by_nothing_else() {
    for property in Property::all() {
        assert_eq!(Property::from_name(property.name()), Some(property));
        assert_eq!(Property::from_id(property as u8), Some(property));
    }
    assert_eq!(Property::all().count(), 27);
    assert_eq!(Property::from_name("Content Type"), None);
}

#[test]
fn properties_that_no_broker_may_send_are_refused() {
    let publish = |list: &[u8]| refusal(list, Place::Publish);
    assert!(publish(&[0]).contains("property 0 in a PUBLISH"));
    assert!(publish(&[127, 1]).contains("property 127 in a PUBLISH"));
    assert!(publish(&[17, 0, 0, 0, 1]).contains("property 17 in a PUBLISH"));
    assert!(refusal(&[35, 0, 1], Place::ConnAck).contains("property 35 in a CONNACK"));
    assert!(publish(&[1, 0, 1, 0]).contains("PayloadFormatIndicator twice"));
    assert!(publish(&[1, 2]).contains("whole number from 0 to 1"));
    assert!(publish(&[35, 0, 0]).contains("whole number from 1 to 65535"));
    assert!(publish(&[11, 0]).contains("whole number from 1 to 268435455"));
    assert!(refusal(&[33, 0, 0], Place::ConnAck).contains("ReceiveMaximum"));
    assert!(refusal(&[39, 0, 0, 0, 0], Place::ConnAck).contains("MaximumPacketSize"));
    assert!(refusal(&[36, 2], Place::ConnAck).contains("MaximumQoS"));
}

#[test]
fn values_that_are_cut_off_are_refused() {
    for (list, place) in [
        (&[1][..], Place::Publish),
        (&[35, 1], Place::Publish),
        (&[2, 0, 0, 0], Place::Publish),
        (&[11], Place::Publish),
        (&[11, 0x80], Place::Publish),
        (&[3, 0], Place::Publish),
        (&[3, 0, 2, b'a'], Place::Publish),
        (&[9, 0, 2, 1], Place::Publish),
        (&[38, 0, 1, b'a'], Place::Publish),
        (&[38, 0, 1, b'a', 0, 1], Place::Publish),
    ] {
        assert!(refusal(list, place).contains("it ends too early"), "{list:?}");
    }
    assert!(refusal(&[11, 0x80, 0x80, 0x80, 0x80, 1], Place::Publish).contains("four bytes"));
}

#[test]
fn a_value_does_not_reach_beyond_the_list_into_the_packet() {
    // A content type of four bytes exceeds a list of five, although the packet has more bytes.
    let error = read(&[5, 3, 0, 4, b'a', b'b', b'c', b'd', 0], Place::Publish).unwrap_err();
    assert!(error.to_string().contains("it ends too early"), "{error}");
}

#[test]
fn a_list_longer_than_its_packet_is_refused() {
    for bytes in [&[2, 1][..], &[0x80], &[], &[0xff, 0xff, 0xff, 0x7f, 1, 0]] {
        assert!(matches!(read(bytes, Place::Publish), Err(Error::Protocol(_))), "{bytes:?}");
    }
}

#[test]
fn text_that_mqtt_does_not_allow_is_refused() {
    for list in [&[3, 0, 1, 0xff][..], &[38, 0, 1, 0xff, 0, 0], &[38, 0, 0, 0, 1, 0xff]] {
        assert!(refusal(list, Place::Publish).contains("not UTF-8"), "{list:?}");
    }
    for list in [&[3, 0, 1, 0][..], &[38, 0, 1, 0, 0, 0], &[38, 0, 0, 0, 1, 0]] {
        assert!(refusal(list, Place::Publish).contains("null character"), "{list:?}");
    }
}

#[test]
fn a_packet_has_a_thousand_properties_at_most() {
    let user_property = [38, 0, 0, 0, 0];
    let mut bytes = BytesMut::new();
    put_variable(&mut bytes, 5 * MOST);
    bytes.extend_from_slice(&user_property.repeat(MOST));
    assert_eq!(read(&bytes, Place::Publish).unwrap().iter().count(), MOST);
    let text = refusal(&user_property.repeat(MOST + 1), Place::Publish);
    assert!(text.contains("more than 1000 properties"), "{text}");
}

#[test]
fn values_that_a_property_cannot_have_are_errors_that_name_it() {
    let long = "x".repeat(65_536);
    for (property, value, expected) in [
        (Property::ReceiveMaximum, Value::Number(0), "from 1 to 65535"),
        (Property::ReceiveMaximum, Value::Number(65_536), "from 1 to 65535"),
        (Property::PayloadFormatIndicator, Value::Number(2), "from 0 to 1"),
        (Property::SubscriptionIdentifier, Value::Number(VARIABLE_MAX + 1), "to 268435455"),
        (Property::TopicAlias, text("1"), "whole number"),
        (Property::ContentType, Value::Number(1), "string"),
        (Property::ContentType, text(&long), "at most 65535 bytes"),
        (Property::ContentType, text("a\0b"), "null character"),
        (Property::ResponseTopic, text("a/+"), "wildcards"),
        (Property::CorrelationData, text("x"), "bytes"),
        (Property::CorrelationData, Value::Binary(long.clone().into()), "at most 65535 bytes"),
        (Property::UserProperty, text("x"), "pair of strings"),
        (Property::UserProperty, pair("a", &long), "at most 65535 bytes"),
        (Property::UserProperty, pair("a\0", "b"), "null character"),
    ] {
        let mut list = Properties::default();
        let error = list.set(property, value).unwrap_err().to_string();
        assert!(error.starts_with(&format!("property {}", property.name())), "{error}");
        assert!(error.contains(expected) && error.len() < 200, "{error}");
        assert!(list.is_empty());
    }
}

#[test]
fn a_property_in_the_wrong_place_is_an_error_that_names_both() {
    let list = properties(vec![(Property::WillDelayInterval, Value::Number(3))]);
    list.validate(Place::Will).unwrap();
    let error = list.validate(Place::Publish).unwrap_err().to_string();
    assert_eq!(error, "property WillDelayInterval 3: it is no property of a PUBLISH");
}

#[test]
fn a_client_sends_one_subscription_identifier_and_only_in_a_subscribe() {
    let number = |number| (Property::SubscriptionIdentifier, Value::Number(number));
    properties(vec![number(1)]).validate(Place::Subscribe).unwrap();
    let error = properties(vec![number(1), number(2)]).validate(Place::Subscribe).unwrap_err();
    assert!(error.to_string().contains("one at most"), "{error}");
    let error = properties(vec![number(1)]).validate(Place::Publish).unwrap_err();
    assert!(error.to_string().contains("only a broker"), "{error}");
}

#[test]
fn what_authenticates_is_shown_nowhere() {
    let mut list = Properties::default();
    for value in [text("12345"), Value::Number(12345), pair("12345", "12345")] {
        let error = list.set(Property::AuthenticationData, value).unwrap_err();
        assert!(!error.to_string().contains("12345") && !format!("{error:?}").contains("12345"));
    }
    list.set(Property::AuthenticationData, Value::Binary(Bytes::from_static(b"12345"))).unwrap();
    let error = list.validate(Place::Publish).unwrap_err();
    assert!(!error.to_string().contains("12345") && !format!("{error:?}").contains("12345"));
    assert!(!format!("{list:?}").contains("12345"), "{list:?}");
}

proptest! {
    #[test]
    fn what_is_written_is_what_is_read((place, list) in place_and_list(), rest: Vec<u8>) {
        let mut bytes = BytesMut::new();
        list.write(&mut bytes);
        prop_assert_eq!(bytes.len(), list.len() + variable_len(list.len()));
        bytes.extend_from_slice(&rest);
        let mut bytes = bytes.freeze();
        prop_assert_eq!(Properties::read(&mut bytes, place).unwrap(), list);
        prop_assert_eq!(&bytes[..], &rest[..]);
    }

    #[test]
    fn a_list_that_is_cut_off_is_refused(
        (place, list) in place_and_list().prop_filter("properties", |(_, list)| !list.is_empty()),
        cut: prop::sample::Index,
    ) {
        let mut bytes = BytesMut::new();
        list.write(&mut bytes);
        let cut = cut.index(bytes.len());
        prop_assert!(matches!(read(&bytes[..cut], place), Err(Error::Protocol(_))));
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_what_is_read_is_valid(bytes: Vec<u8>, place in prop::sample::select(PLACES.to_vec())) {
        if let Ok(list) = read(&bytes, place) {
            prop_assert!(list.iter().all(|(property, _)| property.allowed_in(place)));
            prop_assert!(list.iter().all(|(property, value)| property.check(value).is_ok()));
        }
    }

    #[test]
    fn variable_byte_integers_are_read_as_written(number in prop_oneof![0..300_u32, 0..=VARIABLE_MAX]) {
        let mut bytes = BytesMut::new();
        put_variable(&mut bytes, number as usize);
        prop_assert_eq!(bytes.len(), variable_len(number as usize));
        prop_assert_eq!(take_variable(&mut bytes.freeze()).unwrap(), number);
    }
}

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use rumqttc::v5::mqttbytes::Error as OracleError;
use rumqttc::v5::mqttbytes::v5::Packet as Oracle;

use super::super::super::options::Protocol;
use super::super::encode_connect;
use super::*;

const ANY_SIZE: usize = MAX_REMAINING_LENGTH;

fn decode_bytes(bytes: &[u8]) -> Result<Option<Incoming>, Error> {
    decode(&mut BytesMut::from(bytes), ANY_SIZE)
}

fn packet(bytes: &[u8]) -> Incoming {
    decode_bytes(bytes).unwrap().unwrap()
}

fn properties(property: Property, value: Value) -> Properties {
    let mut properties = Properties::default();
    properties.set(property, value).unwrap();
    properties
}

/// Decodes with rumqttc.
fn oracle(bytes: &[u8]) -> Result<Oracle, OracleError> {
    Oracle::read(&mut BytesMut::from(bytes), None)
}

/// The message of a protocol error.
fn refusal(bytes: &[u8]) -> String {
    match decode_bytes(bytes) {
        Err(Error::Protocol(text)) => text,
        other => panic!("{bytes:?} gave {other:?}"),
    }
}

/// One packet of each type, without its optional parts, and with a property.
const PACKETS: &[&[u8]] = &[
    b"\x20\x03\x01\x00\x00",
    b"\x20\x06\x00\x00\x03\x21\x00\x05",
    b"\x20\x02\x00\x05",
    b"\x30\x06\0\x01t\0ab",
    b"\x3b\x0f\0\x01t\0\x07\x07\x03\0\x04text{}",
    b"\x30\x06\0\0\x03\x23\0\x01",
    b"\x40\x02\0\x01",
    b"\x40\x03\0\x01\x10",
    b"\x50\x04\0\x01\x87\0",
    b"\x62\x02\0\x01",
    b"\x70\x09\0\x01\x92\x05\x1f\0\x02no",
    b"\x90\x05\0\x01\0\x02\x80",
    b"\xb0\x05\0\x01\0\x00\x11",
    b"\xd0\x00",
    b"\xe0\x00",
    b"\xe0\x01\x8b",
    b"\xe0\x07\x9c\x05\x1c\0\x02ab",
];

#[test]
fn a_packet_that_is_not_complete_yet_stays_in_the_buffer() {
    for whole in PACKETS {
        for cut in 0..whole.len() {
            let mut buffer = BytesMut::from(&whole[..cut]);
            assert_eq!(decode(&mut buffer, ANY_SIZE).unwrap(), None, "{whole:?} cut at {cut}");
            assert_eq!(buffer, whole[..cut]);
        }
        let mut buffer = BytesMut::from([whole, &b"\xd0\x00"[..]].concat().as_slice());
        assert!(decode(&mut buffer, ANY_SIZE).unwrap().is_some());
        assert_eq!(decode(&mut buffer, ANY_SIZE).unwrap(), Some(Incoming::PingResp));
        assert!(buffer.is_empty());
    }
}

#[test]
fn what_is_left_out_is_success_without_properties() {
    let none = Some(Properties::default());
    let ack = |code| Ack { mid: 1, code, properties: none.clone() };
    assert_eq!(packet(b"\x40\x02\0\x01"), Incoming::PubAck(ack(0)));
    assert_eq!(packet(b"\x50\x03\0\x01\x10"), Incoming::PubRec(ack(16)));
    assert_eq!(packet(b"\x62\x04\0\x01\x92\0"), Incoming::PubRel(ack(0x92)));
    let disconnect = |code, properties| Incoming::Disconnect { code, properties };
    assert_eq!(packet(b"\xe0\x00"), disconnect(0, None));
    assert_eq!(packet(b"\xe0\x01\x8b"), disconnect(0x8b, None));
    assert_eq!(packet(b"\xe0\x02\x8b\0"), disconnect(0x8b, Some(Properties::default())));
}

#[test]
fn a_broker_that_knows_no_mqtt_5_may_refuse_in_the_words_of_mqtt_3() {
    for code in 1..=5 {
        let refused = Incoming::ConnAck { session_present: false, code, properties: None };
        assert_eq!(packet(&[0x20, 2, 0, code]), refused);
    }
    for code in [0, 6, 0x84] {
        assert!(refusal(&[0x20, 2, 0, code]).contains("it ends too early"));
    }
}

#[test]
fn malformed_packets_are_protocol_errors() {
    for (bytes, expected) in [
        (&b"\x20\x01\0"[..], "it ends too early"),
        (b"\x20\x03\x02\0\0", "flags of a CONNACK"),
        (b"\x20\x04\0\0\0\0", "1 bytes too many (packet type 2)"),
        (b"\x30\x04\0\0\0a", "PUBLISH with an empty topic"),
        (b"\x30\x04\0\x05ab", "it ends too early"),
        (b"\x30\x04\0\x01#\0", "wildcard"),
        (b"\x30\x04\0\x01\0\0", "null character"),
        (b"\x30\x04\0\x01\xff\0", "not UTF-8"),
        (b"\x36\x06\0\x01t\0\x01\0", "QoS 3"),
        (b"\x32\x06\0\x01t\0\0\0", "packet identifier 0"),
        (b"\x32\x04\0\x01t\0", "it ends too early"),
        (b"\x40\x02\0\0", "packet identifier 0"),
        (b"\x40\x01\0", "it ends too early"),
        (b"\x40\x05\0\x01\0\0\0", "1 bytes too many (packet type 4)"),
        (b"\x90\x02\0\x01", "it ends too early"),
        (b"\xd0\x01\0", "1 bytes too many (packet type 13)"),
        (b"\xe0\x03\0\0\0", "1 bytes too many (packet type 14)"),
        (b"\x30\xff\xff\xff\xff\x01", "malformed remaining length"),
    ] {
        let text = refusal(bytes);
        assert!(text.contains(expected), "{bytes:?}: {text}");
    }
}

#[test]
fn what_only_a_client_sends_and_what_is_no_mqtt_is_refused_at_the_first_byte() {
    for first in [0x00, 0x10, 0x82, 0xa2, 0xc0, 0xf0, b'H'] {
        let text = refusal(&[first]);
        let kind = first >> 4;
        if kind == 4 {
            assert!(text.contains("malformed flags"), "{text}");
        } else {
            assert_eq!(text, format!("unexpected packet type {kind} from the broker"));
        }
    }
}

#[test]
fn flags_are_as_the_specification_has_them() {
    for whole in PACKETS {
        let kind = whole[0] >> 4;
        for flags in (0..16).filter(|flags| kind != 3 && *flags != whole[0] & 15) {
            let mut bytes = whole.to_vec();
            bytes[0] = (kind << 4) | flags;
            assert_eq!(refusal(&bytes), format!("malformed flags (packet type {kind})"));
        }
    }
}

#[test]
fn a_packet_over_the_limit_is_refused_before_it_is_read() {
    let error = decode(&mut BytesMut::from(&b"\x30\xff\x7f"[..]), 1000).unwrap_err();
    assert!(matches!(error, Error::PacketTooLarge { size: 16383, limit: 1000 }), "{error}");
    assert_eq!(decode(&mut BytesMut::from(&b"\x30\xe8\x07"[..]), 1000).unwrap(), None);
}

#[test]
fn a_disconnect_of_length_0_is_read_while_rumqttc_refuses_it() {
    let expected = Incoming::Disconnect { code: 0, properties: None };
    assert_eq!(packet(b"\xe0\0"), expected);
    assert!(matches!(oracle(b"\xe0\0"), Err(OracleError::PayloadRequired)));
}

#[test]
fn a_property_beyond_the_list_is_refused_while_rumqttc_reads_on_into_the_payload() {
    // The list has five bytes, its content type seven.
    let bytes = b"\x30\x0d\0\x01t\x05\x03\0\x04abcdxy";
    assert!(refusal(bytes).contains("it ends too early"));
    let Ok(Oracle::Publish(publish)) = oracle(bytes) else { panic!("rumqttc has changed") };
    assert_eq!(publish.payload, &b"xy"[..]);
}

#[test]
fn a_property_that_is_there_twice_is_refused_while_rumqttc_takes_the_last() {
    let bytes = b"\x20\x09\0\0\x06\x21\0\x05\x21\0\x06";
    assert!(refusal(bytes).contains("ReceiveMaximum twice"));
    let Ok(Oracle::ConnAck(connack)) = oracle(bytes) else { panic!("rumqttc has changed") };
    assert_eq!(connack.properties.unwrap().receive_max, Some(6));
}

#[test]
fn a_complete_packet_without_properties_is_refused_while_rumqttc_waits_for_more() {
    let bytes = b"\x30\x03\0\x01t";
    assert!(refusal(bytes).contains("it ends too early"));
    assert!(matches!(oracle(bytes), Err(OracleError::InsufficientBytes(1))));
}

#[test]
fn two_subscription_identifiers_are_read_while_rumqttc_takes_what_follows_for_payload() {
    let bytes = b"\x30\x0b\0\x01t\x06\x0b\x01\x0b\x02\x01\x00x";
    let Incoming::Publish(publish) = packet(bytes) else { panic!("a PUBLISH is expected") };
    assert_eq!(publish.payload, &b"x"[..]);
    let properties = publish.properties.unwrap();
    assert_eq!(properties.iter().count(), 3);
    assert_eq!(properties.number(Property::PayloadFormatIndicator), Some(0));
    let Ok(Oracle::Publish(publish)) = oracle(bytes) else { panic!("rumqttc has changed") };
    assert_eq!(publish.payload, &b"\x01\x00x"[..]);
}

#[test]
fn a_plain_connect_is_written_as_the_specification_says() {
    let mut options = ConnectOptions::new("localhost", 1883);
    options.protocol = Protocol::V5;
    options.client_id = "id".to_owned();
    let mut out = BytesMut::new();
    encode_connect(&options, &mut out);
    assert_eq!(&out[..], b"\x10\x0f\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x02id");
}

#[test]
fn a_session_to_be_kept_and_a_limit_are_announced_unless_the_application_does() {
    let connect = |change: &dyn Fn(&mut ConnectOptions)| {
        let mut options = ConnectOptions::new("localhost", 1883);
        change(&mut options);
        connect_properties(&options)
    };
    assert!(connect(&|_| {}).is_empty());
    let kept = connect(&|options| options.clean_session = false);
    assert_eq!(kept, properties(Property::SessionExpiryInterval, Value::Number(u32::MAX)));
    let limited = connect(&|options| options.limits.packet_size = 5000);
    assert_eq!(limited, properties(Property::MaximumPacketSize, Value::Number(5000)));
    let nothing = connect(&|options| options.limits.packet_size = 0);
    assert_eq!(nothing.number(Property::MaximumPacketSize), Some(1));
    for property in [Property::SessionExpiryInterval, Property::MaximumPacketSize] {
        let own = connect(&|options| {
            options.clean_session = false;
            options.limits.packet_size = 5000;
            options.properties = properties(property, Value::Number(60));
        });
        assert_eq!(own.number(property), Some(60));
    }
    let contradictory = connect(&|options| {
        options.limits.packet_size = 50;
        options.properties = properties(Property::MaximumPacketSize, Value::Number(60));
    });
    assert_eq!(contradictory.number(Property::MaximumPacketSize), Some(50));
}

#[test]
fn acknowledgements_of_success_are_short() {
    let written = |control: Control| {
        let mut out = BytesMut::new();
        control.encode(Protocol::V5, &mut out).unwrap();
        out.to_vec()
    };
    assert_eq!(written(Control::PubAck(1)), b"\x40\x02\0\x01");
    assert_eq!(written(Control::PubRec(2)), b"\x50\x02\0\x02");
    assert_eq!(written(Control::PubRel(3)), b"\x62\x02\0\x03");
    assert_eq!(written(Control::PubComp(4)), b"\x70\x02\0\x04");
    assert_eq!(written(Control::PingReq), b"\xc0\x00");
    let disconnect = |code| Control::Disconnect { code, properties: Properties::default() };
    assert_eq!(written(disconnect(0)), b"\xe0\x00");
    assert_eq!(written(disconnect(4)), b"\xe0\x02\x04\0");
}

#[test]
fn a_request_that_no_packet_can_carry_is_an_error_and_writes_nothing() {
    let filters = vec!["x".repeat(65_535); 4200];
    let request = Control::Unsubscribe { mid: 1, filters, properties: Properties::default() };
    let mut out = BytesMut::from(&b"before"[..]);
    assert!(matches!(request.encode(Protocol::V5, &mut out), Err(Error::Protocol(_))));
    assert_eq!(out, &b"before"[..]);
}

/// Bytes that begin like a packet of a broker.
fn nearly_a_packet() -> impl Strategy<Value = Vec<u8>> {
    let first = prop::sample::select(PACKETS.to_vec()).prop_map(|packet| packet[0]);
    (first, prop::collection::vec(any::<u8>(), 0..60)).prop_map(|(first, body)| {
        let length = u8::try_from(body.len()).unwrap();
        [&[first, length], &body[..]].concat()
    })
}

/// A packet with some damaged bytes.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4);
    (prop::sample::select(PACKETS.to_vec()), changes).prop_map(|(packet, changes)| {
        let mut bytes = packet.to_vec();
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        bytes
    })
}

proptest! {
    #[test]
    fn no_bytes_panic_and_a_complete_packet_is_read_or_refused(
        bytes in prop_oneof![any::<Vec<u8>>(), nearly_a_packet(), damaged()], limit in 0..100_usize,
    ) {
        let mut buffer = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = decode(&mut buffer, limit) {}
        let complete = bytes.get(1).is_some_and(|&length| length < 0x80 && usize::from(length) + 2 <= bytes.len());
        if complete {
            prop_assert!(!matches!(decode_bytes(&bytes), Ok(None)));
        }
    }
}

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::super::options::{Credentials, MAX_REMAINING_LENGTH, Will};
use super::super::property::Properties;
use super::*;

fn connect(change: impl FnOnce(&mut ConnectOptions)) -> Vec<u8> {
    let mut options = ConnectOptions::new("localhost", 1883);
    options.client_id = "id".to_owned();
    change(&mut options);
    let mut out = BytesMut::new();
    encode_connect(&options, &mut out);
    out.to_vec()
}

fn decode_bytes(bytes: &[u8]) -> Result<Option<Incoming>, Error> {
    decode(Protocol::V311, &mut BytesMut::from(bytes), MAX_REMAINING_LENGTH)
}

#[test]
fn what_is_missing_of_a_packet_is_known_when_its_length_has_come() {
    for length in [0_usize, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152] {
        let mut packet = BytesMut::from(&[0x30][..]);
        put_variable(&mut packet, length);
        let header = packet.len();
        for end in 0..header {
            assert_eq!(missing(&packet[..end]), 0);
        }
        packet.resize(header + length, 0);
        for end in [header, header + length / 2, header + length] {
            assert_eq!(missing(&packet[..end]), header + length - end);
        }
        packet.put_u8(0x30);
        assert_eq!(missing(&packet), 0);
    }
    assert_eq!(missing(&[0x30, 0xff, 0xff, 0xff, 0xff, 0xff]), 0);
}

#[test]
fn a_plain_connect_is_written_as_the_specification_says() {
    assert_eq!(connect(|_| {}), b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02id");
}

#[test]
fn an_empty_user_name_and_password_are_sent_and_a_missing_password_is_not() {
    let credentials = |password: Option<&str>| Credentials {
        username: String::new(),
        password: password.map(Into::into),
    };
    let both = connect(|options| options.brokers[0].credentials = Some(credentials(Some(""))));
    assert_eq!(both[9], 0xc2);
    assert!(both.ends_with(b"id\0\0\0\0"));
    let name = connect(|options| options.brokers[0].credentials = Some(credentials(None)));
    assert_eq!(name[9], 0x82);
    assert!(name.ends_with(b"id\0\0"));
}

#[test]
fn a_will_sets_its_flags_and_comes_before_the_user_name() {
    let bytes = connect(|options| {
        options.clean_session = false;
        options.will = Some(Will {
            topic: "w".to_owned(),
            payload: Bytes::from_static(b"gone"),
            qos: Qos::AtLeastOnce,
            retain: true,
            properties: Properties::default(),
        });
        options.brokers[0].credentials =
            Some(Credentials { username: "u".to_owned(), password: None });
    });
    assert_eq!(bytes[9], 0x80 | 0x20 | 0x08 | 0x04);
    assert!(bytes.ends_with(b"\0\x01w\0\x04gone\0\x01u"));
}

#[test]
fn a_packet_that_is_not_complete_yet_stays_in_the_buffer() {
    let whole = b"\x30\x05\0\x01tab";
    for cut in 0..whole.len() {
        let mut buffer = BytesMut::from(&whole[..cut]);
        assert_eq!(decode(Protocol::V311, &mut buffer, 100).unwrap(), None);
        assert_eq!(buffer.len(), cut);
    }
    assert!(matches!(decode_bytes(whole).unwrap(), Some(Incoming::Publish(_))));
}

#[test]
fn an_acknowledgement_is_read_when_all_of_it_is_there_and_what_follows_stays() {
    type Kind = fn(Ack) -> Incoming;
    let kinds: [(u8, Kind); 4] = [
        (0x40, Incoming::PubAck),
        (0x50, Incoming::PubRec),
        (0x62, Incoming::PubRel),
        (0x70, Incoming::PubComp),
    ];
    for (first, kind) in kinds {
        let whole = [first, 2, 0x12, 0x34, 0xd0];
        for cut in 0..4 {
            let mut buffer = BytesMut::from(&whole[..cut]);
            assert_eq!(decode(Protocol::V311, &mut buffer, 100).unwrap(), None);
            assert_eq!(buffer.len(), cut);
        }
        let mut buffer = BytesMut::from(&whole[..]);
        let packet = decode(Protocol::V311, &mut buffer, 100).unwrap();
        assert_eq!((packet, &buffer[..]), (Some(kind(0x1234.into())), &whole[4..]));
    }
}

#[test]
fn what_only_a_client_sends_is_a_protocol_error() {
    for first in [0x10, 0x82, 0xa2, 0xc0, 0xe0, 0x00, 0xf0] {
        assert!(matches!(decode_bytes(&[first, 1, 0]), Err(Error::Protocol(_))), "{first:#x}");
    }
}

#[test]
fn malformed_packets_are_protocol_errors() {
    for bytes in [
        &b"\x30\x02\0\0"[..],        // empty topic
        b"\x30\x03\0\x05a",          // topic longer than the packet
        b"\x36\x05\0\x01t\0\x01",    // QoS 3
        b"\x32\x05\0\x01t\0\0",      // packet identifier 0
        b"\x40\x02\0\0",             // the same in a PUBACK
        b"\x50\x02\0\0",             // in a PUBREC
        b"\x62\x02\0\0",             // in a PUBREL
        b"\x70\x02\0\0",             // in a PUBCOMP
        b"\x90\x03\0\0\x01",         // in a SUBACK
        b"\xb0\x02\0\0",             // in an UNSUBACK
        b"\x30\x04\0\x02\xff\xfe",   // topic not UTF-8
        b"\x20\x00",                 // CONNACK without a body
        b"\x20\x03\x00\x00\x00",     // CONNACK of three bytes
        b"\x20\x02\x02\x00",         // CONNACK with a flag that there is not
        b"\xd0\x01",                 // PINGRESP with a body
        b"HTTP/1.1 400 Bad Request", // no MQTT at all
        b"\x20\x02\x00\x09",         // unknown CONNACK code
        b"\x90\x03\0\x01\x07",       // unknown SUBACK code
        b"\x30\xff\xff\xff\xff\x7f", // remaining length of five bytes
    ] {
        assert!(matches!(decode_bytes(bytes), Err(Error::Protocol(_))), "{bytes:?}");
    }
}

#[test]
fn a_packet_over_the_limit_is_refused_before_it_is_read() {
    let error =
        decode(Protocol::V311, &mut BytesMut::from(&b"\x30\xff\x7f"[..]), 1000).unwrap_err();
    assert!(matches!(error, Error::PacketTooLarge { size: 16383, limit: 1000 }), "{error}");
}

#[test]
fn bytes_are_shown_as_python_shows_them() {
    assert_eq!(PythonBytes("a/ü'".as_bytes()).to_string(), r#"b"a/\xc3\xbc'""#);
    assert_eq!(PythonBytes(b"t\\\n\x00").to_string(), r"b't\\\n\x00'");
}

proptest! {
    #[test]
    fn what_is_published_is_what_is_read(
        topic in "[^+#\0]{1,300}", payload: Vec<u8>, retain: bool, dup: bool, mid in 1_u16.., qos in 0..3_i64,
    ) {
        let qos = Qos::try_from(qos).unwrap();
        let mid = if qos == Qos::AtMostOnce { 0 } else { mid };
        let (payload, properties) = (payload.into(), None);
        let publish = Publish { topic, payload, qos, retain, dup, mid, properties };
        let mut out = BytesMut::new();
        encode_publish(Protocol::V311, &PublishRef::from(&publish), Alias::None, &mut out);
        prop_assert_eq!(decode_bytes(&out).unwrap(), Some(Incoming::Publish(publish)));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        let mut buffer = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = decode(Protocol::V311, &mut buffer, 1000) {}
    }
}

#[test]
fn few_small_messages_do_not_keep_what_was_read_with_them() {
    let small: [(_, &[u8]); 2] = [
        (Protocol::V311, &[0x30, 7, 0, 1, b't', b'f', b'e', b'w', b'!']),
        (Protocol::V5, &[0x30, 8, 0, 1, b't', 0, b'f', b'e', b'w', b'!']),
    ];
    for (protocol, message) in small {
        let mut read = BytesMut::with_capacity(64 * 1024);
        read.extend_from_slice(message);
        while read.len() < 60_000 {
            read.extend_from_slice(&[0xd0, 0]);
        }
        let mut packets = VecDeque::new();
        while let Some(packet) = decode(protocol, &mut read, usize::MAX).unwrap() {
            packets.push_back(packet);
        }
        assert!(!read.try_reclaim(60_000), "it is kept as yet");
        detach(&mut packets);
        assert!(read.try_reclaim(60_000));
        let Some(Incoming::Publish(Publish { payload, .. })) = packets.pop_front() else {
            panic!()
        };
        assert_eq!(payload, b"few!"[..]);
    }
}

#[test]
fn an_empty_payload_keeps_nothing_either() {
    let mut read = BytesMut::with_capacity(64 * 1024);
    read.extend_from_slice(&[0x30, 3, 0, 1, b't']);
    let mut packets = VecDeque::from_iter(decode(Protocol::V311, &mut read, 100).unwrap());
    detach(&mut packets);
    assert!(read.try_reclaim(60_000));
}

#[test]
fn a_large_payload_is_not_copied() {
    let payload = Bytes::from(vec![0; LARGE]);
    let publish = Publish {
        topic: "t".to_owned(),
        payload: payload.clone(),
        qos: Qos::AtMostOnce,
        retain: false,
        dup: false,
        mid: 0,
        properties: None,
    };
    let mut packets = VecDeque::from([Incoming::Publish(publish)]);
    detach(&mut packets);
    let Some(Incoming::Publish(kept)) = packets.pop_front() else { panic!() };
    assert_eq!(kept.payload.as_ptr(), payload.as_ptr());
}

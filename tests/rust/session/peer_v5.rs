//! The peer's additions for MQTT 5.

use bytes::{Bytes, BytesMut};
use flask_mqtt_core::core::options::{ConnectOptions, Protocol};
use flask_mqtt_core::core::packet::{Ack, Incoming, Publish};
use flask_mqtt_core::core::property::{Properties, Property, Value};
use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::session::Event;
use rumqttc::mqttbytes::{self, v4};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Disconnect, DisconnectReasonCode, Packet};

use super::peer::Peer;

impl Peer {
    /// An MQTT 5 session without a connection.
    pub fn v5(change: impl FnOnce(&mut ConnectOptions)) -> Self {
        Self::with(|options| {
            options.protocol = Protocol::V5;
            change(options);
        })
    }

    /// An MQTT 5 session accepted with these properties by a broker that did not know it.
    pub fn accepted(list: &[(Property, u32)]) -> Self {
        let mut peer = Self::v5(|_| {});
        peer.accept(false, list);
        peer
    }

    /// Opens the transport and accepts; returns the output after the CONNECT. Events up to here are
    /// dropped.
    pub fn accept(&mut self, session_present: bool, list: &[(Property, u32)]) -> Vec<Packet> {
        self.open();
        self.answer(session_present, numbers(list))
    }

    /// Responds to the CONNECT; returns and drops the same as [`Self::accept`].
    pub fn answer(&mut self, session_present: bool, properties: Properties) -> Vec<Packet> {
        self.session.receive(accepted(session_present, properties), self.now).unwrap();
        let packets = self.v5_packets();
        self.session.take_events().retain(|event| !matches!(event, Event::ConnAck { .. }));
        packets
    }

    /// Like [`Self::packets`], with the additions of MQTT 5.
    pub fn v5_packets(&mut self) -> Vec<Packet> {
        let mut bytes = self.written();
        let mut packets = Vec::new();
        while !bytes.is_empty() {
            packets.push(read_v5(&mut bytes));
        }
        packets
    }

    /// The number of unwritten bytes.
    pub fn v5_bytes(&mut self) -> usize {
        self.written().len()
    }
}

/// Numeric properties.
pub fn numbers(list: &[(Property, u32)]) -> Properties {
    let mut properties = Properties::default();
    for (property, number) in list {
        properties.set(*property, Value::Number(*number)).unwrap();
    }
    properties
}

/// A text property.
pub fn text_of(property: Property, text: &str) -> Properties {
    let mut properties = Properties::default();
    properties.set(property, Value::Text(text.to_owned())).unwrap();
    properties
}

/// A CONNACK that accepts.
pub fn accepted(session_present: bool, properties: Properties) -> Incoming {
    Incoming::ConnAck { session_present, code: 0, properties: Some(properties) }
}

/// An acknowledgement.
pub fn ack(mid: u16, code: u8) -> Ack {
    Ack { mid, code, properties: Some(Properties::default()) }
}

/// A QoS 0 message from the broker.
pub fn message_to(topic: &str, properties: Properties) -> Incoming {
    Incoming::Publish(Publish {
        topic: topic.to_owned(),
        payload: Bytes::new(),
        qos: Qos::AtMostOnce,
        retain: false,
        dup: false,
        mid: 0,
        properties: Some(properties),
    })
}

/// Takes a packet. rumqttc does not read a DISCONNECT of length 0.
pub fn read_v5(bytes: &mut BytesMut) -> Packet {
    if bytes.starts_with(b"\xe0\0") {
        let _ = bytes.split_to(2);
        return Packet::Disconnect(Disconnect::new(DisconnectReasonCode::NormalDisconnection));
    }
    Packet::read(bytes, None).unwrap()
}

/// The parts of a packet that MQTT 3.1.1 has.
pub fn as_v4(packet: &Packet) -> v4::Packet {
    match packet {
        Packet::Connect(connect, ..) => v4::Packet::Connect(v4::Connect::new(&connect.client_id)),
        Packet::Publish(publish) => {
            let topic = String::from_utf8(publish.topic.to_vec()).unwrap();
            let mut v4 = v4::Publish::new(topic, qos(publish.qos), publish.payload.to_vec());
            (v4.pkid, v4.dup, v4.retain) = (publish.pkid, publish.dup, publish.retain);
            v4::Packet::Publish(v4)
        }
        Packet::Subscribe(subscribe) => {
            let filters = subscribe.filters.iter();
            let filters = filters
                .map(|filter| v4::SubscribeFilter::new(filter.path.clone(), qos(filter.qos)));
            let mut v4 = v4::Subscribe::new_many(filters);
            v4.pkid = subscribe.pkid;
            v4::Packet::Subscribe(v4)
        }
        Packet::Unsubscribe(unsubscribe) => v4::Packet::Unsubscribe(v4::Unsubscribe {
            pkid: unsubscribe.pkid,
            topics: unsubscribe.filters.clone(),
        }),
        Packet::PubAck(ack) => v4::Packet::PubAck(v4::PubAck::new(ack.pkid)),
        Packet::PubRec(ack) => v4::Packet::PubRec(v4::PubRec::new(ack.pkid)),
        Packet::PubRel(ack) => v4::Packet::PubRel(v4::PubRel::new(ack.pkid)),
        Packet::PubComp(ack) => v4::Packet::PubComp(v4::PubComp::new(ack.pkid)),
        Packet::PingReq(_) => v4::Packet::PingReq,
        Packet::Disconnect(_) => v4::Packet::Disconnect,
        other => panic!("a client does not send {other:?}"),
    }
}

fn qos(qos: QoS) -> mqttbytes::QoS {
    match qos {
        QoS::AtMostOnce => mqttbytes::QoS::AtMostOnce,
        QoS::AtLeastOnce => mqttbytes::QoS::AtLeastOnce,
        QoS::ExactlyOnce => mqttbytes::QoS::ExactlyOnce,
    }
}

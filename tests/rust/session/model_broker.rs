//! A minimal broker that follows MQTT.

use super::values::unsuback;
use std::collections::{BTreeMap, HashSet};

use flask_mqtt_core::core::packet::Incoming;
use flask_mqtt_core::core::property::Properties;
use flask_mqtt_core::core::qos::Qos;
use rumqttc::mqttbytes::v4::Packet;

use super::peer::{message, text};

/// A message that the client has not acknowledged.
struct Unacknowledged {
    mid: u16,
    qos: Qos,
    payload: String,
    released: bool,
}

/// The broker's side of one session, and what it has received.
#[derive(Default)]
pub struct Broker {
    /// Whether it has read the CONNECT of the present connection.
    pub connected: bool,
    /// Properties of the CONNACK, for MQTT 5.
    pub server_limits: Option<Properties>,
    session_present: bool,
    unacknowledged: Vec<Unacknowledged>,
    unreleased: HashSet<u16>,
    /// Filters subscribed to.
    pub subscriptions: BTreeMap<String, u8>,
    /// Payloads forwarded, in order.
    pub received: Vec<(Qos, String)>,
    /// Payloads of messages that the client has acknowledged, in order.
    pub acknowledged: Vec<String>,
}

impl Broker {
    /// Loses the session, as a broker without a disk does.
    pub fn forget(&mut self) {
        self.session_present = false;
        self.unacknowledged.clear();
        self.unreleased.clear();
        self.subscriptions.clear();
    }

    /// Publishes to the client, with the lowest free identifier. The packet may be lost.
    pub fn publish(&mut self, qos: Qos, payload: &str) -> Incoming {
        let free = |mid: &u16| self.unacknowledged.iter().all(|message| message.mid != *mid);
        let mid = (1..=u16::MAX).find(free).unwrap();
        self.unacknowledged.push(Unacknowledged {
            mid,
            qos,
            payload: payload.to_owned(),
            released: false,
        });
        message(mid, qos, payload)
    }

    /// Handles a packet of the client, and returns the responses.
    pub fn take(&mut self, packet: &Packet) -> Vec<Incoming> {
        match packet {
            Packet::Connect(_) => return self.accept(),
            Packet::Publish(publish) => {
                let qos = Qos::from(publish.qos);
                if qos != Qos::ExactlyOnce || self.unreleased.insert(publish.pkid) {
                    self.received.push((qos, text(&publish.payload)));
                }
                match qos {
                    Qos::AtMostOnce => {}
                    Qos::AtLeastOnce => return vec![Incoming::PubAck(publish.pkid.into())],
                    Qos::ExactlyOnce => return vec![Incoming::PubRec(publish.pkid.into())],
                }
            }
            Packet::PubRel(ack) => {
                self.unreleased.remove(&ack.pkid);
                return vec![Incoming::PubComp(ack.pkid.into())];
            }
            Packet::PubRec(ack) => {
                let mut unacknowledged = self.unacknowledged.iter_mut();
                if let Some(message) = unacknowledged.find(|message| message.mid == ack.pkid) {
                    message.released = true;
                }
                return vec![Incoming::PubRel(ack.pkid.into())];
            }
            Packet::PubAck(ack) => self.acknowledge(ack.pkid),
            Packet::PubComp(ack) => self.acknowledge(ack.pkid),
            Packet::Subscribe(subscribe) => {
                let filters = subscribe.filters.iter();
                let codes: Vec<_> =
                    filters.map(|filter| (&filter.path, filter.qos as u8)).collect();
                let granted = codes.iter().map(|(_, qos)| *qos).collect();
                self.subscriptions.extend(codes.iter().map(|(path, qos)| ((*path).clone(), *qos)));
                return vec![Incoming::SubAck { mid: subscribe.pkid, granted, properties: None }];
            }
            Packet::Unsubscribe(unsubscribe) => {
                self.subscriptions.retain(|filter, _| !unsubscribe.topics.contains(filter));
                return vec![unsuback(unsubscribe.pkid)];
            }
            other => panic!("the client has no reason to send {other:?}"),
        }
        Vec::new()
    }

    /// Accepts the connection, and retransmits unacknowledged messages.
    fn accept(&mut self) -> Vec<Incoming> {
        self.connected = true;
        let session_present = std::mem::replace(&mut self.session_present, true);
        let again =
            self.unacknowledged.iter().map(|Unacknowledged { mid, qos, payload, released }| {
                if *released {
                    Incoming::PubRel((*mid).into())
                } else {
                    message(*mid, *qos, payload)
                }
            });
        let properties = self.server_limits.clone();
        let answer = Incoming::ConnAck { session_present, code: 0, properties };
        std::iter::once(answer).chain(again).collect()
    }

    fn acknowledge(&mut self, mid: u16) {
        if let Some(position) = self.unacknowledged.iter().position(|message| message.mid == mid) {
            self.acknowledged.push(self.unacknowledged.remove(position).payload);
        }
    }
}

//! A broker that does exactly what MQTT requires. Where MQTT allows several orders, the model tries
//! each.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use flask_mqtt_core::core::packet::{Ack, Incoming, Publish};
use flask_mqtt_core::core::property::Properties;
use flask_mqtt_core::core::qos::Qos;

use super::packet::Packet;

/// MQTT 5.0, section 3.7.2.1.
const NOT_FOUND: u8 = 0x92;

/// Packets that the broker has to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owed {
    ConnAck { present: bool, server_limits: usize },
    PubAck(u16),
    PubRec(u16),
    PubRel(u16),
    PubComp { mid: u16, known: bool },
    SubAck(u16),
    UnsubAck(u16),
}

/// A message that the client has not acknowledged.
#[derive(Debug)]
pub struct Pending {
    pub message: usize,
    mid: u16,
    qos: Qos,
    /// Sent on the present connection.
    sent: bool,
    /// Sent on any connection.
    dup: bool,
    released: bool,
}

/// The broker's side of one session.
#[derive(Debug, Default)]
pub struct Broker {
    pub connected: bool,
    /// Whether there is a session.
    pub session: bool,
    v5: bool,
    /// Whether it reuses a packet identifier once it has sent the PUBREL, as some brokers do
    /// (against MQTT 3.1.1, section 2.3.1).
    early: bool,
    /// Whether it forwards a QoS 2 message on PUBREL instead of PUBLISH: both are correct (MQTT
    /// 3.1.1, figure 4.3).
    late: bool,
    pub owed: Vec<Owed>,
    pub pending: Vec<Pending>,
    /// QoS 2 messages that were received and not released, by identifier.
    unreleased: BTreeMap<u16, usize>,
    pub subscriptions: BTreeSet<u8>,
}

impl Broker {
    /// A broker without a session.
    pub fn new(v5: bool, early: bool, late: bool) -> Self {
        Self { v5, early, late, ..Self::default() }
    }

    /// Loses the session.
    pub fn forget(&mut self) {
        self.session = false;
        self.pending.clear();
        self.unreleased.clear();
        self.subscriptions.clear();
    }

    /// The connection is lost. With `sent`, unsent packets count as sent, and lost.
    pub fn lose(&mut self, sent: bool) {
        self.connected = false;
        self.owed.clear();
        for pending in &mut self.pending {
            pending.dup |= pending.sent || sent;
            pending.sent = false;
        }
    }

    /// Takes a CONNECT.
    pub fn accept(&mut self, server_limits: usize) {
        self.connected = true;
        self.owed.push(Owed::ConnAck { present: self.session, server_limits });
        self.session = true;
        let released = self.pending.iter().filter(|pending| pending.released);
        self.owed.extend(released.map(|pending| Owed::PubRel(pending.mid)));
    }

    /// Adds a message for the client.
    pub fn publish(&mut self, message: usize, qos: Qos) {
        let is_through = |pending: &Pending| {
            self.early && pending.released && !self.owed.contains(&Owed::PubRel(pending.mid))
        };
        let taken = self.pending.iter().filter(|pending| !is_through(pending));
        let taken: Vec<_> = taken.map(|pending| pending.mid).collect();
        let free = |mid: &u16| !taken.contains(mid);
        let mid = (1..=u16::MAX).find(free).expect("there are few");
        self.pending.push(Pending { message, mid, qos, sent: false, dup: false, released: false });
    }

    /// Whether it has sent a CONNACK that accepts.
    pub fn is_open(&self) -> bool {
        self.connected && !matches!(self.owed.first(), Some(Owed::ConnAck { .. }))
    }

    /// The index of the next message to send, in order.
    pub fn next(&self) -> Option<usize> {
        let next = self.pending.iter().position(|pending| !pending.sent && !pending.released);
        next.filter(|_| self.is_open())
    }

    /// Sends that message.
    pub fn send(&mut self) -> (Incoming, usize) {
        let place = self.next().expect("there is one");
        let Pending { message, mid, qos, sent, dup, .. } = &mut self.pending[place];
        *sent = true;
        let publish = Publish {
            topic: "d".to_owned(),
            payload: Bytes::copy_from_slice(&[u8::try_from(*message).expect("few")]),
            qos: *qos,
            retain: false,
            dup: *dup && *qos != Qos::AtMostOnce,
            mid: if *qos == Qos::AtMostOnce { 0 } else { *mid },
            properties: self.v5.then(Properties::default),
        };
        let message = *message;
        if *qos == Qos::AtMostOnce {
            self.pending.remove(place);
        }
        (Incoming::Publish(publish), message)
    }

    /// Which pending packets may be sent next: any, except that PUBRELs keep their order and
    /// CONNACK comes first.
    pub fn may_answer(&self, in_order: bool) -> Vec<u8> {
        let mut released = false;
        let mut may = Vec::new();
        for (place, owed) in self.owed.iter().enumerate() {
            let is_release = matches!(owed, Owed::PubRel(_));
            if place == 0 || !(in_order || is_release && released) {
                may.push(u8::try_from(place).expect("few"));
            }
            released |= is_release;
            if matches!(owed, Owed::ConnAck { .. }) {
                break;
            }
        }
        may
    }

    /// Sends a pending packet.
    pub fn answer(&mut self, place: usize, server_limits: &[Properties]) -> Incoming {
        let properties = self.v5.then(Properties::default);
        let ack = |mid, code| Ack { mid, code, properties: properties.clone() };
        match self.owed.remove(place) {
            Owed::ConnAck { present, server_limits: choice } => Incoming::ConnAck {
                session_present: present,
                code: 0,
                properties: self.v5.then(|| server_limits[choice].clone()),
            },
            Owed::PubAck(mid) => Incoming::PubAck(ack(mid, 0)),
            Owed::PubRec(mid) => Incoming::PubRec(ack(mid, 0)),
            Owed::PubRel(mid) => Incoming::PubRel(ack(mid, 0)),
            Owed::PubComp { mid, known } => {
                Incoming::PubComp(ack(mid, if known || !self.v5 { 0 } else { NOT_FOUND }))
            }
            Owed::SubAck(mid) => Incoming::SubAck { mid, granted: vec![1], properties },
            Owed::UnsubAck(mid) => Incoming::UnsubAck {
                mid,
                codes: if self.v5 { vec![0] } else { Vec::new() },
                properties,
            },
        }
    }

    /// Handles a packet of the client. Returns the number of a message that it forwards, and of one
    /// that the client has acknowledged.
    pub fn take(&mut self, packet: Packet) -> Result<(Option<usize>, Option<usize>), String> {
        match packet {
            Packet::Connect => return Err("a second CONNECT".to_owned()),
            Packet::Publish { qos: Qos::AtMostOnce, message, .. } => {
                return Ok((Some(message), None));
            }
            Packet::Publish { qos: Qos::AtLeastOnce, mid, message, .. } => {
                self.owed.push(Owed::PubAck(mid));
                return Ok((Some(message), None));
            }
            Packet::Publish { qos: Qos::ExactlyOnce, mid, message, .. } => {
                self.owed.push(Owed::PubRec(mid));
                return match self.unreleased.insert(mid, message) {
                    None => Ok((Some(message).filter(|_| !self.late), None)),
                    Some(known) if known == message => Ok((None, None)),
                    Some(known) => Err(format!("message {message} has the identifier of {known}")),
                };
            }
            Packet::PubRel(mid) => {
                let message = self.unreleased.remove(&mid);
                self.owed.push(Owed::PubComp { mid, known: message.is_some() });
                return Ok((message.filter(|_| self.late), None));
            }
            Packet::PubRec(mid) => {
                if let Some(pending) = self.of(mid, Qos::ExactlyOnce) {
                    pending.released = true;
                }
                self.owed.push(Owed::PubRel(mid));
            }
            Packet::PubAck(mid) => return Ok((None, self.acknowledged(mid, Qos::AtLeastOnce))),
            Packet::PubComp(mid) => return Ok((None, self.acknowledged(mid, Qos::ExactlyOnce))),
            Packet::Subscribe { mid, filter } => {
                self.subscriptions.insert(filter);
                self.owed.push(Owed::SubAck(mid));
            }
            Packet::Unsubscribe { mid, filter } => {
                self.subscriptions.remove(&filter);
                self.owed.push(Owed::UnsubAck(mid));
            }
            Packet::Disconnect => {
                self.connected = false;
                self.owed.clear();
            }
        }
        Ok((None, None))
    }

    /// The first sent message with this identifier: with `early` several may have it.
    fn of(&mut self, mid: u16, qos: Qos) -> Option<&mut Pending> {
        let mut pending = self.pending.iter_mut();
        pending.find(|pending| {
            pending.mid == mid && pending.qos == qos && pending.sent && !pending.released
        })
    }

    fn acknowledged(&mut self, mid: u16, qos: Qos) -> Option<usize> {
        let is_it = |pending: &Pending| {
            pending.mid == mid
                && pending.qos == qos
                && (qos == Qos::AtLeastOnce || pending.released)
        };
        let place = self.pending.iter().position(is_it)?;
        Some(self.pending.remove(place).message)
    }
}

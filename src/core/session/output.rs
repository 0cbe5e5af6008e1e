//! The bytes that are pending for the transport.

use std::collections::{HashSet, VecDeque};

use bytes::BytesMut;

use super::super::delivery::{Delivery, Progress};
use super::super::error::Error;
use super::super::options::{ConnectOptions, Protocol};
use super::super::packet::{Alias, Control, PublishRef, encode_connect, encode_publish};
use super::super::qos::Qos;
use super::super::reason::PACKET_TOO_LARGE;
use super::aliases::OutgoingAliases;
use super::effects::Effects;
use super::journal::Then;
use super::log;
use super::server_limits::Available;

/// Output is kept in pieces of about this size, so that the memory of written data is freed early.
const PIECE: usize = 256 * 1024;

/// A larger buffer is freed after a burst.
const KEPT_CAPACITY: usize = 1024 * 1024;

/// Buffers kept for reuse.
const SPARE_PIECES: usize = 4;

/// Limit on bytes of pending responses: twice those to one QoS 2 message for each packet
/// identifier.
const MOST_ANSWERS: usize = 1024 * 1024;

/// Encoded packets.
#[derive(Debug, Default)]
struct Piece {
    bytes: BytesMut,
    /// Bytes of responses to packets of the broker.
    answers: usize,
}

/// The output to the broker.
#[derive(Debug)]
pub struct Output {
    protocol: Protocol,
    /// The broker's Maximum Packet Size on this connection, in bytes.
    packet_size: usize,
    /// The kinds of subscriptions that it supports.
    subscriptions: Available,
    /// The topic aliases of this connection.
    aliases: OutgoingAliases,
    /// The pending output: complete pieces, their total bytes, and the piece that grows.
    pieces: VecDeque<Piece>,
    in_pieces: usize,
    piece: Piece,
    /// Buffers for reuse.
    spare: Vec<BytesMut>,
    /// Bytes taken by the transport, but not reported as written.
    unwritten: usize,
    /// Bytes of responses to packets of the broker: all that are pending, and those of them that
    /// the transport has taken.
    answers: usize,
    answers_unwritten: usize,
    /// Bytes encoded, written, and encoded for responses, in total on this connection. The first
    /// two are the positions of QoS 0 messages.
    encoded: u64,
    answered: u64,
    written: u64,
    /// End positions of unwritten QoS 0 messages, with their packet identifiers.
    marks: VecDeque<(u64, u16)>,
    /// Packet identifiers of QoS 0 messages that were lost with a connection, until they are
    /// reused.
    lost: HashSet<u16>,
    /// How far output is written, for waiters of QoS 0 messages.
    progress: Progress,
    /// End positions of QoS 0 messages that were held until the CONNACK, each with its own
    /// progress.
    held: VecDeque<(u64, Progress)>,
    /// The events and journal of the output.
    pub effects: Effects,
}

impl Default for Output {
    fn default() -> Self {
        Self {
            protocol: Protocol::V311,
            packet_size: usize::MAX,
            subscriptions: Available::default(),
            aliases: OutgoingAliases::default(),
            pieces: VecDeque::new(),
            in_pieces: 0,
            piece: Piece::default(),
            spare: Vec::new(),
            unwritten: 0,
            answers: 0,
            answers_unwritten: 0,
            encoded: 0,
            answered: 0,
            written: 0,
            marks: VecDeque::new(),
            lost: HashSet::new(),
            progress: Progress::default(),
            held: VecDeque::new(),
            effects: Effects::default(),
        }
    }
}

impl Output {
    /// Writes a CONNECT; later packets use its protocol version.
    pub fn connect(&mut self, options: &ConnectOptions) {
        self.protocol = options.protocol;
        self.agree(0, usize::MAX, Available::default());
        self.effects.log(|| log::sending_connect(options));
        self.encode(|bytes| encode_connect(options, bytes));
    }

    /// Adopts the broker's limits: topic aliases, packet size, and kinds of subscriptions.
    pub fn agree(&mut self, aliases: u16, packet_size: usize, subscriptions: Available) {
        self.aliases.reset(aliases, packet_size);
        self.packet_size = packet_size;
        self.subscriptions = subscriptions;
    }

    /// Writes a PUBLISH.
    pub fn publish(&mut self, publish: &PublishRef<'_>) {
        self.effects.log(|| log::sending_publish(publish));
        let protocol = self.protocol;
        let alias = match protocol {
            Protocol::V5 => self.aliases.alias(publish),
            Protocol::V31 | Protocol::V311 => Alias::None,
        };
        self.encode(|bytes| encode_publish(protocol, publish, alias, bytes));
        if publish.qos == Qos::AtMostOnce {
            self.marks.push_back((self.encoded, publish.mid));
            if !self.lost.is_empty() {
                self.lost.remove(&publish.mid);
            }
        }
    }

    /// The delivery of the last QoS 0 message with this identifier. It is searched on demand, so
    /// that publishing stays cheap.
    pub fn delivery(&self, mid: u16) -> Delivery {
        let mark = self.marks.iter().rev().find(|(_, marked)| *marked == mid);
        match mark {
            Some((end, _)) => self.progress.delivery_at(*end),
            None if self.lost.contains(&mid) => Progress::default().delivery(),
            None => self.progress.delivery_at(0),
        }
    }

    /// Writes a QoS 0 message that was held until the CONNACK.
    pub fn publish_held(&mut self, publish: &PublishRef<'_>, progress: Progress) {
        self.publish(publish);
        self.held.push_back((self.encoded, progress));
    }

    /// The reason code if a request exceeds the broker's limits; `None` if not.
    pub fn refusal(&self, request: &Control) -> Option<u8> {
        if self.protocol != Protocol::V5 {
            return None;
        }
        let mut bytes = BytesMut::new();
        let fits =
            request.encode(self.protocol, &mut bytes).is_ok() && bytes.len() <= self.packet_size;
        if fits { self.subscriptions.refusal(request) } else { Some(PACKET_TOO_LARGE) }
    }

    /// Checks whether a packet can be encoded at all.
    pub fn check(&self, control: &Control) -> Result<(), Error> {
        control.encode(self.protocol, &mut BytesMut::new())
    }

    /// Writes any other packet.
    pub fn control(&mut self, control: &Control) -> Result<(), Error> {
        self.effects.log(|| log::sending(control));
        self.control_silently(control)
    }

    /// Writes any other packet without logging it.
    pub fn control_silently(&mut self, control: &Control) -> Result<(), Error> {
        let protocol = self.protocol;
        let mut result = Ok(());
        let length = self.encode(|bytes| {
            let before = bytes.len();
            result = control.encode(protocol, bytes);
            if result.is_err() {
                bytes.truncate(before);
            }
        });
        if control.is_answer() {
            self.piece.answers += length;
            self.answers += length;
            self.answered += length as u64;
        }
        result
    }

    /// Writes a response once everything before it is stored, if the connection is still the same.
    pub fn answer(&mut self, answer: Control, connection: u32) -> Result<(), Error> {
        if self.effects.journal.is_stored() {
            return self.control(&answer);
        }
        self.effects.journal.wait(Then::Answer { answer, connection });
        Ok(())
    }

    /// Adds a packet, and returns its length.
    fn encode(&mut self, encode: impl FnOnce(&mut BytesMut)) -> usize {
        if self.piece.bytes.len() >= PIECE {
            let mut next = Piece { bytes: self.spare.pop().unwrap_or_default(), answers: 0 };
            next.bytes.reserve(PIECE + PIECE / 16);
            let full = std::mem::replace(&mut self.piece, next);
            self.in_pieces += full.bytes.len();
            self.pieces.push_back(full);
        }
        let before = self.piece.bytes.len();
        encode(&mut self.piece.bytes);
        let length = self.piece.bytes.len() - before;
        self.encoded += length as u64;
        length
    }

    /// Swaps the first piece of output for an empty buffer. Returns whether the piece contains
    /// anything other than responses to packets of the broker.
    pub fn swap(&mut self, empty: &mut BytesMut) -> bool {
        empty.clear();
        if empty.capacity() > KEPT_CAPACITY {
            *empty = BytesMut::new();
        }
        let spare = std::mem::take(empty);
        let piece = match self.pieces.pop_front() {
            Some(piece) => {
                self.in_pieces -= piece.bytes.len();
                if self.spare.len() < SPARE_PIECES {
                    self.spare.push(spare);
                }
                piece
            }
            None => std::mem::replace(&mut self.piece, Piece { bytes: spare, answers: 0 }),
        };
        self.unwritten += piece.bytes.len();
        self.answers_unwritten += piece.answers;
        *empty = piece.bytes;
        empty.len() > piece.answers
    }

    /// The transport wrote `count` bytes: reports the QoS 0 messages among them.
    pub fn wrote(&mut self, count: usize) {
        self.unwritten = self.unwritten.saturating_sub(count);
        if self.unwritten == 0 {
            self.answers -= std::mem::take(&mut self.answers_unwritten);
        }
        self.written += count as u64;
        self.effects.counters.published.bytes += count as u64;
        self.progress.reach(self.written);
        while let Some((end, progress)) = self.held.front() {
            if *end > self.written {
                break;
            }
            progress.finish(None);
            self.held.pop_front();
        }
        let written = self.marks.partition_point(|(end, _)| *end <= self.written);
        self.effects.counters.published.messages[Qos::AtMostOnce as usize] += written as u64;
        let marks = self.marks.drain(..written);
        if self.effects.reporting {
            marks.for_each(|(_, mid)| self.effects.report(mid, 0, None));
        }
    }

    /// The connection is lost: drops unwritten output.
    pub fn clear(&mut self) {
        self.pieces = VecDeque::new();
        self.in_pieces = 0;
        self.piece = Piece::default();
        self.unwritten = 0;
        self.answers = 0;
        self.answers_unwritten = 0;
        self.encoded = 0;
        self.answered = 0;
        self.written = 0;
        self.effects.counters.unsent += self.marks.len() as u64;
        self.lost.extend(self.marks.drain(..).map(|(_, mid)| mid));
        self.progress = Progress::default();
        self.held.clear();
    }

    /// Unwritten QoS 0 messages.
    pub fn unwritten_messages(&self) -> usize {
        self.marks.len()
    }

    /// Bytes pending, with the memory for their bookkeeping.
    pub fn len(&self) -> usize {
        let marks = self.marks.len() * size_of::<(u64, u16)>();
        self.in_pieces + self.piece.bytes.len() + self.unwritten + marks
    }

    /// Whether more responses are pending, for the broker or the file, than a correct broker
    /// causes, or too many bytes of received messages are pending for the file.
    pub fn is_clogged(&self, limit: usize) -> bool {
        self.answers >= MOST_ANSWERS || self.effects.journal.is_clogged(limit)
    }

    /// Bytes ever encoded on this connection.
    pub fn encoded(&self) -> u64 {
        self.encoded
    }

    /// Bytes ever encoded on this connection, without responses.
    pub fn requested(&self) -> u64 {
        self.encoded - self.answered
    }

    /// Bytes ever written on this connection.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Whether there is something to hand over.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.piece.bytes.is_empty()
    }
}

//! Messages from the broker: QoS 1 acknowledged after the handler, QoS 2 delivered once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Instant;

use bytes::Bytes;

use super::super::error::Error;
use super::super::packet::{Control, Publish};
use super::super::qos::Qos;
use super::event::Receipt;
use super::identifier::{Given, Handled, Identifier, Waiting};
use super::ids::IdSet;
use super::journal::{Journal, KeptIncoming, Operation};
use super::output::Output;

/// The limit on QoS 2 messages that the application has not handled: twice the number of packet
/// identifiers.
const MOST_UNHANDLED: usize = 2 * (1 << 16);

/// The receiving side's state of a session (MQTT 3.1.1, section 4.3).
#[derive(Debug, Default)]
pub struct Incoming {
    /// QoS 2 messages by packet identifier.
    exactly_once: HashMap<u16, Identifier>,
    /// QoS 1 messages of the present connection that are not acknowledged.
    at_least_once: IdSet,
    /// Further QoS 1 messages with an identifier that is in use: each gets a PUBACK.
    surplus: HashMap<u16, u32>,
    /// QoS 2 messages delivered to the application and not handled yet.
    unhandled: usize,
    stored_bytes: usize,
    stored: u64,
    /// QoS 2 messages delivered so far: the number in a receipt.
    given: u32,
    /// Stored messages that the broker has forgotten and the application has not handled: by packet
    /// identifier, oldest first.
    forgotten: BTreeMap<(u16, u64), Given>,
    /// Those not yet delivered to the application.
    restored: Vec<(u64, Publish)>,
}

impl Incoming {
    /// A PUBLISH arrived.
    pub fn publish(
        &mut self,
        publish: Publish,
        received: Instant,
        connection: u32,
        limit: usize,
        output: &mut Output,
    ) -> Result<(), Error> {
        match publish.qos {
            Qos::AtMostOnce => {
                output.effects.deliver(publish, received, None);
                Ok(())
            }
            Qos::AtLeastOnce => {
                if !self.at_least_once.insert(publish.mid) {
                    *self.surplus.entry(publish.mid).or_default() += 1;
                }
                let (mid, qos) = (publish.mid, publish.qos);
                let receipt = Some(Receipt { mid, qos, connection, number: 0 });
                output.effects.deliver(publish, received, receipt);
                Ok(())
            }
            Qos::ExactlyOnce => {
                let mid = publish.mid;
                self.store(publish, connection, limit, &mut output.effects.journal)?;
                output.answer(Control::PubRec(mid), connection)
            }
        }
    }

    fn store(
        &mut self,
        mut publish: Publish,
        connection: u32,
        limit: usize,
        journal: &mut Journal,
    ) -> Result<(), Error> {
        let identifier = self.exactly_once.get(&publish.mid);
        if identifier.is_some_and(|identifier| identifier.is_repeated(publish.dup, connection)) {
            return Ok(());
        }
        let size = publish.size();
        if self.stored_bytes > 0 && self.stored_bytes + size > limit {
            let text = format!("more than {limit} bytes of QoS 2 messages without a PUBREL");
            return Err(Error::Protocol(text));
        }
        // Until its PUBREL arrives, the message must not keep its read buffer alive.
        publish.payload = Bytes::copy_from_slice(&publish.payload);
        self.stored_bytes += size;
        self.stored += 1;
        let order = self.stored;
        journal.note(|| Operation::Received { order, publish: publish.clone() });
        let identifier = self.exactly_once.entry(publish.mid).or_default();
        identifier.wait(Waiting { order, publish });
        Ok(())
    }

    /// A PUBREL arrived: delivers the message to the application. The PUBCOMP follows when the
    /// message is handled, or at once if it was handled already.
    pub fn release(
        &mut self,
        mid: u16,
        received: Instant,
        connection: u32,
        output: &mut Output,
    ) -> Result<(), Error> {
        let Some(identifier) = self.exactly_once.get_mut(&mid) else {
            return output.answer(Control::PubComp(mid), connection);
        };
        match identifier.waiting.take() {
            Some(Waiting { order, publish }) => {
                self.stored_bytes -= publish.size();
                self.given = self.given.wrapping_add(1);
                let number = self.given;
                identifier.give(Given { number, connection, order });
                self.unhandled += 1;
                let receipt = Receipt { mid, qos: Qos::ExactlyOnce, connection, number };
                output.effects.deliver(publish, received, Some(receipt));
            }
            None => {
                if identifier.release_again(connection) {
                    self.tidy(mid);
                    return output.answer(Control::PubComp(mid), connection);
                }
            }
        }
        Ok(())
    }

    /// The application has handled a message. `connection` is the number of the present connection,
    /// if there is one.
    pub fn handled(
        &mut self,
        receipt: Receipt,
        connection: Option<u32>,
        output: &mut Output,
    ) -> Result<(), Error> {
        if receipt.qos == Qos::ExactlyOnce {
            return self.handled_exactly_once(receipt, connection, output);
        }
        // It may already be acknowledged by its packet identifier.
        if connection == Some(receipt.connection) && self.take_at_least_once(receipt.mid) {
            output.control(&Control::PubAck(receipt.mid))?;
        }
        Ok(())
    }

    /// Removes one QoS 1 message with this identifier, if there is one.
    fn take_at_least_once(&mut self, mid: u16) -> bool {
        if let Some(more) = self.surplus.get_mut(&mid) {
            *more -= 1;
            if *more == 0 {
                self.surplus.remove(&mid);
            }
            return true;
        }
        self.at_least_once.remove(mid)
    }

    fn handled_exactly_once(
        &mut self,
        receipt: Receipt,
        connection: Option<u32>,
        output: &mut Output,
    ) -> Result<(), Error> {
        let mid = receipt.mid;
        let identifier = self.exactly_once.get_mut(&mid);
        let handled = identifier.and_then(|identifier| identifier.handle(receipt, connection));
        let Handled { order, answers } = match handled {
            Some(handled) => {
                self.unhandled -= 1;
                handled
            }
            None => match self.take_forgotten(receipt) {
                Some(order) => Handled { order, answers: 0 },
                None => return Ok(()),
            },
        };
        output.effects.journal.note(|| Operation::Handled { order });
        self.tidy(mid);
        let Some(connection) = connection else { return Ok(()) };
        (0..answers).try_for_each(|_| output.answer(Control::PubComp(mid), connection))
    }

    /// Removes an identifier without any state left.
    fn tidy(&mut self, mid: u16) {
        if self.exactly_once.get(&mid).is_some_and(Identifier::is_free) {
            self.exactly_once.remove(&mid);
        }
    }

    fn take_forgotten(&mut self, receipt: Receipt) -> Option<u64> {
        let mut same = self.forgotten.range(of(receipt.mid));
        let key = same.find(|(_, given)| given.is_of(receipt)).map(|(key, _)| *key)?;
        self.forgotten.remove(&key).map(|given| given.order)
    }

    /// The receipt of a message, by its packet identifier: the message was delivered on the present
    /// connection or, with QoS 2, earlier, and is not acknowledged. If several such messages have
    /// the identifier, it is the oldest.
    pub fn receipt(&self, mid: u16, qos: Qos, connection: u32) -> Option<Receipt> {
        let (connection, number) = match qos {
            Qos::AtMostOnce => return None,
            Qos::AtLeastOnce => self.at_least_once.contains(mid).then_some((connection, 0))?,
            Qos::ExactlyOnce => {
                let forgotten = self.forgotten.range(of(mid)).next().map(|(_, given)| given);
                let given = || self.exactly_once.get(&mid)?.oldest();
                forgotten.or_else(given).map(|given| (given.connection, given.number))?
            }
        };
        Some(Receipt { mid, qos, connection, number })
    }

    /// Whether the application has so many unhandled QoS 2 messages that reading must pause.
    pub fn is_full(&self) -> bool {
        self.unhandled + self.forgotten.len() >= MOST_UNHANDLED
    }

    /// A connection begins: QoS 1 messages of the last one are void.
    pub fn opened(&mut self) {
        self.at_least_once = IdSet::default();
        self.surplus.clear();
    }

    /// The broker has no session. It will neither release nor retransmit earlier messages, so they
    /// are delivered to the application now.
    pub fn forget(&mut self, received: Instant, connection: u32, output: &mut Output) {
        let keeps = output.effects.journal.is_open();
        output.effects.journal.note(|| Operation::Forgotten);
        let mut stored = Vec::new();
        for (mid, identifier) in self.exactly_once.drain() {
            let (given, waiting) = identifier.split();
            stored.extend(waiting.map(|Waiting { order, publish }| (order, publish)));
            let given = given.filter(|_| keeps);
            self.forgotten.extend(given.map(|given| ((mid, given.order), given)));
        }
        stored.sort_by_key(|(order, _)| *order);
        (self.stored_bytes, self.unhandled) = (0, 0);
        self.give(stored, received, connection, output);
    }

    /// Delivers restored messages that no broker will release any more.
    pub fn give_restored(&mut self, received: Instant, connection: u32, output: &mut Output) {
        let restored = std::mem::take(&mut self.restored);
        self.give(restored, received, connection, output);
    }

    /// Delivers messages to the application for which the broker expects no acknowledgement. If
    /// there is a file, their receipts remove them from it.
    fn give(
        &mut self,
        messages: Vec<(u64, Publish)>,
        received: Instant,
        connection: u32,
        output: &mut Output,
    ) {
        for (order, publish) in messages {
            let receipt = output.effects.journal.is_open().then(|| {
                let (mid, qos) = (publish.mid, Qos::ExactlyOnce);
                self.given = self.given.wrapping_add(1);
                let number = self.given;
                self.forgotten.insert((mid, order), Given { number, connection, order });
                Receipt { mid, qos, connection, number }
            });
            output.effects.deliver(publish, received, receipt);
        }
    }

    /// Restores the messages of a file. `own` says whether the messages in memory are in no file;
    /// otherwise they are in this or another one, and are dropped.
    pub fn restore(&mut self, kept: Vec<KeptIncoming>, own: bool, journal: &mut Journal) {
        let before: Vec<_> = self.exactly_once.drain().filter(|_| own).collect();
        (self.stored_bytes, self.unhandled) = (0, 0);
        self.forgotten.clear();
        self.restored.clear();
        for KeptIncoming { order, publish, forgotten } in kept {
            self.stored = self.stored.max(order);
            if forgotten {
                self.restored.push((order, publish));
            } else {
                self.wait_for_release(publish.mid, Waiting { order, publish });
            }
        }
        let mut waiting = Vec::new();
        for (mid, mut identifier) in before {
            waiting.extend(identifier.waiting.take());
            self.unhandled += identifier.renumber(&mut self.stored);
            let there = self.exactly_once.insert(mid, identifier);
            self.give_up_waiting(there.and_then(|there| there.waiting));
        }
        waiting.sort_by_key(|waiting| waiting.order);
        for Waiting { publish, .. } in waiting {
            self.stored += 1;
            let order = self.stored;
            journal.note(|| Operation::Received { order, publish: publish.clone() });
            self.wait_for_release(publish.mid, Waiting { order, publish });
        }
        self.restored.sort_by_key(|(order, _)| *order);
    }

    /// Makes a message wait for its PUBREL. A previous one with the same identifier was released,
    /// or belongs to another broker: it is delivered with the next connection.
    fn wait_for_release(&mut self, mid: u16, waiting: Waiting) {
        self.stored_bytes += waiting.publish.size();
        let identifier = self.exactly_once.entry(mid).or_default();
        let before = identifier.waiting.replace(waiting);
        self.give_up_waiting(before);
    }

    fn give_up_waiting(&mut self, waiting: Option<Waiting>) {
        if let Some(Waiting { order, publish }) = waiting {
            self.stored_bytes -= publish.size();
            self.restored.push((order, publish));
        }
    }

    /// The file is unchanged since this session closed it: notes the messages handled and received
    /// since then.
    pub fn go_on(&mut self, kept: &[KeptIncoming], journal: &mut Journal) {
        let there: HashSet<u64> = kept.iter().map(|kept| kept.order).collect();
        let waiting =
            self.exactly_once.values().filter_map(|identifier| identifier.waiting.as_ref());
        let mut new: Vec<_> = waiting.filter(|waiting| !there.contains(&waiting.order)).collect();
        new.sort_by_key(|waiting| waiting.order);
        for Waiting { order, publish } in new {
            journal.note(|| Operation::Received { order: *order, publish: publish.clone() });
        }
        let own = self.exactly_once.values().flat_map(Identifier::orders);
        let forgotten = self.forgotten.values().map(|given| given.order);
        let restored = self.restored.iter().map(|(order, _)| *order);
        let here: HashSet<u64> = own.chain(forgotten).chain(restored).collect();
        for KeptIncoming { order, .. } in kept.iter().filter(|kept| !here.contains(&kept.order)) {
            journal.note(|| Operation::Handled { order: *order });
        }
    }
}

/// The keys of the messages with an identifier.
fn of(mid: u16) -> std::ops::RangeInclusive<(u16, u64)> {
    (mid, 0)..=(mid, u64::MAX)
}

//! Messages from the broker: QoS 1 acknowledged after the handler, QoS 2 delivered once.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use bytes::Bytes;

use super::super::error::Error;
use super::super::packet::{Control, Publish};
use super::super::qos::Qos;
use super::event::Receipt;
use super::ids::IdSet;
use super::journal::{Journal, KeptIncoming, Operation};
use super::output::Output;

#[derive(Debug)]
enum State {
    /// Received, PUBREL awaited.
    Stored { publish: Publish, order: u64 },
    /// Handed to the application on one connection; the PUBREL came last on another or the same. It is
    /// kept until a PUBCOMP goes out, though it is handled: a broker may send it again until then.
    Delivered { delivered_on: u32, released_on: u32, order: u64, handled: bool },
}

impl State {
    /// The number of a message that is to be handled, in the file if there is one.
    fn order(&self) -> Option<u64> {
        match self {
            Self::Stored { order, .. } => Some(*order),
            Self::Delivered { order, handled, .. } => (!handled).then_some(*order),
        }
    }
}

/// The receiving side's state of a session (MQTT 3.1.1, section 4.3).
#[derive(Debug, Default)]
pub struct Incoming {
    /// QoS 2 messages by packet identifier.
    exactly_once: HashMap<u16, State>,
    /// QoS 1 messages of the present connection that are not acknowledged.
    at_least_once: IdSet,
    stored_bytes: usize,
    stored: u64,
    /// Messages in the file that the broker has forgotten, and the application has not handled: by
    /// packet identifier and the connection of their receipts, which may be one that never was.
    forgotten: HashMap<(u16, u32), u64>,
    /// Those that the application was not given yet.
    restored: Vec<(u64, Publish)>,
}

impl Incoming {
    /// A PUBLISH came.
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
                output.deliver(publish, received, None);
                Ok(())
            }
            Qos::AtLeastOnce => {
                self.at_least_once.insert(publish.mid);
                let receipt = Some(Receipt { mid: publish.mid, qos: publish.qos, connection });
                output.deliver(publish, received, receipt);
                Ok(())
            }
            Qos::ExactlyOnce => {
                let mid = publish.mid;
                self.store(publish, limit, &mut output.journal)?;
                output.answer(Control::PubRec(mid), connection)
            }
        }
    }

    fn store(
        &mut self,
        mut publish: Publish,
        limit: usize,
        journal: &mut Journal,
    ) -> Result<(), Error> {
        match self.exactly_once.get(&publish.mid) {
            // The broker is through with the one before, and this is another.
            Some(State::Delivered { handled: true, .. }) if !publish.dup => {}
            // One that is there already is a repetition, whatever its DUP flag says.
            Some(_) => return Ok(()),
            None => {}
        }
        let size = publish.size();
        if self.stored_bytes > 0 && self.stored_bytes + size > limit {
            let text = format!("more than {limit} bytes of QoS 2 messages without a PUBREL");
            return Err(Error::Protocol(text));
        }
        // Until the PUBREL comes it must not keep what was read with it.
        publish.payload = Bytes::copy_from_slice(&publish.payload);
        self.stored_bytes += size;
        self.stored += 1;
        let order = self.stored;
        journal.note(|| Operation::Received { order, publish: publish.clone() });
        self.exactly_once.insert(publish.mid, State::Stored { order, publish });
        Ok(())
    }

    /// A PUBREL came: the message goes to the application now. The PUBCOMP follows when it is handled,
    /// or at once where it was handled already.
    pub fn release(
        &mut self,
        mid: u16,
        received: Instant,
        connection: u32,
        output: &mut Output,
    ) -> Result<(), Error> {
        let (delivered_on, order) = match self.exactly_once.remove(&mid) {
            Some(State::Stored { publish, order }) => {
                self.stored_bytes -= publish.size();
                let receipt = Some(Receipt { mid, qos: Qos::ExactlyOnce, connection });
                output.deliver(publish, received, receipt);
                (connection, order)
            }
            Some(State::Delivered { delivered_on, order, handled: false, .. }) => {
                (delivered_on, order)
            }
            Some(State::Delivered { handled: true, .. }) | None => {
                return output.answer(Control::PubComp(mid), connection);
            }
        };
        let released_on = connection;
        let state = State::Delivered { delivered_on, released_on, order, handled: false };
        self.exactly_once.insert(mid, state);
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
        // It may have been acknowledged by its identifier.
        if connection == Some(receipt.connection) && self.at_least_once.remove(receipt.mid) {
            output.control(&Control::PubAck(receipt.mid))?;
        }
        Ok(())
    }

    fn handled_exactly_once(
        &mut self,
        receipt: Receipt,
        connection: Option<u32>,
        output: &mut Output,
    ) -> Result<(), Error> {
        let Receipt { mid, connection: given_on, .. } = receipt;
        let (order, released_on) = match self.exactly_once.get_mut(&mid) {
            // Another message may have this identifier by now, if the broker forgot the session.
            Some(State::Delivered { delivered_on, released_on, order, handled })
                if *delivered_on == given_on =>
            {
                if std::mem::replace(handled, true) {
                    return Ok(());
                }
                (*order, Some(*released_on))
            }
            _ => match self.forgotten.remove(&(mid, given_on)) {
                Some(order) => (order, None),
                None => return Ok(()),
            },
        };
        output.journal.note(|| Operation::Handled { order });
        match connection {
            Some(connection) if released_on == Some(connection) => {
                self.exactly_once.remove(&mid);
                output.answer(Control::PubComp(mid), connection)
            }
            _ => Ok(()),
        }
    }

    /// What acknowledges a message by its identifier: one that the application was given, on the present
    /// connection or, with QoS 2, before it, and that is not acknowledged.
    pub fn receipt(&self, mid: u16, qos: Qos, connection: u32) -> Option<Receipt> {
        let connection = match qos {
            Qos::AtMostOnce => None,
            Qos::AtLeastOnce => self.at_least_once.contains(mid).then_some(connection),
            Qos::ExactlyOnce => match self.exactly_once.get(&mid) {
                Some(State::Delivered { delivered_on, handled: false, .. }) => Some(*delivered_on),
                _ => self.forgotten.keys().find(|(known, _)| *known == mid).map(|key| key.1),
            },
        };
        connection.map(|connection| Receipt { mid, qos, connection })
    }

    /// A connection begins: its QoS 1 messages are others.
    pub fn opened(&mut self) {
        self.at_least_once = IdSet::default();
    }

    /// The broker knows nothing of the session. It will neither release nor repeat what it had
    /// delivered, so that goes to the application now.
    pub fn forget(&mut self, received: Instant, output: &mut Output) {
        let keeps = output.journal.is_open();
        output.journal.note(|| Operation::Forgotten);
        let mut stored = Vec::new();
        for (mid, state) in self.exactly_once.drain() {
            match state {
                State::Stored { publish, order } => stored.push((order, publish)),
                State::Delivered { delivered_on, order, handled: false, .. } if keeps => {
                    self.forgotten.insert((mid, delivered_on), order);
                }
                State::Delivered { .. } => {}
            }
        }
        stored.sort_by_key(|(order, _)| *order);
        self.stored_bytes = 0;
        self.give(stored, received, output);
    }

    /// Gives the application what was restored, and no broker will release any more.
    pub fn give_restored(&mut self, received: Instant, output: &mut Output) {
        let restored = std::mem::take(&mut self.restored);
        self.give(restored, received, output);
    }

    /// Gives messages to the application that the broker does not wait for. Where there is a file, a
    /// receipt says when to remove them from it.
    fn give(&mut self, messages: Vec<(u64, Publish)>, received: Instant, output: &mut Output) {
        for (order, publish) in messages {
            let receipt = output.journal.is_open().then(|| {
                let (mid, qos) = (publish.mid, Qos::ExactlyOnce);
                let connection = self.unused_connection(mid);
                self.forgotten.insert((mid, connection), order);
                Receipt { mid, qos, connection }
            });
            output.deliver(publish, received, receipt);
        }
    }

    /// A number that no connection has, counted from the end.
    fn unused_connection(&self, mid: u16) -> u32 {
        let taken = |number: &u32| self.forgotten.contains_key(&(mid, *number));
        (0..=u32::MAX).rev().find(|number| !taken(number)).unwrap_or(u32::MAX)
    }

    /// Takes over what a file has. `own` says whether what is here is not in any file; otherwise it is
    /// in this or another one, and is dropped.
    pub fn restore(&mut self, kept: Vec<KeptIncoming>, own: bool, journal: &mut Journal) {
        let mut before: Vec<_> = self.exactly_once.drain().filter(|_| own).collect();
        before.sort_by_key(|(_, state)| state.order());
        self.stored_bytes = 0;
        self.forgotten.clear();
        self.restored.clear();
        for KeptIncoming { order, publish, forgotten } in kept {
            self.stored = self.stored.max(order);
            if forgotten {
                self.restored.push((order, publish));
            } else {
                self.stored_bytes += publish.size();
                self.exactly_once.insert(publish.mid, State::Stored { order, publish });
            }
        }
        for (mid, mut state) in before {
            self.stored += 1;
            let number = self.stored;
            match &mut state {
                State::Stored { publish, order } => {
                    *order = number;
                    self.stored_bytes += publish.size();
                    journal
                        .note(|| Operation::Received { order: number, publish: publish.clone() });
                }
                State::Delivered { order, .. } => *order = number,
            }
            if let Some(State::Stored { publish, order }) = self.exactly_once.insert(mid, state) {
                self.stored_bytes -= publish.size();
                self.restored.push((order, publish));
            }
        }
    }

    /// The file is the one that was closed, as it was closed: notes what was handled since, and what came.
    pub fn go_on(&mut self, kept: &[KeptIncoming], journal: &mut Journal) {
        let there: HashSet<u64> = kept.iter().map(|kept| kept.order).collect();
        let mut stored: Vec<_> = self.exactly_once.values().collect();
        stored.sort_by_key(|state| state.order());
        for state in stored {
            if let State::Stored { publish, order } = state
                && !there.contains(order)
            {
                journal.note(|| Operation::Received { order: *order, publish: publish.clone() });
            }
        }
        let states = self.exactly_once.values().filter_map(State::order);
        let others = self.forgotten.values().copied().chain(self.restored.iter().map(|own| own.0));
        let here: HashSet<u64> = states.chain(others).collect();
        for KeptIncoming { order, .. } in kept.iter().filter(|kept| !here.contains(&kept.order)) {
            journal.note(|| Operation::Handled { order: *order });
        }
    }
}

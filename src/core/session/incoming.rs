//! Messages from the broker: QoS 1 acknowledged after the handler, QoS 2 delivered once.

use std::collections::HashMap;
use std::time::Instant;

use bytes::Bytes;

use super::super::error::Error;
use super::super::packet::{Control, Publish};
use super::super::qos::Qos;
use super::event::Receipt;
use super::ids::IdSet;
use super::output::Output;

#[derive(Debug)]
enum State {
    /// Received, PUBREL awaited.
    Stored { publish: Publish, order: u64 },
    /// Handed to the application on one connection; the PUBREL came last on another or the same. It is
    /// kept until a PUBCOMP goes out, though it is handled: a broker may send it again until then.
    Delivered { delivered_on: u32, released_on: u32, handled: bool },
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
                self.store(publish, limit)?;
                output.control(&Control::PubRec(mid))
            }
        }
    }

    fn store(&mut self, mut publish: Publish, limit: usize) -> Result<(), Error> {
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
        self.exactly_once.insert(publish.mid, State::Stored { order: self.stored, publish });
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
        let delivered_on = match self.exactly_once.remove(&mid) {
            Some(State::Stored { publish, .. }) => {
                self.stored_bytes -= publish.size();
                let receipt = Some(Receipt { mid, qos: Qos::ExactlyOnce, connection });
                output.deliver(publish, received, receipt);
                connection
            }
            Some(State::Delivered { delivered_on, handled: false, .. }) => delivered_on,
            Some(State::Delivered { handled: true, .. }) | None => {
                return output.control(&Control::PubComp(mid));
            }
        };
        let state = State::Delivered { delivered_on, released_on: connection, handled: false };
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
            let Some(State::Delivered { delivered_on, released_on, handled }) =
                self.exactly_once.get_mut(&receipt.mid)
            else {
                return Ok(());
            };
            // Another message may have this identifier by now, if the broker forgot the session.
            if *delivered_on != receipt.connection {
                return Ok(());
            }
            *handled = true;
            if connection != Some(*released_on) {
                return Ok(());
            }
            self.exactly_once.remove(&receipt.mid);
            return output.control(&Control::PubComp(receipt.mid));
        }
        // It may have been acknowledged by its identifier.
        if connection == Some(receipt.connection) && self.at_least_once.remove(receipt.mid) {
            output.control(&Control::PubAck(receipt.mid))?;
        }
        Ok(())
    }

    /// What acknowledges a message by its identifier: one that the application was given, on the present
    /// connection or, with QoS 2, before it, and that is not acknowledged.
    pub fn receipt(&self, mid: u16, qos: Qos, connection: u32) -> Option<Receipt> {
        let connection = match qos {
            Qos::AtMostOnce => None,
            Qos::AtLeastOnce => self.at_least_once.contains(mid).then_some(connection),
            Qos::ExactlyOnce => match self.exactly_once.get(&mid) {
                Some(State::Delivered { delivered_on, handled: false, .. }) => Some(*delivered_on),
                _ => None,
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
        let mut stored: Vec<_> = self
            .exactly_once
            .drain()
            .filter_map(|(_, state)| match state {
                State::Stored { publish, order } => Some((order, publish)),
                State::Delivered { .. } => None,
            })
            .collect();
        stored.sort_by_key(|(order, _)| *order);
        self.stored_bytes = 0;
        for (_, publish) in stored {
            output.deliver(publish, received, None);
        }
    }
}

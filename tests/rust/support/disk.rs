//! An in-memory file for a session's journal.

use std::collections::BTreeMap;

use flask_mqtt_core::core::packet::Publish;
use flask_mqtt_core::core::session::{Kept, KeptIncoming, KeptOutgoing, Operation, Session};

/// The stored messages, by number: outgoing ones with whether they are released, incoming ones with
/// whether the broker forgot them.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    opened: u64,
    client_id: String,
    outgoing: BTreeMap<u64, (bool, Publish)>,
    incoming: BTreeMap<u64, (bool, Publish)>,
}

impl Disk {
    /// Opens the file, and returns its content.
    pub fn open(&mut self) -> Kept {
        self.opened += 1;
        let outgoing = self.outgoing.iter().map(|(order, (released, publish))| KeptOutgoing {
            order: *order,
            publish: publish.clone(),
            released: *released,
        });
        let incoming = self.incoming.iter().map(|(order, (forgotten, publish))| KeptIncoming {
            order: *order,
            publish: publish.clone(),
            forgotten: *forgotten,
        });
        Kept {
            file: 1,
            opened: self.opened,
            client_id: self.client_id.clone(),
            outgoing: outgoing.collect(),
            incoming: incoming.collect(),
        }
    }

    /// Stores the session's operations, and reports them as stored.
    pub fn store(&mut self, session: &mut Session) {
        self.write(session, usize::MAX);
    }

    /// Stores the first operations; reports them if those are all.
    pub fn write(&mut self, session: &mut Session, count: usize) {
        let (operations, number) = session.take_journal();
        let whole = count >= operations.len();
        self.apply(operations.into_iter().take(count));
        if whole {
            session.stored(number).unwrap();
        }
    }

    /// Stores operations.
    pub fn apply(&mut self, operations: impl IntoIterator<Item = Operation>) {
        operations.into_iter().for_each(|operation| self.apply_one(operation));
    }

    fn apply_one(&mut self, operation: Operation) {
        match operation {
            Operation::Put { order, publish } => {
                assert!(self.outgoing.insert(order, (false, publish)).is_none(), "a number twice");
            }
            Operation::Received { order, publish } => {
                assert!(self.incoming.insert(order, (false, publish)).is_none(), "a number twice");
            }
            Operation::Released { order, released } => {
                self.outgoing.get_mut(&order).expect("it is there").0 = released;
            }
            Operation::Removed { order } => drop(self.outgoing.remove(&order)),
            Operation::Handled { order } => drop(self.incoming.remove(&order)),
            Operation::Forgotten => self.incoming.values_mut().for_each(|message| message.0 = true),
            Operation::Session { client_id } => self.client_id = client_id,
        }
    }

    /// Payloads of the messages to the broker.
    pub fn outgoing(&self) -> Vec<String> {
        self.outgoing.values().map(|(_, publish)| text(publish)).collect()
    }

    /// Payloads of the messages from the broker.
    pub fn incoming(&self) -> Vec<String> {
        self.incoming.values().map(|(_, publish)| text(publish)).collect()
    }
}

fn text(publish: &Publish) -> String {
    String::from_utf8_lossy(&publish.payload).into_owned()
}

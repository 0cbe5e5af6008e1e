//! A session that is kept in a file. The owner writes the operations of [`Session::take_journal`]
//! in order, and reports how far they are stored. Nothing that depends on an operation is sent
//! before that.

use super::super::delivery::Delivery;
use super::super::error::Error;
use super::Session;
use super::event::{Event, LogLevel};
use super::journal::{Journal, Kept, Operation, Then};
use super::output::Output;

impl Session {
    /// Stores the session in a file from now on. The file may contain an earlier session. There
    /// must be no connection.
    ///
    /// If this session was the last user of the file, it continues. Otherwise the content of the
    /// file replaces what the session stored before, and messages published without a file come
    /// after it.
    pub fn keep(&mut self, kept: Kept) {
        let goes_on = self.file.is_some_and(|(file, opened)| {
            file == kept.file && opened.wrapping_add(1) == kept.opened
        });
        let Self { outgoing, incoming, ids, output, .. } = self;
        output.effects.journal.open();
        if goes_on {
            outgoing.go_on(&kept.outgoing, &mut output.effects.journal);
            incoming.go_on(&kept.incoming, &mut output.effects.journal);
        } else {
            incoming.restore(kept.incoming, self.file.is_none(), &mut output.effects.journal);
            let lost = outgoing.restore(kept.outgoing, ids, &mut output.effects.journal);
            report_lost(lost, output);
        }
        self.kept_client_id = kept.client_id;
        self.file = Some((kept.file, kept.opened));
    }

    /// Whether the session is stored in a file now.
    pub fn is_kept(&self) -> bool {
        self.output.effects.journal.is_open()
    }

    /// Whether there are operations to store.
    pub fn has_journal(&self) -> bool {
        self.output.effects.journal.has_operations()
    }

    /// The operations to store, in order, and the number for [`Self::stored`].
    pub fn take_journal(&mut self) -> (Vec<Operation>, u64) {
        self.output.effects.journal.take()
    }

    /// Everything up to a number is stored: continues what waited for that.
    ///
    /// # Errors
    /// None that a peer or an application can cause: a response is never too long.
    pub fn stored(&mut self, number: u64) -> Result<(), Error> {
        let (connected, connection) = (self.is_connected(), self.connection);
        for (_, then) in self.output.effects.journal.stored(number) {
            match then {
                Then::Publish { mid, order } => self.outgoing.stored(mid, order),
                Then::Release { mid, order } => {
                    self.outgoing.released(mid, order, connected, &mut self.output)?;
                }
                Then::Tell(progress) => progress.stored(),
                Then::Answer { answer, connection: asked_on } => {
                    if connected && connection == asked_on {
                        self.output.control(&answer)?;
                    }
                }
            }
        }
        self.pump();
        Ok(())
    }

    /// Operations cannot be stored: drops our messages among them, and removes these from the
    /// operations.
    pub fn not_stored(&mut self, operations: &mut Vec<Operation>) {
        operations.retain(|operation| match operation {
            Operation::Put { order, publish } => {
                let given_up = self.outgoing.not_stored(publish.mid, *order, &mut self.ids);
                self.output.effects.counters.not_stored += u64::from(given_up);
                false
            }
            _ => true,
        });
        self.pump();
    }

    /// Withdraws a message that is not stored yet. Returns false if it is stored, or was withdrawn
    /// or dropped already.
    pub fn withdraw(&mut self, mid: u16, delivery: &Delivery) -> bool {
        let Self { outgoing, ids, output, .. } = self;
        let withdrawn = outgoing.withdraw(mid, delivery, ids, &mut output.effects.journal);
        output.effects.counters.not_stored += u64::from(withdrawn);
        self.pump();
        withdrawn
    }

    /// Closes the file, if there is no connection and everything is stored. The session continues
    /// without one.
    pub fn close_file(&mut self) -> bool {
        let is_open = self.is_open();
        let journal = &mut self.output.effects.journal;
        let closes = !is_open && journal.is_stored();
        if closes {
            *journal = Journal::default();
        }
        closes
    }

    /// The file cannot be written any more: continues without one.
    pub fn abandon_file(&mut self) {
        let (mut operations, number) = self.take_journal();
        self.not_stored(&mut operations);
        // From now on, nothing that is sent depends on the file.
        let _ = self.stored(number);
        self.output.effects.journal = Journal::default();
        self.outgoing.abandon();
        self.file = None;
    }

    /// Whether the file has another session than the broker. From now on it has the broker's.
    pub(super) fn is_strange(&mut self) -> bool {
        if !self.is_kept() {
            return false;
        }
        let client_id = match &self.assigned_client_id {
            Some(assigned) if self.options.client_id.is_empty() => assigned,
            _ => &self.options.client_id,
        };
        if !client_id.is_empty() && *client_id == self.kept_client_id {
            return false;
        }
        self.kept_client_id.clone_from(client_id);
        let client_id = client_id.clone();
        self.output.effects.journal.note(|| Operation::Session { client_id });
        true
    }
}

fn report_lost(count: usize, output: &mut Output) {
    if count > 0 {
        let text = format!(
            "{count} messages are discarded: with those in the file there are more than MQTT has packet identifiers for"
        );
        let notice = Event::notice(LogLevel::Error, "given_up", text);
        output.effects.events.push_back(notice.with("count", count as u64));
    }
}

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
    /// From now on the session is kept in a file, which had something already. There must be no
    /// connection.
    ///
    /// Where nobody had the file since it was closed here, the session goes on. Otherwise what the file
    /// has replaces what was in it before, and what was published without one comes after that.
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

    /// Whether the session is kept in a file now.
    pub fn is_kept(&self) -> bool {
        self.output.effects.journal.is_open()
    }

    /// Whether there is something to store.
    pub fn has_journal(&self) -> bool {
        self.output.effects.journal.has_operations()
    }

    /// What is to be stored, in order, and the number for [`Self::stored`].
    pub fn take_journal(&mut self) -> (Vec<Operation>, u64) {
        self.output.effects.journal.take()
    }

    /// Everything up to a number is stored: what has waited for that goes on.
    ///
    /// # Errors
    /// None that a peer or an application can bring about: an answer is never too long.
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

    /// Operations cannot be stored: the messages of ours among them are given up, and no longer
    /// among them.
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

    /// Gives up a message that is not stored yet. Returns false for one that is, or was given up.
    pub fn withdraw(&mut self, mid: u16, delivery: &Delivery) -> bool {
        let Self { outgoing, ids, output, .. } = self;
        let withdrawn = outgoing.withdraw(mid, delivery, ids, &mut output.effects.journal);
        output.effects.counters.not_stored += u64::from(withdrawn);
        self.pump();
        withdrawn
    }

    /// The file is closed, if there is no connection and everything is stored. The session goes on
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

    /// The file cannot be written any more: the session goes on without one.
    pub fn abandon_file(&mut self) {
        let (mut operations, number) = self.take_journal();
        self.not_stored(&mut operations);
        // Nothing that is sent from now on can rely on the file.
        let _ = self.stored(number);
        self.output.effects.journal = Journal::default();
        self.outgoing.abandon();
        self.file = None;
    }

    /// Whether what the file has is of another session than the broker's. From now on it is of this one.
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

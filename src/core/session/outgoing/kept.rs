//! Restores the messages of a file when it is opened.

use std::collections::HashSet;

use super::super::super::delivery::Progress;
use super::super::ids::Ids;
use super::super::journal::{Journal, KeptOutgoing, Operation};
use super::aside::Aside;
use super::{Entry, Outgoing, State};

impl Outgoing {
    /// Restores the messages of a file; they come before those that are in no file. Returns how
    /// many messages are dropped because all packet identifiers are in use.
    pub fn restore(
        &mut self,
        kept: Vec<KeptOutgoing>,
        ids: &mut Ids,
        journal: &mut Journal,
    ) -> usize {
        let own = self.take_others(ids);
        for KeptOutgoing { order, mut publish, released } in kept {
            publish.dup = true;
            ids.take(publish.mid);
            self.bytes += publish.size();
            self.accepted = self.accepted.max(order);
            let state = if released { State::Released } else { State::Sent };
            let progress = Progress::default();
            let entry = Entry { publish, state, order, progress, kept: true, unkept: false };
            self.entries.insert(entry.publish.mid, entry);
        }
        let mut lost = 0;
        for mut entry in own {
            if !ids.take(entry.publish.mid) {
                let Some(mid) = ids.reserve() else {
                    lost += 1;
                    continue;
                };
                entry.publish.mid = mid;
            }
            let mid = entry.publish.mid;
            self.accepted += 1;
            entry.order = self.accepted;
            self.bytes += entry.publish.size();
            if entry.state == State::Aside {
                self.aside.add(&entry);
            }
            self.entries.insert(mid, entry);
            self.store(mid, journal);
        }
        lost
    }

    /// Removes all messages, and returns in order those that are in no file.
    fn take_others(&mut self, ids: &mut Ids) -> Vec<Entry> {
        let mut own: Vec<_> = self
            .entries
            .drain()
            .inspect(|entry| ids.release(entry.publish.mid))
            .filter(|entry| !entry.kept)
            .collect();
        own.sort_by_key(|entry| entry.order);
        self.queued.clear();
        (self.inflight, self.storing, self.bytes) = (0, 0, 0);
        self.aside = Aside::default();
        own
    }

    /// The file is unchanged since this session closed it: notes what has happened since.
    pub fn go_on(&mut self, kept: &[KeptOutgoing], journal: &mut Journal) {
        let orders: HashSet<u64> = self.entries.values().map(|entry| entry.order).collect();
        for KeptOutgoing { order, .. } in kept.iter().filter(|kept| !orders.contains(&kept.order)) {
            journal.note(|| Operation::Removed { order: *order });
        }
        let mut entries: Vec<_> = self.entries.values().collect();
        entries.sort_by_key(|entry| entry.order);
        let (old, new): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.kept);
        for Entry { order, state, .. } in old {
            let released = *state == State::Released;
            journal.note(|| Operation::Released { order: *order, released });
        }
        let new: Vec<_> = new.iter().map(|entry| entry.publish.mid).collect();
        let is_new: HashSet<u16> = new.iter().copied().collect();
        self.queued.retain(|mid| !is_new.contains(mid));
        for mid in new {
            self.store(mid, journal);
        }
    }
}

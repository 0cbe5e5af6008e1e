//! Packet identifiers (MQTT 3.1.1, section 2.3.1).

use std::collections::HashSet;

/// Gives out packet identifiers from 1 to 65535, never one that is in use.
#[derive(Debug, Default)]
pub struct Ids {
    last: u16,
    in_use: HashSet<u16>,
}

impl Ids {
    /// The next identifier, not reserved: a QoS 0 message has one for the application only.
    pub fn next(&mut self) -> Option<u16> {
        // 65535 identifiers exist, so that many steps find a free one if there is one.
        for _ in 0..=u16::MAX {
            self.last = self.last.checked_add(1).unwrap_or(1);
            if !self.in_use.contains(&self.last) {
                return Some(self.last);
            }
            if self.in_use.len() == usize::from(u16::MAX) {
                return None;
            }
        }
        None
    }

    /// The next identifier, in use until it is released. `None` when all are in use.
    pub fn reserve(&mut self) -> Option<u16> {
        let mid = self.next()?;
        self.in_use.insert(mid);
        Some(mid)
    }

    /// Has an identifier in use. Returns whether it was free.
    pub fn take(&mut self, mid: u16) -> bool {
        self.in_use.insert(mid)
    }

    /// Makes an identifier free again.
    pub fn release(&mut self, mid: u16) {
        self.in_use.remove(&mid);
    }
}

/// A set of packet identifiers, of a fixed size: a bit for each.
#[derive(Debug)]
pub struct IdSet(Box<[u64; 1024]>);

impl Default for IdSet {
    fn default() -> Self {
        Self(Box::new([0; 1024]))
    }
}

impl IdSet {
    fn place(mid: u16) -> (usize, u64) {
        (usize::from(mid / 64), 1 << (mid % 64))
    }

    /// Puts an identifier in, and returns whether it was not in it.
    pub fn insert(&mut self, mid: u16) -> bool {
        let (word, bit) = Self::place(mid);
        let is_new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        is_new
    }

    /// Whether an identifier is in it.
    pub fn contains(&self, mid: u16) -> bool {
        let (word, bit) = Self::place(mid);
        self.0[word] & bit != 0
    }

    /// Takes an identifier out, and returns whether it was in it.
    pub fn remove(&mut self, mid: u16) -> bool {
        let was_there = self.contains(mid);
        let (word, bit) = Self::place(mid);
        self.0[word] &= !bit;
        was_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_in_and_not_taken_out() {
        let mut set = IdSet::default();
        for mid in [1, 63, 64, u16::MAX] {
            assert!(!set.contains(mid));
            assert!(set.insert(mid) && !set.insert(mid));
        }
        assert!([1, 63, 64, u16::MAX].iter().all(|mid| set.contains(*mid)));
        assert!(!set.contains(2) && !set.contains(65));
        assert!(set.remove(64) && !set.remove(64));
        assert!(set.contains(63) && !set.contains(64));
    }

    #[test]
    fn identifiers_start_at_1_and_skip_0_when_they_wrap() {
        let mut ids = Ids::default();
        assert_eq!(ids.next(), Some(1));
        ids.last = u16::MAX;
        assert_eq!(ids.next(), Some(1));
    }

    #[test]
    fn an_identifier_in_use_is_skipped_until_it_is_released() {
        let mut ids = Ids::default();
        assert_eq!(ids.reserve(), Some(1));
        ids.last = u16::MAX;
        assert_eq!(ids.reserve(), Some(2));
        ids.release(1);
        ids.last = u16::MAX;
        assert_eq!(ids.next(), Some(1));
    }

    #[test]
    fn there_is_none_when_all_65535_are_in_use() {
        let mut ids = Ids::default();
        for _ in 0..u16::MAX {
            assert!(ids.reserve().is_some());
        }
        assert_eq!(ids.reserve(), None);
        ids.release(777);
        assert_eq!(ids.reserve(), Some(777));
    }
}

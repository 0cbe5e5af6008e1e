//! Packet identifiers (MQTT 3.1.1, section 2.3.1).

use std::fmt;

/// Identifiers reserved for SUBSCRIBE and UNSUBSCRIBE, so that published messages cannot block
/// these.
const ASIDE: u16 = 255;

/// Allocates packet identifiers from 1 to 65535 that are not in use.
#[derive(Debug, Default)]
pub struct Ids {
    last: u16,
    in_use: IdSet,
    /// The number of identifiers in use.
    count: u16,
}

impl Ids {
    /// The next identifier, without reserving it: a QoS 0 message has one for the application only.
    /// If all are in use, it returns one in use.
    pub fn next(&mut self) -> u16 {
        let following = self.last.checked_add(1).unwrap_or(1);
        let free = self.in_use.first_free(following).or_else(|| self.in_use.first_free(1));
        self.last = free.unwrap_or(following);
        self.last
    }

    /// Reserves the next identifier until it is released. `None` when all are in use.
    pub fn reserve(&mut self) -> Option<u16> {
        if self.count == u16::MAX {
            return None;
        }
        let mid = self.next();
        self.take(mid);
        Some(mid)
    }

    /// Like [`Self::reserve`], for a published message.
    pub fn reserve_for_message(&mut self) -> Option<u16> {
        if u16::MAX - self.count <= ASIDE { None } else { self.reserve() }
    }

    /// Whether an identifier is free.
    pub fn is_any_free(&self) -> bool {
        self.count < u16::MAX
    }

    /// How many are in use.
    pub fn in_use(&self) -> usize {
        usize::from(self.count)
    }

    /// Reserves a particular identifier. Returns whether it was free.
    pub fn take(&mut self, mid: u16) -> bool {
        // A branch, since rustc 1.95 (LLVM 22.1.2) at opt-level 2 and above loses `count += u16::from(..)`
        // where a loop calls this, and again if it returns false: see `tests/publishing/test_identifiers.py`.
        if self.in_use.contains(mid) {
            return false;
        }
        self.in_use.insert(mid);
        self.count += 1;
        true
    }

    /// Frees an identifier.
    pub fn release(&mut self, mid: u16) {
        if self.in_use.remove(mid) {
            self.count -= 1;
        }
    }
}

/// A set of packet identifiers of constant size: one bit each.
pub struct IdSet(Box<[u64; 1024]>);

/// Shows the non-zero words.
impl fmt::Debug for IdSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.0.iter().enumerate().filter(|(_, word)| **word != 0);
        formatter.debug_map().entries(words).finish()
    }
}

impl Default for IdSet {
    fn default() -> Self {
        Self(Box::new([0; 1024]))
    }
}

impl IdSet {
    fn place(mid: u16) -> (usize, u64) {
        (usize::from(mid / 64), 1 << (mid % 64))
    }

    /// Adds an identifier, and returns whether it is new.
    pub fn insert(&mut self, mid: u16) -> bool {
        let (word, bit) = Self::place(mid);
        let is_new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        is_new
    }

    /// The first identifier from `from` on that is not in the set.
    pub fn first_free(&self, from: u16) -> Option<u16> {
        let (mut word, bit) = Self::place(from);
        let mut taken = self.0[word] | (bit - 1);
        while taken == u64::MAX {
            word += 1;
            taken = *self.0.get(word)?;
        }
        u16::try_from(word * 64 + taken.trailing_ones() as usize).ok()
    }

    /// Whether an identifier is in it.
    pub fn contains(&self, mid: u16) -> bool {
        let (word, bit) = Self::place(mid);
        self.0[word] & bit != 0
    }

    /// Removes an identifier, and returns whether it was in the set.
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
        assert_eq!(ids.next(), 1);
        ids.last = u16::MAX;
        assert_eq!(ids.next(), 1);
    }

    #[test]
    fn an_identifier_in_use_is_skipped_until_it_is_released() {
        let mut ids = Ids::default();
        assert_eq!(ids.reserve(), Some(1));
        ids.last = u16::MAX;
        assert_eq!(ids.reserve(), Some(2));
        ids.release(1);
        ids.last = u16::MAX;
        assert_eq!(ids.next(), 1);
    }

    #[test]
    fn there_is_none_when_all_65535_are_in_use() {
        let mut ids = Ids::default();
        for _ in 0..u16::MAX {
            assert!(ids.reserve().is_some());
        }
        assert_eq!(ids.reserve(), None);
        assert!(!ids.is_any_free() && (1..=u16::MAX).contains(&ids.next()));
        ids.release(777);
        ids.release(777);
        assert_eq!((ids.reserve(), ids.reserve()), (Some(777), None));
    }

    #[test]
    fn messages_do_not_take_the_last_ones() {
        let mut ids = Ids::default();
        for _ in 0..u16::MAX - ASIDE {
            assert!(ids.reserve_for_message().is_some());
        }
        assert_eq!(ids.reserve_for_message(), None);
        for _ in 0..ASIDE {
            assert!(ids.reserve().is_some());
        }
        assert_eq!(ids.reserve(), None);
        (1..=ASIDE).for_each(|mid| ids.release(mid));
        assert_eq!(ids.reserve_for_message(), None);
        ids.release(1000);
        assert!(ids.reserve_for_message().is_some());
    }

    #[test]
    fn the_first_free_one_is_found_across_words_and_at_both_ends() {
        let mut set = IdSet::default();
        (1..=u16::MAX).filter(|mid| ![5, 64, u16::MAX].contains(mid)).for_each(|mid| {
            set.insert(mid);
        });
        for (from, found) in
            [(1, 5), (5, 5), (6, 64), (64, 64), (65, u16::MAX), (u16::MAX, u16::MAX)]
        {
            assert_eq!(set.first_free(from), Some(found), "{from}");
        }
        set.insert(u16::MAX);
        assert_eq!(set.first_free(65), None);
    }
}

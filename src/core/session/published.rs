//! Packet identifiers of written or acknowledged messages, stored as ranges: consecutive ones take
//! no more room, however many of them are pending for `on_publish`.

use std::collections::VecDeque;

/// Consecutive identifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    first: u16,
    count: u16,
}

impl Run {
    /// The identifier after the last one; `None` after 65,535, where a new run begins.
    fn next(self) -> Option<u16> {
        self.first.checked_add(self.count)
    }
}

/// Packet identifiers in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mids {
    /// The first run; usually the only one.
    run: Run,
    others: VecDeque<Run>,
}

impl From<u16> for Mids {
    fn from(mid: u16) -> Self {
        Self { run: Run { first: mid, count: 1 }, others: VecDeque::new() }
    }
}

impl Mids {
    /// Bytes of each run beyond the first one.
    pub const RUN: usize = size_of::<Run>();

    /// Adds an identifier at the end.
    pub fn push(&mut self, mid: u16) {
        self.add(Run { first: mid, count: 1 });
    }

    /// Adds identifiers at the end.
    pub fn append(&mut self, mids: &Self) {
        mids.runs().for_each(|run| self.add(run));
    }

    fn add(&mut self, run: Run) {
        let last = self.others.back_mut().unwrap_or(&mut self.run);
        if last.next() == Some(run.first) {
            last.count += run.count;
        } else {
            self.others.push_back(run);
        }
    }

    /// Keeps the first `most`, and returns the others, if any.
    pub fn split_off(&mut self, most: usize) -> Option<Self> {
        if self.others.is_empty() && usize::from(self.run.count) <= most {
            return None;
        }
        let (taken, left) = std::mem::replace(self, Self::from(1)).split(most);
        *self = taken;
        left
    }

    /// Removes up to `most` from the front, and returns them and the rest, if any.
    fn split(mut self, most: usize) -> (Self, Option<Self>) {
        let most = u16::try_from(most.max(1)).unwrap_or(u16::MAX);
        let mut taken = Self { run: self.run, others: VecDeque::new() };
        let mut room = most;
        while let Some(run) = self.shift(room) {
            if room == most {
                taken.run = run;
            } else {
                taken.others.push_back(run);
            }
            room -= run.count;
            if room == 0 {
                break;
            }
        }
        let left = (self.run.count > 0).then_some(self);
        (taken, left)
    }

    /// Removes up to `most` consecutive identifiers from the front; leaves an empty run when none
    /// are left.
    fn shift(&mut self, most: u16) -> Option<Run> {
        let Run { first, count } = self.run;
        let taken = Run { first, count: count.min(most) };
        self.run = if taken.count < count {
            Run { first: first + taken.count, count: count - taken.count }
        } else {
            self.others.pop_front().unwrap_or(Run { first: 0, count: 0 })
        };
        (taken.count > 0).then_some(taken)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.runs().map(|run| usize::from(run.count)).sum()
    }

    /// Bytes that they take in addition to the first run.
    pub fn size(&self) -> usize {
        self.others.len() * Self::RUN
    }

    /// The first identifier and the count, if there is only one run.
    pub fn range(&self) -> Option<(u16, u16)> {
        self.others.is_empty().then_some((self.run.first, self.run.count))
    }

    /// Each one.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.runs().flat_map(|run| (0..run.count).map(move |place| run.first + place))
    }

    fn runs(&self) -> impl Iterator<Item = Run> + '_ {
        std::iter::once(self.run).chain(self.others.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn of(mids: impl IntoIterator<Item = u16>) -> Mids {
        let mut mids = mids.into_iter();
        let mut all = Mids::from(mids.next().unwrap());
        mids.for_each(|mid| all.append(&mid.into()));
        all
    }

    #[test]
    fn consecutive_ones_take_no_room_and_begin_again_after_the_last() {
        let all = of((1..=65_535).chain(1..=100));
        assert_eq!((all.count(), all.size()), (65_635, Mids::RUN));
        assert_eq!(all.range(), None);
        assert_eq!(of(7..10).range(), Some((7, 3)));
    }

    #[test]
    fn what_is_split_off_is_the_beginning() {
        let (taken, left) = of([1, 2, 3, 5, 6, 9]).split(4);
        assert_eq!(taken, of([1, 2, 3, 5]));
        let (taken, left) = left.unwrap().split(1);
        assert_eq!(taken, of([6]));
        assert_eq!(left.unwrap().split(usize::MAX), (of([9]), None));
    }

    proptest! {
        #[test]
        fn they_are_those_that_were_added(
            mids in prop::collection::vec(prop_oneof![1..20u16, 65_530..=65_535u16], 1..200),
            sizes in prop::collection::vec(1..30usize, 200),
        ) {
            let mut left = Some(of(mids.clone()));
            let mut seen = Vec::new();
            for size in sizes {
                let Some(all) = left.take() else { break };
                prop_assert_eq!(all.iter().count(), all.count());
                let (taken, rest) = all.split(size);
                prop_assert!(taken.count() == size || rest.is_none() && taken.count() < size);
                seen.extend(taken.iter());
                left = rest;
            }
            prop_assert_eq!(seen, mids);
        }
    }
}

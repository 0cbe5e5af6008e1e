//! A table indexed by packet identifier.

use std::fmt;

/// Identifiers per page. A page exists while it has a value.
const PAGE: usize = 256;

/// Values by packet identifier. Consecutive ones are neighbours in memory, and a lookup does not
/// search.
///
/// A hash table was slower: with 65,000 messages in flight, each new one has another place in
/// memory, or the table is now and then cleaned up for all of them at once.
pub struct ByMid<T> {
    pages: Vec<Option<Page<T>>>,
    count: usize,
}

struct Page<T> {
    values: Box<[Option<T>]>,
    count: usize,
}

impl<T> Page<T> {
    fn new() -> Self {
        Self { values: (0..PAGE).map(|_| None).collect(), count: 0 }
    }
}

impl<T> Default for ByMid<T> {
    fn default() -> Self {
        let pages = (0..=usize::from(u16::MAX) / PAGE).map(|_| None).collect();
        Self { pages, count: 0 }
    }
}

/// Formats it as a map.
impl<T: fmt::Debug> fmt::Debug for ByMid<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pages = self.pages.iter().enumerate();
        let pages = pages.filter_map(|(place, page)| Some((place * PAGE, page.as_ref()?)));
        let values = pages.flat_map(|(first, page)| {
            let values = page.values.iter().enumerate();
            values.filter_map(move |(place, value)| Some((first + place, value.as_ref()?)))
        });
        formatter.debug_map().entries(values).finish()
    }
}

impl<T> ByMid<T> {
    fn place(mid: u16) -> (usize, usize) {
        (usize::from(mid) / PAGE, usize::from(mid) % PAGE)
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.count
    }

    /// The value of an identifier.
    pub fn get(&self, mid: u16) -> Option<&T> {
        let (page, place) = Self::place(mid);
        self.pages[page].as_ref()?.values[place].as_ref()
    }

    /// The value of an identifier, mutable.
    pub fn get_mut(&mut self, mid: u16) -> Option<&mut T> {
        let (page, place) = Self::place(mid);
        self.pages[page].as_mut()?.values[place].as_mut()
    }

    /// Sets a value, and replaces a previous one.
    pub fn insert(&mut self, mid: u16, value: T) {
        let (page, place) = Self::place(mid);
        let page = self.pages[page].get_or_insert_with(Page::new);
        if page.values[place].replace(value).is_none() {
            page.count += 1;
            self.count += 1;
        }
    }

    /// Removes a value.
    pub fn remove(&mut self, mid: u16) -> Option<T> {
        let (number, place) = Self::place(mid);
        let page = self.pages[number].as_mut()?;
        let value = page.values[place].take()?;
        page.count -= 1;
        self.count -= 1;
        if page.count == 0 {
            self.pages[number] = None;
        }
        Some(value)
    }

    /// All values, ordered by identifier.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flatten().flat_map(|page| page.values.iter().flatten())
    }

    /// All values, mutable.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.pages.iter_mut().flatten().flat_map(|page| page.values.iter_mut().flatten())
    }

    /// Removes all values.
    pub fn drain(&mut self) -> impl Iterator<Item = T> {
        let pages = std::mem::take(self).pages.into_iter().flatten();
        pages.flat_map(|page| page.values.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map(
            changes in prop::collection::vec(
                (prop_oneof![0..3u16, 254..258u16, 65_534..=u16::MAX], any::<Option<u8>>()),
                0..200,
            ),
        ) {
            let (mut table, mut map) = (ByMid::default(), BTreeMap::new());
            for (mid, value) in changes {
                if let Some(value) = value {
                    table.insert(mid, value);
                    map.insert(mid, value);
                } else {
                    prop_assert_eq!(table.remove(mid), map.remove(&mid));
                }
                prop_assert_eq!(table.get(mid), map.get(&mid));
                prop_assert_eq!(table.get_mut(mid), map.get_mut(&mid));
                prop_assert_eq!(table.len(), map.len());
                prop_assert!(table.values().eq(map.values()));
                prop_assert!(table.values_mut().eq(map.values_mut()));
                prop_assert_eq!(format!("{table:?}"), format!("{map:?}"));
            }
            let mut other = ByMid::default();
            for (mid, value) in &map {
                other.insert(*mid, *value);
            }
            prop_assert!(other.drain().eq(map.values().copied()));
            prop_assert_eq!(other.len(), 0);
            for mid in map.keys() {
                table.remove(*mid);
            }
            prop_assert!(table.pages.iter().all(Option::is_none));
        }
    }
}

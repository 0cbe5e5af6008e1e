//! The identity of a state: a hash of its `Debug` text that ignores the order of a map.
//!
//! So every field of a session counts, including future ones, except those listed here. The session
//! needs no code for it.

use std::fmt::{Debug, Write};
use std::ops::Range;

/// Fields that do not affect what a session does next: counters, the clock, which stands still
/// here, and spare buffers.
const IGNORED: [(&str, &str); 5] = [
    ("Session", "options"),
    ("Session", "accepted_at"),
    ("Session", "keep_alive"),
    ("Output", "spare"),
    ("Effects", "counters"),
];

/// Byte positions of a connection. They matter only if a QoS 0 message ends at one.
const POSITIONS: [(&str, &str); 3] =
    [("Output", "encoded"), ("Output", "written"), ("Output", "progress")];

/// Hashes values, with a reused buffer.
pub struct Canonical {
    text: String,
    positions: bool,
}

impl Canonical {
    /// With `positions`, byte positions of a connection count.
    pub fn new(positions: bool) -> Self {
        Self { text: String::new(), positions }
    }

    /// The hash of a value.
    pub fn hash(&mut self, value: &impl Debug) -> u64 {
        self.text.clear();
        write!(self.text, "{value:?}\0").expect("a string takes everything");
        let mut reader = Reader { text: self.text.as_bytes(), at: 0, positions: self.positions };
        let hash = reader.value();
        assert_eq!(reader.at + 1, self.text.len(), "all of it is read");
        hash
    }
}

/// Adds to a hash.
pub fn mix(hash: u64, next: u64) -> u64 {
    let mixed = (hash ^ next).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ mixed >> 29
}

/// Parses a text that ends with a zero.
struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    positions: bool,
}

impl Reader<'_> {
    /// A name or a number, with a quoted text that may follow: `b"..."`.
    fn word(&mut self) -> u64 {
        let mut hash = 1;
        let mut at = self.at;
        loop {
            let byte = self.text[at];
            match byte {
                0 | b' ' | b',' | b':' | b'(' | b')' | b'[' | b']' | b'{' | b'}' => break,
                b'"' | b'\'' => {
                    let start = at;
                    at += 1;
                    while self.text[at] != byte {
                        at += if self.text[at] == b'\\' { 2 } else { 1 };
                    }
                    at += 1;
                    for byte in &self.text[start..at] {
                        hash = mix(hash, u64::from(*byte));
                    }
                    break;
                }
                _ => {
                    hash = (hash << 5 ^ hash >> 59 ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
                }
            }
            at += 1;
        }
        self.at = at;
        hash
    }

    fn value(&mut self) -> u64 {
        let start = self.at;
        let word = self.word();
        match self.text[self.at] {
            b'{' => self.sum(word),
            b' ' if self.text[self.at + 1] == b'{' => {
                let name = start..self.at;
                self.at += 1;
                self.fields(&name, word)
            }
            b'(' | b'[' => self.list(word),
            _ => word,
        }
    }

    /// `Name { field: value, .. }`
    fn fields(&mut self, name: &Range<usize>, mut hash: u64) -> u64 {
        self.at += 1;
        loop {
            match self.text[self.at] {
                b'}' => break,
                b',' | b' ' => self.at += 1,
                _ => {
                    let start = self.at;
                    let field = self.word();
                    if self.text[self.at] != b':' {
                        continue; // the two dots of a lock
                    }
                    let ignored = self.is_ignored(name, start..self.at);
                    self.at += 2;
                    if ignored {
                        self.skip();
                    } else {
                        hash = mix(mix(hash, field), self.value());
                    }
                }
            }
        }
        self.at += 1;
        hash
    }

    fn is_ignored(&self, name: &Range<usize>, field: Range<usize>) -> bool {
        let name = &self.text[name.clone()];
        if name != b"Session" && name != b"Output" && name != b"Effects" {
            return false;
        }
        let field = &self.text[field];
        let is_it =
            |known: &(&str, &str)| known.0.as_bytes() == name && known.1.as_bytes() == field;
        IGNORED.iter().any(is_it) || !self.positions && POSITIONS.iter().any(is_it)
    }

    /// Skips a value.
    fn skip(&mut self) {
        let mut depth = 0;
        loop {
            match self.text[self.at] {
                b'{' | b'(' | b'[' => depth += 1,
                b'}' | b')' | b']' | b',' if depth == 0 => break,
                b'}' | b')' | b']' => depth -= 1,
                b'"' => {
                    self.word();
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    /// `(value, value)` or `[value, value]`
    fn list(&mut self, mut hash: u64) -> u64 {
        self.at += 1;
        loop {
            match self.text[self.at] {
                b')' | b']' => break,
                b',' | b' ' => self.at += 1,
                _ => hash = mix(hash, self.value()),
            }
        }
        self.at += 1;
        hash
    }

    /// `{key: value, key: value}` or `{value, value}`, in any order.
    fn sum(&mut self, hash: u64) -> u64 {
        self.at += 1;
        let mut sum = 0_u64;
        loop {
            match self.text[self.at] {
                b'}' => break,
                b',' | b' ' => self.at += 1,
                _ => {
                    let mut entry = self.value();
                    if self.text[self.at] == b':' {
                        self.at += 2;
                        entry = mix(entry, self.value());
                    }
                    sum = sum.wrapping_add(mix(1, entry));
                }
            }
        }
        self.at += 1;
        mix(hash, sum)
    }
}

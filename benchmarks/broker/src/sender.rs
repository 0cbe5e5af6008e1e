//! Sends messages: as many as are taken, or one at a time at a steady rate.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::arguments::Arguments;
use super::connection::Link;
use super::packets;

/// Bytes of a block that is sent at once at full speed.
const BLOCK: usize = 256 * 1024;

/// A thread that sleeps wakes so much late, so the last of a pause is waited for busily.
const LATE: Duration = Duration::from_micros(100);

/// Messages in turn, encoded beforehand.
struct Messages {
    bytes: Vec<u8>,
    /// Of each message: where it ends, and where its identifier and its payload are.
    places: Vec<[usize; 3]>,
}

impl Messages {
    /// At least as many as there are topics, and bytes in a block where that is so many messages.
    fn new(arguments: &Arguments, version: u8) -> Self {
        let payload = vec![b'x'; arguments.size];
        let most = usize::try_from(arguments.window / 4).unwrap_or(usize::MAX).max(1);
        let mut this = Self { bytes: Vec::new(), places: Vec::new() };
        let enough = |this: &Self| {
            this.places.len().is_multiple_of(arguments.topics)
                && (this.bytes.len() >= BLOCK || arguments.qos > 0 && this.places.len() >= most)
        };
        while this.places.is_empty() || !enough(&this) {
            let topic = format!("bench/{}", this.places.len() % arguments.topics);
            let (whole, identifier, start) =
                packets::publish(&topic, &payload, arguments.qos, version);
            let base = this.bytes.len();
            this.bytes.extend(whole);
            this.places.push([this.bytes.len(), base + identifier, base + start]);
        }
        this
    }

    /// The messages from one to another, with new identifiers or with the time.
    fn fresh(&mut self, from: usize, to: usize, first: u64, arguments: &Arguments) -> &[u8] {
        for (number, place) in (first..).zip(&self.places[from..to]) {
            if arguments.qos > 0 {
                let mid = u16::try_from(number % 65_535 + 1).unwrap_or(1).to_be_bytes();
                self.bytes[place[1]..place[1] + 2].copy_from_slice(&mid);
            }
            if arguments.stamp {
                self.bytes[place[2]..place[2] + 8].copy_from_slice(&nanoseconds().to_be_bytes());
            }
        }
        let start = from.checked_sub(1).map_or(0, |before| self.places[before][0]);
        &self.bytes[start..self.places[to - 1][0]]
    }
}

fn nanoseconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or_default()
}

/// Sends until the connection ends, or it is told to stop.
pub fn run(link: &Link, arguments: &Arguments, version: u8, goes_on: &AtomicBool) {
    // An error is the end of the connection, which the thread that reads notices too.
    let _ = if arguments.rate == 0 {
        flood(link, arguments, version, goes_on)
    } else {
        pace(link, arguments, version, goes_on)
    };
}

fn flood(link: &Link, arguments: &Arguments, version: u8, goes_on: &AtomicBool) -> io::Result<()> {
    let mut messages = Messages::new(arguments, version);
    let count = messages.places.len();
    let in_block = if arguments.qos == 0 {
        count
    } else {
        count.min(usize::try_from(arguments.window / 4).unwrap_or(usize::MAX).max(1))
    };
    let (mut sent, mut next) = (0_u64, 0);
    while goes_on.load(Ordering::Relaxed) {
        let to = count.min(next + in_block);
        let some = (to - next) as u64;
        if arguments.qos > 0 && !link.wait_for_room(sent + some, arguments.window) {
            return Ok(());
        }
        link.send(messages.fresh(next, to, sent, arguments))?;
        sent += some;
        next = to % count;
    }
    Ok(())
}

/// One message in each write, at the moment when it is due.
fn pace(link: &Link, arguments: &Arguments, version: u8, goes_on: &AtomicBool) -> io::Result<()> {
    let mut messages = Messages::new(arguments, version);
    let count = messages.places.len() as u64;
    let period = 1_000_000_000 / arguments.rate;
    let start = Instant::now();
    for number in 0_u64.. {
        if !goes_on.load(Ordering::Relaxed) {
            break;
        }
        if arguments.qos > 0 && !link.wait_for_room(number + 1, arguments.window) {
            return Ok(());
        }
        wait_until(start + Duration::from_nanos(period * number), arguments.gentle);
        let place = usize::try_from(number % count).unwrap_or_default();
        link.send(messages.fresh(place, place + 1, number, arguments))?;
    }
    Ok(())
}

fn wait_until(due: Instant, gentle: bool) {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        if gentle {
            thread::sleep(left);
        } else if let Some(early) = left.checked_sub(LATE) {
            thread::sleep(early);
        } else {
            std::hint::spin_loop();
        }
    }
}

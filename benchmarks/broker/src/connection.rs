//! A connection: one thread reads and answers, another one sends messages.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::READ;
use super::arguments::{Arguments, Role};
use super::packets::{self, kind};
use super::sender;

/// What both threads of a connection share.
pub struct Link {
    /// Guards the writing of whole packets.
    stream: Mutex<TcpStream>,
    /// Messages that were acknowledged in full, and whether the connection has ended.
    progress: Mutex<(u64, bool)>,
    changed: Condvar,
}

impl Link {
    /// Writes whole packets.
    pub fn send(&self, bytes: &[u8]) -> io::Result<()> {
        lock(&self.stream).write_all(bytes)
    }

    /// Waits until no more than `most` of the `sent` messages are on their way; false at the end.
    pub fn wait_for_room(&self, sent: u64, most: u64) -> bool {
        let full =
            |progress: &mut (u64, bool)| !progress.1 && sent.saturating_sub(progress.0) > most;
        let progress = self.changed.wait_while(lock(&self.progress), full);
        !progress.unwrap_or_else(PoisonError::into_inner).1
    }

    fn acknowledged(&self, count: u64, ended: bool) {
        if count > 0 || ended {
            let mut progress = lock(&self.progress);
            *progress = (progress.0 + count, progress.1 || ended);
            self.changed.notify_all();
        }
    }
}

/// A connection, before it is used.
pub struct Connection {
    reading: TcpStream,
    link: Arc<Link>,
    arguments: Arguments,
    version: u8,
    sending: bool,
    /// What tells the thread that sends to go on, while there is one.
    sender: Option<Arc<AtomicBool>>,
}

impl Connection {
    /// A connection over a stream.
    pub fn new(stream: TcpStream, arguments: &Arguments) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let link = Link {
            stream: Mutex::new(stream.try_clone()?),
            progress: Mutex::default(),
            changed: Condvar::new(),
        };
        let arguments = arguments.clone();
        let link = Arc::new(link);
        Ok(Self { reading: stream, link, arguments, version: 4, sending: false, sender: None })
    }

    /// Writes whole packets.
    pub fn send(&self, bytes: &[u8]) -> io::Result<()> {
        self.link.send(bytes)
    }

    /// Reads and answers until the other side ends the connection.
    pub fn run(mut self) {
        // An error is the end as well: the client may just close its socket.
        let _ = self.read();
        self.link.acknowledged(0, true);
    }

    fn read(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; READ];
        let (mut filled, mut answers) = (0, Vec::new());
        loop {
            if filled == buffer.len() {
                buffer.resize(2 * filled, 0);
            }
            let count = self.reading.read(&mut buffer[filled..])?;
            if count == 0 {
                return Ok(());
            }
            filled += count;
            let (mut start, mut acknowledged, mut goes_on) = (0, 0, true);
            while goes_on && let Some((body, total)) = packets::frame(&buffer[start..filled]) {
                let whole = &buffer[start..start + total];
                goes_on = self.answer(whole, body, &mut answers, &mut acknowledged);
                start += total;
            }
            buffer.copy_within(start..filled, 0);
            filled -= start;
            if !answers.is_empty() {
                self.link.send(&answers)?;
                answers.clear();
            }
            self.link.acknowledged(acknowledged, false);
            if !goes_on {
                return Ok(());
            }
            self.begin_sending();
        }
    }

    /// Adds what answers a packet; false for a DISCONNECT.
    fn answer(
        &mut self,
        whole: &[u8],
        at: usize,
        out: &mut Vec<u8>,
        acknowledged: &mut u64,
    ) -> bool {
        let body = &whole[at..];
        let identifier =
            [body.first().copied(), body.get(1).copied()].map(Option::unwrap_or_default);
        let mut acknowledge = |first: u8, mid: [u8; 2]| out.extend([first, 2, mid[0], mid[1]]);
        match whole[0] >> 4 {
            kind::PUBLISH => {
                let mid = packets::publish_identifier(body).unwrap_or_default();
                match whole[0] >> 1 & 3 {
                    0 if self.arguments.echo => out.extend_from_slice(whole),
                    0 => {}
                    1 => acknowledge(kind::PUBACK << 4, mid),
                    _ => acknowledge(kind::PUBREC << 4, mid),
                }
            }
            kind::PUBREL => acknowledge(kind::PUBCOMP << 4, identifier),
            kind::PUBREC => acknowledge(kind::PUBREL << 4 | 2, identifier),
            kind::PUBACK | kind::PUBCOMP => *acknowledged += 1,
            kind::PINGREQ => out.extend([0xd0, 0]),
            kind::CONNECT => {
                self.version = body.get(6).copied().unwrap_or(4);
                let properties: &[u8] = if self.version == 5 { &[0, 0, 0] } else { &[0, 0] };
                out.extend(packets::packet(kind::CONNACK << 4, properties));
            }
            kind::CONNACK => self.sending = self.arguments.role == Role::Feed,
            kind::SUBSCRIBE => {
                out.extend(self.granted(body, identifier));
                self.sending = self.arguments.send;
            }
            kind::UNSUBSCRIBE => {
                self.stop_sending();
                acknowledge(0xb0, identifier);
            }
            kind::DISCONNECT => return false,
            _ => {}
        }
        true
    }

    /// The SUBACK, which grants what is asked for.
    fn granted(&self, body: &[u8], identifier: [u8; 2]) -> Vec<u8> {
        let mut answer = identifier.to_vec();
        let mut at = 2;
        if self.version == 5 {
            answer.push(0);
            at += 1 + body.get(2).map_or(0, |length| usize::from(*length));
        }
        while let Some(length) = body.get(at..at + 2) {
            at += 2 + usize::from(u16::from_be_bytes([length[0], length[1]]));
            answer.push(body.get(at).map_or(0, |options| options & 3));
            at += 1;
        }
        packets::packet(0x90, &answer)
    }

    /// Starts the other thread with the first SUBSCRIBE, when that is answered.
    fn begin_sending(&mut self) {
        if std::mem::take(&mut self.sending) && self.arguments.send && self.sender.is_none() {
            let goes_on = Arc::new(AtomicBool::new(true));
            self.sender = Some(goes_on.clone());
            let (link, arguments, version) =
                (self.link.clone(), self.arguments.clone(), self.version);
            thread::spawn(move || sender::run(&link, &arguments, version, &goes_on));
        }
    }

    /// Ends it, until the next SUBSCRIBE.
    fn stop_sending(&mut self) {
        if let Some(goes_on) = self.sender.take() {
            goes_on.store(false, Ordering::Relaxed);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! An open connection: reads, decodes, writes, and ends.

mod gathering;
mod parting;

use std::collections::VecDeque;
use std::hint;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use self::gathering::{Arrival, Awaits, Gathering};
use super::super::error::Error;
use super::super::inbox::Bound;
use super::super::options::ConnectOptions;
use super::super::packet::{Incoming, decode, detach, missing};
use super::super::shared::Shared;
use super::super::transport::Stream;
use super::diagnosis::look_at;
use super::pause::Pause;

const READ_SIZE: usize = 64 * 1024;

/// Room that is made for a large packet before most of it has come, in bytes.
const AT_ONCE: usize = 1024 * 1024;

/// The memory that is allocated once so that more than that is kept when it is freed: see
/// [`keep_freed_memory`].
const KEPT: usize = 16 * 1024 * 1024;

/// The largest packet to read before the CONNACK, in bytes after the fixed header.
const LARGEST_CONNACK: usize = 1024 * 1024;

/// An open connection.
pub struct Link {
    reader: ReadHalf<Box<dyn Stream>>,
    writer: WriteHalf<Box<dyn Stream>>,
    shared: Arc<Shared>,
    options: Arc<ConnectOptions>,
    /// Whether the broker has sent any bytes, and whether it has sent a whole packet.
    heard: bool,
    answered: bool,
    /// Reading pauses while too much is pending for the handlers.
    pub pause: Pause,
    /// Delays reading of messages, and of acknowledgements: only one of them at a time.
    messages: Gathering,
    acknowledgements: Gathering,
    /// The window of messages in flight, if so many are queued that acknowledgements are gathered.
    window: Option<usize>,
    input: BytesMut,
    /// Decoded packets, more than could be delivered at once.
    packets: VecDeque<Incoming>,
    output: BytesMut,
    /// Whether written data may still be in a buffer of TLS or of a websocket.
    unflushed: bool,
    leaving: Option<Leaving>,
}

/// The connection is ending: it reads in any case.
struct Leaving {
    /// The deadline for writing everything.
    until: Instant,
    /// Whether messages are dropped from now on, because one found no room.
    dropping: bool,
}

impl Link {
    /// Creates a connection that was opened with these options.
    pub fn new(stream: Box<dyn Stream>, shared: Arc<Shared>, options: Arc<ConnectOptions>) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        let input = BytesMut::new();
        let output = BytesMut::new();
        let gathering = || Gathering::new(options.gather_time, Instant::now());
        let (messages, acknowledgements) = (gathering(), gathering());
        Self {
            reader,
            writer,
            shared,
            options,
            heard: false,
            answered: false,
            pause: Pause::default(),
            messages,
            acknowledgements,
            window: None,
            input,
            packets: VecDeque::new(),
            output,
            unflushed: false,
            leaving: None,
        }
    }

    /// Reads and writes until something fails.
    pub async fn serve(&mut self) -> Error {
        loop {
            if let Err(error) = self.step().await {
                return error;
            }
        }
    }

    async fn step(&mut self) -> Result<(), Error> {
        let (full, calm_at) = self.shared.inbox.look();
        // The CONNACK is read even if the handlers of earlier messages are slow.
        let full = full.filter(|_| self.answered);
        let (wanted, is_full) = (full.is_none(), full.is_some());
        let (deadline, clogged, gather) = self.shared.with_session(|session| {
            let now = Instant::now();
            if self.output.is_empty() && session.take_output(&mut self.output) {
                self.messages.sent(now);
            }
            let clogged = session.is_clogged();
            let bound = full.or_else(|| clogged.then_some(Bound::Answers));
            let bound = match &mut self.leaving {
                Some(leaving) => {
                    leaving.dropping |= bound.is_some();
                    None
                }
                None => bound,
            };
            self.pause.update(bound, session, &self.options);
            let gathers = self.output.is_empty()
                && self.packets.is_empty()
                && !(self.unflushed || self.leaving.is_some() || is_full || clogged);
            self.window = session.backlogged_window();
            let gather = match self.window {
                _ if !gathers => None,
                Some(_) => self.acknowledgements.left(now),
                None if session.is_waiting() => None,
                None => self.messages.left(now),
            };
            self.shared.set_gathering(gather.is_some());
            (session.deadline(), clogged, gather)
        });
        if let Some(time) = gather {
            // Blocks the thread, which has nothing else to do: tokio's timer has a resolution of
            // only a millisecond.
            self.shared.interruption.wait(Some(time));
            return Ok(());
        }
        let leaving = self.leaving.is_some();
        let (wanted, clogged) = (wanted || leaving, clogged && !leaving);
        let told = self.pause.deadline();
        if is_full {
            // A handler may be waiting for room that will not come now.
            self.shared.room.give();
        }
        if wanted && !self.packets.is_empty() {
            return self.shared.received(0, &mut self.packets, Instant::now());
        }
        let most = self.make_room();
        let mut input = (&mut self.input).limit(most);
        tokio::select! {
            count = self.reader.read_buf(&mut input), if wanted && !clogged => self.read(count?),
            count = put(&mut self.writer, &self.output), if self.unflushed || !self.output.is_empty() => {
                let count = count?;
                self.unflushed = count > 0;
                if count > 0 {
                    self.output.advance(count);
                    self.shared.wrote(count);
                }
                Ok(())
            }
            () = self.shared.outgoing.notified(), if self.output.is_empty() => Ok(()),
            () = self.shared.inbox.room(), if is_full => Ok(()),
            () = sleep_until(calm_at) => {
                self.shared.inbox.end_dropping(false);
                Ok(())
            }
            () = sleep_until(deadline) => self.tick(wanted, clogged).await,
            () = sleep_until(told), if told.is_some() => Ok(()),
        }
    }

    /// Makes room for what is read next, and returns how many bytes that may be.
    ///
    /// A large packet gets a buffer of its own size, and is read up to its end: what comes after it
    /// would have to be copied, because the payload keeps the buffer.
    fn make_room(&mut self) -> usize {
        let missing = missing(&self.input);
        if missing < READ_SIZE / 4 {
            let room = if self.input.is_empty() { READ_SIZE } else { 0 };
            self.input.reserve(room + READ_SIZE / 4);
            return usize::MAX;
        }
        keep_freed_memory();
        // More than that is not for a packet that may never be complete.
        let room = missing.min(self.input.len().max(AT_ONCE));
        self.input.reserve(room);
        room
    }

    /// Does what is due. If the whole process was suspended, a response may be unread: it is read
    /// before the broker is judged.
    async fn tick(&mut self, wanted: bool, clogged: bool) -> Result<(), Error> {
        let unread = tokio::select! {
            biased;
            count = self.reader.read_buf(&mut self.input), if wanted && !clogged => Some(count?),
            () = std::future::ready(()) => None,
        };
        if let Some(count) = unread {
            self.read(count)?;
        }
        self.shared.with_session(|session| session.tick(Instant::now(), wanted))
    }

    /// Decodes the bytes read, and passes all packets to the session in one call.
    fn read(&mut self, count: usize) -> Result<(), Error> {
        if count == 0 {
            return Err(Error::Closed);
        }
        let now = Instant::now();
        if !self.heard {
            look_at(&self.input, &self.options)?;
            self.heard = true;
        }
        let decoded = self.decode();
        let (messages, acknowledgements) = self.arrivals(count);
        self.messages.arrived(messages, now);
        self.acknowledgements.arrived(acknowledgements, now);
        if self.leaving.as_ref().is_some_and(|leaving| leaving.dropping) {
            // Dropped messages are not acknowledged, so the broker sends those of QoS 1 and 2
            // again.
            self.packets.retain(|packet| !packet.brings_message());
        }
        detach(&mut self.packets);
        self.shared.received(count, &mut self.packets, now)?;
        decoded
    }

    /// Summarises a read of `bytes` bytes: its messages, and its acknowledgements.
    fn arrivals(&self, bytes: usize) -> (Arrival, Arrival) {
        let mut messages = Arrival { bytes, ..Arrival::default() };
        let awaits = Awaits::Messages { window: self.window.unwrap_or_default() };
        let mut acknowledgements = Arrival { awaits, bytes, ..Arrival::default() };
        for packet in &self.packets {
            if packet.brings_message() {
                messages.packets += 1;
                if packet.is_acknowledged() {
                    messages.awaits = Awaits::Acknowledgements;
                }
            } else if packet.acknowledges() {
                acknowledgements.packets += 1;
            }
        }
        (messages, acknowledgements)
    }

    /// Decodes all complete packets.
    fn decode(&mut self) -> Result<(), Error> {
        let (protocol, mut limit) = (self.options.protocol, self.options.packet_size());
        loop {
            if !self.answered {
                limit = limit.min(LARGEST_CONNACK);
            }
            let Some(packet) = decode(protocol, &mut self.input, limit)? else { return Ok(()) };
            self.answered = true;
            limit = self.options.packet_size();
            self.packets.push_back(packet);
        }
    }
}

/// Has glibc keep the memory of large messages for the next ones: it gives memory back to the system
/// above a threshold that grows with the largest block that was freed (mallopt(3)). Otherwise it
/// does so after every few messages of 64 KiB, and page faults take half of their time.
fn keep_freed_memory() {
    static IS_DONE: AtomicBool = AtomicBool::new(false);
    if IS_DONE.swap(true, Ordering::Relaxed) {
        return;
    }
    drop(hint::black_box(Vec::<u8>::with_capacity(KEPT)));
}

/// Writes the pending bytes, or flushes if there are none; returns the number of bytes written.
async fn put(writer: &mut WriteHalf<Box<dyn Stream>>, output: &[u8]) -> io::Result<usize> {
    if output.is_empty() {
        return writer.flush().await.map(|()| 0);
    }
    writer.write(output).await
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

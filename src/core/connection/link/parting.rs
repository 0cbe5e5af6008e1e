//! The intended end of a connection: it sends all accepted messages, then DISCONNECT as the last
//! packet, and waits for the broker to close.

use std::io;
use std::time::{Duration, Instant};

use bytes::Buf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{timeout, timeout_at};

use super::super::super::property::Properties;
use super::super::super::session::Session;
use super::{Leaving, Link, READ_SIZE, put};

/// A broker that takes and acknowledges nothing for so long is not waited for any longer.
const STALLED: Duration = Duration::from_millis(300);

/// How long a broker that is slower than that may take to get everything, up to the DISCONNECT.
const WRITING: Duration = Duration::from_secs(5);

/// A broker closes the connection when it has read the DISCONNECT (MQTT 3.1.1, section 3.14.4). One that
/// is silent for so long and has not is told that nothing follows: some wait for that. It comes this late
/// because many a proxy drops what the broker still says as soon as it reads the end of one direction,
/// and resets the connection to the broker then.
const SILENT: Duration = Duration::from_millis(200);

/// How long it may be silent after that.
const SILENT_STILL: Duration = Duration::from_millis(400);

/// How long, and how many bytes, a broker may go on after the DISCONNECT.
const CLOSING: Duration = Duration::from_millis(1500);
const MOST_DISCARDED: usize = 64 * 1024 * 1024;

/// What came first.
enum Turn {
    Wrote(io::Result<usize>),
    /// Whether there may be more.
    Read(bool),
}

impl Link {
    /// Goes on until everything that was accepted is acknowledged, if the broker is soon enough. What is
    /// published from now on is for the next connection.
    pub async fn drain(&mut self) {
        let end = self.leave();
        self.shared.with_session(Session::finish);
        let mut left = self.left();
        let mut stalled_at = Instant::now() + STALLED;
        while left.0 > 0 {
            let step = timeout_at(stalled_at.min(end).into(), self.step());
            let Ok(Ok(())) = step.await else { return };
            let before = std::mem::replace(&mut left, self.left());
            if left != before {
                stalled_at = Instant::now() + STALLED;
            }
        }
    }

    /// Tells a broker what it did wrong, and returns whether that is out. Before the CONNACK nothing is
    /// said.
    pub async fn complain(&mut self, code: u8) -> bool {
        let connected = self.shared.with_session(|session| {
            let connected = session.is_connected();
            if connected {
                session.set_disconnect(code, Properties::default());
            }
            connected
        });
        connected && self.disconnect(true).await
    }

    /// Until when everything is to be written.
    fn leave(&mut self) -> Instant {
        let begin = || Leaving { until: Instant::now() + WRITING, dropping: false };
        self.leaving.get_or_insert_with(begin).until
    }

    /// Messages that are to be acknowledged, and bytes that went out.
    fn left(&self) -> (usize, u64) {
        self.shared.with_session(|session| (session.leaving(), session.written()))
    }

    /// Writes what is left, and a DISCONNECT after it, and returns whether that is out. Meanwhile what
    /// comes is read and discarded: a broker may not read before it could write. `logged` is for
    /// `on_log`.
    pub async fn disconnect(&mut self, logged: bool) -> bool {
        let end = self.leave();
        self.shared.with_session(|session| {
            // Encoding a DISCONNECT cannot fail: it has nothing that is too long.
            let _ = session.disconnect(logged);
        });
        let mut reading = true;
        let mut stalled_at = Instant::now() + STALLED;
        loop {
            if self.output.is_empty() {
                self.shared.with_session(|session| session.take_output(&mut self.output));
            }
            if self.output.is_empty() && !self.unflushed {
                return true;
            }
            self.input.clear();
            self.input.reserve(READ_SIZE / 4);
            let turn = async {
                tokio::select! {
                    count = put(&mut self.writer, &self.output) => Turn::Wrote(count),
                    count = self.reader.read_buf(&mut self.input), if reading => {
                        Turn::Read(count.is_ok_and(|count| count > 0))
                    }
                }
            };
            match timeout_at(stalled_at.min(end).into(), turn).await {
                Ok(Turn::Wrote(Ok(count))) => {
                    self.unflushed = count > 0;
                    self.output.advance(count);
                    self.shared.wrote(count);
                    stalled_at = Instant::now() + STALLED;
                }
                Ok(Turn::Read(more)) => reading = more,
                Ok(Turn::Wrote(Err(_))) | Err(_) => return false,
            }
        }
    }

    /// Waits until the broker has closed the connection, and discards what it still says: to close with
    /// bytes unread would reset the connection, and the broker would lose what it has not read, the
    /// DISCONNECT included.
    pub async fn linger(mut self) {
        let end = Instant::now() + CLOSING;
        let mut left = MOST_DISCARDED;
        let closed = self.discard(SILENT, end, &mut left).await;
        // Where the broker has closed, TLS and websockets may have a last word still.
        let _ = timeout(SILENT, self.writer.shutdown()).await;
        if !closed {
            self.discard(SILENT_STILL, end, &mut left).await;
        }
    }

    /// Reads until the broker closes, is silent for so long, or one of the bounds is reached. Returns
    /// whether it has closed.
    async fn discard(&mut self, silence: Duration, end: Instant, left: &mut usize) -> bool {
        while *left > 0 {
            self.input.clear();
            self.input.reserve(READ_SIZE);
            let until = end.min(Instant::now() + silence);
            match timeout_at(until.into(), self.reader.read_buf(&mut self.input)).await {
                Ok(Ok(0) | Err(_)) => return true,
                Ok(Ok(count)) => *left = left.saturating_sub(count),
                Err(_) => return false,
            }
        }
        false
    }
}

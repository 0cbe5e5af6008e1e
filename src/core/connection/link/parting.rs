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

/// The wait for a broker ends when it has accepted and acknowledged nothing for this long.
const STALLED: Duration = Duration::from_millis(300);

/// The time limit for sending everything up to the DISCONNECT to a slow broker.
const WRITING: Duration = Duration::from_secs(5);

/// A broker closes the connection when it has read the DISCONNECT (MQTT 3.1.1, section 3.14.4). If
/// one stays silent for this long instead, we close our direction, because some brokers wait for
/// that. We do not do it earlier: once a proxy reads the end of one direction, it often drops the
/// broker's remaining data and resets the connection to the broker.
const SILENT: Duration = Duration::from_millis(200);

/// How much longer it may stay silent after that.
const SILENT_STILL: Duration = Duration::from_millis(400);

/// How long, and with how many bytes, a broker may continue after the DISCONNECT.
const CLOSING: Duration = Duration::from_millis(1500);
const MOST_DISCARDED: usize = 64 * 1024 * 1024;

/// The first thing to happen.
enum Turn {
    Wrote(io::Result<usize>),
    /// Whether more data may follow.
    Read(bool),
}

impl Link {
    /// Waits until every accepted message is acknowledged, within the time limits. Messages
    /// published from now on are for the next connection.
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

    /// Sends the broker the reason code of its error, and returns whether that is written. Before
    /// the CONNACK it sends nothing.
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

    /// Starts to end the connection, and returns the deadline for writing.
    fn leave(&mut self) -> Instant {
        let begin = || Leaving { until: Instant::now() + WRITING, dropping: false };
        self.leaving.get_or_insert_with(begin).until
    }

    /// How many messages are still unacknowledged, and how many bytes were written.
    fn left(&self) -> (usize, u64) {
        self.shared.with_session(|session| (session.leaving(), session.written()))
    }

    /// Writes the remaining data and then a DISCONNECT, and returns whether all is written.
    /// Meanwhile it reads and discards incoming data: some brokers read nothing until they can
    /// write. `logged` is for `on_log`.
    pub async fn disconnect(&mut self, logged: bool) -> bool {
        let end = self.leave();
        self.shared.with_session(|session| {
            // Encoding this DISCONNECT cannot fail: none of its fields can be too long.
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

    /// Waits until the broker has closed the connection, and discards remaining input. Closing with
    /// unread bytes would reset the connection, and the broker would lose all unread packets,
    /// including the DISCONNECT.
    pub async fn linger(mut self) {
        let end = Instant::now() + CLOSING;
        let mut left = MOST_DISCARDED;
        let closed = self.discard(SILENT, end, &mut left).await;
        // After the broker closed, TLS and websockets may still send a closing message.
        let _ = timeout(SILENT, self.writer.shutdown()).await;
        if !closed {
            self.discard(SILENT_STILL, end, &mut left).await;
        }
    }

    /// Reads until the broker closes, is silent for `silence`, or a limit is reached. Returns
    /// whether it closed.
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

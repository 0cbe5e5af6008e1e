//! The I/O thread: connects, reads, writes, reconnects, stops. It never touches Python.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use super::error::{Error, ReturnCode};
use super::failure::Failure;
use super::inbox::Bound;
use super::options::{ConnectOptions, Protocol};
use super::packet::{Incoming, decode, detach};
use super::pause::Pause;
use super::property::Properties;
use super::session::{Backoff, Event, LogLevel};
use super::shared::Shared;
use super::task::{First, Stop, Task};
use super::transport::{Stream, open};
use super::unanswered::{explain, look_at};

const READ_SIZE: usize = 64 * 1024;

/// Bytes after its fixed header of the largest packet that is read before the broker is known.
const LARGEST_CONNACK: usize = 1024 * 1024;

/// How long a DISCONNECT may take to get out.
const FAREWELL: Duration = Duration::from_millis(300);

/// The CONNACK code for a client identifier that the broker does not want.
const IDENTIFIER_REJECTED: u8 = 2;

/// Runs until a stop is wanted, or until there is no connection any more where none is to be made again.
pub async fn run(mut task: Task) {
    let mut backoff = Backoff::default();
    let mut first = task.first != First::Automatic;
    // What came of the brokers that were tried since the last delay.
    let mut failures = Vec::new();
    task.ensure_client_id();
    loop {
        let (failure, accepted) = match attempt(&mut task, first).await {
            Attempt::Stopped => return,
            Attempt::Failed(error) => (error, false),
            Attempt::Ended { error, accepted } => {
                first = false;
                (error, accepted)
            }
        };
        if matches!(failure, Error::Refused(IDENTIFIER_REJECTED))
            && task.options.client_id.is_empty()
        {
            task.choose_client_id();
        }
        let told = Failure::new(&task.options, &failure, accepted);
        let error = told.text.clone();
        task.shared.with_session(|session| session.counters().failed(error, accepted));
        if accepted {
            // This broker is the first one to be tried again.
            backoff.reset();
            failures.clear();
        } else {
            task.configure(|options| options.brokers.rotate_left(1));
            failures.push(failure);
            if failures.len() < task.options.brokers.len() {
                let next = task.options.broker().address();
                let notice = told.notice(&format!("trying {next} next"));
                task.notice(notice.with("next_broker", next).with("delay", Duration::ZERO));
                continue;
            }
            if first {
                let result = Err(only_or_all(std::mem::take(&mut failures)));
                if task.first == First::Reported {
                    // Who waits is woken when the thread has ended.
                    task.opened.settle(result);
                    return;
                }
                task.opened.finish(result);
                first = false;
            }
            failures.clear();
        }
        if !task.options.reconnect_on_failure {
            let key = task.options.key("RECONNECT_ON_FAILURE");
            let reason = format!("{key} is off, so there is no other attempt");
            task.notice(told.last_notice(&reason));
            return;
        }
        if !pause(&mut task, &mut backoff, &told).await {
            return;
        }
    }
}

/// Says what happened and waits before the next attempt. Returns false when the connection is to end.
async fn pause(task: &mut Task, backoff: &mut Backoff, told: &Failure) -> bool {
    let (shortest, longest) = (task.options.reconnect_delay_min, task.options.reconnect_delay_max);
    let delay = backoff.next(shortest, longest, fastrand::f64());
    let (next, seconds) = (task.options.broker().address(), delay.as_secs_f64());
    let notice = told.notice(&format!("next attempt to reach {next} in {seconds:.1} s"));
    task.notice(notice.with("next_broker", next).with("delay", delay));
    tokio::select! {
        () = tokio::time::sleep(delay) => true,
        _ = task.stop.wait_for(|stop| *stop != Stop::No) => false,
    }
}

/// One error for all brokers.
fn only_or_all(mut failures: Vec<Error>) -> Error {
    match failures.pop() {
        Some(only) if failures.is_empty() => only,
        last => {
            failures.extend(last);
            Error::Brokers(failures)
        }
    }
}

enum Attempt {
    Stopped,
    Failed(Error),
    Ended { error: Error, accepted: bool },
}

async fn attempt(task: &mut Task, first: bool) -> Attempt {
    // Who calls `connect` and waits has said everything with its options.
    let may_go_on = first || spare(task).await && task.ask().await;
    if !may_go_on {
        return Attempt::Stopped;
    }
    let until = Instant::now() + task.options.connect_timeout;
    let stream = tokio::select! {
        stream = open(&task.options, task.options.broker(), until) => stream,
        _ = task.stop.wait_for(|stop| *stop != Stop::No) => return Attempt::Stopped,
    };
    match stream {
        Ok(stream) => {
            task.shared.with_session(|session| session.opened(Instant::now(), until));
            if first {
                task.opened.finish(Ok(()));
            }
            serve(task, stream).await
        }
        Err(error) => {
            if !first {
                task.shared.with_session(|session| session.report(Event::ConnectFailed));
            }
            Attempt::Failed(error)
        }
    }
}

/// Waits until there is room for what another connection would tell, should the handlers have left so
/// much lying about. Returns false when the connection is to end.
async fn spare(task: &mut Task) -> bool {
    let shared = task.shared.clone();
    tokio::select! {
        () = shared.inbox.spare() => true,
        _ = task.stop.wait_for(|stop| *stop != Stop::No) => false,
    }
}

/// Reads and writes until the connection fails or a stop is wanted.
async fn serve(task: &mut Task, stream: Box<dyn Stream>) -> Attempt {
    let mut link = Link::new(stream, task.shared.clone(), task.options.clone());
    let end = tokio::select! {
        error = link.serve() => Err(error),
        stop = task.stop.wait_for(|stop| *stop != Stop::No) => Ok(stop.map_or(Stop::Silent, |stop| *stop)),
    };
    task.shared.inbox.end_dropping(true);
    match end {
        Err(error) => {
            link.complain(&error).await;
            let accepted = task.shared.with_session(|session| {
                let accepted = session.is_connected();
                link.pause.end(session);
                session.lost();
                session.report_end(error.return_code());
                accepted
            });
            task.shared.room.give();
            let error = if accepted { error } else { explain(error, &task.options) };
            Attempt::Ended { error, accepted }
        }
        Ok(stop) => {
            // What was accepted goes out first, if the broker takes it soon enough.
            let _ = tokio::time::timeout(FAREWELL, link.drain()).await;
            link.say_goodbye(stop).await;
            task.shared.with_session(|session| {
                link.pause.end(session);
                if stop == Stop::Replaced && session.is_connected() {
                    session.report(replaced(&task.options));
                    session.report(Event::Replaced);
                }
                session.lost();
                if stop == Stop::Reported {
                    session.report_end(ReturnCode::Success);
                }
            });
            task.shared.room.give();
            Attempt::Stopped
        }
    }
}

/// What the log is told of the end of a connection that `on_disconnect` does not hear of.
fn replaced(options: &ConnectOptions) -> Event {
    let broker = options.broker().address();
    let text = format!("Disconnected from {broker}: another connection takes its place");
    Event::notice(LogLevel::Info, "disconnected", text).with("broker", broker).with("rc", 0)
}

/// An open connection.
struct Link {
    reader: ReadHalf<Box<dyn Stream>>,
    writer: WriteHalf<Box<dyn Stream>>,
    shared: Arc<Shared>,
    options: Arc<ConnectOptions>,
    /// Whether the broker has sent anything, and a whole packet.
    heard: bool,
    answered: bool,
    /// While more waits for the handlers than may, nothing is read.
    pause: Pause,
    input: BytesMut,
    /// What was decoded, and is more than could be handed on at once.
    packets: VecDeque<Incoming>,
    output: BytesMut,
    /// Whether something written may wait in a buffer of TLS or of a websocket.
    unflushed: bool,
}

impl Link {
    fn new(stream: Box<dyn Stream>, shared: Arc<Shared>, options: Arc<ConnectOptions>) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        let input = BytesMut::with_capacity(READ_SIZE);
        let output = BytesMut::new();
        Self {
            reader,
            writer,
            shared,
            options,
            heard: false,
            answered: false,
            pause: Pause::default(),
            input,
            packets: VecDeque::new(),
            output,
            unflushed: false,
        }
    }

    /// Reads and writes until something fails.
    async fn serve(&mut self) -> Error {
        loop {
            if let Err(error) = self.step().await {
                return error;
            }
        }
    }

    async fn step(&mut self) -> Result<(), Error> {
        let (full, calm_at) = self.shared.inbox.look();
        // The CONNACK is waited for, however slow the handlers of earlier messages are.
        let full = full.filter(|_| self.answered);
        let (wanted, is_full) = (full.is_none(), full.is_some());
        let (deadline, clogged) = self.shared.with_session(|session| {
            if self.output.is_empty() {
                session.take_output(&mut self.output);
            }
            let clogged = session.is_clogged();
            let bound = full.or_else(|| clogged.then_some(Bound::Answers));
            self.pause.update(bound, session, &self.options);
            (session.deadline(), clogged)
        });
        let told = self.pause.deadline();
        if is_full {
            // A handler may wait for room that will not come now.
            self.shared.room.give();
        }
        if wanted && !self.packets.is_empty() {
            return self.shared.received(0, &mut self.packets, Instant::now());
        }
        self.input.reserve(READ_SIZE / 4);
        tokio::select! {
            count = self.reader.read_buf(&mut self.input), if wanted && !clogged => self.read(count?),
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

    /// Does what is due. Where the whole process was held up, an answer may lie there unread: it
    /// counts before the broker is judged.
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

    /// Goes on until the broker has confirmed every message, or the connection fails.
    async fn drain(&mut self) {
        while self.shared.with_session(|session| session.has_unconfirmed()) {
            if self.step().await.is_err() {
                return;
            }
        }
    }

    /// Decodes what was read, and hands it to the session in one go.
    fn read(&mut self, count: usize) -> Result<(), Error> {
        if count == 0 {
            return Err(Error::Closed);
        }
        if !self.heard {
            look_at(&self.input, &self.options)?;
            self.heard = true;
        }
        let decoded = self.decode();
        detach(&mut self.packets);
        self.shared.received(count, &mut self.packets, Instant::now())?;
        decoded
    }

    /// Decodes all whole packets that were read.
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

    /// Tells a broker what it did wrong, where MQTT has words for it (MQTT 5.0, section 4.13).
    async fn complain(&mut self, error: &Error) {
        let Some(code) = error.reason_code().filter(|_| self.options.protocol == Protocol::V5)
        else {
            return;
        };
        // Before the CONNACK nothing is said, and a later good-bye must not say it instead.
        let connected = self.shared.with_session(|session| {
            let connected = session.is_connected();
            if connected {
                session.set_goodbye(code, Properties::default());
            }
            connected
        });
        if connected {
            self.say_goodbye(Stop::Reported).await;
        }
    }

    /// Writes all there is, and tells the session about each part: there may be no time for the next.
    async fn write_out(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            let count = self.writer.write(&self.output).await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.output.advance(count);
            self.shared.wrote(count);
        }
        Ok(())
    }

    /// Writes what is left, a DISCONNECT at its end, and closes, within a bounded time.
    async fn say_goodbye(&mut self, stop: Stop) {
        let farewell = async {
            self.shared.with_session(|session| {
                // Encoding a DISCONNECT cannot fail: it has nothing that is too long.
                let _ = session.disconnect(stop == Stop::Reported);
            });
            loop {
                self.write_out().await?;
                self.shared.with_session(|session| session.take_output(&mut self.output));
                if self.output.is_empty() {
                    return self.writer.shutdown().await;
                }
            }
        };
        // A broker that takes nothing any more gets no good-bye.
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
    }
}

/// Writes what there is, or flushes where there is nothing, and returns how much was written.
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

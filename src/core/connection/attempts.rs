//! The I/O thread's work: one attempt to connect after the other, and each connection until it
//! ends.

use std::time::{Duration, Instant};

use super::super::error::{Error, ReturnCode};
use super::super::options::{ConnectOptions, Protocol};
use super::super::session::{Event, LogLevel, Suspect};
use super::super::transport::{Stream, open};
use super::diagnosis::explain;
use super::failure::Failure;
use super::link::Link;
use super::task::{First, Stop, Task};

/// The CONNACK code for a rejected client identifier.
const IDENTIFIER_REJECTED: u8 = 2;

/// Runs until told to stop, or until there is no connection and none should be made.
pub async fn run(mut task: Task) {
    let mut first = task.first != First::Automatic;
    // A caller that waits for `connect` has just set the options, so they need no refresh.
    let mut asks = !first;
    // The errors of the brokers tried since the last delay.
    let mut failures = Vec::new();
    let mut is_new = true;
    task.ensure_client_id();
    match hold(&mut task).await {
        Hold::Stopped => return,
        Hold::Late => (first, asks) = (false, false),
        Hold::No => {}
    }
    loop {
        let result = attempt(&mut task, first, asks).await;
        asks = true;
        let (failure, accepted, suspect) = match result {
            Attempt::Stopped => return,
            Attempt::Failed(error) => (error, false, None),
            Attempt::Ended { error, accepted, proved, suspect } => {
                first = false;
                let suspect = task.shared.pace().ended(proved, suspect, Instant::now());
                (error, accepted, suspect)
            }
        };
        if matches!(failure, Error::Refused(IDENTIFIER_REJECTED))
            && task.options.client_id.is_empty()
        {
            task.choose_client_id();
        }
        is_new = is_new && !accepted;
        let mut told = Failure::new(&task.options, &failure, accepted, is_new);
        if let Some((suspect, times)) = suspect {
            told.blame(suspect, times);
        }
        let error = told.text.clone();
        task.shared.with_session(|session| session.counters().failed(error, accepted));
        if accepted {
            // The next attempt begins with this broker.
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
        }
        let delay = task.shared.pace().delay(&task.options, fastrand::f64(), Instant::now());
        if first {
            let result = Err(only_or_all(std::mem::take(&mut failures)));
            if task.first == First::Reported {
                // Waiting callers are woken when the thread has ended.
                task.opened.settle(result);
                return;
            }
            task.opened.finish(result);
            first = false;
        }
        failures.clear();
        if !task.options.reconnect_on_failure {
            let key = task.options.key("RECONNECT_ON_FAILURE");
            let reason = format!("{key} is off, so there is no other attempt");
            task.notice(told.last_notice(&reason));
            return;
        }
        let (next, seconds) = (task.options.broker().address(), delay.as_secs_f64());
        let notice = told.notice(&format!("next attempt to reach {next} in {seconds:.1} s"));
        task.notice(notice.with("next_broker", next).with("delay", delay));
        if !wait(&mut task, delay).await {
            return;
        }
    }
}

/// Whether the first attempt must be delayed.
enum Hold {
    No,
    /// It was delayed, and nobody waits for it any more.
    Late,
    Stopped,
}

/// Delays the first attempt if previous connections ended so early that this one could be part of
/// an endless loop. A handler's `connect` is not blocked: it returns success, and the attempt
/// follows.
async fn hold(task: &mut Task) -> Hold {
    let now = Instant::now();
    if !task.by_handler {
        let delay = task.shared.pace().for_others(now).unwrap_or_default();
        return if wait(task, delay).await { Hold::No } else { Hold::Stopped };
    }
    let delay = task.shared.pace().for_handler(&task.options, fastrand::f64(), now);
    let Some(delay) = delay else { return Hold::No };
    let (next, seconds) = (task.options.broker().address(), delay.as_secs_f64());
    let text =
        format!("a handler wants to connect: next attempt to reach {next} in {seconds:.1} s");
    let notice = Event::notice(LogLevel::Info, "connect_delayed", text);
    task.notice(notice.with("next_broker", next).with("delay", delay));
    task.opened.finish(Ok(()));
    if wait(task, delay).await { Hold::Late } else { Hold::Stopped }
}

/// Waits; returns false if told to end meanwhile.
async fn wait(task: &mut Task, delay: Duration) -> bool {
    if delay.is_zero() {
        // The shortest sleep of tokio's timer is a millisecond.
        return *task.stop.borrow() == Stop::No;
    }
    tokio::select! {
        biased;
        _ = task.stop.wait_for(|stop| *stop != Stop::No) => false,
        () = tokio::time::sleep(delay) => true,
    }
}

/// Combines the errors of all brokers into one.
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
    Ended { error: Error, accepted: bool, proved: bool, suspect: Option<Suspect> },
}

async fn attempt(task: &mut Task, first: bool, asks: bool) -> Attempt {
    let may_go_on = (first || spare(task).await) && (!asks || task.ask().await);
    if !may_go_on {
        return Attempt::Stopped;
    }
    let stream = tokio::select! {
        stream = open(&task.options, task.options.broker(), &task.shared.socket) => stream,
        _ = task.stop.wait_for(|stop| *stop != Stop::No) => {
            task.shared.socket.end();
            return Attempt::Stopped;
        }
    };
    match stream {
        Ok((stream, until)) => {
            let told = !first && task.shared.socket.is_wanted();
            task.shared.with_session(|session| {
                if told {
                    session.report(Event::SocketOpened);
                }
                session.opened(Instant::now(), until);
            });
            if first {
                task.opened.finish(Ok(()));
            }
            serve(task, stream).await
        }
        Err(error) => {
            task.shared.socket.end();
            if !first {
                task.shared.with_session(|session| session.report(Event::ConnectFailed));
            }
            Attempt::Failed(error)
        }
    }
}

/// Waits until the inbox has room for the events of another connection, in case the handlers are
/// far behind. Returns false if told to end meanwhile.
async fn spare(task: &mut Task) -> bool {
    let shared = task.shared.clone();
    tokio::select! {
        () = shared.inbox.spare() => true,
        _ = task.stop.wait_for(|stop| *stop != Stop::No) => false,
    }
}

/// Reads and writes until the connection fails or a stop is requested.
async fn serve(task: &mut Task, stream: Box<dyn Stream>) -> Attempt {
    let mut link = Link::new(stream, task.shared.clone(), task.options.clone());
    let end = tokio::select! {
        error = link.serve() => Err(error),
        stop = task.stop.wait_for(|stop| *stop != Stop::No) => Ok(stop.map_or(Stop::Silent, |stop| *stop)),
    };
    task.shared.inbox.end_dropping(true);
    task.shared.socket.retire();
    let attempt = match end {
        Err(error) => fail(task, link, error).await,
        Ok(stop) => {
            part(task, link, stop).await;
            Attempt::Stopped
        }
    };
    task.shared.socket.end();
    attempt
}

/// Ends a failed connection. With MQTT 5, a DISCONNECT tells the broker about its protocol error
/// (MQTT 5.0, section 4.13).
async fn fail(task: &Task, mut link: Link, error: Error) -> Attempt {
    let (accepted, proved, suspect) = {
        let session = task.shared.lock();
        let (accepted, proved) = (session.is_connected(), session.has_proved(Instant::now()));
        (accepted, proved, session.suspect().filter(|_| accepted && !proved))
    };
    let code = error.reason_code().filter(|_| task.options.protocol == Protocol::V5);
    let told = match code {
        Some(code) => link.complain(code).await,
        None => false,
    };
    task.shared.with_session(|session| {
        link.pause.end(session);
        session.lost();
        session.report_end(error.return_code());
    });
    task.shared.room.give();
    if told {
        link.linger().await;
    }
    let error = if accepted { error } else { explain(error, &task.options) };
    Attempt::Ended { error, accepted, proved, suspect }
}

/// Ends a connection on request.
async fn part(task: &Task, mut link: Link, stop: Stop) {
    link.drain().await;
    let (accepted, proved) = {
        let session = task.shared.lock();
        (session.is_connected(), session.has_proved(Instant::now()))
    };
    if !proved {
        task.shared.pace().cut_short();
    }
    let disconnected = link.disconnect(stop == Stop::Reported).await;
    task.shared.with_session(|session| {
        link.pause.end(session);
        if stop == Stop::Replaced && accepted {
            session.report(replaced(&task.options));
            session.report(Event::Replaced);
        }
        session.lost();
        if stop == Stop::Reported {
            session.report_end(ReturnCode::Success);
        }
        if stop != Stop::Replaced {
            session.release();
        }
    });
    task.shared.room.give();
    if disconnected {
        link.linger().await;
    }
}

/// The log record for an ended connection that `on_disconnect` is not called for.
fn replaced(options: &ConnectOptions) -> Event {
    let broker = options.broker().address();
    let text = format!("Disconnected from {broker}: another connection replaces it");
    Event::notice(LogLevel::Info, "disconnected", text).with("broker", broker).with("rc", 0)
}

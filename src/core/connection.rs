//! The I/O thread: connects, reads, writes, reconnects, stops. It never touches Python.

use std::time::{Duration, Instant};

use super::error::{Error, ReturnCode};
use super::failure::Failure;
use super::link::Link;
use super::options::{ConnectOptions, Protocol};
use super::session::{Backoff, Event, LogLevel};
use super::task::{First, Stop, Task};
use super::transport::{Stream, open};
use super::unanswered::explain;

/// The CONNACK code for a client identifier that the broker does not want.
const IDENTIFIER_REJECTED: u8 = 2;

/// Runs until a stop is wanted, or until there is no connection any more where none is to be made again.
pub async fn run(mut task: Task) {
    let mut backoff = Backoff::default();
    let mut first = task.first != First::Automatic;
    // What came of the brokers that were tried since the last delay.
    let mut failures = Vec::new();
    let mut is_new = true;
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
        is_new = is_new && !accepted;
        let told = Failure::new(&task.options, &failure, accepted, is_new);
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
        Err(error) => fail(task, link, error).await,
        Ok(stop) => {
            part(task, link, stop).await;
            Attempt::Stopped
        }
    }
}

/// Ends a connection that failed. A broker is told what it did wrong where MQTT has words for that
/// (MQTT 5.0, section 4.13).
async fn fail(task: &Task, mut link: Link, error: Error) -> Attempt {
    let accepted = task.shared.lock().is_connected();
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
    Attempt::Ended { error, accepted }
}

/// Ends a connection because that is wanted.
async fn part(task: &Task, mut link: Link, stop: Stop) {
    link.drain().await;
    let accepted = task.shared.lock().is_connected();
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

/// What the log is told of the end of a connection that `on_disconnect` does not hear of.
fn replaced(options: &ConnectOptions) -> Event {
    let broker = options.broker().address();
    let text = format!("Disconnected from {broker}: another connection takes its place");
    Event::notice(LogLevel::Info, "disconnected", text).with("broker", broker).with("rc", 0)
}

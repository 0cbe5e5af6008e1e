//! Pauses in reading: counts them, and logs the long ones.

use std::time::{Duration, Instant};

use super::super::inbox::Bound;
use super::super::options::ConnectOptions;
use super::super::session::{Event, LogLevel, Session};

/// When messages arrive faster than they are handled, reading pauses many times a second. Only
/// longer pauses are logged.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// The pause in reading of one connection, if any.
#[derive(Debug, Default)]
pub struct Pause {
    /// When it began, and what is full.
    current: Option<(Instant, Bound)>,
    told: bool,
}

impl Pause {
    /// Updates the limit that is reached. Reading is paused while there is one.
    pub fn update(&mut self, full: Option<Bound>, session: &mut Session, options: &ConnectOptions) {
        match (full, self.current) {
            (None, None) => {}
            (Some(bound), None) => {
                let now = Instant::now();
                self.current = Some((now, bound));
                session.counters().pause(now);
            }
            (Some(_), Some((since, bound))) => {
                if !self.told && since.elapsed() >= WORTH_TELLING {
                    self.told = true;
                    session.report(paused(bound, options));
                }
            }
            (None, Some((since, bound))) => {
                if std::mem::take(&mut self.told) {
                    session.report(resumed(bound, since.elapsed(), options));
                }
                self.end(session);
            }
        }
    }

    /// Counts a pause that ended, perhaps with the connection.
    pub fn end(&mut self, session: &mut Session) {
        if self.current.take().is_some() {
            session.counters().resume(Instant::now());
        }
    }

    /// When to call [`Self::update`] again even if nothing happened.
    pub fn deadline(&self) -> Option<Instant> {
        let (since, _) = self.current.filter(|_| !self.told)?;
        Some(since + WORTH_TELLING)
    }
}

fn paused(bound: Bound, options: &ConnectOptions) -> Event {
    let text = format!("reading is paused: {}", reason(bound, options));
    Event::notice(LogLevel::Warning, "reading_paused", text).with("bound", name(bound))
}

fn resumed(bound: Bound, time: Duration, options: &ConnectOptions) -> Event {
    let (why, seconds) = (reason(bound, options), time.as_secs_f64());
    let text = format!("reading resumed after {seconds:.1} s; it was paused: {why}");
    let notice = Event::notice(LogLevel::Info, "reading_resumed", text);
    notice.with("bound", name(bound)).with("seconds", time)
}

fn reason(bound: Bound, options: &ConnectOptions) -> String {
    let key = match bound {
        Bound::Messages => "MAX_INCOMING_MESSAGES",
        Bound::Bytes => "MAX_INCOMING_BYTES",
        Bound::Reports => {
            return "the handlers are slow, and too many reports are queued".to_owned();
        }
        Bound::Answers => return "too many acknowledgements wait to be written".to_owned(),
    };
    format!("the handlers are slow, and {} is reached", options.key(key))
}

/// Its name in the fields of log records.
fn name(bound: Bound) -> &'static str {
    match bound {
        Bound::Messages => "messages",
        Bound::Bytes => "bytes",
        Bound::Reports => "reports",
        Bound::Answers => "answers",
    }
}

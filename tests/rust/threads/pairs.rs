//! Models of two threads each, small enough to try every order.

use std::collections::VecDeque;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use flask_mqtt_core::core::options::Limits;
use shuttle::future::block_on;
use shuttle::scheduler::DfsScheduler;
use shuttle::thread;
use shuttle::{Config, Runner};

use super::delivery::{Progress, State};
use super::inbox::Inbox;
use super::models::{event, is_readable, join, left};
use super::shared::Outcome;
use super::sync::atomic::{AtomicBool, Ordering};
use super::sync::{Arc, Mutex};
use super::wake::{Completions, Notifier, Signal, Waiter, Wakeup};

/// All of them.
pub const PAIRS: &[(&str, fn())] = &[
    ("a wait and its end", || {
        let waiter = Arc::new(Waiter::default());
        let thread = spawn(&waiter, Waiter::wake);
        assert!(waiter.wait(None));
        join([thread]);
    }),
    ("a wait's socket and its end", || {
        let waiter = Arc::new(Waiter::default());
        let thread = spawn(&waiter, Waiter::wake);
        let socket = UnixStream::from(waiter.descriptor().unwrap());
        join([thread]);
        assert!(is_readable(&socket));
    }),
    ("a signal and who registers, looks and waits", || {
        let shared = Arc::new((Signal::default(), AtomicBool::new(false)));
        let thread = spawn(&shared, |(signal, room)| {
            room.store(true, Ordering::SeqCst);
            signal.give();
        });
        let waiter = shared.0.waiter();
        assert!(shared.1.load(Ordering::SeqCst) || waiter.wait(None));
        join([thread]);
    }),
    ("the last signal and who waits for it", || {
        let signal = Arc::new(Signal::default());
        let thread = spawn(&signal, Signal::give_for_good);
        assert!(signal.waiter().wait(None) && signal.is_over());
        join([thread]);
    }),
    ("two wake-ups and who takes what there is", || {
        let shared = Arc::new((Wakeup::default(), Mutex::new(0)));
        let thread = spawn(&shared, |(wakeup, given)| {
            for _ in 0..2 {
                *given.lock().unwrap() += 1;
                wakeup.give();
            }
        });
        let mut taken = 0;
        while taken < 2 {
            assert!(shared.0.wait(None));
            taken += std::mem::take(&mut *shared.1.lock().unwrap());
        }
        join([thread]);
    }),
    ("a notification, the last one, and who stores what there is", || {
        let shared = Arc::new((Notifier::default(), Mutex::new(0)));
        let thread = spawn(&shared, |(notifier, noted)| {
            *noted.lock().unwrap() += 1;
            notifier.notify();
            notifier.finish();
        });
        let mut stored = 0;
        let mut ending = false;
        while !ending {
            ending = shared.0.wait(None);
            stored += std::mem::take(&mut *shared.1.lock().unwrap());
        }
        assert_eq!(stored, 1);
        join([thread]);
    }),
    ("a message and who waits for it", || {
        let progress = Progress::default();
        let delivery = progress.delivery();
        let thread = thread::spawn(move || progress.finish(None));
        assert!(delivery.waiter().wait(None));
        assert_eq!(delivery.state(), State::Published);
        join([thread]);
    }),
    ("a message that is lost and an event loop", || {
        let progress = Progress::default();
        let delivery = progress.delivery();
        let thread = thread::spawn(move || drop(progress));
        let completions = Arc::new(Completions::new().unwrap());
        let listens = delivery.listen(&completions, 7);
        join([thread]);
        assert_eq!(completions.take().len(), usize::from(listens));
        assert_eq!(delivery.state(), State::Lost);
    }),
    ("what is over and an event loop that takes it", || {
        let completions = Arc::new(Completions::new().unwrap());
        let thread = spawn(&completions, |completions| {
            completions.push(1);
            completions.push(2);
        });
        let mut taken = completions.take();
        join([thread]);
        taken.extend(left(&completions));
        assert_eq!(taken, [1, 2]);
    }),
    ("an attempt and who waits for it", || {
        let outcome = Arc::new(Outcome::default());
        let waiter = outcome.waiter();
        let thread = spawn(&outcome, |outcome| outcome.finish(Ok(())));
        assert!(waiter.wait(None) && outcome.take().is_some());
        join([thread]);
    }),
    ("a full inbox and who makes room", || {
        let inbox = Arc::new(Inbox::default());
        inbox.set_limits(&Limits { incoming_messages: 1, ..Limits::default() });
        inbox.extend(&mut VecDeque::from([event(1)]));
        let thread = spawn(&inbox, |inbox| {
            if inbox.is_full() {
                block_on(inbox.room());
            }
        });
        assert_eq!(inbox.take(512).0.len(), 1);
        join([thread]);
    }),
    ("an empty inbox and who waits for a message", || {
        let inbox = Arc::new(Inbox::default());
        let thread = spawn(&inbox, |inbox| inbox.extend(&mut VecDeque::from([event(1)])));
        let mut taken = 0;
        while taken < 1 {
            assert!(inbox.wakeup.wait(None));
            taken += inbox.take(512).0.len();
        }
        join([thread]);
    }),
];

/// Runs a model in all orders.
pub fn run(name: &str, model: fn()) {
    let start = Instant::now();
    let mut config = Config::new();
    config.silence_warnings = true;
    let orders = Runner::new(DfsScheduler::new(None, false), config).run(model);
    println!("threads {name:54} {orders:>8} orders, all {:4.1} s", start.elapsed().as_secs_f64());
}

fn spawn<T: Send + Sync + 'static>(shared: &Arc<T>, run: fn(&T)) -> thread::JoinHandle<()> {
    let shared = shared.clone();
    thread::spawn(move || run(&shared))
}

//! The invariants, in any order of the threads.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use flask_mqtt_core::core::options::{ConnectOptions, Limits};
use flask_mqtt_core::core::packet::{Incoming, Publish};
use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::session::{Event, Kept, Session};
use shuttle::future::block_on;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::thread;
use shuttle::{Config, MaxSteps, Runner};

use super::delivery::{Progress, State};
use super::inbox::Inbox;
use super::shared::{Outcome, Shared};
use super::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use super::sync::{Arc, Mutex};
use super::wake::{Completions, Notifier, Signal, Waiter, Wakeup};

/// In how many orders each model runs.
const ORDERS: usize = 1000;

/// Models of several threads, tried in some of the orders.
pub const MODELS: &[(&str, fn())] = &[
    ("a wait ends, at a condition or a socket", a_wait_ends),
    ("who waits for a signal is woken", a_signal_wakes),
    ("who waits for the last signal is woken", the_last_signal_wakes),
    ("the result of an attempt is there when its wait ends", an_outcome_is_there),
    ("what is handed over with a wake-up is taken", a_wakeup_is_not_lost),
    ("what is noted before a notifier is told is stored", a_notifier_is_heard),
    ("what becomes of a message is told once", a_delivery_is_told),
    ("a socket is readable while something is over", completions_are_readable),
    ("messages pass a full inbox in order", an_inbox_passes),
    ("a session that threads share comes to rest", a_session_is_shared),
];

/// Runs a model in many orders: half of them fully random, half with random priorities of the
/// threads.
pub fn run(name: &str, model: fn()) {
    let start = Instant::now();
    let seconds = std::env::var("MODEL_SECONDS").ok().map(|seconds| {
        Duration::from_secs(seconds.parse().expect("MODEL_SECONDS is a number of seconds"))
    });
    let mut orders = 0;
    while orders == 0 || seconds.is_some_and(|seconds| start.elapsed() < seconds) {
        let schedulers: [Box<dyn Scheduler + Send>; 2] = [
            Box::new(RandomScheduler::new(ORDERS / 2)),
            Box::new(PctScheduler::new(3, ORDERS / 2)),
        ];
        for scheduler in schedulers {
            let mut config = Config::new();
            config.max_steps = MaxSteps::FailAfter(100_000);
            // The warning is that shuttle treats every atomic as sequentially consistent; so do
            // these models.
            config.silence_warnings = true;
            orders += Runner::new(scheduler, config).run(model);
        }
    }
    println!("threads {name:54} {orders:>8} orders {:6.1} s", start.elapsed().as_secs_f64());
}

pub fn join<T>(threads: impl IntoIterator<Item = thread::JoinHandle<T>>) {
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Whether a byte or the end of the stream can be read.
pub fn is_readable(socket: &UnixStream) -> bool {
    socket.set_nonblocking(true).unwrap();
    match (&*socket).read(&mut [0; 64]) {
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::WouldBlock => false,
        Err(error) => panic!("{error}"),
    }
}

fn a_wait_ends() {
    let waiter = Arc::new(Waiter::default());
    let threads = [None, Some(Duration::from_secs(1))].map(|timeout| {
        let waiter = waiter.clone();
        thread::spawn(move || assert!(waiter.wait(timeout)))
    });
    let green = waiter.clone();
    let green = thread::spawn(move || UnixStream::from(green.descriptor().unwrap()));
    waiter.wake();
    join(threads);
    assert!(is_readable(&green.join().unwrap()), "a socket reads as closed");
}

/// Like a caller that waits for room: registers, checks, waits.
fn a_signal_wakes() {
    let signal = Arc::new(Signal::default());
    let room = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (1..=3)
        .map(|wanted| {
            let (signal, room) = (signal.clone(), room.clone());
            thread::spawn(move || {
                loop {
                    let waiter = signal.waiter();
                    if room.load(Ordering::SeqCst) >= wanted {
                        return;
                    }
                    assert!(waiter.wait(None));
                }
            })
        })
        .collect();
    for _ in 0..3 {
        room.fetch_add(1, Ordering::SeqCst);
        signal.give();
    }
    join(threads);
}

fn the_last_signal_wakes() {
    let signal = Arc::new(Signal::default());
    let threads = [(), ()].map(|()| {
        let signal = signal.clone();
        thread::spawn(move || {
            assert!(signal.waiter().wait(None));
            assert!(signal.is_over());
        })
    });
    signal.give_for_good();
    join(threads);
}

fn an_outcome_is_there() {
    let outcome = Arc::new(Outcome::default());
    let (told, waiter) = (outcome.clone(), outcome.waiter());
    let thread = thread::spawn(move || {
        told.finish(Ok(()));
        told.give_up();
    });
    waiter.wait(None);
    assert!(matches!(outcome.take(), Some(Ok(()))));
    thread.join().unwrap();
    assert!(outcome.waiter().wait(None), "nobody will say more");
}

/// Like the dispatcher: waits, takes everything, checks whether to stop.
fn a_wakeup_is_not_lost() {
    let wakeup = Arc::new(Wakeup::default());
    let queue = Arc::new(Mutex::new(Vec::new()));
    let stop = Arc::new(AtomicBool::new(false));
    let dispatcher = {
        let (wakeup, queue, stop) = (wakeup.clone(), queue.clone(), stop.clone());
        thread::spawn(move || {
            let mut taken = 0;
            while taken < 4 || !stop.load(Ordering::SeqCst) {
                assert!(wakeup.wait(None));
                taken += std::mem::take(&mut *queue.lock().unwrap()).len();
            }
        })
    };
    let threads = [(), ()].map(|()| {
        let (wakeup, queue) = (wakeup.clone(), queue.clone());
        thread::spawn(move || {
            for number in 0..2 {
                queue.lock().unwrap().push(number);
                wakeup.give();
            }
        })
    });
    stop.store(true, Ordering::SeqCst);
    wakeup.give();
    join(threads);
    dispatcher.join().unwrap();
}

/// Like the file's thread: waits, stores everything, ends.
fn a_notifier_is_heard() {
    let (notifier, journal) = (Arc::new(Notifier::default()), Arc::new(Mutex::new(0)));
    let writer = {
        let (notifier, journal) = (notifier.clone(), journal.clone());
        thread::spawn(move || {
            let mut stored = 0;
            loop {
                let ending = notifier.wait(None);
                stored += std::mem::take(&mut *journal.lock().unwrap());
                if ending {
                    return stored;
                }
            }
        })
    };
    let threads = [(), ()].map(|()| {
        let (notifier, journal) = (notifier.clone(), journal.clone());
        thread::spawn(move || {
            *journal.lock().unwrap() += 1;
            notifier.notify();
        })
    });
    join(threads);
    notifier.finish();
    assert_eq!(writer.join().unwrap(), 2);
}

fn a_delivery_is_told() {
    let progress = Progress::default();
    let (delivery, completions) = (progress.delivery(), Arc::new(Completions::new().unwrap()));
    let thread = {
        let delivery = delivery.clone();
        thread::spawn(move || {
            assert!(delivery.waiter().wait(None));
            assert_ne!(delivery.state(), State::Pending);
        })
    };
    let listener = {
        let (delivery, completions) = (delivery.clone(), completions.clone());
        thread::spawn(move || {
            let listens = delivery.listen(&completions, 1);
            if delivery.listen(&completions, 2) {
                delivery.forget(&completions, 2);
            }
            listens
        })
    };
    let session = thread::spawn(move || {
        progress.stored();
        progress.sent();
        // Dropped, as for a lost message, or reached.
        if shuttle::rand::Rng::r#gen(&mut shuttle::rand::thread_rng()) {
            progress.finish(None);
        }
    });
    session.join().unwrap();
    thread.join().unwrap();
    let listens = listener.join().unwrap();
    let over = completions.take();
    assert_eq!(over.iter().filter(|number| **number == 1).count(), usize::from(listens));
}

/// Like an event loop: waits until the socket is readable, and takes the list.
fn completions_are_readable() {
    let completions = Arc::new(Completions::new().unwrap());
    let threads = [1, 2].map(|number| {
        let completions = completions.clone();
        thread::spawn(move || {
            completions.push(number);
            completions.push(10 * number);
        })
    });
    let mut taken = completions.take();
    thread::yield_now();
    taken.extend(completions.take());
    join(threads);
    taken.extend(left(&completions));
    taken.sort_unstable();
    assert_eq!(taken, [1, 2, 10, 20]);
}

/// The ended waits that are left in the list. If there are any, the socket must be readable.
pub fn left(completions: &Completions) -> Vec<u64> {
    let descriptor = completions.descriptor().try_clone_to_owned().unwrap();
    let readable = is_readable(&UnixStream::from(descriptor));
    let left = completions.take();
    assert!(readable || left.is_empty(), "{left:?} are left, and nobody is told");
    left
}

pub fn event(number: u8) -> Event {
    let publish = Publish {
        topic: "t".to_owned(),
        payload: Bytes::copy_from_slice(&[number]),
        qos: Qos::AtMostOnce,
        retain: false,
        dup: false,
        mid: 0,
        properties: None,
    };
    Event::Message { publish, received: Instant::now(), receipt: None }
}

/// The I/O thread stops reading when the inbox is full, and resumes when there is room.
fn an_inbox_passes() {
    const MESSAGES: u8 = 6;
    let inbox = Arc::new(Inbox::default());
    inbox.set_limits(&Limits { incoming_messages: 2, ..Limits::example() });
    let dispatcher = {
        let inbox = inbox.clone();
        thread::spawn(move || {
            let mut taken = Vec::new();
            while taken.len() < usize::from(MESSAGES) {
                assert!(inbox.wakeup.wait(None));
                loop {
                    let (events, _) = inbox.take(1);
                    if events.is_empty() {
                        break;
                    }
                    for event in events {
                        let Event::Message { publish, .. } = event else { panic!("{event:?}") };
                        taken.push(publish.payload[0]);
                    }
                }
            }
            taken
        })
    };
    for number in 0..MESSAGES {
        if inbox.is_full() {
            block_on(inbox.room());
        }
        inbox.extend(&mut VecDeque::from([event(number)]));
    }
    assert_eq!(dispatcher.join().unwrap(), (0..MESSAGES).collect::<Vec<_>>());
}

/// Publishers that wait for room, the dispatcher, the I/O thread with its broker, and the file's
/// thread.
fn a_session_is_shared() {
    const EACH: u8 = 2;
    let mut options = ConnectOptions::new("broker", 1883);
    "me".clone_into(&mut options.client_id);
    // Room for two messages.
    options.limits.outgoing_bytes = 100;
    let mut session = Session::new(std::sync::Arc::new(options), Instant::now());
    session.set_reporting(true);
    session.keep(Kept { file: 1, opened: 1, client_id: "me".to_owned(), ..Kept::default() });
    let shared = Arc::new(Shared::new(session));
    let now = Instant::now();
    shared.with_session(|session| session.opened(now, now + Duration::from_secs(5)));
    let connack = Incoming::ConnAck { session_present: true, code: 0, properties: None };
    shared.received(4, &mut VecDeque::from([connack]), now).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let publishers = [0, EACH].map(|first| {
        let shared = shared.clone();
        thread::spawn(move || {
            for number in first..first + EACH {
                publish(&shared, number, Qos::AtLeastOnce);
                publish(&shared, number, Qos::AtMostOnce);
            }
        })
    });
    let file = {
        let shared = shared.clone();
        thread::spawn(move || {
            loop {
                let ending = shared.storage.wait(None);
                let (_, number) = shared.lock().take_journal();
                shared.stored(number);
                if ending {
                    return;
                }
            }
        })
    };
    let io = {
        let (shared, over) = (shared.clone(), over.clone());
        thread::spawn(move || broker(&shared, &over))
    };
    let mut reports = 0;
    while reports < 4 * usize::from(EACH) {
        assert!(shared.inbox.wakeup.wait(None));
        let (events, _) = shared.inbox.take(512);
        let published = |event: &&Event| matches!(event, Event::Published { .. });
        reports += events.iter().filter(published).map(Event::count).sum::<usize>();
        let _ = shared.stats();
    }
    join(publishers);
    over.store(true, Ordering::SeqCst);
    shared.outgoing.notify_one();
    io.join().unwrap();
    shared.storage.finish();
    file.join().unwrap();
    assert_eq!(shared.lock().outgoing_bytes(), 0);
    assert!(!shared.lock().has_journal());
}

fn publish(shared: &Shared, number: u8, qos: Qos) {
    loop {
        let room = shared.room.waiter();
        let result =
            shared.call(|session| session.publish("t", &[number], qos, false, None)).unwrap();
        if result.1 != 0 {
            return;
        }
        assert!(room.wait(None));
    }
}

/// Writes the output, and responds to it.
fn broker(shared: &Shared, over: &AtomicBool) {
    let now = Instant::now();
    let mut bytes = BytesMut::new();
    while !over.load(Ordering::SeqCst) {
        let written = shared.with_session(|session| {
            session.take_output(&mut bytes);
            bytes.len()
        });
        if written == 0 {
            block_on(shared.outgoing.notified());
            continue;
        }
        shared.wrote(written);
        // PUBLISH: type, length, length of the topic, topic, packet identifier, payload.
        let mut rest = &bytes[..];
        let mut answers = VecDeque::new();
        while let [first, length, ..] = *rest {
            let (packet, others) = rest.split_at(2 + usize::from(length));
            if first >> 4 == 3 && first & 6 != 0 {
                let mid = u16::from_be_bytes([packet[5], packet[6]]);
                answers.push_back(Incoming::PubAck(mid.into()));
            }
            rest = others;
        }
        shared.received(4, &mut answers, now).unwrap();
    }
}

//! Cases that no program can produce at will.
#![allow(clippy::unwrap_used)] // a test that fails is to panic

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::super::options::{Fsync, Limits, Persistence};
use super::super::session::Kept;
use super::super::store::Store;
use super::*;

#[test]
fn a_forked_child_lets_go_of_its_parents_client_without_a_lock() {
    let path = std::env::temp_dir().join(format!("mqtt-client-{}", std::process::id()));
    let persistence = Persistence { path: path.clone(), fsync: Fsync::Normal };
    let client = Client::new();
    let store = Store::open(&client.shared, &persistence, "persistence").unwrap();
    client.file.put(store.as_if_inherited());
    let shared = client.shared.clone();
    // Holds the lock as a thread would that the child does not have.
    let session = shared.lock();
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        drop(client);
        done.send(()).unwrap();
    });
    ended.recv_timeout(Duration::from_secs(10)).unwrap();
    drop(session);
    let _ = std::fs::remove_file(path);
}

fn limits() -> Limits {
    ConnectOptions::new("broker", 1883).limits
}

#[test]
fn a_call_comes_back_while_another_has_the_session_and_can_be_made_then() {
    let client = Client::new();
    let session = client.shared.lock();
    let Err(call) = client.try_session(Session::refuse_new) else { panic!("it was made") };
    drop(session);
    client.session(call);
    client.session(|session| session.limit(limits()));
    let publish = || client.publish("t", b"x", Qos::AtLeastOnce, false, None).unwrap().0;
    assert_eq!(publish(), ReturnCode::Errno);
    let call = client.publishing("t", b"x", Qos::AtMostOnce, false, None);
    let (code, ..) = client.try_session(call).ok().unwrap().unwrap();
    assert_eq!(code, ReturnCode::NoConnection);
}

#[test]
fn what_is_published_says_when_it_is_stored_only_where_there_is_a_file() {
    let client = Client::new();
    client.session(|session| session.limit(limits()));
    let publish = |qos| client.publish("t", b"x", qos, false, None).unwrap().3.is_some();
    assert!(!publish(Qos::AtLeastOnce));
    client.session(|session| session.keep(Kept::default()));
    assert_eq!((publish(Qos::AtMostOnce), publish(Qos::AtLeastOnce)), (false, true));
}

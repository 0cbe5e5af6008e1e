//! What no program can be made to do at will.
#![allow(clippy::unwrap_used)] // a test that fails is to panic

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::super::options::{Fsync, Persistence};
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
    // As a thread that the child does not have.
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

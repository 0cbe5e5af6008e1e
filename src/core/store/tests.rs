//! Files: what is restored from them, and which ones are refused.
#![allow(clippy::unwrap_used)] // a test that fails is to panic

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rusqlite::Connection;

use super::super::options::{ConnectOptions, Fsync, Persistence};
use super::super::packet::Publish;
use super::super::property::{Properties, Property, Value};
use super::super::qos::Qos;
use super::super::session::{Kept, KeptIncoming, KeptOutgoing, Operation, Session};
use super::super::shared::Shared;
use super::Store;
use super::database::{Database, Refusal};
use super::opened::inherit;

/// The path of a file; the file is removed when this is dropped.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let place = std::env::temp_dir().join(format!("mqtt-store-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&place);
        Self(place)
    }

    fn open(&self) -> Result<(Database, Kept), Refusal> {
        Database::open(&self.0, Fsync::Always)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Store {
    /// The same in a forked child.
    #[must_use]
    pub fn as_if_inherited(mut self) -> Self {
        self.process += 1;
        self
    }
}

fn publish(mid: u16, properties: Option<Properties>) -> Publish {
    Publish {
        topic: "höhe/t".to_owned(),
        payload: Bytes::from_static(b"\0\xff"),
        qos: Qos::ExactlyOnce,
        retain: true,
        dup: false,
        mid,
        properties,
    }
}

#[test]
fn who_waits_for_the_end_of_a_file_waits_for_a_bounded_time() {
    let place = Place::new("wait");
    let now = Instant::now();
    let session = Session::new(Arc::new(ConnectOptions::new("localhost", 1883)), now);
    let shared = Arc::new(Shared::new(session));
    let persistence = Persistence { path: place.0.clone(), fsync: Fsync::Normal };
    let mut store = Store::open(&shared, &persistence, "persistence").unwrap();
    shared.call(|session| session.opened(now, now));
    store.close();
    assert!(!store.wait(Duration::from_millis(10)), "there is a connection");
    shared.call(Session::lost);
    shared.storage.notify();
    assert!(store.wait(Duration::from_secs(10)));
}

#[test]
fn what_is_stored_comes_back_as_it_was_in_order() {
    let place = Place::new("back");
    let mut properties = Properties::default();
    properties.set(Property::UserProperty, Value::Pair("a".into(), "b".into())).unwrap();
    let (with, without) = (publish(1, Some(properties)), publish(65_535, None));
    let (mut database, kept) = place.open().unwrap();
    assert_eq!((kept.opened, kept.outgoing.len(), kept.incoming.len()), (1, 0, 0));
    let file = kept.file;
    database
        .apply(&[
            Operation::Put { order: 10, publish: without.clone() },
            Operation::Put { order: 9, publish: with.clone() },
            Operation::Put { order: 11, publish: with.clone() },
            Operation::Received { order: 1, publish: with.clone() },
            Operation::Forgotten,
            Operation::Received { order: 2, publish: without.clone() },
            Operation::Received { order: 3, publish: without.clone() },
        ])
        .unwrap();
    database
        .apply(&[
            Operation::Released { order: 10, released: true },
            Operation::Removed { order: 11 },
            Operation::Handled { order: 3 },
            Operation::Session { client_id: "me".to_owned() },
        ])
        .unwrap();
    database.close();
    let (_database, kept) = place.open().unwrap();
    let expected = Kept {
        file,
        opened: 2,
        client_id: "me".to_owned(),
        outgoing: vec![
            KeptOutgoing { order: 9, publish: with.clone(), released: false },
            KeptOutgoing { order: 10, publish: without.clone(), released: true },
        ],
        incoming: vec![
            KeptIncoming { order: 1, publish: with, forgotten: true },
            KeptIncoming { order: 2, publish: without, forgotten: false },
        ],
    };
    assert_eq!(kept, expected);
}

#[test]
fn changes_are_made_together_or_not_at_all() {
    let place = Place::new("together");
    let (mut database, _) = place.open().unwrap();
    let put = |order| Operation::Put { order, publish: publish(1, None) };
    database.apply(&[put(1)]).unwrap();
    assert!(database.apply(&[put(2), put(1)]).is_err(), "a number twice");
    database.apply(&[put(3)]).unwrap();
    database.close();
    let orders: Vec<_> =
        place.open().unwrap().1.outgoing.iter().map(|message| message.order).collect();
    assert_eq!(orders, [1, 3]);
}

#[test]
fn a_file_has_one_user_at_a_time() {
    let place = Place::new("one");
    let (database, _) = place.open().unwrap();
    let refusal = place.open().err().unwrap();
    assert!(refusal.reason.contains("another client of this one"), "{}", refusal.reason);
    database.close();
    assert!(place.open().is_ok());
}

#[test]
fn a_forked_child_opens_other_files_than_its_parent() {
    let (parents, own) = (Place::new("parents"), Place::new("own"));
    parents.open().unwrap().0.close();
    inherit(&parents.0);
    let refusal = parents.open().err().unwrap();
    assert!(refusal.reason.contains("had this file open"), "{}", refusal.reason);
    assert!(own.open().is_ok());
}

#[test]
fn a_file_of_a_later_version_is_refused() {
    let place = Place::new("later");
    place.open().unwrap().0.close();
    Connection::open(&place.0).unwrap().pragma_update(None, "user_version", 2).unwrap();
    let refusal = place.open().err().unwrap();
    assert!(refusal.reason.contains("a later version") && refusal.errno.is_none());
}

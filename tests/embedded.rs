//! What only the store and queue on one machine promise: a restart loses nothing, expired items
//! go, and nobody else gets in.

use std::sync::Arc;

use bytes::Bytes;
use shared::domain::clock::{Clock, Timestamp};
use shared::embedded::Engine;
use shared::queue::embedded::{EmbeddedQueues, QueueSettings};
use shared::queue::{Consumer, Outgoing, Producer};
use shared::store::embedded::EmbeddedTable;
use shared::store::table::{Condition, Item, Key, Table, Write, Written};

use crate::support::directory::Directory;
use crate::support::still::{START, StillClock};

fn open(directory: &Directory, clock: &Arc<StillClock>) -> (EmbeddedTable, EmbeddedQueues) {
    let engine = open_engine(directory);
    let clock: Arc<dyn Clock> = clock.clone();
    let queues = EmbeddedQueues::open(&engine, &clock, QueueSettings::default()).unwrap();
    (EmbeddedTable::new(engine), queues)
}

/// Unlike a process that died, one that was dropped may still be ending its last write.
fn open_engine(directory: &Directory) -> Engine {
    let mut refusal = String::new();
    for _ in 0..100_000 {
        match Engine::open(directory.path()) {
            Ok(engine) => return engine,
            Err(reason) => refusal = reason,
        }
        std::thread::yield_now();
    }
    panic!("{refusal}")
}

fn record(body: &str, delay_s: u32) -> Outgoing {
    Outgoing { body: body.to_owned(), group: "g".to_owned(), delay_s }
}

fn item(sk: &str, expires_at: Option<Timestamp>) -> Item {
    Item {
        key: Key { pk: "pk".to_owned(), sk: sk.to_owned() },
        by_time: None,
        due: None,
        expires_at,
        rev: 1,
        doc: "{}".to_owned(),
        body: Some(Bytes::from_static(b"body")),
    }
}

#[tokio::test]
async fn what_was_held_when_the_process_died_can_be_received_at_once() {
    let (directory, clock) = (Directory::new(), StillClock::new());
    let (table, queues) = open(&directory, &clock);
    let put = Write::Put(item("kept", None), Condition::AbsentAt(START));
    assert_eq!(table.write(put).await.unwrap(), Written::Done);
    let records = ["held", "waiting", "done"].map(|body| record(body, 0)).to_vec();
    queues.deliveries.send(records).await.unwrap();
    queues.retries.send(vec![record("later", 60)]).await.unwrap();
    let held = queues.deliveries.receive(1, 0).await.unwrap();
    assert_eq!(held[0].body, "held");
    queues.deliveries.receive(1, 0).await.unwrap();
    let done = queues.deliveries.receive(1, 0).await.unwrap();
    assert_eq!(done[0].body, "done");
    queues.deliveries.delete(&[done[0].receipt.clone()]).await.unwrap();
    // Whatever is written after it is on disk has it on disk as well.
    table.write(Write::Put(item("last", None), Condition::AbsentAt(START))).await.unwrap();
    drop((table, queues));

    let (table, queues) = open(&directory, &clock);
    assert!(table.get(&item("kept", None).key).await.unwrap().is_some());
    let mut again = queues.deliveries.receive(10, 0).await.unwrap();
    again.sort_by(|a, b| a.body.cmp(&b.body));
    let bodies: Vec<&str> = again.iter().map(|record| record.body.as_str()).collect();
    assert_eq!(bodies, ["held", "waiting"]);
    // It may have been received before, and whoever received it is dead.
    assert!(again.iter().all(|record| record.receive_count == 2));
    assert!(again.iter().all(|record| record.first_received_at == Timestamp(0)));
    assert!(queues.retries.receive(10, 0).await.unwrap().is_empty());
    clock.advance_ms(60_000);
    assert_eq!(queues.retries.receive(10, 0).await.unwrap()[0].body, "later");
}

#[tokio::test]
async fn a_record_that_kills_its_process_every_time_ends_in_the_dead_letters() {
    let (directory, clock) = (Directory::new(), StillClock::new());
    let (_, queues) = open(&directory, &clock);
    queues.deliveries.send(vec![record("killer", 0)]).await.unwrap();
    let mut receives = 0;
    let mut queues = Some(queues);
    for _ in 0..20 {
        let open_queues = match queues.take() {
            Some(queues) => queues,
            None => open(&directory, &clock).1,
        };
        if open_queues.deliveries.receive(1, 0).await.unwrap().is_empty() {
            let dead = open_queues.deliveries_dlq.receive(1, 20).await.unwrap();
            assert_eq!(dead[0].body, "killer");
            // The first receive of each process may not have been the record's first.
            assert!((4..=5).contains(&receives), "{receives}");
            return;
        }
        receives += 1;
        // So that the count is on disk before the process is gone.
        open_queues.retries.send(vec![record("flush", 0)]).await.unwrap();
    }
    panic!("it was received {receives} times");
}

#[tokio::test]
async fn a_second_process_is_kept_out_and_told_why() {
    let directory = Directory::new();
    let first = Engine::open(directory.path()).unwrap();
    let Err(reason) = Engine::open(directory.path()) else { panic!("it was let in") };
    assert!(reason.contains("another Posthorn is running"), "{reason}");
    drop(first);
    open_engine(&directory);
}

#[tokio::test]
async fn expired_items_go_however_many_walks_it_takes_and_the_others_stay() {
    let (directory, clock) = (Directory::new(), StillClock::new());
    let (table, _) = open(&directory, &clock);
    for number in 0..50 {
        let expires_at = (number % 2 == 0).then_some(START.plus_ms(60_000));
        let put = Write::Put(item(&format!("{number:02}"), expires_at), Condition::Always);
        table.write(put).await.unwrap();
    }
    let before = START.plus_ms(59_000);
    let after = START.plus_ms(61_000);
    for _ in 0..10 {
        assert_eq!(table.remove_expired(before, 7).await.unwrap(), 0);
    }
    let mut removed = 0;
    for _ in 0..20 {
        removed += table.remove_expired(after, 7).await.unwrap();
    }
    assert_eq!(removed, 25);
    let key = |sk: &str| item(sk, None).key;
    assert!(table.get(&key("00")).await.unwrap().is_none());
    assert!(table.get(&key("49")).await.unwrap().is_some());
}

#[cfg(unix)]
#[test]
fn a_new_directory_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;

    let scratch = Directory::new();
    let kept_in = scratch.path().join("kept");
    let _engine = Engine::open(&kept_in).unwrap();
    let mode = std::fs::metadata(&kept_in).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

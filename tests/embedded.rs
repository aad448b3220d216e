//! What only the store and queue on one machine promise: a restart loses nothing, expired items
//! go, and nobody else gets in.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use shared::domain::clock::{Clock, Timestamp};
use shared::embedded::{Engine, stand_back};
use shared::queue::embedded::{EmbeddedQueues, QueueSettings};
use shared::queue::{Consumer, MAX_BATCH, MAX_RECEIVES, Outgoing, Producer, VISIBILITY_S};
use shared::store::embedded::EmbeddedTable;
use shared::store::table::{Condition, Item, Key, Table, Write, Written};
use tokio::sync::mpsc::error::TryRecvError;

use crate::support::directory::Directory;
use crate::support::hold::hold;
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
    for _ in 0..MAX_RECEIVES + 2 {
        let open_queues = match queues.take() {
            Some(queues) => queues,
            None => open(&directory, &clock).1,
        };
        if open_queues.deliveries.receive(1, 0).await.unwrap().is_empty() {
            let dead = open_queues.deliveries_dlq.receive(1, 20).await.unwrap();
            assert_eq!(dead[0].body, "killer");
            // The first receive of each process may not have been the record's first.
            assert!((MAX_RECEIVES - 1..=MAX_RECEIVES).contains(&receives), "{receives}");
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
async fn expired_items_go_however_many_steps_it_takes_and_the_others_stay() {
    let (directory, clock) = (Directory::new(), StillClock::new());
    let (table, _) = open(&directory, &clock);
    for number in 0..50 {
        let expires_at = (number % 2 == 0).then_some(START.plus_ms(60_000));
        let put = Write::Put(item(&format!("{number:02}"), expires_at), Condition::Always);
        table.write(put).await.unwrap();
    }
    let before = START.plus_ms(59_000);
    let after = START.plus_ms(61_000);
    assert_eq!(table.remove_expired(before, 7).await.unwrap(), 0);
    for expected in [7, 7, 7, 4, 0] {
        assert_eq!(table.remove_expired(after, 7).await.unwrap(), expected);
    }
    let key = |sk: &str| item(sk, None).key;
    assert!(table.get(&key("00")).await.unwrap().is_none());
    assert!(table.get(&key("49")).await.unwrap().is_some());
}

/// Writes this many items at once, as many callers do.
async fn fill(table: &EmbeddedTable, names: &str, count: usize, expires_at: Timestamp) {
    let puts = (0..count).map(|number| {
        let item = item(&format!("{names}-{number}"), Some(expires_at));
        table.write(Write::Put(item, Condition::Always))
    });
    for written in join_all(puts).await {
        written.unwrap();
    }
}

fn rows(engine: &Engine) -> usize {
    let count = "SELECT count(*) FROM items";
    engine.read(|connection| connection.query_row(count, [], |row| row.get(0))).unwrap()
}

#[tokio::test]
async fn items_and_file_stay_bounded_however_much_comes_and_expires() {
    const EACH_SECOND: usize = 10_000;
    const KEPT_S: u64 = 2;
    let directory = Directory::new();
    let engine = open_engine(&directory);
    let table = EmbeddedTable::new(engine.clone());
    let mut pages = Vec::new();
    for second in 0..8 {
        let now = START.plus_ms(second * 1_000);
        let expires_at = now.plus_ms(KEPT_S * 1_000);
        fill(&table, &second.to_string(), EACH_SECOND, expires_at).await;
        table.remove_all_expired(now).await.unwrap();
        assert!(rows(&engine) <= EACH_SECOND * KEPT_S as usize, "{}", rows(&engine));
        let size: u64 = engine
            .read(|connection| connection.query_row("PRAGMA page_count", [], |row| row.get(0)))
            .unwrap();
        pages.push(size);
    }
    // What was deleted made room for what came after it.
    assert!(pages[7] * 10 <= pages[3] * 11, "{pages:?}");
    let last = START.plus_ms(60_000);
    assert_eq!(table.remove_all_expired(last).await.unwrap(), EACH_SECOND * KEPT_S as usize);
    assert_eq!(table.remove_all_expired(last).await.unwrap(), 0);
}

#[tokio::test]
async fn others_write_while_expired_items_are_removed() {
    let directory = Directory::new();
    let engine = open_engine(&directory);
    let table = EmbeddedTable::new(engine.clone());
    fill(&table, "old", 10_000, START).await;
    let write = async {
        let put = Write::Put(item("new", None), Condition::AbsentAt(START));
        assert_eq!(table.write(put).await.unwrap(), Written::Done);
        rows(&engine)
    };
    let (removed, left_when_written) = tokio::join!(table.remove_all_expired(START), write);
    assert_eq!(removed.unwrap(), 10_000);
    // One step, or two, and not all of them.
    assert!(left_when_written > 7_000, "{left_when_written}");
    assert_eq!(rows(&engine), 1);
}

#[tokio::test]
async fn a_file_from_before_finds_its_expired_items_as_well() {
    let directory = Directory::new();
    let engine = open_engine(&directory);
    engine.write(|connection| connection.execute("DROP INDEX items_expiry", [])).await.unwrap();
    let table = EmbeddedTable::new(engine.clone());
    fill(&table, "old", 10, START).await;
    drop((engine, table));

    let engine = open_engine(&directory);
    let plan: String = engine
        .read(|connection| {
            let explain = "EXPLAIN QUERY PLAN SELECT rowid FROM items \
                           WHERE expires_at <= 1 ORDER BY expires_at LIMIT 1";
            connection.query_row(explain, [], |row| row.get("detail"))
        })
        .unwrap();
    assert!(plan.contains("items_expiry"), "{plan}");
    let table = EmbeddedTable::new(engine);
    assert_eq!(table.remove_all_expired(START).await.unwrap(), 10);
}

#[tokio::test]
async fn a_write_that_fails_is_told_why_and_takes_no_other_with_it() {
    let directory = Directory::new();
    let engine = open_engine(&directory);
    let table = EmbeddedTable::new(engine.clone());
    let put = |sk: &str| table.write(Write::Put(item(sk, None), Condition::AbsentAt(START)));
    let release = hold(&engine);
    let half = engine.write(|connection| {
        connection.execute("DELETE FROM items", [])?;
        connection.execute("INSERT INTO nowhere VALUES (1)", [])
    });
    let panics = engine.write(|connection| {
        connection.execute("DELETE FROM items", [])?;
        connection.query_row("SELECT 1", [], |_| -> Result<(), _> { panic!("a fault of ours") })
    });
    let let_go = async move { drop(release) };
    let (first, half, second, panics, third, ()) =
        tokio::join!(put("1"), half, put("2"), panics, put("3"), let_go);
    for written in [first, second, third, put("4").await] {
        assert_eq!(written.unwrap(), Written::Done);
    }
    let half = half.expect_err("there is no such table").to_string();
    assert!(half.contains("no such table: nowhere"), "{half}");
    let panics = panics.expect_err("it panicked").to_string();
    assert!(panics.contains("panicked"), "{panics}");
    assert_eq!(rows(&engine), 4);
}

/// Sends jobs of these sizes while the writer is held; their sizes in the order in which they
/// were told that they are on disk.
async fn order_of(engine: &Engine, sizes: &[usize]) -> Vec<usize> {
    let release = hold(engine);
    let (told, mut order) = tokio::sync::mpsc::unbounded_channel();
    for &size in sizes {
        let told = told.clone();
        engine.submit(size, |_| Ok(()), move |_| told.send(size).unwrap()).unwrap();
    }
    drop((release, told));
    let mut sizes = Vec::new();
    while let Some(size) = order.recv().await {
        sizes.push(size);
    }
    sizes
}

#[tokio::test]
async fn small_writes_do_not_wait_behind_large_ones() {
    let directory = Directory::new();
    let engine = open_engine(&directory);
    let large = [250_000; 40];
    let sizes = order_of(&engine, &[&large[..], &[1]].concat()).await;
    assert_eq!(sizes.len(), 41);
    let before = sizes.iter().position(|&size| size == 1).unwrap();
    assert!(before <= 1, "{before} large ones were before it");
}

#[tokio::test]
async fn large_writes_get_their_turn_however_many_small_ones_there_are() {
    let directory = Directory::new();
    let engine = open_engine(&directory);
    let release = hold(&engine);
    let (told, mut order) = tokio::sync::mpsc::unbounded_channel();
    for size in [250_000, 100_000, 100_000] {
        let told = told.clone();
        engine.submit(size, |_| Ok(()), move |_| told.send(size).unwrap()).unwrap();
    }
    drop((release, told));
    let mut large = Vec::new();
    let mut before = write_many(&engine);
    // There is never a moment without small ones.
    for _ in 0..100_000 {
        let more = write_many(&engine);
        before.await;
        before = more;
        match order.try_recv() {
            Ok(size) => large.push(size),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => break,
        }
    }
    assert_eq!(large, [250_000, 100_000, 100_000]);
}

/// Sends a thousand small jobs, whether or not anybody waits for what this returns.
fn write_many(engine: &Engine) -> impl Future<Output = ()> {
    let (told, mut order) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..1_000 {
        let told = told.clone();
        engine.submit(1, |_| Ok(()), move |_| told.send(()).unwrap()).unwrap();
    }
    drop(told);
    async move { while order.recv().await.is_some() {} }
}

/// Each large one takes a while, and small ones come one after the other: they are to meet a writer
/// that is free, more often than not.
#[tokio::test]
async fn large_writes_rest_while_small_ones_come() {
    const LARGE: usize = 6;
    let directory = Directory::new();
    let engine = open_engine(&directory);
    let left = Arc::new(AtomicUsize::new(LARGE));
    engine.write(|_| Ok(())).await.unwrap();
    for _ in 0..LARGE {
        let left = left.clone();
        let slow = |_: &_| {
            std::thread::sleep(Duration::from_millis(20));
            Ok(())
        };
        engine
            .submit(250_000, slow, move |_| {
                let _ = left.fetch_sub(1, Relaxed);
            })
            .unwrap();
    }
    let mut small = 0;
    while left.load(Relaxed) > 0 {
        engine.write(|_| Ok(())).await.unwrap();
        small += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Without rest there is one between two of the large ones, or two.
    assert!(small > 3 * LARGE, "{small} small ones");
}

#[tokio::test]
async fn writes_of_a_thread_that_stands_back_go_behind_those_of_others_a_few_at_a_time() {
    let directory = Directory::new();
    let engine = open_engine(&directory);
    let (told, mut order) = tokio::sync::mpsc::unbounded_channel();
    let of_crowd = {
        let (engine, told) = (engine.clone(), told.clone());
        move || {
            stand_back();
            let release = hold(&engine);
            for _ in 0..20_000 {
                let told = told.clone();
                engine.submit(1, |_| Ok(()), move |_| told.send("crowd").unwrap()).unwrap();
            }
            release
        }
    };
    let release = std::thread::spawn(of_crowd).join().unwrap();
    engine.submit(1, |_| Ok(()), move |_| told.send("other").unwrap()).unwrap();
    drop(release);
    let mut told = Vec::new();
    while let Some(who) = order.recv().await {
        told.push(who);
    }
    assert_eq!(told.len(), 20_001);
    let before = told.iter().position(|&who| who == "other").unwrap();
    assert!((1..=128).contains(&before), "{before} of the crowd were before it");
}

#[tokio::test]
async fn the_log_is_folded_back_however_much_is_written() {
    let directory = Directory::new();
    let engine = open_engine(&directory);
    let table = EmbeddedTable::new(engine);
    // Six times what the log is to hold. It grows on while somebody copies from it.
    for round in 0..100 {
        let writes = (0..16).map(|number| {
            let body = Some(Bytes::from(vec![b'x'; 250_000]));
            let item = Item { body, ..item(&format!("{round}-{number}"), None) };
            table.write(Write::Put(item, Condition::AbsentAt(START)))
        });
        for written in join_all(writes).await {
            assert_eq!(written.unwrap(), Written::Done);
        }
    }
    let log = std::fs::metadata(directory.path().join("posthorn.db-wal")).unwrap().len();
    assert!(log < 200_000_000, "{log} bytes");
}

#[tokio::test]
async fn a_panic_of_who_is_told_does_not_end_the_writer() {
    let directory = Directory::new();
    let engine = open_engine(&directory);
    engine.submit(0, |_| Ok(()), |_| panic!("nobody hears this")).unwrap();
    let table = EmbeddedTable::new(engine);
    let put = Write::Put(item("after", None), Condition::AbsentAt(START));
    assert_eq!(table.write(put).await.unwrap(), Written::Done);
}

/// The one thing that a writer does not survive.
struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

#[tokio::test]
async fn a_writer_that_is_gone_does_not_go_unnoticed() {
    let directory = Directory::new();
    let engine = open_engine(&directory);
    let mut stopped = Box::pin(engine.stopped());
    assert!(futures_util::poll!(stopped.as_mut()).is_pending());
    let bomb = |_: &_| -> Result<(), _> { std::panic::panic_any(PanicsWhenDropped) };
    assert!(engine.write(bomb).await.is_err());
    stopped.await;
    assert!(engine.write(|_| Ok(())).await.is_err());
}

#[cfg(unix)]
#[test]
fn a_new_directory_and_what_is_in_it_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;

    let scratch = Directory::new();
    let kept_in = scratch.path().join("kept");
    let _engine = Engine::open(&kept_in).unwrap();
    let mode = std::fs::metadata(&kept_in).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    for file in ["posthorn.db", "posthorn.db-wal", "posthorn.db-shm", "lock"] {
        let mode = std::fs::metadata(kept_in.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

/// Queues that let so much of one group be held.
fn bounded(directory: &Directory, clock: &Arc<StillClock>, most_held: u64) -> EmbeddedQueues {
    let engine = open_engine(directory);
    let clock: Arc<dyn Clock> = clock.clone();
    let settings = QueueSettings { most_held, ..QueueSettings::default() };
    EmbeddedQueues::open(&engine, &clock, settings).unwrap()
}

async fn of_group(queues: &EmbeddedQueues, group: &str, bodies: Vec<String>) {
    let records =
        bodies.into_iter().map(|body| Outgoing { group: group.to_owned(), ..record(&body, 0) });
    for sent in queues.deliveries.send(records.collect()).await.unwrap() {
        sent.unwrap();
    }
}

async fn groups(queues: &EmbeddedQueues) -> (Vec<String>, Vec<String>) {
    let received = queues.deliveries.receive(MAX_BATCH, 0).await.unwrap();
    received.into_iter().map(|it| (it.group.unwrap(), it.receipt)).unzip()
}

#[tokio::test]
async fn a_group_of_which_much_is_held_waits_while_others_have_their_turns() {
    let (directory, clock) = (Directory::new(), StillClock::new());
    let queues = bounded(&directory, &clock, 6);
    of_group(&queues, "flood", vec!["x".to_owned(); 10]).await;
    let (first, receipts) = groups(&queues).await;
    assert_eq!(first, ["flood"; 6]);
    assert_eq!(groups(&queues).await.0, [""; 0]);
    // Two share what may be held.
    of_group(&queues, "other", vec!["x".to_owned(); 4]).await;
    let (second, others) = groups(&queues).await;
    assert_eq!(second, ["other"; 3]);
    queues.deliveries.delete(&receipts[..3]).await.unwrap();
    assert_eq!(groups(&queues).await.0, [""; 0]);
    // One is done, another given back: as many come.
    queues.deliveries.delete(&receipts[3..4]).await.unwrap();
    assert_eq!(groups(&queues).await.0, ["flood"]);
    queues.deliveries.release(&receipts[4], 0).await.unwrap();
    assert_eq!(groups(&queues).await.0, ["flood"]);
    assert_eq!(groups(&queues).await.0, [""; 0]);
    queues.deliveries.delete(&others).await.unwrap();
    let (last, receipts) = groups(&queues).await;
    assert_eq!(last, ["other"]);
    // Whoever is left has all of it.
    queues.deliveries.delete(&receipts).await.unwrap();
    assert_eq!(groups(&queues).await.0, ["flood"; 3]);
    clock.advance_ms(u64::from(VISIBILITY_S) * 1000 + 1);
    assert_eq!(groups(&queues).await.0, ["flood"; 6]);
}

#[tokio::test]
async fn a_long_body_counts_for_many_of_what_is_held_after_a_restart_as_well() {
    let (directory, clock) = (Directory::new(), StillClock::new());
    let queues = bounded(&directory, &clock, 100);
    // Each weighs 62.
    of_group(&queues, "long", vec!["x".repeat(250_000); 3]).await;
    assert_eq!(groups(&queues).await.0, ["long"; 2]);
    drop(queues);
    let queues = bounded(&directory, &clock, 100);
    let (groups_held, receipts) = groups(&queues).await;
    assert_eq!(groups_held, ["long"; 2]);
    queues.deliveries.delete(&receipts).await.unwrap();
    assert_eq!(groups(&queues).await.0, ["long"]);
}

#[tokio::test]
async fn a_queue_says_for_how_long_its_oldest_record_has_waited() {
    let (directory, clock) = (Directory::new(), StillClock::new());
    let queue = open(&directory, &clock).1.retries;
    assert_eq!(queue.oldest_ms(), Ok(None));
    queue.send(vec![record("later", 60)]).await.unwrap();
    clock.advance_ms(1_000);
    assert_eq!(queue.oldest_ms(), Ok(None), "it cannot be received yet");
    queue.send(vec![record("now", 0)]).await.unwrap();
    clock.advance_ms(5_000);
    assert_eq!(queue.oldest_ms(), Ok(Some(5_000)));
    let held = queue.receive(1, 0).await.unwrap();
    assert_eq!(queue.oldest_ms(), Ok(Some(5_000)), "nobody is done with it");
    queue.delete(&[held[0].receipt.clone()]).await.unwrap();
    assert_eq!(queue.oldest_ms(), Ok(None));
    clock.advance_ms(57_000);
    assert_eq!(queue.oldest_ms(), Ok(Some(3_000)));
}

#[tokio::test]
async fn a_record_whose_body_cannot_be_read_keeps_no_other_from_being_received() {
    let (directory, clock) = (Directory::new(), StillClock::new());
    let (_, queues) = open(&directory, &clock);
    let records = ["one", "broken", "two"].map(|body| record(body, 0)).to_vec();
    queues.deliveries.send(records).await.unwrap();
    drop(queues);
    let engine = open_engine(&directory);
    let broken = "UPDATE records SET body = CAST(x'ff' AS TEXT) WHERE body = 'broken'";
    engine.write(move |connection| connection.execute(broken, [])).await.unwrap();
    drop(engine);

    let queues = open(&directory, &clock).1;
    let received = queues.deliveries.receive(10, 0).await.unwrap();
    let bodies: Vec<&str> = received.iter().map(|record| record.body.as_str()).collect();
    assert_eq!(bodies, ["one", "two"]);
    let receipts: Vec<String> = received.iter().map(|record| record.receipt.clone()).collect();
    queues.deliveries.delete(&receipts).await.unwrap();
    // It comes again, as often as any other that fails.
    for _ in 0..=MAX_RECEIVES {
        clock.advance_ms(30_000);
        assert_eq!(queues.deliveries.receive(10, 0).await, Ok(Vec::new()));
    }
    assert_eq!(queues.deliveries.len(), 0);
    // So that the move is done before anybody looks.
    queues.retries.send(vec![record("flush", 0)]).await.unwrap();
    assert_eq!(queues.deliveries_dlq.len(), 1);
}

#[tokio::test]
async fn a_queue_forgets_until_when_records_were_held_that_are_done() {
    let (directory, clock) = (Directory::new(), StillClock::new());
    let queue = open(&directory, &clock).1.deliveries;
    queue.send(vec![record("delayed", 60)]).await.unwrap();
    for _ in 0..400 {
        queue.send(vec![record("x", 0); 10]).await.unwrap();
        let held = queue.receive(10, 0).await.unwrap();
        let receipts: Vec<String> = held.into_iter().map(|record| record.receipt).collect();
        queue.delete(&receipts).await.unwrap();
    }
    assert_eq!(queue.len(), 1);
    assert!(queue.dates() <= 1_100, "{}", queue.dates());
    clock.advance_ms(60_000);
    assert_eq!(queue.receive(1, 0).await.unwrap()[0].body, "delayed");
}

#[tokio::test]
async fn however_many_groups_share_what_may_be_held_each_record_has_its_turn() {
    let (directory, clock) = (Directory::new(), StillClock::new());
    let queues = bounded(&directory, &clock, 50);
    for n in 0..120 {
        of_group(&queues, &format!("g{n}"), vec!["x".to_owned(); 3]).await;
    }
    // Some are never done, and keep the part of all small.
    let mut kept = Vec::new();
    for _ in 0..3 {
        kept.extend(groups(&queues).await.1);
    }
    assert_eq!(kept.len(), 30);
    // One of each of thirty groups is held, which is as much as each may have.
    assert_eq!(all_done(&queues).await, 90 * 3);
    for receipts in kept.chunks(10) {
        queues.deliveries.delete(receipts).await.unwrap();
    }
    assert_eq!(all_done(&queues).await, 30 * 2);
    assert_eq!(queues.deliveries.len(), 0);
}

/// Receives and deletes until nothing comes any more; how many records that were.
async fn all_done(queues: &EmbeddedQueues) -> usize {
    let mut done = 0;
    loop {
        let (_, receipts) = groups(queues).await;
        if receipts.is_empty() {
            return done;
        }
        done += receipts.len();
        queues.deliveries.delete(&receipts).await.unwrap();
    }
}

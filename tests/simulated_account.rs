//! The account that loads are simulated on keeps the limits of the real one.

use std::sync::Arc;
use std::time::Duration;

use shared::domain::clock::{Clock, Timestamp};
use shared::queue::{Consumer, Outgoing, Producer, send_all};
use shared::store::StoreError;
use shared::store::table::{
    Condition, Index, Item, Key, Query, Table, Transacted, Write, Written, prefix_range,
};
use tokio::time::Instant;

use crate::simulated_aws::bucket::Ceiling;
use crate::simulated_aws::capacity::Throttled;
use crate::simulated_aws::dice::{Dice, Latency};
use crate::simulated_aws::queue::SimulatedQueue;
use crate::simulated_aws::table::{SimulatedTable, Watch};
use crate::simulated_aws::virtual_clock::VirtualClock;
use crate::simulated_aws::weather::{BrownOut, TABLE_LATENCY, Weather};

struct Nobody;

impl Watch for Nobody {
    fn stored(&self, _: &Item, _: Option<&Item>) {}
}

fn table(weather: Weather) -> (SimulatedTable, Arc<dyn Clock>) {
    let clock: Arc<dyn Clock> = Arc::new(VirtualClock::start());
    let dice = Arc::new(Dice::new(1, 0));
    (SimulatedTable::new(clock.clone(), dice, weather, Arc::new(Nobody)), clock)
}

/// Limits, and nothing else.
fn limited() -> Weather {
    Weather { limited: true, ..Weather::calm() }
}

fn key(pk: &str, sk: impl ToString) -> Key {
    Key { pk: pk.to_owned(), sk: sk.to_string() }
}

fn put(item: Item) -> Write {
    Write::Put(item, Condition::Always)
}

/// So many small items, all at once: how many were stored without a second try.
async fn put_at_once(table: &SimulatedTable, items: impl Iterator<Item = Item>) -> Throttled {
    let writes = items.map(|item| {
        let table = table.clone();
        tokio::spawn(async move { table.write(put(item)).await })
    });
    for write in writes.collect::<Vec<_>>() {
        // What is throttled for good is an error.
        let _ = write.await.expect("no panic");
    }
    table.throttled()
}

#[tokio::test(start_paused = true)]
async fn a_partition_takes_a_thousand_writes_a_second() {
    let (table, _) = table(limited());
    let items = |from: u32, count: u32| {
        (from..from + count).map(|n| Item::new(key("one", n), n.to_string()))
    };
    assert_eq!(put_at_once(&table, items(0, 1_000)).await, Throttled::default());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(put_at_once(&table, items(1_000, 1_000)).await, Throttled::default());
    let throttled = put_at_once(&table, items(2_000, 500)).await;
    assert!(throttled.partition > 400, "{throttled:?}");
    assert_eq!((throttled.table, throttled.index), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_index_that_cannot_follow_throttles_the_writes_to_its_table() {
    let (table, _) = table(limited());
    let items = (0..1_500)
        .map(|n| Item::new(key(&format!("pk{n}"), "sk"), String::new()).listed(key("list", n)));
    let throttled = put_at_once(&table, items).await;
    assert!(throttled.index >= 500, "{throttled:?}");
    assert_eq!((throttled.table, throttled.partition), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_new_table_takes_four_thousand_writes_a_second() {
    let (table, _) = table(limited());
    let items = (0..5_000).map(|n| Item::new(key(&n.to_string(), "sk"), String::new()));
    let throttled = put_at_once(&table, items).await;
    assert!(throttled.table >= 1_000, "{throttled:?}");
    assert_eq!((throttled.partition, throttled.index), (0, 0));
}

#[test]
fn a_table_doubles_in_half_an_hour_if_it_is_asked_for_that_and_stops_at_its_quota() {
    let second = |s: u64| Timestamp(1_000 * s);
    let mut ceiling = Ceiling::new(40.0, 100.0, second(0));
    // How much it gives within a second from here on.
    let gives = |ceiling: &mut Ceiling, from: u64, asked: u32, seconds: u64| {
        let mut given = 0;
        for s in from..from + seconds {
            given = (0..asked)
                .filter(|_| {
                    ceiling.has(second(s)) && {
                        ceiling.take(1.0);
                        true
                    }
                })
                .count();
        }
        given
    };
    assert_eq!(gives(&mut ceiling, 1, 20, 1_800), 20);
    assert_eq!(gives(&mut ceiling, 1_801, 1_000, 1), 40, "nobody asked for more");
    let doubled = gives(&mut ceiling, 1_802, 1_000, 1_800);
    assert!((78..=82).contains(&doubled), "{doubled}");
    let most = gives(&mut ceiling, 3_602, 1_000, 3_600);
    assert!((99..=101).contains(&most), "{most}");
}

#[tokio::test(start_paused = true)]
async fn what_is_throttled_is_tried_again_until_there_is_room_and_given_up_where_there_is_none() {
    let (table, _) = table(limited());
    // A partition in debt for some 100 ms, and one for longer than anybody tries.
    let fill = |pk: &'static str| (0..1_000).map(move |n| Item::new(key(pk, n), String::new()));
    put_at_once(&table, fill("short").chain(fill("long"))).await;
    let item = |pk: &str| Item::new(key(pk, "last"), String::new());
    for _ in 0..10 {
        let large = Item::new(key("long", "large"), "x".repeat(399 * 1024));
        let _ = table.transact(vec![put(large), put(item("other"))]).await;
    }
    let throttled = table.throttled().partition;
    assert_eq!(table.write(put(item("short"))).await, Ok(Written::Done));
    let both = vec![put(item("long")), put(item("two"))];
    let refused = table.transact(both).await.expect_err("the partition has nothing left");
    assert!(refused.to_string().contains("ThrottlingError"), "{refused}");
    assert!(table.throttled().partition >= throttled + 5, "it was tried five times");
    assert_eq!(table.get(&item("two").key).await, Ok(None), "none of it is done");
}

#[tokio::test(start_paused = true)]
async fn an_index_shows_a_write_later_and_writes_of_one_item_in_their_order() {
    let lag = Latency { p50_ms: 200.0, p99_ms: 900.0 };
    let (table, _) = table(Weather { lag, ..Weather::calm() });
    let (from, to) = prefix_range("");
    let list = Query {
        index: Index::Due,
        pk: "due".to_owned(),
        from,
        to,
        descending: false,
        after: None,
        limit: 10,
    };
    for n in 0..20 {
        let item = Item::new(key("pk", "sk"), n.to_string()).due(key("due", n));
        table.write(put(item)).await.expect("a write");
    }
    assert_eq!(table.query(&list).await.expect("a page").items, []);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let seen = table.query(&list).await.expect("a page").items;
    assert_eq!(seen.iter().map(|item| item.doc.as_str()).collect::<Vec<_>>(), ["19"]);
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_transaction_is_waited_for() {
    let (table, _) = table(Weather { table: TABLE_LATENCY, ..Weather::calm() });
    let item = |pk: &str| Item::new(key(pk, "sk"), String::new());
    let both = table.clone();
    let transaction =
        tokio::spawn(async move { both.transact(vec![put(item("a")), put(item("b"))]).await });
    tokio::task::yield_now().await;
    let began = Instant::now();
    assert_eq!(table.write(put(item("a"))).await, Ok(Written::Done));
    assert!(began.elapsed() > Duration::from_millis(10), "{:?}", began.elapsed());
    assert_eq!(transaction.await.expect("no panic"), Ok(Transacted::Done));
}

#[tokio::test(start_paused = true)]
async fn in_a_brown_out_a_write_that_was_not_answered_may_have_happened() {
    let (table, clock) = table(Weather::calm());
    let until = clock.now().plus_ms(60_000);
    let trouble = BrownOut { from: Timestamp(0), until, failing: 0.0, slow_ms: 5_000 };
    table.set_weather(Weather { brown_outs: vec![trouble], ..Weather::calm() });
    let item = Item::new(key("pk", "sk"), String::new());
    let write = Write::Put(item.clone(), Condition::AbsentAt(clock.now()));
    let began = Instant::now();
    let answer = table.write(write).await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    assert!(began.elapsed() <= Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(table.get(&item.key).await, Ok(Some(item)));
}

#[tokio::test(start_paused = true)]
async fn a_noisy_group_waits_behind_the_others() {
    let clock: Arc<dyn Clock> = Arc::new(VirtualClock::start());
    let queue = SimulatedQueue::new(clock, Arc::new(Dice::new(1, 0)), Weather::calm(), None);
    let record = |group: &str, n: u32| Outgoing {
        body: format!("{group}{n}"),
        group: group.to_owned(),
        delay_s: 0,
    };
    let noisy = (0..100).map(|n| record("noisy", n)).collect();
    send_all(&queue, noisy).await;
    for _ in 0..4 {
        assert_eq!(queue.receive(10, 0).await.expect("a batch").len(), 10);
    }
    queue.send(vec![record("quiet", 0)]).await.expect("a send");
    let next = queue.receive(1, 0).await.expect("a batch");
    assert_eq!(next[0].body, "quiet0", "although it came last");
}

#[tokio::test(start_paused = true)]
async fn latencies_have_the_percentiles_that_they_say() {
    let dice = Dice::new(1, 0);
    let mut found: Vec<f64> =
        (0..20_000).map(|_| dice.latency(TABLE_LATENCY).as_secs_f64() * 1000.0).collect();
    found.sort_by(f64::total_cmp);
    let (p50, p99) = (found[10_000], found[19_800]);
    assert!((3.8..4.2).contains(&p50), "{p50}");
    assert!((18.0..22.0).contains(&p99), "{p99}");
}

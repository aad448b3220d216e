//! What a table is held to.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use shared::domain::clock::Timestamp;
use shared::store::StoreError;
use shared::store::table::{
    Condition, Index, Item, Key, MAX_ITEM_BYTES, MAX_TRANSACTION, Page, Query, Table, Transacted,
    Write, Written,
};
use tokio::task::JoinSet;

macro_rules! table_claims {
    ($run:ident, $adapter:path) => {
        $run! {
            table, $adapter:
            an_item_comes_back_with_every_field
            an_item_comes_back_without_the_fields_it_does_not_have
            a_put_replaces_the_whole_item
            a_glance_sees_an_item_as_it_is_or_as_it_was
            a_missing_item_reads_as_none
            an_expiry_is_kept_in_whole_seconds_rounded_up
            an_absent_condition_loses_to_the_item_in_the_way
            an_expired_item_does_not_stand_in_the_way
            a_revision_condition_wins_only_on_that_revision
            of_fifty_concurrent_claims_exactly_one_wins
            of_fifty_concurrent_changes_of_one_revision_exactly_one_wins
            a_delete_obeys_its_condition
            a_transaction_is_done_whole
            a_lost_transaction_changes_nothing_and_names_the_lost_positions
            a_transaction_takes_no_more_than_its_limit_and_no_key_twice
            an_item_enters_moves_within_and_leaves_an_index
            a_deleted_or_replaced_item_is_in_no_index
            index_reads_have_no_body_and_no_other_index_key
            a_range_has_both_its_ends_and_may_be_empty
            pages_ascend_and_descend
            paging_sees_every_one_of_120_items_exactly_once
            paging_passes_through_equal_index_keys
            a_body_of_350_kb_comes_back
            items_up_to_400_kb_are_kept_and_larger_ones_refused
        }
    };
}

const NOW: Timestamp = Timestamp(1_800_000_000_000);

pub(crate) async fn an_item_comes_back_with_every_field(table: &Arc<dyn Table>) {
    let item = full_item();
    assert_eq!(put(table, item.clone(), Condition::Always).await, Written::Done);
    assert_eq!(get(table, &item.key).await, Some(item.clone()));
    assert_eq!(all(table, Index::Base, "pk").await, [item]);
}

pub(crate) async fn an_item_comes_back_without_the_fields_it_does_not_have(table: &Arc<dyn Table>) {
    let mut item = item("pk", "plain");
    put(table, item.clone(), Condition::Always).await;
    assert_eq!(get(table, &item.key).await, Some(item.clone()));

    // No bytes at all is something else than no body.
    item.body = Some(Bytes::new());
    item.doc = String::new();
    item.rev = u64::from(u32::MAX);
    put(table, item.clone(), Condition::Always).await;
    assert_eq!(get(table, &item.key).await, Some(item));
}

pub(crate) async fn a_put_replaces_the_whole_item(table: &Arc<dyn Table>) {
    let before = full_item();
    let after = Item { doc: "{}".into(), ..item(&before.key.pk, &before.key.sk) };
    put(table, before, Condition::Always).await;
    put(table, after.clone(), Condition::Always).await;
    assert_eq!(get(table, &after.key).await, Some(after));
}

pub(crate) async fn a_glance_sees_an_item_as_it_is_or_as_it_was(table: &Arc<dyn Table>) {
    let before = full_item();
    let after = Item { doc: "{}".into(), ..item(&before.key.pk, &before.key.sk) };
    let allowed = [None, Some(before.clone()), Some(after.clone())];
    for item in [before, after] {
        put(table, item.clone(), Condition::Always).await;
        let seen = table.glance(&item.key).await.expect("a glance");
        assert!(allowed.contains(&seen), "{seen:?}");
    }
    assert_eq!(table.glance(&key("pk", "elsewhere")).await, Ok(None));
}

pub(crate) async fn a_missing_item_reads_as_none(table: &Arc<dyn Table>) {
    put(table, item("pk", "here"), Condition::Always).await;
    assert_eq!(get(table, &key("pk", "elsewhere")).await, None);
    assert_eq!(get(table, &key("elsewhere", "here")).await, None);
    assert_eq!(all(table, Index::Base, "elsewhere").await, []);
}

pub(crate) async fn an_expiry_is_kept_in_whole_seconds_rounded_up(table: &Arc<dyn Table>) {
    for (given, kept) in [(5_000, 5_000), (5_001, 6_000), (5_999, 6_000)] {
        let item = Item { expires_at: Some(Timestamp(given)), ..item("pk", "sk") };
        put(table, item.clone(), Condition::Always).await;
        let read = get(table, &item.key).await.expect("an item");
        assert_eq!(read.expires_at, Some(Timestamp(kept)), "of {given}");
    }
}

pub(crate) async fn an_absent_condition_loses_to_the_item_in_the_way(table: &Arc<dyn Table>) {
    let absent = Condition::AbsentAt(NOW);
    let first = Item { expires_at: None, ..full_item() };
    let second = Item { doc: "{\"v\":2}".into(), ..first.clone() };
    assert_eq!(put(table, first.clone(), absent).await, Written::Done);
    assert_eq!(put(table, second, absent).await, lost_to(&first));
    assert_eq!(get(table, &first.key).await, Some(first));
}

pub(crate) async fn an_expired_item_does_not_stand_in_the_way(table: &Arc<dyn Table>) {
    let old = Item { expires_at: Some(Timestamp(10_000)), ..item("pk", "sk") };
    let new = Item { doc: "{\"new\":true}".into(), ..old.clone() };
    put(table, old.clone(), Condition::Always).await;

    let early = put(table, new.clone(), Condition::AbsentAt(Timestamp(9_999))).await;
    assert_eq!(early, lost_to(&old));
    let in_time = put(table, new.clone(), Condition::AbsentAt(Timestamp(10_000))).await;
    assert_eq!(in_time, Written::Done);
    assert_eq!(get(table, &new.key).await, Some(new));
}

pub(crate) async fn a_revision_condition_wins_only_on_that_revision(table: &Arc<dyn Table>) {
    let missing = put(table, item("pk", "sk"), Condition::Revision(1)).await;
    assert_eq!(missing, Written::Lost(None));

    let first = Item { rev: 1, ..item("pk", "sk") };
    let second = Item { rev: 2, ..first.clone() };
    put(table, first.clone(), Condition::Always).await;
    assert_eq!(put(table, second.clone(), Condition::Revision(2)).await, lost_to(&first));
    assert_eq!(put(table, second.clone(), Condition::Revision(1)).await, Written::Done);
    assert_eq!(put(table, second.clone(), Condition::Revision(1)).await, lost_to(&second));
}

pub(crate) async fn of_fifty_concurrent_claims_exactly_one_wins(table: &Arc<dyn Table>) {
    let won = race(table, Condition::AbsentAt(NOW)).await;
    assert_eq!(won.len(), 1);
    let stored = get(table, &key("pk", "raced")).await.expect("the winner's item");
    assert_eq!(stored.doc, won[0]);
}

pub(crate) async fn of_fifty_concurrent_changes_of_one_revision_exactly_one_wins(
    table: &Arc<dyn Table>,
) {
    put(table, Item { rev: 7, ..item("pk", "raced") }, Condition::Always).await;
    let won = race(table, Condition::Revision(7)).await;
    assert_eq!(won.len(), 1);
    let stored = get(table, &key("pk", "raced")).await.expect("the winner's item");
    assert_eq!(stored.doc, won[0]);
}

pub(crate) async fn a_delete_obeys_its_condition(table: &Arc<dyn Table>) {
    let item = Item { rev: 3, ..full_item() };
    put(table, item.clone(), Condition::Always).await;
    let delete = |condition| write(table, Write::Delete(item.key.clone(), condition));

    assert_eq!(delete(Condition::Revision(2)).await, lost_to(&item));
    assert_eq!(get(table, &item.key).await, Some(item.clone()));
    assert_eq!(delete(Condition::Revision(3)).await, Written::Done);
    assert_eq!(get(table, &item.key).await, None);
    assert_eq!(delete(Condition::Revision(3)).await, Written::Lost(None));
    assert_eq!(delete(Condition::Always).await, Written::Done);
}

pub(crate) async fn a_transaction_is_done_whole(table: &Arc<dyn Table>) {
    let (old, changed) = (item("pk", "old"), item("pk", "changed"));
    put(table, old.clone(), Condition::Always).await;
    put(table, changed.clone(), Condition::Always).await;

    let next = Item { rev: 2, ..changed.clone() };
    let done = transact(
        table,
        vec![
            Write::Put(item("pk", "new"), Condition::AbsentAt(NOW)),
            Write::Put(next.clone(), Condition::Revision(1)),
            Write::Delete(old.key.clone(), Condition::Revision(1)),
            Write::Put(item("other", "new"), Condition::Always),
        ],
    )
    .await;
    assert_eq!(done, Transacted::Done);
    assert_eq!(all(table, Index::Base, "pk").await, [next, item("pk", "new")]);
    assert_eq!(all(table, Index::Base, "other").await, [item("other", "new")]);
}

pub(crate) async fn a_lost_transaction_changes_nothing_and_names_the_lost_positions(
    table: &Arc<dyn Table>,
) {
    let (kept, taken) = (item("pk", "kept"), item("pk", "taken"));
    put(table, kept.clone(), Condition::Always).await;
    put(table, taken.clone(), Condition::Always).await;

    let lost = transact(
        table,
        vec![
            Write::Put(item("pk", "new"), Condition::AbsentAt(NOW)),
            Write::Put(Item { rev: 9, ..taken.clone() }, Condition::AbsentAt(NOW)),
            Write::Delete(kept.key.clone(), Condition::Always),
            Write::Delete(key("pk", "none too"), Condition::Revision(1)),
        ],
    )
    .await;
    assert_eq!(lost, Transacted::Lost(vec![1, 3]));
    assert_eq!(all(table, Index::Base, "pk").await, [kept, taken]);
}

pub(crate) async fn a_transaction_takes_no_more_than_its_limit_and_no_key_twice(
    table: &Arc<dyn Table>,
) {
    let puts = |pk: &str, count: usize| -> Vec<Write> {
        let items = (0..count).map(|n| item(pk, &format!("{n:02}")));
        items.map(|item| Write::Put(item, Condition::Always)).collect()
    };
    assert_eq!(transact(table, vec![]).await, Transacted::Done);
    assert_eq!(transact(table, puts("full", MAX_TRANSACTION)).await, Transacted::Done);
    assert_eq!(all(table, Index::Base, "full").await.len(), MAX_TRANSACTION);

    let too_many = table.transact(puts("over", MAX_TRANSACTION + 1)).await;
    assert!(matches!(too_many, Err(StoreError::Invalid(_))), "{too_many:?}");
    let twice = vec![
        Write::Put(item("over", "same"), Condition::Always),
        Write::Delete(key("over", "same"), Condition::Always),
    ];
    let twice = table.transact(twice).await;
    assert!(matches!(twice, Err(StoreError::Invalid(_))), "{twice:?}");
    assert_eq!(all(table, Index::Base, "over").await, []);
}

pub(crate) async fn an_item_enters_moves_within_and_leaves_an_index(table: &Arc<dyn Table>) {
    for index in [Index::ByTime, Index::Due] {
        let at = |sort: &str| indexed(index, "moving", key("list", sort));
        let other = indexed(index, "staying", key("list", "5"));
        put(table, other.clone(), Condition::Always).await;
        assert_eq!(keys(&all(table, index, "list").await), ["staying"], "{index:?}");

        put(table, at("3"), Condition::Always).await;
        assert_eq!(keys(&all(table, index, "list").await), ["moving", "staying"], "{index:?}");
        put(table, at("7"), Condition::Always).await;
        assert_eq!(keys(&all(table, index, "list").await), ["staying", "moving"], "{index:?}");
        put(table, item("pk", "moving"), Condition::Always).await;
        assert_eq!(keys(&all(table, index, "list").await), ["staying"], "{index:?}");
        write(table, Write::Delete(other.key, Condition::Always)).await;
    }
}

pub(crate) async fn a_deleted_or_replaced_item_is_in_no_index(table: &Arc<dyn Table>) {
    let item = full_item();
    let lists = [(Index::ByTime, "by time"), (Index::Due, "due")];
    put(table, item.clone(), Condition::Always).await;
    for (index, pk) in lists {
        assert_eq!(keys(&all(table, index, pk).await), ["sk"], "{index:?}");
    }
    let delete = Write::Delete(item.key.clone(), Condition::Revision(item.rev));
    assert_eq!(transact(table, vec![delete]).await, Transacted::Done);
    for (index, pk) in lists {
        assert_eq!(all(table, index, pk).await, [], "{index:?}");
    }
}

pub(crate) async fn index_reads_have_no_body_and_no_other_index_key(table: &Arc<dyn Table>) {
    let item = full_item();
    put(table, item.clone(), Condition::Always).await;
    let by_time = Item { body: None, due: None, ..item.clone() };
    assert_eq!(all(table, Index::ByTime, "by time").await, [by_time]);
    let due = Item { body: None, by_time: None, ..item };
    assert_eq!(all(table, Index::Due, "due").await, [due]);
}

pub(crate) async fn a_range_has_both_its_ends_and_may_be_empty(table: &Arc<dyn Table>) {
    for sort in ["a", "b", "ba", "c", "é", "😀"] {
        put(table, item("pk", sort), Condition::Always).await;
    }
    let range = async |from: &str, to: &str| {
        let range = Query { from: from.into(), to: to.into(), ..everything(Index::Base, "pk") };
        let page = query(table, &range).await;
        page.items.into_iter().map(|item| item.key.sk).collect::<Vec<_>>()
    };
    assert_eq!(range("b", "c").await, ["b", "ba", "c"]);
    assert_eq!(range("b", "b").await, ["b"]);
    assert_eq!(range("", "a").await, ["a"]);
    assert_eq!(range("ba", "bz").await, ["ba"]);
    assert_eq!(range("d", "\u{10FFFF}").await, ["é", "😀"]);
    assert_eq!(range("bb", "bz").await, [""; 0]);
    assert_eq!(range("c", "a").await, [""; 0]);
}

pub(crate) async fn pages_ascend_and_descend(table: &Arc<dyn Table>) {
    for index in [Index::Base, Index::ByTime, Index::Due] {
        for sort in ["1", "2", "3"] {
            put(table, indexed(index, sort, key("list", sort)), Condition::Always).await;
        }
        let pk = if index == Index::Base { "pk" } else { "list" };
        let up = Query { limit: 2, ..everything(index, pk) };
        let down = Query { descending: true, ..up.clone() };

        let page = query(table, &up).await;
        assert_eq!(keys(&page.items), ["1", "2"], "{index:?}");
        let page = query(table, &Query { after: page.next, ..up }).await;
        assert_eq!(keys(&page.items), ["3"], "{index:?}");
        let page = query(table, &down).await;
        assert_eq!(keys(&page.items), ["3", "2"], "{index:?}");
        let page = query(table, &Query { after: page.next, ..down }).await;
        assert_eq!(keys(&page.items), ["1"], "{index:?}");
    }
}

pub(crate) async fn paging_sees_every_one_of_120_items_exactly_once(table: &Arc<dyn Table>) {
    for n in 0..120 {
        let sort = format!("{n:03}");
        let by_time = Some(key("list", &format!("t{sort}")));
        let due = Some(key("list", &format!("d{sort}")));
        put(table, Item { by_time, due, ..item("pk", &sort) }, Condition::Always).await;
    }
    let expected: Vec<_> = (0..120).map(|n| format!("{n:03}")).collect();
    let reversed: Vec<_> = expected.iter().rev().cloned().collect();
    for (index, pk) in [(Index::Base, "pk"), (Index::ByTime, "list"), (Index::Due, "list")] {
        for limit in [7, 40, 120, 1000] {
            let up = Query { limit, ..everything(index, pk) };
            let down = Query { descending: true, ..up.clone() };
            assert_eq!(keys(&walk(table, up).await), expected, "{index:?} by {limit}");
            assert_eq!(keys(&walk(table, down).await), reversed, "{index:?} by {limit}");
        }
    }
}

pub(crate) async fn paging_passes_through_equal_index_keys(table: &Arc<dyn Table>) {
    let expected: BTreeSet<_> = (0..30).map(|n| format!("{n:02}")).collect();
    for index in [Index::ByTime, Index::Due] {
        for sort in &expected {
            put(table, indexed(index, sort, key("list", "same")), Condition::Always).await;
        }
        for descending in [false, true] {
            let seen = walk(table, Query { limit: 4, descending, ..everything(index, "list") });
            let seen = keys(&seen.await);
            assert_eq!(seen.len(), expected.len(), "{index:?}");
            assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), expected, "{index:?}");
        }
    }
}

pub(crate) async fn a_body_of_350_kb_comes_back(table: &Arc<dyn Table>) {
    let body: Vec<u8> = (0..350 * 1024_u32).map(|n| n.to_be_bytes()[3]).collect();
    let item = Item { body: Some(Bytes::from(body)), ..full_item() };
    put(table, item.clone(), Condition::Always).await;
    assert_eq!(get(table, &item.key).await, Some(item));
}

pub(crate) async fn items_up_to_400_kb_are_kept_and_larger_ones_refused(table: &Arc<dyn Table>) {
    let of = |bytes| Item { body: Some(Bytes::from(vec![7; bytes])), ..item("pk", "sk") };
    let largest = MAX_ITEM_BYTES - of(0).size();
    let (largest, too_large) = (of(largest), of(largest + 1));
    assert_eq!(put(table, largest.clone(), Condition::Always).await, Written::Done);

    let mut in_doc = item("pk", "sk");
    in_doc.doc = "x".repeat(MAX_ITEM_BYTES);
    for too_large in [too_large, in_doc] {
        let alone = table.write(Write::Put(too_large.clone(), Condition::Always)).await;
        assert!(matches!(alone, Err(StoreError::TooLarge(_))), "{alone:?}");
        let neighbour = Write::Put(item("pk", "neighbour"), Condition::Always);
        let together = vec![neighbour, Write::Put(too_large, Condition::Always)];
        let together = table.transact(together).await;
        assert!(matches!(together, Err(StoreError::TooLarge(_))), "{together:?}");
    }
    assert_eq!(all(table, Index::Base, "pk").await, [largest]);
}

fn key(pk: &str, sk: &str) -> Key {
    Key { pk: pk.into(), sk: sk.into() }
}

fn item(pk: &str, sk: &str) -> Item {
    Item::new(key(pk, sk), "{\"v\":1}".into())
}

fn full_item() -> Item {
    Item {
        key: key("pk", "sk"),
        by_time: Some(key("by time", "2027-01-15")),
        due: Some(key("due", "0001800000000000")),
        expires_at: Some(NOW),
        rev: 41,
        doc: "{\"v\":1,\"name\":\"Grüße 😀\"}".into(),
        body: Some(Bytes::from_static(&[0, 1, 254, 255, b'"'])),
    }
}

/// An item that is in one index, under this key.
fn indexed(index: Index, sk: &str, place: Key) -> Item {
    match index {
        Index::Base => item("pk", sk),
        Index::ByTime => Item { by_time: Some(place), ..item("pk", sk) },
        Index::Due => Item { due: Some(place), ..item("pk", sk) },
    }
}

fn everything(index: Index, pk: &str) -> Query {
    Query {
        index,
        pk: pk.into(),
        from: String::new(),
        to: "\u{10FFFF}".into(),
        descending: false,
        after: None,
        limit: 1000,
    }
}

fn keys(items: &[Item]) -> Vec<String> {
    items.iter().map(|item| item.key.sk.clone()).collect()
}

fn lost_to(item: &Item) -> Written {
    Written::Lost(Some(Box::new(item.clone())))
}

async fn get(table: &Arc<dyn Table>, key: &Key) -> Option<Item> {
    table.get(key).await.expect("a get")
}

async fn query(table: &Arc<dyn Table>, query: &Query) -> Page {
    let page = table.query(query).await.expect("a query");
    assert!(page.items.len() <= query.limit);
    page
}

async fn write(table: &Arc<dyn Table>, write: Write) -> Written {
    table.write(write).await.expect("a write")
}

async fn put(table: &Arc<dyn Table>, item: Item, condition: Condition) -> Written {
    write(table, Write::Put(item, condition)).await
}

async fn transact(table: &Arc<dyn Table>, writes: Vec<Write>) -> Transacted {
    table.transact(writes).await.expect("a transaction")
}

async fn all(table: &Arc<dyn Table>, index: Index, pk: &str) -> Vec<Item> {
    walk(table, everything(index, pk)).await
}

/// Everything in the range, page by page.
async fn walk(table: &Arc<dyn Table>, mut range: Query) -> Vec<Item> {
    let mut items = Vec::new();
    loop {
        let page = query(table, &range).await;
        items.extend(page.items);
        range.after = page.next;
        if range.after.is_none() {
            return items;
        }
    }
}

/// Fifty writers of one key at once; the documents of those who won.
async fn race(table: &Arc<dyn Table>, condition: Condition) -> Vec<String> {
    let mut writers = JoinSet::new();
    for n in 0..50 {
        let table = Arc::clone(table);
        writers.spawn(async move {
            let item = Item { rev: 8, doc: format!("writer {n}"), ..item("pk", "raced") };
            let doc = item.doc.clone();
            (put(&table, item, condition).await == Written::Done).then_some(doc)
        });
    }
    writers.join_all().await.into_iter().flatten().collect()
}

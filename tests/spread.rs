//! Lists that are spread over several places of an index are read as one; what is due is spread by
//! customer; and what was stored before there was any of that is still found.

use std::collections::BTreeSet;
use std::sync::Arc;

use dispatch::Settings;
use serde_json::{Value, json};
use shared::domain::clock::Timestamp;
use shared::domain::id::{ApplicationId, EndpointId, MessageId, MessageKey};
use shared::domain::schedule::Schedule;
use shared::domain::spread::Spread;
use shared::store::keys::{self, DUE_SHARDS};
use shared::store::table::{Condition, Index, Item, Query, Write};
use shared::store::{Directory, DirectoryEditor, History, Limit, Need, Walk};

use crate::support::faults::Fault;
use crate::support::network::answer;
use crate::support::still::{self, StillClock};
use crate::support::stingy::Stingy;
use crate::support::world::{Builder, World, text};

const URL: &str = "http://127.0.0.1:9/hook";

async fn stage() -> (World, String, String) {
    World::with_endpoint(URL).await
}

/// Spreads the attempts of an endpoint twice as wide.
async fn widen(world: &World, app: &str, ep: &str) {
    let editor = DirectoryEditor::new(world.table.clone(), None);
    let (app, ep) = (app.parse().unwrap(), ep.parse().unwrap());
    let widen = |endpoint: &mut shared::domain::endpoint::Endpoint| {
        endpoint.spread = endpoint.spread.wider();
    };
    editor.edit_endpoint(&app, &ep, world.ambient.now(), widen).await.unwrap();
}

#[tokio::test]
async fn the_attempts_of_a_busy_endpoint_are_read_in_order_over_all_their_places() {
    let (world, app, ep) = stage().await;
    let mut published = Vec::new();
    for _ in 0..4 {
        for n in 0..5 {
            world.advance_s(1);
            published.push(world.publish(&app, json!({"n": n})).await);
            world.dispatch_all().await;
        }
        widen(&world, &app, &ep).await;
    }
    published.reverse();
    let messages = |body: &Value| -> Vec<String> {
        body["data"].as_array().unwrap().iter().map(|one| text(&one["msgId"])).collect()
    };
    let path = format!("/api/v1/app/{app}/attempt/endpoint/{ep}");
    let all = world.call("GET", &format!("{path}?limit=50"), Value::Null).await.body;
    assert_eq!(messages(&all), published);
    let mut page = world.call("GET", &format!("{path}?limit=4"), Value::Null).await.body;
    let mut on = messages(&page);
    while page["done"] != true {
        let next = format!("{path}?limit=4&iterator={}", text(&page["iterator"]));
        page = world.call("GET", &next, Value::Null).await.body;
        on.extend(messages(&page));
    }
    assert_eq!(on, published);
    let stats = format!("/api/v1/app/{app}/endpoint/{ep}/stats");
    assert_eq!(world.call("GET", &stats, Value::Null).await.body["success"], 20);
    let pks: BTreeSet<String> = (0..16).map(|place| format!("EP#{ep}#{place}")).collect();
    let stored = world.stored.lock().unwrap();
    let used = stored.values().filter_map(|item| item.by_time.as_ref());
    let used: BTreeSet<&String> = used.map(|key| &key.pk).filter(|pk| pks.contains(*pk)).collect();
    assert!(used.len() > 1, "{used:?}");
}

#[tokio::test]
async fn a_page_costs_about_the_same_over_however_many_places_its_list_is_spread() {
    let (world, app, wide) = stage().await;
    let one = world.endpoint(&app, &format!("{URL}/one")).await;
    for _ in 0..4 {
        widen(&world, &app, &wide).await;
    }
    world.advance_s(60);
    for n in 0..600 {
        world.publish(&app, json!({"n": n})).await;
    }
    world.dispatch_all().await;
    let mut units = Vec::new();
    for ep in [one, wide] {
        let before = world.meter.usage();
        let path = format!("/api/v1/app/{app}/attempt/endpoint/{ep}?limit=100");
        let page = world.call("GET", &path, Value::Null).await.body;
        assert_eq!(page["data"].as_array().unwrap().len(), 100);
        units.push(world.meter.usage().since(&before).read_units);
    }
    // Each of the sixteen places costs half a unit at the least.
    assert!(units[1] <= 2.0 * units[0] + 8.0, "{units:?}");
}

#[tokio::test]
async fn a_list_is_the_same_however_early_the_database_ends_a_page() {
    let (world, app, _) = stage().await;
    let mut published = Vec::new();
    for round in 0..3 {
        world.plan.fail_after(1, Fault::Busy(Limit::List));
        for n in 0..6 {
            world.clock.advance_ms(10);
            published.push(world.publish(&app, json!({"n": [round, n]})).await);
        }
    }
    let history = History::new(Arc::new(Stingy(world.table.clone())));
    let app: ApplicationId = app.parse().unwrap();
    let mut walk = Walk::onward(4, None);
    let mut found = Vec::new();
    loop {
        let listed =
            history.messages(&app, Spread::MOST, &walk, world.ambient.now(), |_| true).await;
        let listed = listed.unwrap();
        found.extend(listed.items.iter().map(|message| message.id.to_string()));
        if listed.done {
            break;
        }
        walk.iterator = listed.iterator;
    }
    assert_eq!(found, published);
}

#[tokio::test]
async fn an_endpoint_whose_list_takes_no_more_is_spread_wider_and_nothing_is_sent_twice() {
    let (world, app, ep) = stage().await;
    for n in 0..40 {
        world.publish(&app, json!({"n": n})).await;
    }
    for _ in 0..4 {
        // Each of ten attempts is refused twice; what is noted about the endpoint is not.
        world.plan.fail_after(0, Fault::Full(Limit::List, 20));
        assert_eq!(world.dispatch().await, 10);
    }
    world.plan.end();
    let directory = Directory::new(world.table.clone());
    let tenant = directory.tenant(&app.parse().unwrap(), Need::Application).await.unwrap().unwrap();
    let endpoint = tenant.endpoint_by_id(&ep.parse().unwrap()).unwrap();
    assert!(!endpoint.spread.is_one(), "it is spread wider");
    world.live_s(600).await;
    assert_eq!(world.network.sent_to(URL).len(), 40);
    let path = format!("/api/v1/app/{app}/attempt/endpoint/{ep}?limit=50");
    let all = world.call("GET", &path, Value::Null).await.body;
    assert_eq!(all["data"].as_array().unwrap().len(), 40);
}

#[test]
fn what_is_due_of_one_application_is_in_few_shards_and_that_of_many_in_all() {
    let clock = StillClock::new();
    let ambient = still::ambient(&clock);
    let mut all = BTreeSet::new();
    for _ in 0..200 {
        let (app, ep) = (ApplicationId::new(&ambient), EndpointId::new(&ambient));
        let shard = |_| {
            let key = MessageKey::new(&ambient);
            keys::due_shard_of(&app, &MessageId::from_key(Timestamp(0), key), &ep)
        };
        let own: BTreeSet<u32> = (0..200).map(shard).collect();
        assert!((2..=8).contains(&own.len()), "{own:?}");
        all.extend(own);
    }
    assert_eq!(all, (0..DUE_SHARDS).collect());
}

#[tokio::test]
async fn what_an_earlier_version_put_among_what_is_due_is_still_sent() {
    let settings = Settings { schedule: Schedule::new(vec![3_600]), ..Settings::default() };
    let world = World::build(Builder { settings, ..Builder::default() });
    let app = world.application().await;
    world.endpoint(&app, URL).await;
    world.network.next(URL, answer(500));
    world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    // Sixteen shards there were, and two digits.
    for shard in 0..16 {
        let query = |pk: String| Query {
            index: Index::Due,
            pk,
            from: keys::due_sk(Timestamp(0)),
            to: keys::due_sk(Timestamp(9_999_999_999_999)),
            descending: false,
            after: None,
            limit: 1,
        };
        let mut moved = None;
        for from in 0..DUE_SHARDS {
            let page = world.table.query(&query(keys::due_pk(from))).await.unwrap();
            let Some(found) = page.items.first() else { continue };
            let mut item: Item = world.table.get(&found.key).await.unwrap().unwrap();
            item.due.as_mut().unwrap().pk = format!("DUE#{shard:02}");
            let condition = Condition::Revision(item.rev);
            item.rev += 1;
            world.table.write(Write::Put(item, condition)).await.unwrap();
            moved = Some(from);
            break;
        }
        assert!(moved.is_some(), "{shard}");
    }
    world.advance_s(2 * 3_600);
    assert_eq!(world.sweep().await.enqueued, 1);
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 2);
}

#[test]
fn a_spread_only_grows_and_what_does_not_say_it_is_in_one_place() {
    let mut spread = Spread::default();
    assert!(spread.is_one());
    for expected in [2, 4, 8, 16, 16] {
        spread = spread.wider();
        assert_eq!(u8::from(spread), expected);
    }
    assert_eq!(spread, Spread::MOST);
    assert_eq!(serde_json::to_value(spread).unwrap(), json!(16));
    assert_eq!(serde_json::from_value::<Spread>(json!(0)).unwrap(), Spread::default());
    assert_eq!(u8::from(serde_json::from_value::<Spread>(json!(32)).unwrap()), 32);
}

//! Every list is a bounded number of reads per page, however long the history: an application
//! with 100,000 messages, and every list of the API with every filter; and a message that was
//! resent 20,000 times.

use std::collections::BTreeMap;

use description::Route;
use futures_util::{StreamExt, stream};
use serde_json::Value;
use shared::domain::attempt::Trigger;
use shared::domain::clock::Timestamp;
use shared::domain::id::{AttemptId, EndpointId, Ksuid, MessageId, MessageKey};
use shared::store::keys;
use shared::store::table::{Condition, Index, Item, Key, Query, Transacted, Write, prefix_range};

use crate::support::stage::{Play, Stage, described, routes};

const MESSAGES: u64 = 100_000;
/// Between two messages: the history reaches back 28 hours.
const STEP_MS: u64 = 1_000;
/// Calls that a page may take: who asks and about what, ten reads of an index, what else a list
/// looks up once. Payloads that are asked for come on top, one call for each.
const MAX_CALLS: u64 = 16;
/// Read units that an index read of a page of 250 may take, and what comes on top.
const MAX_READ_UNITS: f64 = 10.0 * 25.0 + 5.0;

#[tokio::test]
async fn every_list_is_a_bounded_number_of_reads_whatever_the_history_and_the_filter() {
    let stage = Stage::new().await;
    fill(&stage).await;
    let document = described(&BTreeMap::new());
    let mut pages = 0;
    for route in routes() {
        let operation = &document["paths"][&route.path][route.method.to_lowercase()];
        if !is_list(operation) {
            continue;
        }
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let filters = parameters.filter(|parameter| parameter["in"] == "query");
        let filters = filters.map(|parameter| parameter["name"].as_str().unwrap());
        for query in queries(&stage, &route, &filters.collect::<Vec<&str>>()).await {
            let (calls, units, items) = read(&stage, &route, &query).await;
            // A payload is a call of its own. A list of messages by their attempts looks each
            // message up, with its payload or without.
            let by_attempts = route.id == "v1.message-attempt.list-attempted-messages";
            let bare = query.contains("with_content=false") && !by_attempts;
            // A list of deliveries looks each message up that the page has room for.
            let looks_up = route.id == "posthorn.delivery.list";
            let room = if query.contains("limit=250") { 250 } else { 50 };
            let contents = if bare {
                0
            } else if looks_up {
                room
            } else {
                items
            };
            let what = format!("{} {query}: {calls} calls, {units} units", route.id);
            assert!(calls <= MAX_CALLS + contents, "{what}");
            assert!(units <= MAX_READ_UNITS + contents as f64, "{what}");
            pages += 1;
        }
    }
    assert!(pages > 50, "{pages} pages: are there no lists any more?");
    // Numbers read on for as long as they may count, and no longer.
    for (id, most) in [
        ("v1.endpoint.get-stats", 40 + MAX_CALLS),
        ("v1.endpoint.get-attempt-stats", 40 + MAX_CALLS),
        ("posthorn.endpoint.rate-limit-status", MAX_CALLS),
        ("posthorn.application.health", MAX_CALLS),
        ("posthorn.endpoint.health", MAX_CALLS),
        ("posthorn.message.explain", MAX_CALLS),
    ] {
        let route = routes().into_iter().find(|route| route.id == id).unwrap();
        let (calls, _, _) = read(&stage, &route, "").await;
        assert!(calls <= most, "{id}: {calls} calls");
    }
}

#[tokio::test]
async fn a_filter_that_nothing_fits_still_comes_to_an_end() {
    let stage = Stage::new().await;
    fill_with(&stage, 2_000).await;
    let app = &stage.names["app_id"];
    let (mut iterator, mut pages) = (String::new(), 0);
    loop {
        let path = format!("/api/v1/app/{app}/msg?channel=none&limit=50{iterator}");
        let page = stage.world.call("GET", &path, Value::Null).await;
        assert_eq!(page.status, 200, "{page:?}");
        assert_eq!(page.body["data"], Value::Array(Vec::new()));
        pages += 1;
        if page.body["done"] == true {
            break;
        }
        iterator = format!("&iterator={}", page.body["iterator"].as_str().unwrap());
    }
    assert_eq!(pages, 4, "2,001 messages, ten reads of 52 a page");
}

#[tokio::test]
async fn a_message_that_was_sent_again_and_again_is_listed_in_a_bounded_number_of_reads() {
    const ATTEMPTS: u64 = 20_000;
    let stage = Stage::new().await;
    let world = &stage.world;
    let id: MessageId = stage.names["msg_id"].parse().unwrap();
    let attempt_id: AttemptId = stage.names["attempt_id"].parse().unwrap();
    let ep: EndpointId = stage.names["endpoint_id"].parse().unwrap();
    let (from, to) = prefix_range(keys::ATTEMPT_PREFIX);
    let pk = keys::message_pk(&id.key());
    let query =
        Query { index: Index::Base, pk, from, to, descending: false, after: None, limit: 1 };
    let attempt = world.table.query(&query).await.unwrap().items.remove(0);
    let now = world.ambient.now().as_ms();
    stream::iter(1..=ATTEMPTS)
        .for_each_concurrent(512, async |n| {
            let at = Timestamp(now - n * STEP_MS);
            let new = AttemptId::from_ksuid(Ksuid::from_parts(at, world.ambient.random()));
            let renamed = |text: &str| text.replace(&attempt_id.to_string(), &new.to_string());
            let mut copy = copy(&attempt, renamed);
            copy.key = keys::attempt(&id.key(), &ep, Trigger::Manual(new));
            world.table.write(Write::Put(copy, Condition::Always)).await.unwrap();
        })
        .await;
    let mut lists = 0;
    for route in routes() {
        if !route.path.contains("{msg_id}") || route.method != "GET" {
            continue;
        }
        let (calls, ..) = read(&stage, &route, "").await;
        assert!(calls <= MAX_CALLS, "{}: {calls} calls", route.id);
        lists += 1;
    }
    assert!(lists >= 4, "{lists}");
}

/// Whether an operation answers a page of a list.
fn is_list(operation: &Value) -> bool {
    let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"];
    schema.as_str().is_some_and(|link| link.contains("/ListResponse"))
}

/// The list as it is, with each filter alone at its worst, and with all but those that leave
/// little to look at.
async fn queries(stage: &Stage, route: &Route, filters: &[&str]) -> Vec<String> {
    let first = stage.send(&stage.world.token(), &stage.play(route)).await;
    assert_eq!(first.status, 200, "{}: {first:?}", route.id);
    let mut queries = vec![String::new(), "limit=250".to_owned()];
    let mut all = vec!["limit=250".to_owned()];
    for filter in filters {
        let values = match *filter {
            "limit" => continue,
            "iterator" => match first.body["iterator"].as_str() {
                Some(iterator) => vec![iterator.to_owned(), format!("-{iterator}")],
                None => continue,
            },
            "order" => vec!["ascending".to_owned(), "descending".to_owned()],
            "after" | "before" => vec!["2027-01-14T18:00:00Z".to_owned()],
            // Nothing has it, so everything is looked at.
            "channel" | "event_types" | "tag" | "subject" => vec!["none".to_owned()],
            "task" => vec!["sdk.generate".to_owned()],
            "status" if route.id.contains("attempt") => vec!["2".to_owned(), "1".to_owned()],
            "status" => vec!["failed".to_owned()],
            "state" => vec!["failed".to_owned(), "waiting".to_owned()],
            "status_code_class" => vec!["500".to_owned()],
            "endpoint_id" => vec![stage.names["endpoint_id"].clone()],
            // It is looked for already.
            "q" => continue,
            "in_payload"
            | "with_content"
            | "include_archived"
            | "with_msg"
            | "with_names"
            | "expanded_statuses"
            | "exclude_apps_with_no_endpoints"
            | "exclude_apps_with_disabled_endpoints" => {
                vec!["true".to_owned(), "false".to_owned()]
            }
            other => panic!("{}: tests/bounded.rs has no value for `{other}`", route.id),
        };
        queries.extend(values.iter().map(|value| format!("{filter}={value}")));
        if !["iterator", "after", "before"].contains(filter) {
            all.push(format!("{filter}={}", values[values.len() - 1]));
        }
    }
    queries.push(all.join("&"));
    queries
}

/// Calls to the store, read units and items of one page.
async fn read(stage: &Stage, route: &Route, query: &str) -> (u64, f64, u64) {
    let play = stage.play(route);
    let joint = if play.path.contains('?') { '&' } else { '?' };
    let play = Play { path: format!("{}{joint}{query}", play.path), ..play };
    let before = stage.world.meter.usage();
    let reply = stage.send(&stage.world.token(), &play).await;
    let after = stage.world.meter.usage();
    assert_eq!(reply.status, 200, "{}: {reply:?}", play.path);
    let items = reply.body["data"].as_array().map_or(0, Vec::len) as u64;
    (after.store_calls - before.store_calls, after.read_units - before.read_units, items)
}

async fn fill(stage: &Stage) {
    fill_with(stage, MESSAGES).await;
}

/// Gives the application this many messages more, each with an attempt at its endpoint: copies of
/// those that are on stage, under other ids, from the past.
async fn fill_with(stage: &Stage, messages: u64) {
    let world = &stage.world;
    let id: MessageId = stage.names["msg_id"].parse().unwrap();
    let attempt_id: AttemptId = stage.names["attempt_id"].parse().unwrap();
    let message = world.table.get(&keys::message(&id.key())).await.unwrap().unwrap();
    let (from, to) = prefix_range(keys::ATTEMPT_PREFIX);
    let pk = keys::message_pk(&id.key());
    let query =
        Query { index: Index::Base, pk, from, to, descending: false, after: None, limit: 1 };
    let attempt = world.table.query(&query).await.unwrap().items.remove(0);
    let now = world.ambient.now().as_ms();
    let copies = (1..=messages).map(|n| {
        let at = Timestamp(now - n * STEP_MS);
        let key = MessageKey::new(&world.ambient);
        let new = MessageId::from_key(at, key);
        let new_attempt = AttemptId::from_ksuid(Ksuid::from_parts(at, world.ambient.random()));
        let renamed = |text: &str| {
            text.replace(&id.to_string(), &new.to_string())
                .replace(&attempt_id.to_string(), &new_attempt.to_string())
                .replace(&keys::message_pk(&id.key()), &keys::message_pk(&key))
        };
        [copy(&message, renamed), copy(&attempt, renamed)]
    });
    // As many at once as the store takes in one go.
    stream::iter(copies)
        .for_each_concurrent(512, async |pair| {
            let writes = pair.map(|item| Write::Put(item, Condition::Always)).to_vec();
            assert_eq!(world.table.transact(writes).await, Ok(Transacted::Done));
        })
        .await;
}

fn copy(item: &Item, renamed: impl Fn(&str) -> String) -> Item {
    let rename = |key: &Key| Key { pk: renamed(&key.pk), sk: renamed(&key.sk) };
    Item {
        key: rename(&item.key),
        by_time: item.by_time.as_ref().map(rename),
        doc: renamed(&item.doc),
        ..item.clone()
    }
}

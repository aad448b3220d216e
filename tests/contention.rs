//! Many change one thing at the same time: each has its turn, and nobody sees a failure of ours.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use shared::api::error::ApiError;
use shared::domain::application::Application;
use shared::domain::delivery::machine::Event;
use shared::domain::endpoint::Endpoint;
use shared::domain::id::{ApplicationId, EndpointId, SourceId, Uid};
use shared::store::change::{Change, Changed, change, change_within};
use shared::store::keys;
use shared::store::table::{Condition, Index, Item, Key, Query, Table, Write};
use shared::store::{
    Advanced, Deliveries, Directory, DirectoryEditor, Edited, Need, Sources, StoreError,
};

use crate::support::interleaved::Interleaved;
use crate::support::network::answer;
use crate::support::world::{World, organisation, text};

const URL: &str = "http://127.0.0.1:9/hook";
const CALLERS: usize = 24;

/// The statuses that `CALLERS` callers get who ask at the same time.
async fn at_once(
    world: &Arc<World>,
    method: &'static str,
    path: &str,
    body: impl Fn(usize) -> Value,
) -> Vec<StatusCode> {
    let calls = (0..CALLERS).map(|n| {
        let (world, path, body) = (world.clone(), path.to_owned(), body(n));
        tokio::spawn(async move { world.call(method, &path, body).await.status })
    });
    let mut statuses = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        statuses.push(call.await.unwrap());
    }
    statuses
}

fn all(status: StatusCode) -> Vec<StatusCode> {
    vec![status; CALLERS]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_who_change_one_endpoint_all_succeed() {
    let world = Arc::new(World::new());
    let app = world.application().await;
    let ep = world.endpoint(&app, URL).await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    let change = |n: usize| json!({"description": format!("change {n}")});
    assert_eq!(at_once(&world, "PATCH", &path, change).await, all(StatusCode::OK));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_who_change_one_application_all_succeed() {
    let world = Arc::new(World::new());
    let path = format!("/api/v1/app/{}", world.application().await);
    let change = |n: usize| json!({"name": format!("change {n}")});
    assert_eq!(at_once(&world, "PATCH", &path, change).await, all(StatusCode::OK));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_who_change_one_event_type_all_succeed() {
    let world = Arc::new(World::new());
    world.describe("order.paid").await;
    let change = |n: usize| json!({"description": format!("change {n}")});
    let path = "/api/v1/event-type/order.paid";
    assert_eq!(at_once(&world, "PATCH", path, change).await, all(StatusCode::OK));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_who_change_one_source_all_succeed() {
    let world = Arc::new(World::new());
    let app = world.application().await;
    let source = |n: usize| {
        json!({"name": format!("change {n}"), "uid": "hub", "type": "github", "app": app,
            "config": {"secret": "s"}})
    };
    world.call("POST", "/ingest/api/v1/source", source(0)).await;
    let path = "/ingest/api/v1/source/hub";
    assert_eq!(at_once(&world, "PUT", path, source).await, all(StatusCode::OK));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_create_one_application_if_there_is_none_each_gets_it() {
    let world = Arc::new(World::new());
    let create = |_| json!({"name": "Customer", "uid": "customer"});
    let statuses = at_once(&world, "POST", "/api/v1/app?get_if_exists=true", create).await;
    let created = statuses.iter().filter(|status| **status == StatusCode::CREATED).count();
    let there = statuses.iter().filter(|status| **status == StatusCode::OK).count();
    assert_eq!((created, there), (1, CALLERS - 1), "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_put_one_thing_that_is_not_there_one_creates_it_and_the_others_change_it() {
    let world = Arc::new(World::new());
    let app = world.application().await;
    let application = |n: usize| json!({"name": format!("change {n}"), "uid": "customer"});
    let endpoint =
        |n: usize| json!({"url": URL, "uid": "hook", "description": format!("change {n}")});
    let source = |n: usize| {
        json!({"name": format!("change {n}"), "type": "github", "app": app,
            "config": {"secret": "s"}})
    };
    for (path, statuses) in [
        ("app", at_once(&world, "PUT", "/api/v1/app/customer", application).await),
        (
            "endpoint",
            at_once(&world, "PUT", &format!("/api/v1/app/{app}/endpoint/hook"), endpoint).await,
        ),
        ("source", at_once(&world, "PUT", "/ingest/api/v1/source/hub", source).await),
    ] {
        let created = statuses.iter().filter(|status| **status == StatusCode::CREATED).count();
        let changed = statuses.iter().filter(|status| **status == StatusCode::OK).count();
        assert_eq!((created, changed), (1, CALLERS - 1), "{path}: {statuses:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_who_create_endpoints_get_as_many_as_there_may_be() {
    let world = Arc::new(World::new());
    let customer = json!({"name": "Customer", "uid": "customer", "profile": "dashx"});
    assert_eq!(world.call("POST", "/api/v1/app", customer).await.status, 201);
    let path = "/api/v1/app/customer/endpoint";
    let statuses = at_once(&world, "POST", path, |n| json!({"url": format!("{URL}/{n}")})).await;
    let created = statuses.iter().filter(|status| **status == StatusCode::CREATED).count();
    let refused = statuses.iter().filter(|status| **status == StatusCode::BAD_REQUEST).count();
    assert_eq!((created, refused), (5, CALLERS - 5), "{statuses:?}");
    let there = world.call("GET", path, Value::Null).await.body;
    assert_eq!(there["data"].as_array().unwrap().len(), 5, "{there}");
}

#[tokio::test]
async fn a_change_that_changes_nothing_writes_nothing() {
    let (world, app, ep) = World::with_endpoint(URL).await;
    world.describe("order.paid").await;
    let source = json!({"name": "Hub", "uid": "hub", "type": "github", "app": app,
        "config": {"secret": "s"}});
    world.call("POST", "/ingest/api/v1/source", source).await;
    let cases = [
        ("PATCH", "/ingest/api/v1/source/hub".to_owned(), json!({"name": "Hub"})),
        ("PATCH", format!("/api/v1/app/{app}"), json!({"name": "Test"})),
        ("PATCH", format!("/api/v1/app/{app}/endpoint/{ep}"), json!({"url": URL})),
        ("PUT", "/api/v1/event-type/order.paid".to_owned(), json!({"description": ""})),
    ];
    for (method, path, body) in cases {
        let before = world.call("GET", &path, Value::Null).await.body;
        world.advance_s(60);
        let written = world.meter.usage().write_units;
        let after = world.call(method, &path, body).await.body;
        assert_eq!(world.meter.usage().write_units, written, "{method} {path}");
        assert_eq!(after, before, "{method} {path}");
    }
}

#[tokio::test]
async fn a_change_against_others_who_never_stop_ends_as_contended() {
    let world = World::new();
    let key = keys::answer("any");
    let put =
        |rev| Write::Put(Item::new(key.clone(), "{}".into()).revision(rev), Condition::Always);
    world.table.write(put(1)).await.unwrap();
    let never = |_| Ok(Change::Write(vec![Write::Delete(key.clone(), Condition::Revision(9))], ()));
    let changed = change_within(Duration::ZERO, &*world.table, &key, never).await;
    assert_eq!(changed, Err(StoreError::Contended));
    assert!(world.table.get(&key).await.unwrap().is_some());
}

#[test]
fn who_asks_for_a_change_that_is_contended_is_told_to_ask_again() {
    let response = ApiError::from(StoreError::Contended).into_response();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    // Spread, so that those who met do not meet again.
    let after = response.headers()["retry-after"].to_str().unwrap();
    assert!(["1", "2", "3"].contains(&after), "{after}");
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(body["code"], "contended");
}

#[tokio::test]
async fn a_change_that_was_overtaken_decides_again_on_what_is_there_by_then() {
    let world = World::new();
    let key = keys::answer("any");
    let item = |rev: u64| Item::new(key.clone(), format!("{{\"rev\":{rev}}}")).revision(rev);
    world.table.write(Write::Put(item(1), Condition::Always)).await.unwrap();
    let table = Interleaved::new(&world.table);
    let (other, theirs) = (world.table.clone(), Write::Put(item(2), Condition::Revision(1)));
    table.after_next_read(async move {
        other.write(theirs).await.unwrap();
    });
    let changed = change(&*table, &key, |found| {
        let rev = found.unwrap().rev;
        Ok(Change::Write(vec![Write::Put(item(rev + 1), Condition::Revision(rev))], rev))
    });
    assert_eq!(changed.await, Ok(Changed::Done(2)));
    assert_eq!(world.table.get(&key).await.unwrap().unwrap().rev, 3);
}

#[tokio::test]
async fn a_name_that_is_given_away_while_its_owner_is_deleted_stays_with_the_new_one() {
    let world = World::new();
    let (app, ep) = owner(&world).await;
    let table = Interleaved::new(&world.table);
    let deleter = DirectoryEditor::new(table.clone(), None);
    // Between the read and the deletion the endpoint is renamed, and another takes its name.
    table.after_next_read(take_over(&world, app, ep));
    deleter.delete_endpoint(&app, &ep).await.unwrap();
    let tenant =
        Directory::new(world.table.clone()).tenant(&app, Need::All).await.unwrap().unwrap();
    assert!(tenant.endpoints.iter().all(|endpoint| endpoint.id != ep));
    // The name that the deleted one had last is free, the other name is taken.
    let path = format!("/api/v1/app/{app}/endpoint");
    let create = |uid: &str| json!({"url": URL, "uid": uid});
    assert_eq!(world.call("POST", &path, create("renamed")).await.status, 201);
    assert_eq!(world.call("POST", &path, create("hook")).await.status, 409);
}

#[tokio::test]
async fn an_application_that_is_renamed_while_it_is_deleted_leaves_no_name_behind() {
    let world = World::new();
    let create = async |uid: &str| {
        world.call("POST", "/api/v1/app", json!({"name": "Test", "uid": uid})).await
    };
    let app: ApplicationId = text(&create("first").await.body["id"]).parse().unwrap();
    let table = Interleaved::new(&world.table);
    let (editor, now) = (DirectoryEditor::new(world.table.clone(), None), world.ambient.now());
    table.after_next_read(async move {
        let rename = |it: &mut Application| {
            it.uid = Uid::parse("second", "").ok();
        };
        editor.edit_application(&app, now, rename).await.unwrap();
    });
    DirectoryEditor::new(table.clone(), None)
        .delete_application(&app, world.ambient.now())
        .await
        .unwrap();
    assert_eq!(create("first").await.status, 201);
    assert_eq!(create("second").await.status, 201);
}

#[tokio::test]
async fn a_source_that_is_deleted_twice_at_once_takes_no_name_from_its_successor() {
    let (world, app) = World::with_application().await;
    let body = json!({"name": "Hub", "uid": "hub", "type": "github", "app": app,
        "config": {"secret": "s"}});
    let made = world.call("POST", "/ingest/api/v1/source", body.clone()).await.body;
    let id = text(&made["id"]).parse().unwrap();
    let table = Interleaved::new(&world.table);
    let sources = |table: Arc<dyn Table>| Sources::new(table, world.ambient.clock.clone(), 0);
    let (slow, fast) = (sources(table.clone()), sources(world.table.clone()));
    let successor = {
        let mut source = fast.list(&organisation()).await.unwrap().remove(0);
        source.id = SourceId::new(&world.ambient);
        source
    };
    table.after_next_read(async move {
        fast.delete(&id).await.unwrap();
        assert!(fast.create(&successor).await.unwrap());
    });
    slow.delete(&id).await.unwrap();
    assert_eq!(world.call("POST", "/ingest/api/v1/source", body).await.status, 409);
}

/// An application with an endpoint whose uid is `hook`.
async fn owner(world: &World) -> (ApplicationId, EndpointId) {
    let app = world.application().await;
    let ep = world.endpoint_with(&app, json!({"url": URL, "uid": "hook"})).await;
    (app.parse().unwrap(), ep.parse().unwrap())
}

/// Renames an endpoint and gives its name to another.
fn take_over(
    world: &World,
    app: ApplicationId,
    ep: EndpointId,
) -> impl Future<Output = ()> + Send + 'static {
    let (editor, now) = (DirectoryEditor::new(world.table.clone(), None), world.ambient.now());
    let (reader, id) = (Directory::new(world.table.clone()), EndpointId::new(&world.ambient));
    async move {
        let tenant = reader.tenant(&app, Need::All).await.unwrap().unwrap();
        let mut other = Endpoint::clone(&tenant.endpoints[0]);
        let rename = |it: &mut Endpoint| {
            it.uid = Uid::parse("renamed", "").ok();
        };
        editor.edit_endpoint(&app, &ep, now, rename).await.unwrap();
        other.id = id;
        editor.create_endpoint(&other).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_whose_first_endpoints_get_tokens_share_one_key() {
    let world = Arc::new(World::new());
    let app = world.application().await;
    let path = format!("/api/v1/app/{app}/endpoint");
    let endpoint =
        |n: usize| json!({"url": format!("{URL}/{n}"), "format": "jwt", "jwtAlgorithm": "ES256"});
    assert_eq!(at_once(&world, "POST", &path, endpoint).await, all(StatusCode::CREATED));
    let keys = world.call("GET", "/api/v1/operator/jwt-key", Value::Null).await.body;
    assert_eq!(keys["data"].as_array().unwrap().len(), 1, "{keys}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_who_add_headers_add_no_more_than_there_may_be() {
    let world = Arc::new(World::new());
    let app = world.application().await;
    let ep = world.endpoint(&app, URL).await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/headers");
    let ten = |n: usize| {
        let names = (0..10).map(|m| (format!("x-{n}-{m}"), json!("1")));
        json!({"headers": names.collect::<serde_json::Map<_, _>>()})
    };
    let statuses = at_once(&world, "PATCH", &path, ten).await;
    let added = statuses.iter().filter(|status| **status == StatusCode::NO_CONTENT).count();
    assert_eq!(added, 3, "{statuses:?}");
    let shown = world.call("GET", &path, Value::Null).await.body;
    assert_eq!(shown["headers"].as_object().unwrap().len(), 30, "{shown}");
}

/// Everything that is stored about an application.
async fn remains(world: &World, app: &ApplicationId) -> Vec<Key> {
    let (from, to) = (String::new(), "\u{7f}".to_owned());
    let mut remains = Vec::new();
    for pk in [keys::application_pk(app), keys::integrations_pk(app)] {
        let (index, from, to) = (Index::Base, from.clone(), to.clone());
        let query = Query { index, pk, from, to, descending: false, after: None, limit: 100 };
        let page = world.table.query(&query).await.unwrap();
        remains.extend(page.items.into_iter().map(|item| item.key));
    }
    remains
}

#[tokio::test]
async fn what_is_created_while_its_application_is_deleted_goes_with_it() {
    let world = World::new();
    let name = world.application().await;
    let ep = world.endpoint(&name, URL).await;
    let app = name.parse().unwrap();
    let reader = Directory::new(world.table.clone());
    let tenant = reader.tenant(&app, Need::All).await.unwrap().unwrap();
    let another = |id: EndpointId| {
        let mut another = Endpoint::clone(&tenant.endpoints[0]);
        (another.id, another.uid) = (id, Uid::parse("another", "").ok());
        another
    };
    let (table, now) = (Interleaved::new(&world.table), world.ambient.now());
    let editor = |table: Arc<dyn Table>| DirectoryEditor::new(table, None);
    let (slow, fast) = (editor(table.clone()), editor(world.table.clone()));
    // Once the endpoints that there are have been read.
    let late = another(EndpointId::new(&world.ambient));
    let creator = fast.clone();
    table.after_next_read(async move {
        assert_eq!(creator.create_endpoint(&late).await.unwrap(), Edited::Done(()));
    });
    assert_eq!(slow.delete_application(&app, now).await.unwrap(), Edited::Done(()));
    assert_eq!(remains(&world, &app).await, Vec::new(), "{ep}");
    // Once it is gone, by whoever knew it.
    let later = another(EndpointId::new(&world.ambient));
    assert_eq!(fast.create_endpoint(&later).await.unwrap(), Edited::Gone);
    assert_eq!(remains(&world, &app).await, Vec::new());
}

#[tokio::test]
async fn a_delivery_that_the_sweep_claims_meanwhile_is_canceled_all_the_same() {
    let (mut world, app, ep) = World::with_endpoint(URL).await;
    world.network.next(URL, answer(500));
    let msg = world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    let (deliveries, now) = (world.parts.deliveries.clone(), world.ambient.now());
    let (id, endpoint) = (msg.parse().unwrap(), ep.parse().unwrap());
    let table = Interleaved::new(&world.table);
    world.admin.pending = Deliveries::new(table.clone());
    table.after_next_read(async move {
        let found = deliveries.delivery(&id, &endpoint).await.unwrap().unwrap();
        let claimed = deliveries.advance(&found, Event::Claimed, now).await.unwrap();
        assert!(matches!(claimed, Advanced::Done { .. }), "{claimed:?}");
    });
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/cancel-msgs");
    let since = now.minus_ms(60_000).to_rfc3339();
    let canceled = world.call("POST", &path, json!({"since": since})).await.body;
    assert_eq!(canceled["canceled"], 1, "{canceled}");
}

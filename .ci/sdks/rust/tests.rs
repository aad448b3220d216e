//! A test for each resource.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use js_option::JsOption;
use serde_json::{Value, json};
use svix::api::*;
use svix::error::{Error, Result};
use svix::models::*;
use svix::webhooks::Webhook;

use crate::{Bench, client};

type Test = fn(Bench) -> Pin<Box<dyn Future<Output = ()>>>;

macro_rules! tests {
    ($($function:ident $name:literal [$($need:literal),*];)*) => {
        /// Name, needs, and the test.
        pub fn all() -> Vec<(&'static str, &'static [&'static str], Test)> {
            vec![$(($name, &[$($need),*], |bench| Box::pin($function(bench)))),*]
        }
    };
}

tests! {
    health "health" ["GET /health"];
    application "application" ["PATCH /app/{}"];
    endpoint "endpoint" ["PATCH /app/{}/endpoint/{}"];
    headers "endpoint headers"
        ["PUT /app/{}/endpoint/{}/headers", "PATCH /app/{}/endpoint/{}/headers"];
    secret "endpoint secret" [];
    verified "delivery, verified" [];
    message "message" [];
    create_on_send "message: application with it" ["MessageIn.application"];
    raw "message: raw payload" ["MessageIn.transformationsParams"];
    expunge "message: expunge" ["DELETE /app/{}/msg/{}/content"];
    later "message: tags, later" ["MessageIn.tags", "MessageIn.deliverAt"];
    event_type "event type" ["POST /event-type"];
    import "event type: import" ["POST /event-type/import/openapi"];
    attempts "message attempt" [];
    attempted_messages "message attempt: messages" ["GET /app/{}/endpoint/{}/msg"];
    expunge_attempt "message attempt: expunge" ["DELETE /app/{}/msg/{}/attempt/{}/content"];
    resend "resend" [];
    recover "recover" ["POST /app/{}/endpoint/{}/recover"];
    replay_missing "replay missing" ["POST /app/{}/endpoint/{}/replay-missing"];
    bulk_replay "bulk replay" ["POST /app/{}/endpoint/{}/bulk-replay"];
    background_task "background task"
        ["GET /background-task/{}", "POST /app/{}/endpoint/{}/replay-missing"];
    stats "endpoint stats" ["GET /app/{}/endpoint/{}/stats"];
    statistics "statistics" ["POST /stats/usage/app", "PUT /stats/usage/event-types"];
    send_example "send example" ["POST /app/{}/endpoint/{}/send-example", "POST /event-type"];
    authentication "authentication" ["POST /auth/app-portal-access/{}", "POST /auth/logout"];
    expire_all "authentication: expire all" ["POST /auth/app/{}/expire-all"];
    capabilities "authentication: less" ["AppPortalAccessIn.capabilities"];
    environment "environment" ["POST /environment/export"];
    integration "integration" ["POST /app/{}/integration"];
    with_msg "message attempt: with it" ["GET /app/{}/attempt/endpoint/{}"];
    ingest_source "ingest: source" ["POST /ingest/api/v1/source/{}/token/rotate"];
    operational_webhook "operational webhook" ["POST /operational-webhook/endpoint"];
    errors "errors" [];
}

async fn health(b: Bench) {
    b.svix.health().get().await.unwrap();
}

async fn application(b: Bench) {
    let apps = b.svix.application();
    let uid = unique("sdk-");
    let named =
        |name: &str| ApplicationIn { uid: Some(uid.clone()), ..ApplicationIn::new(name.into()) };
    let made = apps.create(named("One"), None).await.unwrap();
    assert_eq!(apps.get(uid.clone()).await.unwrap().id, made.id);
    assert_eq!(apps.get_or_create(named("Other"), None).await.unwrap().name, "One");
    expect(409, apps.create(named("Twice"), None).await);
    assert_eq!(apps.upsert(uid.clone(), named("Two")).await.unwrap().name, "Two");
    let patch = |rate| ApplicationPatch { throttle_rate: rate, ..ApplicationPatch::new() };
    let limited = apps.patch(made.id.clone(), patch(JsOption::Some(7))).await.unwrap();
    assert_eq!(limited.throttle_rate, Some(7));
    let free = apps.patch(made.id.clone(), patch(JsOption::Null)).await.unwrap();
    assert_eq!(free.throttle_rate, None);
    let options = ApplicationListOptions {
        limit: Some(250),
        order: Some(Ordering::Descending),
        ..Default::default()
    };
    // Other suites make applications at the same time.
    let latest = apps.list(Some(options)).await.unwrap().data;
    assert!(latest.iter().any(|one| one.id == made.id));
    apps.delete(made.id.clone()).await.unwrap();
    expect(404, apps.get(made.id).await);
}

async fn endpoint(b: Bench) {
    let eps = b.svix.endpoint();
    let made = b
        .endpoint_with(EndpointIn {
            uid: Some("one".into()),
            event_types: Some(["order.paid".to_owned()].into()),
            channels: Some(["red".to_owned()].into()),
            ..EndpointIn::new(b.place(200))
        })
        .await;
    assert_eq!(made.event_types, Some(vec!["order.paid".to_owned()].into_iter().collect()));
    assert_eq!(eps.get(b.app(), "one".into()).await.unwrap().id, made.id);
    let upsert = |uid: &str| EndpointUpsertIn {
        uid: Some(uid.into()),
        ..EndpointUpsertIn::new(b.place(200))
    };
    let changed = eps.upsert(b.app(), made.id.clone(), upsert("two")).await.unwrap();
    assert_eq!((changed.uid.as_deref(), changed.event_types), (Some("two"), None));
    eps.upsert(b.app(), "three".into(), upsert("three")).await.unwrap();
    let patch = EndpointPatch { disabled: Some(true), uid: JsOption::Null, ..EndpointPatch::new() };
    let patched = eps.patch(b.app(), made.id.clone(), patch).await.unwrap();
    assert_eq!((patched.disabled, patched.uid), (Some(true), None));
    let options = EndpointListOptions { limit: Some(1), ..Default::default() };
    let page = eps.list(b.app(), Some(options)).await.unwrap();
    assert!(page.data.len() == 1 && !page.done);
    eps.delete(b.app(), made.id.clone()).await.unwrap();
    expect(404, eps.get(b.app(), made.id).await);
}

async fn headers(b: Bench) {
    let eps = b.svix.endpoint();
    let ep = b.endpoint(200).await;
    let pairs = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let put = |all: &[(&str, &str)]| {
        eps.set_headers(b.app(), ep.id.clone(), EndpointHeadersIn::new(pairs(all)))
    };
    put(&[("X-Tenant", "7"), ("Authorization", "Key 1")]).await.unwrap();
    let shown = eps.get_headers(b.app(), ep.id.clone()).await.unwrap();
    assert_eq!(shown.headers.len(), 1);
    assert_eq!(shown.sensitive.len(), 1);
    let more = EndpointHeadersPatchIn::new(pairs(&[("X-More", "8")]));
    eps.patch_headers(b.app(), ep.id.clone(), more).await.unwrap();
    b.send().await;
    let came = b.receiver.arrival(&ep.url).headers;
    assert_eq!(came["x-tenant"], "7");
    assert_eq!(came["x-more"], "8");
    assert_eq!(came["authorization"], "Key 1");
    expect(422, put(&[("Content-Length", "3")]).await);
}

async fn secret(b: Bench) {
    let eps = b.svix.endpoint();
    let own = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let shape = EndpointIn { secret: Some(own.into()), ..EndpointIn::new(b.place(200)) };
    let ep = b.endpoint_with(shape).await;
    assert_eq!(eps.get_secret(b.app(), ep.id.clone()).await.unwrap().key, own);
    eps.rotate_secret(b.app(), ep.id.clone(), EndpointSecretRotateIn::new(), None).await.unwrap();
    let renewed = eps.get_secret(b.app(), ep.id.clone()).await.unwrap().key;
    assert_ne!(renewed, own);
    b.send().await;
    let came = b.receiver.arrival(&ep.url);
    for key in [own, &renewed] {
        Webhook::new(key).unwrap().verify(&came.body, &came.headers).unwrap();
    }
}

async fn verified(b: Bench) {
    let ep = b.endpoint(200).await;
    let key = b.svix.endpoint().get_secret(b.app(), ep.id.clone()).await.unwrap().key;
    let sent = b.send().await;
    let came = b.receiver.arrival(&ep.url);
    assert_eq!(came.headers["webhook-id"], sent.id.as_str());
    let body: Value = serde_json::from_slice(&came.body).unwrap();
    assert_eq!(body["note"], "ünïcödé 🎺");
    let changed = [&came.body[..], b" "].concat();
    let svix = Webhook::new(&key).unwrap();
    svix.verify(&came.body, &came.headers).unwrap();
    assert!(svix.verify(&changed, &came.headers).is_err());
    let standard = standardwebhooks::Webhook::new(&key).unwrap();
    standard.verify(&came.body, &came.headers).unwrap();
    assert!(standard.verify(&changed, &came.headers).is_err());
}

async fn message(b: Bench) {
    let msgs = b.svix.message();
    let shape = |event_type: &str, channel: &str| MessageIn {
        channels: Some([channel.to_owned()].into()),
        ..MessageIn::new(event_type.into(), json!({"order": "1001"}))
    };
    let named = MessageIn { event_id: Some("paid-1".into()), ..shape("order.paid", "red") };
    let first = b.send_with(named.clone()).await;
    // Ids tell moments apart that are four milliseconds from each other.
    tokio::time::sleep(Duration::from_millis(10)).await;
    let second = b.send_with(shape("order.failed", "blue")).await;
    let whole = MessageGetOptions { with_content: Some(true) };
    let got = msgs.get(b.app(), "paid-1".into(), Some(whole)).await.unwrap();
    assert_eq!((got.id, &got.payload["order"]), (first.id.clone(), &json!("1001")));
    expect(409, msgs.create(b.app(), named, None).await);
    let filters = [
        (MessageListOptions::default(), vec![&second.id, &first.id]),
        (MessageListOptions { channel: Some("red".into()), ..Default::default() }, vec![&first.id]),
        (
            MessageListOptions {
                event_types: Some(["order.failed".to_owned()].into()),
                ..Default::default()
            },
            vec![&second.id],
        ),
        (MessageListOptions { before: Some(minute_ago()), ..Default::default() }, vec![]),
    ];
    for (options, found) in filters {
        let page = msgs.list(b.app(), Some(options)).await.unwrap();
        assert_eq!(page.data.iter().map(|one| &one.id).collect::<Vec<_>>(), found);
    }
    let key = unique("key-");
    let mut same = Vec::new();
    for _ in 0..2 {
        let options =
            MessageCreateOptions { idempotency_key: Some(key.clone()), ..Default::default() };
        let shape = MessageIn::new("order.paid".into(), json!({"n": 1}));
        same.push(msgs.create(b.app(), shape, Some(options)).await.unwrap().id);
    }
    assert_eq!(same[0], same[1]);
}

async fn create_on_send(b: Bench) {
    let uid = unique("sdk-late-");
    let late = ApplicationIn { uid: Some(uid.clone()), ..ApplicationIn::new("Late".into()) };
    let shape =
        MessageIn { application: Some(late), ..MessageIn::new("order.paid".into(), json!({})) };
    let sent = b.svix.message().create(uid.clone(), shape, None).await.unwrap();
    assert_eq!(b.svix.message().get(uid, sent.id.clone(), None).await.unwrap().id, sent.id);
}

async fn raw(b: Bench) {
    let ep = b.endpoint(200).await;
    let shape = MessageIn::new_raw_payload("order.paid".into(), "not, JSON".into())
        .with_content_type("text/plain".into());
    b.send_with(shape).await;
    let came = b.receiver.arrival(&ep.url);
    assert_eq!(came.body, b"not, JSON");
    assert_eq!(came.headers["content-type"], "text/plain");
}

async fn expunge(b: Bench) {
    let ep = b.endpoint(200).await;
    let sent = b.send().await;
    b.receiver.arrival(&ep.url);
    b.svix.message().expunge_content(b.app(), sent.id.clone()).await.unwrap();
    let whole = MessageGetOptions { with_content: Some(true) };
    let left = b.svix.message().get(b.app(), sent.id.clone(), Some(whole)).await.unwrap();
    assert!(left.payload["order"].is_null());
    expect(400, b.svix.message_attempt().resend(b.app(), sent.id, ep.id, None).await);
}

async fn later(b: Bench) {
    let ep = b.endpoint(200).await;
    let at = Utc::now() + TimeDelta::seconds(90);
    let sent = b
        .send_with(MessageIn {
            tags: Some(["vip".to_owned()].into()),
            deliver_at: Some(at),
            ..MessageIn::new("order.paid".into(), json!({}))
        })
        .await;
    let other = b.send().await;
    assert_eq!(b.receiver.arrival(&ep.url).headers["webhook-id"], other.id.as_str());
    let tagged = MessageListOptions { tag: Some("vip".into()), ..Default::default() };
    let page = b.svix.message().list(b.app(), Some(tagged)).await.unwrap();
    assert_eq!(page.data[0].id, sent.id);
}

async fn event_type(b: Bench) {
    let types = b.svix.event_type();
    let name = unique("sdk.");
    let shape = || EventTypeIn::new(name.clone(), "Paid".into());
    assert_eq!(types.create(shape(), None).await.unwrap().name, name);
    expect(409, types.create(shape(), None).await);
    let was = EventTypeUpsertIn::new("Was paid".into());
    assert_eq!(types.upsert(name.clone(), was).await.unwrap().description, "Was paid");
    types.delete(name.clone(), None).await.unwrap();
    assert_eq!(types.get(name.clone()).await.unwrap().archived, Some(true));
    let gone = EventTypeDeleteOptions { expunge: Some(true) };
    types.delete(name.clone(), Some(gone)).await.unwrap();
    expect(404, types.get(name).await);
}

async fn import(b: Bench) {
    let name = unique("sdk.");
    let post = json!({
        "operationId": &name,
        "description": "Imported",
        "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}},
    });
    let spec = json!({
        "openapi": "3.1.0",
        "info": {"title": "t", "version": "1"},
        "webhooks": {&name: {"post": post}},
    });
    let input = EventTypeImportOpenApiIn { spec: Some(spec), ..EventTypeImportOpenApiIn::new() };
    b.svix.event_type().import_openapi(input, None).await.unwrap();
    assert_eq!(b.svix.event_type().get(name).await.unwrap().description, "Imported");
}

async fn attempts(b: Bench) {
    let tries = b.svix.message_attempt();
    let (good, bad) = (b.endpoint(200).await, b.endpoint(500).await);
    let sent = b.send().await;
    b.receiver.arrival(&good.url);
    b.receiver.arrival(&bad.url);
    wait_for(async || {
        tries.list_by_msg(b.app(), sent.id.clone(), None).await.unwrap().data.len() == 2
    })
    .await;
    let failed = tries.list_by_endpoint(b.app(), bad.id.clone(), None).await.unwrap();
    let failed = &failed.data[0];
    assert_eq!((failed.response_status_code, failed.status), (500, MessageStatus::Fail));
    let got = tries.get(b.app(), sent.id.clone(), failed.id.clone(), None).await.unwrap();
    assert_eq!(got.url, bad.url);
    let options = MessageAttemptListByMsgOptions {
        status: Some(MessageStatus::Success),
        ..Default::default()
    };
    let listed = tries.list_by_msg(b.app(), sent.id.clone(), Some(options)).await.unwrap();
    assert_eq!(listed.data.len(), 1);
    assert_eq!(listed.data[0].endpoint_id, good.id);
    let places = tries.list_attempted_destinations(b.app(), sent.id, None).await.unwrap();
    assert_eq!(places.data.len(), 2);
}

async fn attempted_messages(b: Bench) {
    let ep = b.endpoint(200).await;
    let sent = b.send().await;
    b.receiver.arrival(&ep.url);
    let tries = b.svix.message_attempt();
    wait_for(async || {
        let page = tries.list_attempted_messages(b.app(), ep.id.clone(), None).await.unwrap();
        page.data.iter().any(|one| one.id == sent.id)
    })
    .await;
}

async fn expunge_attempt(b: Bench) {
    let tries = b.svix.message_attempt();
    let ep = b.endpoint(200).await;
    let sent = b.send().await;
    b.receiver.arrival(&ep.url);
    let list = async || tries.list_by_msg(b.app(), sent.id.clone(), None).await.unwrap().data;
    wait_for(async || !list().await.is_empty()).await;
    let attempt = list().await.remove(0).id;
    tries.expunge_content(b.app(), sent.id.clone(), attempt.clone()).await.unwrap();
    let left = tries.get(b.app(), sent.id.clone(), attempt, None).await.unwrap();
    assert_eq!(left.response, "EXPUNGED");
}

async fn resend(b: Bench) {
    let tries = b.svix.message_attempt();
    let ep = b.endpoint(200).await;
    let sent = b.send().await;
    let first = b.receiver.arrival(&ep.url);
    let count =
        async || tries.list_by_msg(b.app(), sent.id.clone(), None).await.unwrap().data.len();
    wait_for(async || count().await == 1).await;
    tries.resend(b.app(), sent.id.clone(), ep.id.clone(), None).await.unwrap();
    let second = b.receiver.arrival(&ep.url);
    assert_eq!(first.headers["webhook-id"], second.headers["webhook-id"]);
    wait_for(async || count().await == 2).await;
}

async fn recover(b: Bench) {
    let ep = b.endpoint(500).await;
    let sent = b.send().await;
    b.receiver.arrival(&ep.url);
    let tries = b.svix.message_attempt();
    wait_for(async || {
        !tries.list_by_msg(b.app(), sent.id.clone(), None).await.unwrap().data.is_empty()
    })
    .await;
    let patch = EndpointPatch { url: Some(b.place(200)), ..EndpointPatch::new() };
    let moved = b.svix.endpoint().patch(b.app(), ep.id.clone(), patch).await.unwrap();
    let since = RecoverIn::new(minute_ago());
    let task = b.svix.endpoint().recover(b.app(), ep.id, since, None).await.unwrap();
    assert!(task.id.starts_with("qtask_"));
    b.receiver.arrival(&moved.url);
}

async fn replay_missing(b: Bench) {
    let sent = b.send().await;
    let ep = b.endpoint(200).await;
    let since = ReplayIn::new(minute_ago());
    b.svix.endpoint().replay_missing(b.app(), ep.id.clone(), since, None).await.unwrap();
    assert_eq!(b.receiver.arrival(&ep.url).headers["webhook-id"], sent.id.as_str());
}

async fn bulk_replay(b: Bench) {
    let ep = b.endpoint(200).await;
    b.send().await;
    b.receiver.arrival(&ep.url);
    let tries = b.svix.message_attempt();
    wait_for(async || {
        !tries.list_by_endpoint(b.app(), ep.id.clone(), None).await.unwrap().data.is_empty()
    })
    .await;
    let since = BulkReplayIn::new(minute_ago());
    b.svix.endpoint().bulk_replay(b.app(), ep.id.clone(), since, None).await.unwrap();
    b.receiver.arrival(&ep.url);
}

async fn background_task(b: Bench) {
    let ep = b.endpoint(200).await;
    let since = ReplayIn::new(minute_ago());
    let task = b.svix.endpoint().replay_missing(b.app(), ep.id, since, None).await.unwrap();
    let tasks = b.svix.background_task();
    wait_for(async || {
        tasks.get(task.id.clone()).await.unwrap().status == BackgroundTaskStatus::Finished
    })
    .await;
    let page = tasks.list(None).await.unwrap();
    assert!(page.data.iter().any(|one| one.id == task.id));
}

async fn stats(b: Bench) {
    let ep = b.endpoint(200).await;
    b.send().await;
    b.receiver.arrival(&ep.url);
    wait_for(async || {
        b.svix.endpoint().get_stats(b.app(), ep.id.clone(), None).await.unwrap().success == 1
    })
    .await;
}

async fn statistics(b: Bench) {
    let usage = AppUsageStatsIn::new(minute_ago(), Utc::now());
    let task = b.svix.statistics().aggregate_app_stats(usage, None).await.unwrap();
    assert!(task.id.starts_with("qtask_"));
    let task = b.svix.statistics().aggregate_event_types().await.unwrap();
    assert!(task.id.starts_with("qtask_"));
}

async fn send_example(b: Bench) {
    let name = unique("sdk.");
    let schemas = json!({"1": {"type": "object", "examples": [{"order": "7"}]}});
    let shape =
        EventTypeIn { schemas: Some(schemas), ..EventTypeIn::new(name.clone(), "One".into()) };
    b.svix.event_type().create(shape, None).await.unwrap();
    let ep = b.endpoint(200).await;
    let example = EventExampleIn::new(name);
    b.svix.endpoint().send_example(b.app(), ep.id, example, None).await.unwrap();
    let came = b.receiver.arrival(&ep.url);
    let body: Value = serde_json::from_slice(&came.body).unwrap();
    assert_eq!(body, json!({"order": "7"}));
}

async fn authentication(b: Bench) {
    let access = b.svix.authentication();
    let access = access.app_portal_access(b.app(), AppPortalAccessIn::new(), None).await.unwrap();
    let portal = client(&b.url, &access.token);
    assert!(portal.endpoint().list(b.app(), None).await.unwrap().data.is_empty());
    expect(403, portal.application().list(None).await);
    portal.authentication().logout(None).await.unwrap();
    expect(401, portal.endpoint().list(b.app(), None).await);
}

async fn expire_all(b: Bench) {
    let access = b.svix.authentication();
    let token = access.app_portal_access(b.app(), AppPortalAccessIn::new(), None).await.unwrap();
    let portal = client(&b.url, &token.token);
    portal.endpoint().list(b.app(), None).await.unwrap();
    access.expire_all(b.app(), ApplicationTokenExpireIn::new(), None).await.unwrap();
    wait_for(async || portal.endpoint().list(b.app(), None).await.is_err()).await;
}

#[expect(deprecated, reason = "`read_only` is in use all the same")]
async fn capabilities(b: Bench) {
    let ep = b.endpoint(200).await;
    let held = [AppPortalCapability::ViewBase, AppPortalCapability::ViewEndpointSecret];
    let held = held.into_iter().collect();
    for (shape, sees) in [
        (AppPortalAccessIn { read_only: Some(true), ..AppPortalAccessIn::new() }, false),
        (AppPortalAccessIn { capabilities: Some(held), ..AppPortalAccessIn::new() }, true),
    ] {
        let access = b.svix.authentication();
        let access = access.app_portal_access(b.app(), shape, None).await.unwrap();
        let portal = client(&b.url, &access.token);
        assert_eq!(portal.endpoint().list(b.app(), None).await.unwrap().data.len(), 1);
        let secret = portal.endpoint().get_secret(b.app(), ep.id.clone()).await;
        assert_eq!(secret.is_ok(), sees);
        expect(403, portal.endpoint().delete(b.app(), ep.id.clone()).await);
    }
}

async fn environment(b: Bench) {
    let (all, name) = (b.svix.environment(), unique("sdk."));
    let shape = |said: &str| EventTypeIn::new(name.clone(), said.into());
    b.svix.event_type().create(shape("One"), None).await.unwrap();
    let exported = all.export(None).await.unwrap();
    let one = exported.event_types.iter().find(|found| found.name == name).unwrap();
    assert_eq!((one.description.as_str(), exported.connectors.len()), ("One", 0));
    let event_types = Some(vec![shape("Two")]);
    all.import(EnvironmentIn { event_types, ..EnvironmentIn::new() }, None).await.unwrap();
    assert_eq!(b.svix.event_type().get(name.clone()).await.unwrap().description, "Two");
    let settings = EnvironmentIn { settings: exported.settings, ..EnvironmentIn::new() };
    all.import(settings, None).await.unwrap();
}

async fn integration(b: Bench) {
    let all = b.svix.integration();
    let made = all.create(b.app(), IntegrationIn::new("Zap".into()), None).await.unwrap();
    let id = || made.id.clone();
    let changed = all.update(b.app(), id(), IntegrationUpdate::new("Zip".into())).await.unwrap();
    assert_eq!(changed.name, "Zip");
    assert_eq!(all.get(b.app(), id()).await.unwrap().name, "Zip");
    assert_eq!(all.list(b.app(), None).await.unwrap().data.len(), 1);
    let key = all.rotate_key(b.app(), id(), None).await.unwrap().key;
    let other = client(&b.url, &key);
    let event = MessageIn::new("order.paid".into(), json!({}));
    other.message().create(b.app(), event, None).await.unwrap();
    expect(403, other.endpoint().list(b.app(), None).await);
    all.delete(b.app(), id()).await.unwrap();
    expect(404, all.get(b.app(), id()).await);
}

async fn with_msg(b: Bench) {
    let ep = b.endpoint(200).await;
    let sent = b.send().await;
    b.receiver.arrival(&ep.url);
    let tries = b.svix.message_attempt();
    let list = async || {
        let options =
            MessageAttemptListByEndpointOptions { with_msg: Some(true), ..Default::default() };
        tries.list_by_endpoint(b.app(), ep.id.clone(), Some(options)).await.unwrap().data
    };
    wait_for(async || !list().await.is_empty()).await;
    let msg = list().await[0].msg.clone().unwrap();
    assert_eq!((msg.id, msg.payload), (sent.id, json!({})));
}

async fn ingest_source(b: Bench) {
    let ingest = b.svix.ingest();
    let sources = ingest.source();
    let config = IngestSourceInConfig::Github(GithubConfig { secret: Some("s3cret".into()) });
    let metadata = Some([("posthorn.app".to_owned(), b.app())].into());
    let shape = IngestSourceIn { name: "Hub".into(), uid: None, metadata, config };
    let made = sources.create(shape, None).await.unwrap();
    let new = sources.rotate_token(made.id.clone(), None).await.unwrap().ingest_url;
    assert_ne!(Some(&new), made.ingest_url.as_ref());
    assert_eq!(sources.get(made.id.clone()).await.unwrap().ingest_url, Some(new));
    sources.delete(made.id.clone()).await.unwrap();
    expect(404, sources.get(made.id).await);
}

async fn operational_webhook(b: Bench) {
    let hooks = b.svix.operational_webhook();
    let hooks = hooks.endpoint();
    let shape = OperationalWebhookEndpointIn {
        event_types: Some(["endpoint.created".to_owned()].into()),
        ..OperationalWebhookEndpointIn::new(b.place(200))
    };
    let hook = hooks.create(shape, None).await.unwrap();
    let key = hooks.get_secret(hook.id.clone()).await.unwrap().key;
    let ep = b.endpoint(200).await;
    loop {
        let came = b.receiver.arrival(&hook.url);
        Webhook::new(&key).unwrap().verify(&came.body, &came.headers).unwrap();
        let event: Value = serde_json::from_slice(&came.body).unwrap();
        assert_eq!(event["type"], "endpoint.created");
        if event["data"]["endpointId"] == ep.id.as_str() {
            break;
        }
    }
    hooks.delete(hook.id.clone()).await.unwrap();
    expect(404, hooks.get(hook.id).await);
}

async fn errors(b: Bench) {
    expect(404, b.svix.application().get("app_000000000000000000000000000".into()).await);
    expect(401, client(&b.url, "nonsense").application().list(None).await);
    let ftp = EndpointIn::new("ftp://example.com".into());
    match b.svix.endpoint().create(b.app(), ftp, None).await {
        Err(Error::Validation(invalid)) => {
            assert_eq!(invalid.payload.unwrap().detail[0].loc, ["body", "url"]);
        }
        other => panic!("{other:?}"),
    }
}

fn expect<T>(status: u16, result: Result<T>) {
    let seen = match result {
        Ok(_) => 200,
        Err(Error::Http(error)) => error.status.as_u16(),
        Err(Error::Validation(error)) => error.status.as_u16(),
        Err(error) => panic!("{error}"),
    };
    assert_eq!(seen, status);
}

async fn wait_for(mut look: impl AsyncFnMut() -> bool) {
    for _ in 0..400 {
        if look().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it did not come");
}

fn minute_ago() -> DateTime<Utc> {
    Utc::now() - TimeDelta::minutes(1)
}

fn unique(word: &str) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    format!("{word}{}", now.as_nanos())
}

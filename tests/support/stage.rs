//! A world with one of everything, and a good request for every operation of the API. The tests
//! that are driven by the table of operations play here.
//!
//! An operation that needs nothing but names that are on stage needs no line here. One that
//! needs a body gets one in [`body`], one that needs a name of a new kind gets it in
//! [`Stage::new`], under the parameter's name; what only one operation needs beforehand happens
//! in [`Stage::prepare`].

use std::collections::BTreeMap;

use bytes::Bytes;
use description::{Description, Route, document};
use http::Request;
use serde_json::{Value, json};
use shared::domain::clock::Timestamp;
use shared::queue::record::Record;
use shared::store::{Parked, Parking};

use super::network::answer;
use super::world::{Reply, World, organisation, text};

/// In everything that a stranger must not see.
pub(crate) const MARK: &str = "mark-of-the-owner";

/// The owner's endpoint.
pub(crate) const URL: &str = "http://127.0.0.1:9/webhooks/mark-of-the-owner";

/// The owner's event type.
pub(crate) const KIND: &str = "type.of.the.owner";

/// A world with one of everything.
pub(crate) struct Stage {
    pub(crate) world: World,
    /// What the parameters of paths stand for.
    pub(crate) names: BTreeMap<&'static str, String>,
    /// Another application of the same organisation.
    pub(crate) other_app: String,
    /// What is exchanged for a token, once.
    code: String,
}

/// A request that succeeds.
#[derive(Clone, Debug)]
pub(crate) struct Play {
    pub(crate) id: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: Value,
}

impl Stage {
    /// An application with an endpoint that got a message, another application, and a record
    /// that was parked.
    pub(crate) async fn new() -> Self {
        let world = World::new();
        let create = json!({"name": MARK, "uid": MARK, "metadata": {"account": MARK}});
        let created = world.call("POST", "/api/v1/app", create).await;
        assert_eq!(created.status, 201, "{created:?}");
        let app = text(&created.body["id"]);
        let ep = world.endpoint_with(&app, json!({"url": URL, "uid": MARK})).await;
        let message = json!({
            "eventType": "test.event", "eventId": format!("order-1001-of-{MARK}"),
            "payload": order(),
        });
        let path = format!("/api/v1/app/{app}/msg");
        let msg = text(&world.call("POST", &path, message).await.body["id"]);
        world.dispatch_all().await;
        let attempt = text(&world.attempts(&app, &msg).await[0]["id"]);
        let other_app = world.application().await;
        let record = Record::Resend {
            app: app.parse().unwrap(),
            msg: msg.parse().unwrap(),
            ep: ep.parse().unwrap(),
            attempt: attempt.parse().unwrap(),
            again: false,
            not_before: None,
        };
        let parked = Parked {
            id: "parked-1".to_owned(),
            queue: "retries".to_owned(),
            reason: format!("the secret of {MARK} does not open"),
            at: Timestamp(world.ambient.now().as_ms()),
            body: record.outgoing(0).body,
        };
        Parking::new(world.table.clone()).park(&parked).await.unwrap();
        let description = format!("An order of {MARK} was paid");
        let kind = json!({"name": KIND, "description": description, "schemas": {"1": schema()}});
        let created = world.call("POST", "/api/v1/event-type", kind).await;
        assert_eq!(created.status, 201, "{created:?}");
        let inspector = world.call("POST", "/api/v1/operator/inspector", Value::Null).await;
        let token = text(&inspector.body["token"]);
        let inspected = Request::post(format!("/inspect/{token}"))
            .header("content-type", "application/json")
            .header("webhook-id", &msg);
        let inspected = inspected.body(Bytes::from(order().to_string())).unwrap();
        assert_eq!(world.send(inspected).await.status, 200);
        let created = body("v1.operational-webhook.endpoint.create");
        let created = world.call("POST", "/api/v1/operational-webhook/endpoint", created).await;
        let operational = text(&created.body["id"]);
        let path = format!("/api/v1/app/{app}/endpoint/{ep}/recover");
        let begun = world.call("POST", &path, body("v1.endpoint.recover")).await;
        let task = text(&begun.body["id"]);
        let kept = json!({"name": format!("backend of {MARK}"), "scope": "publish"});
        let kept = world.call("POST", "/api/v1/operator/api-token", kept).await;
        let profile = "/api/v1/profile/shop";
        let put = world.call("PUT", profile, json!({"toml": PROFILE})).await;
        assert_eq!(put.status, 200, "{put:?}");
        let source = world.call("POST", "/ingest/api/v1/source", source(&app)).await;
        let link = format!("/api/v1/auth/app-portal-access/{app}");
        let integration = json!({"name": MARK});
        let integrations = format!("/api/v1/app/{app}/integration");
        let integration = world.call("POST", &integrations, integration).await;
        let names = BTreeMap::from([
            ("integ_id", text(&integration.body["id"])),
            ("source_id", text(&source.body["id"])),
            ("key_id", text(&kept.body["id"])),
            ("profile", "shop".to_owned()),
            ("id", format!("{msg}.{ep}.{attempt}")),
            ("app_id", app),
            ("endpoint_id", ep),
            ("msg_id", msg),
            ("attempt_id", attempt),
            ("token", token),
            ("event_type_name", KIND.to_owned()),
            ("org_id", organisation().to_string()),
            ("task_id", task),
            ("operational_endpoint_id", operational),
        ]);
        let link = world.call("POST", &link, json!({"oneTime": true})).await;
        let code = text(&link.body["url"]).split_once("code=").unwrap().1.to_owned();
        Self { world, names, other_app, code }
    }

    /// What has to happen before this operation can succeed.
    pub(crate) async fn prepare(&self, id: &str) {
        match id {
            "posthorn.event-type-grant.set" => {
                let path = format!("/api/v1/app/{}", self.names["app_id"]);
                let followed = self.world.call("PATCH", &path, json!({"profile": "shop"})).await;
                assert_eq!(followed.status, 200, "{followed:?}");
            }
            "posthorn.endpoint.failing" => self.fail().await,
            "posthorn.ingest.source.log" | "posthorn.source.refused" => self.refuse().await,
            _ => {}
        }
    }

    /// Lets every attempt at the endpoint fail.
    async fn fail(&self) {
        self.world.network.always(URL, answer(503));
        self.world.advance_s(1);
        let message = json!({"eventType": "test.event", "payload": order()});
        let path = format!("/api/v1/app/{}/msg", self.names["app_id"]);
        assert_eq!(self.world.call("POST", &path, message).await.status, 202);
        self.world.dispatch_all().await;
        // Once is not enough to be called failing, nor twice after it took something.
        for seconds in [7, 7 * 60] {
            self.world.advance_s(seconds);
            self.world.dispatch_all().await;
        }
    }

    /// Lets the source refuse a request.
    async fn refuse(&self) {
        let request = Request::post(format!("/in/{}", self.names["source_id"]))
            .header("x-hub-signature-256", "sha256=00")
            .body(Bytes::from_static(b"{}"));
        assert_eq!(self.world.send(request.unwrap()).await.status, 401);
    }

    /// A request to this operation that succeeds.
    ///
    /// # Panics
    /// When the path has a parameter that nothing on stage is called by.
    pub(crate) fn play(&self, route: &Route) -> Play {
        let segments = route.path.split('/').map(|segment| {
            match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                None => segment,
                Some(name) => self.names.get(name).unwrap_or_else(|| {
                    panic!("{}: tests/support/stage.rs has nothing for {{{name}}}", route.id)
                }),
            }
        });
        let path = segments.collect::<Vec<&str>>().join("/") + query(&route.id);
        let (id, method) = (route.id.clone(), route.method.clone());
        let body = match id.as_str() {
            "v1.authentication.exchange-one-time-token" => json!({"oneTimeToken": self.code}),
            "v1.message.bulk-expunge-content" => json!({"ids": [self.names["msg_id"]]}),
            _ => body(&id),
        };
        Play { body, id, method, path }
    }

    /// Sends a request with this token.
    pub(crate) async fn send(&self, token: &str, play: &Play) -> Reply {
        self.world.call_as(token, &play.method, &play.path, play.body.clone()).await
    }
}

/// Every operation of the API.
pub(crate) fn routes() -> Vec<Route> {
    [admin::openapi::routes(), receive::openapi::routes()].concat()
}

/// What each of them does.
pub(crate) fn descriptions() -> Vec<Description> {
    let mut descriptions = admin::openapi::descriptions();
    descriptions.extend(receive::openapi::descriptions());
    descriptions
}

/// The API's description with these costs.
pub(crate) fn described(cost: &BTreeMap<String, Value>) -> Value {
    document(&routes(), &descriptions(), |id| cost.get(id).cloned())
        .unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// A profile that does not come with Posthorn.
const PROFILE: &str = r#"name = "shop"
title = "Shop"
opt_in = ["cart.abandoned"]

[[event]]
type = "cart.abandoned"
description = "A cart was left with something in it."
schema = '{"type": "object", "properties": {"cart": {"type": "string"}}}'
example = '{"cart": "c-77"}'
"#;

/// What is published.
fn order() -> Value {
    json!({"order": "1001", "customer": MARK})
}

/// What is known of it.
fn schema() -> Value {
    json!({
        "type": "object", "properties": {"order": {"type": "string"}}, "required": ["order"],
        "examples": [{"order": "1001"}],
    })
}

/// A body that the operation takes; `null` for none.
fn body(id: &str) -> Value {
    match id {
        "v1.application.create" => json!({"name": "Globex", "uid": "globex"}),
        "v1.application.update" => json!({"name": "Acme Inc."}),
        "v1.application.patch" => json!({"name": "Acme Inc."}),
        "v1.endpoint.create" | "v1.ingest.endpoint.create" => {
            json!({"url": "http://127.0.0.1:9/orders", "description": "Orders"})
        }
        "v1.endpoint.update" | "v1.ingest.endpoint.update" => {
            json!({"url": "http://127.0.0.1:9/orders/v2", "description": "Orders"})
        }
        "v1.endpoint.patch" => json!({"url": "http://127.0.0.1:9/orders/v2"}),
        "v1.endpoint.update-headers"
        | "v1.endpoint.patch-headers"
        | "v1.ingest.endpoint.update-headers"
        | "v1.operational-webhook.endpoint.update-headers" => {
            json!({"headers": {"X-Team": "payments"}})
        }
        "v1.event-type.create" => {
            json!({"name": "order.shipped", "description": "An order left", "schemas": {"1": schema()}})
        }
        "v1.event-type.update" => json!({"description": "An order was paid in full"}),
        "v1.event-type.patch" => json!({"description": "An order was paid in full"}),
        "v1.event-type.update-retry-schedule" => json!({"retrySchedule": [60, 3_600]}),
        "v1.message.create" => json!({"eventType": "test.event", "payload": {"order": "1001"}}),
        "posthorn.message.create-batch" => {
            json!({"messages": [{"eventType": "test.event", "payload": {"order": "1001"}}]})
        }
        "v1.operational-webhook.endpoint.create" => {
            // Nothing in the plays is told to it, but that the endpoint fails.
            json!({"url": "http://127.0.0.1:9/notices", "eventTypes": ["endpoint.failing"]})
        }
        "v1.operational-webhook.endpoint.update" => {
            json!({"url": "http://127.0.0.1:9/notices/v2", "eventTypes": ["endpoint.failing"]})
        }
        "v1.event-type.import-openapi" => {
            let shipped = json!({"post": {"description": "An order left", "requestBody": {
                "content": {"application/json": {"schema": schema()}}}}});
            let info = json!({"title": "Shop", "version": "1"});
            json!({"spec": {"openapi": "3.1.0", "info": info, "webhooks": {"order.shipped": shipped}}})
        }
        "v1.environment.import" => {
            json!({"eventTypes": [{"name": "order.shipped", "description": "An order left"}]})
        }
        "v1.message.precheck" => json!({"eventType": "test.event"}),
        "v1.statistics.aggregate-app-stats" => {
            json!({"since": "2027-01-14T00:00:00Z", "until": "2027-01-16T00:00:00Z"})
        }
        "v1.endpoint.recover"
        | "v1.endpoint.replay-missing"
        | "v1.endpoint.bulk-replay"
        | "v1.endpoint.cancel-msgs" => json!({"since": "2027-01-14T00:00:00Z"}),
        "v1.message.broadcast" => json!({"eventType": "order.paid", "payload": order()}),
        "v1.endpoint.send-example" => json!({"eventType": KIND}),
        "posthorn.api-token.create" => json!({"name": "nightly export", "scope": "read"}),
        "posthorn.portal.put-settings" => json!({"accent": "#2450c0"}),
        "posthorn.profile.put" => json!({"toml": PROFILE}),
        "posthorn.event-type-grant.set" => json!({"eventTypes": ["cart.abandoned"]}),
        "v1.integration.create" => json!({"name": "Zapier"}),
        "v1.integration.update" => json!({"name": "Zapier of the sales team"}),
        "v1.ingest.source.patch" => json!({"name": "GitHub, payments"}),
        "v1.ingest.source.create" | "v1.ingest.source.update" => source(MARK),
        _ => Value::Null,
    }
}

/// A source of this application.
fn source(app: &str) -> Value {
    let config = json!({"secret": format!("{MARK}-4f1c9a7e2b6d")});
    json!({"name": format!("GitHub of {MARK}"), "type": "github", "app": app, "config": config})
}

/// A query that the operation cannot do without, with its question mark.
fn query(id: &str) -> &'static str {
    match id {
        "posthorn.message.search" => "?q=1001",
        _ => "",
    }
}

//! Publishing: what is accepted, what is refused and how, and that nothing accepted is lost or
//! published twice.

use bytes::Bytes;
use futures_util::future::join_all;
use http::Request;
use proptest::prelude::*;
use serde_json::{Value, json};
use shared::api::request::MAX_BODY_BYTES;
use shared::domain::id::MessageId;
use shared::domain::message::MAX_PAYLOAD_BYTES;
use shared::domain::secret::SigningSecret;
use shared::domain::signature::{TOLERANCE_S, sign};
use shared::domain::token::{Access, Tokens};
use shared::queue::Consumer;

use crate::support::answers::{another_organisation, assert_error, places};
use crate::support::faults::Fault;
use crate::support::network::{answer, header};
use crate::support::still::START;
use crate::support::world::{Reply, World, organisation, text};

mod access;
mod answers;
mod batch;
mod circles;
mod crashes;
mod once;
mod shapes;
mod signed;
mod sizes;
mod throttled;

const URL: &str = "http://127.0.0.1:9/hook";

/// A world with an application that has one endpoint.
async fn world() -> (World, String) {
    let (world, app, _) = World::with_endpoint(URL).await;
    (world, app)
}

fn path(app: &str) -> String {
    format!("/api/v1/app/{app}/msg")
}

fn event() -> Value {
    json!({"eventType": "order.paid", "payload": {"n": 1}})
}

/// A request with exactly these headers and bytes.
async fn post(
    world: &World,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Reply {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    world.send(request.body(body.into()).unwrap()).await
}

/// Publishes with the organisation's token and these headers.
async fn publish(world: &World, app: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
    publish_as(world, &world.token(), app, headers, body).await
}

async fn publish_as(
    world: &World,
    token: &str,
    app: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Reply {
    post_as(world, token, &path(app), headers, body).await
}

async fn post_as(
    world: &World,
    token: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Reply {
    let bearer = format!("Bearer {token}");
    let mut all = vec![("authorization", bearer.as_str())];
    all.extend_from_slice(headers);
    post(world, path, &all, body.to_string()).await
}

/// Publishes these bytes with the organisation's token.
async fn publish_bytes(world: &World, app: &str, body: impl Into<Bytes>) -> Reply {
    let bearer = format!("Bearer {}", world.token());
    post(world, &path(app), &[("authorization", bearer.as_str())], body).await
}

/// How often the endpoint was called after everything was dispatched.
async fn delivered(world: &World) -> usize {
    world.dispatch_all().await;
    world.network.sent_to(URL).len()
}

/// The same after a while: the second copy of a message keeps its distance from the first.
async fn delivered_later(world: &World) -> usize {
    world.live_s(120).await;
    world.network.sent_to(URL).len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_body_makes_it_fail_on_our_side(
        body in prop_oneof![
            ".{0,60}".boxed(),
            r#"\{"eventType":"a","payload":.{0,20}\}"#.boxed(),
            r#"\{("eventType":"[a-z]",)?("payload":(\{\}|\[\]|[0-9]e[0-9]{1,4}),)?("eventId":("[a-z]?"|null|7),)?"channels":(null|\["a"\]|\{\})\}"#.boxed(),
        ],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let status = runtime.block_on(async {
            let (world, app) = world().await;
            publish_bytes(&world, &app, body.clone()).await.status.as_u16()
        });
        prop_assert!([202, 413, 422].contains(&status), "{}: {}", status, body);
    }
}

//! The policies in template.yaml grant each function what it asks of AWS, and nothing else:
//! every operation of the API and every turn a delivery can take are played, and what each
//! function asked for on the way is compared with what it may do.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use shared::domain::circuit::OPENS_AFTER;
use shared::sender::Ending;

use crate::support::network::answer;
use crate::support::stage::{Stage, routes};
use crate::support::world::{World, text};
use crate::template::{grants_of, template};

const URL: &str = "http://127.0.0.1:9/hook";

/// What is asked for before the first event, which no story shows.
const MAINS: [(&str, &str); 4] = [
    ("receive", include_str!("../functions/receive/main.rs")),
    ("dispatch", include_str!("../functions/dispatch/main.rs")),
    ("retry", include_str!("../functions/retry/main.rs")),
    ("admin", include_str!("../functions/admin/main.rs")),
];

type Grants = BTreeSet<(String, String)>;

#[tokio::test]
async fn each_function_may_do_what_it_does_and_nothing_else() {
    let mut asked: std::collections::BTreeMap<&str, Grants> = Default::default();
    let mut note = |world: &World| {
        for (function, grants) in world.audit.lock().unwrap().iter() {
            asked.entry(function).or_default().extend(grants.iter().cloned());
        }
    };
    for route in routes() {
        let stage = Stage::new().await;
        stage.prepare(&route.id).await;
        let play = stage.play(&route);
        stage.send(&stage.world.token(), &play).await;
        stage.world.live_s(120).await;
        note(&stage.world);
    }
    note(&turns_of_a_delivery().await);
    note(&records_that_die().await);
    note(&tasks_that_are_left_behind().await);
    let template = template();
    for (function, source) in MAINS {
        if source.contains(".root_secret()") {
            let reads = ("secretsmanager:GetSecretValue".to_owned(), "RootSecret".to_owned());
            asked.entry(function).or_default().insert(reads);
        }
    }
    for function in ["receive", "dispatch", "retry", "admin"] {
        let granted = grants_of(&template, function);
        let asked = asked.remove(function).unwrap_or_default();
        let missing: Vec<_> = asked.difference(&granted).collect();
        let unused: Vec<_> = granted.difference(&asked).collect();
        assert!(missing.is_empty(), "{function} may not do what it does: {missing:?}");
        assert!(unused.is_empty(), "{function} may do what it never does: {unused:?}");
    }
}

/// Taken, retried by queue and by sweep, given up, left waiting by an endpoint that did not answer,
/// gone, renamed and watched by its owner.
async fn turns_of_a_delivery() -> World {
    let world = World::new();
    let watching = json!({"url": "http://127.0.0.1:9/operations"});
    let path = "/api/v1/operational-webhook/endpoint";
    assert_eq!(world.call("POST", path, watching).await.status, 201);
    let app = world.application().await;
    let ep = world.endpoint(&app, URL).await;
    world.publish(&app, json!({})).await;
    world.live_s(60).await;
    world.network.always(URL, answer(500));
    let failed = world.publish(&app, json!({})).await;
    let since = world.ambient.now().to_rfc3339();
    world.live_s(6 * 86_400).await;
    world.network.always(URL, answer(200));
    let enable = json!({"disabled": false, "uid": "renamed"});
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    assert_eq!(world.call("PATCH", &path, enable).await.status, 200);
    let recover = json!({"since": since});
    world.call("POST", &format!("{path}/recover"), recover).await;
    world
        .call("POST", &format!("/api/v1/app/{app}/msg/{failed}/endpoint/{ep}/resend"), json!({}))
        .await;
    world.live_s(120).await;
    world.network.always(URL, Ending::TimedOut);
    for _ in 0..2 * OPENS_AFTER {
        world.publish(&app, json!({})).await;
        world.dispatch().await;
    }
    world.network.always(URL, answer(200));
    world.live_s(120).await;
    world.network.always(URL, answer(410));
    world.publish(&app, json!({})).await;
    world.live_s(60).await;
    let later = world.ambient.now().plus_ms(600_000).to_rfc3339();
    let postponed = json!({"eventType": "a", "payload": {}, "deliverAt": later});
    let reply = world.call("POST", &format!("/api/v1/app/{app}/msg"), postponed).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    world.live_s(900).await;
    world.call("PATCH", &format!("/api/v1/app/{app}"), json!({"uid": "by-name"})).await;
    let named = json!({"eventType": "a", "payload": {}});
    let reply = world.call("POST", "/api/v1/app/by-name/msg", named).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    world
}

/// A record that nobody can read, and one that dies again and again.
async fn records_that_die() -> World {
    use shared::queue::{Consumer, Outgoing, Producer};
    use shared::store::{Parked, Parking};

    let (world, app, _) = World::with_endpoint(URL).await;
    for queue in [&world.queues.deliveries, &world.queues.retries] {
        let record = Outgoing { body: "no record".into(), group: "g".into(), delay_s: 0 };
        queue.send(vec![record]).await.unwrap();
    }
    world.dispatch_all().await;
    // What a newer version has written is given back.
    for queue in [&world.queues.deliveries, &world.queues.retries] {
        let body = r#"{"v":99}"#.to_owned();
        let record = Outgoing { body, group: "g".into(), delay_s: 0 };
        queue.send(vec![record]).await.unwrap();
    }
    world.dispatch_all().await;
    for dead in [&world.queues.deliveries_dlq, &world.queues.retries_dlq] {
        let record = Outgoing { body: "no record".into(), group: "g".into(), delay_s: 0 };
        dead.send(vec![record]).await.unwrap();
    }
    world.sweep().await;
    // An accepted message that was parked goes back where it came from.
    world.publish(&app, json!({})).await;
    let body = world.queues.deliveries.receive(1, 0).await.unwrap().remove(0).body;
    let at = world.ambient.now();
    let parked =
        Parked { id: "p".into(), queue: "deliveries".into(), reason: "r".into(), at, body };
    Parking::new(world.table.clone()).park(&parked).await.unwrap();
    let listed = world.call("GET", "/api/v1/operator/parked", Value::Null).await.body;
    let path = format!("/api/v1/operator/parked/{}/redrive", text(&listed["data"][0]["id"]));
    let redriven = world.call("POST", &path, json!({})).await;
    assert_eq!(redriven.status, 202, "{redriven:?}");
    world
}

/// Background tasks whose first steps fail wherever they can, so that the sweep carries them on.
async fn tasks_that_are_left_behind() -> World {
    use crate::support::faults::Fault;
    let (world, app, ep) = World::with_endpoint(URL).await;
    let since = world.ambient.now().to_rfc3339();
    world.network.always(URL, answer(500));
    world.publish(&app, json!({})).await;
    world.live_s(40 * 3600).await;
    for skip in 0..12 {
        for kind in ["recover", "bulk-replay"] {
            world.plan.fail_after(skip, Fault::Before);
            let path = format!("/api/v1/app/{app}/endpoint/{ep}/{kind}");
            world.call("POST", &path, json!({"since": since})).await;
            world.plan.end();
            world.live_s(60).await;
        }
    }
    world
}

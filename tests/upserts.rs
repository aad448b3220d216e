//! PUT makes what is not there and changes what is: whoever repeats it changes nothing.

use serde_json::{Value, json};

use crate::support::world::{World, text};

const URL: &str = "http://127.0.0.1:9/hook";

/// The ids that each of five equal requests answers with, and how many things there are then.
async fn five(world: &World, list: &str, body: Value) -> (Vec<(u16, String, Value)>, usize) {
    let mut seen = Vec::new();
    for _ in 0..5 {
        let reply = world.call("PUT", &format!("{list}/mine"), body.clone()).await;
        let body = reply.body;
        seen.push((reply.status.as_u16(), text(&body["id"]), body["uid"].clone()));
    }
    let listed = world.call("GET", list, Value::Null).await.body;
    (seen, listed["data"].as_array().unwrap().len())
}

#[tokio::test]
async fn an_upsert_by_uid_that_is_repeated_finds_what_it_made() {
    let (world, app) = World::with_application().await;
    let endpoint = json!({"url": URL});
    for (list, body, before) in [
        ("/api/v1/app".to_owned(), json!({"name": "n"}), 1),
        (format!("/api/v1/app/{app}/endpoint"), endpoint.clone(), 0),
        ("/api/v1/operational-webhook/endpoint".to_owned(), endpoint, 0),
    ] {
        let (seen, count) = five(&world, &list, body).await;
        let id = &seen[0].1;
        let again = (200, id.clone(), json!("mine"));
        let mut expected = vec![(201, id.clone(), json!("mine"))];
        expected.resize(5, again);
        assert_eq!((&seen, count), (&expected, before + 1), "{list}");
    }
}

#[tokio::test]
async fn an_upsert_by_id_clears_the_uid_that_it_leaves_out_and_one_by_uid_may_change_it() {
    let (world, app) = World::with_application().await;
    let list = format!("/api/v1/app/{app}/endpoint");
    let made = world.call("PUT", &format!("{list}/mine"), json!({"url": URL})).await.body;
    let other = json!({"url": URL, "uid": "other"});
    let renamed = world.call("PUT", &format!("{list}/mine"), other).await.body;
    assert_eq!((&renamed["id"], &renamed["uid"]), (&made["id"], &json!("other")));
    let by_id = format!("{list}/{}", text(&made["id"]));
    let cleared = world.call("PUT", &by_id, json!({"url": URL})).await.body;
    assert_eq!((&cleared["id"], &cleared["uid"]), (&made["id"], &Value::Null));
}

#[tokio::test]
async fn an_upsert_does_not_pass_over_another_secret_and_takes_the_same_one_again() {
    let (world, app) = World::with_application().await;
    let path = format!("/api/v1/app/{app}/endpoint/mine");
    let put =
        async |secret: &str| world.call("PUT", &path, json!({"url": URL, "secret": secret})).await;
    let (first, other) =
        ("whsec_MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0", "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4");
    assert_eq!(put(first).await.status, 201);
    assert_eq!(put(first).await.status, 200);
    let refused = put(other).await;
    assert_eq!(refused.status, 422);
    let detail = &refused.body["detail"][0];
    assert_eq!(detail["loc"], json!(["body", "secret"]));
    assert!(text(&detail["msg"]).contains("secret/rotate"), "{detail}");
    let secret = world.call("GET", &format!("{path}/secret"), Value::Null).await;
    assert_eq!(secret.body["key"], first);
}

#[tokio::test]
async fn who_is_to_get_notices_chooses_no_channels() {
    let world = World::new();
    let list = "/api/v1/operational-webhook/endpoint";
    let made = world.call("POST", list, json!({"url": URL, "channels": null})).await;
    assert_eq!(made.status, 201, "{made:?}");
    let one = format!("{list}/{}", text(&made.body["id"]));
    let body = json!({"url": URL, "channels": ["a"]});
    for (method, path) in [("POST", list), ("PUT", &one), ("PUT", &format!("{list}/new"))] {
        let refused = world.call(method, path, body.clone()).await;
        let loc = &refused.body["detail"][0]["loc"];
        assert_eq!(
            (refused.status.as_u16(), loc),
            (422, &json!(["body", "channels"])),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn a_patch_does_not_pass_over_a_secret() {
    let (world, app, ep) = World::with_endpoint(URL).await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    let secret = format!("{path}/secret");
    let before = world.call("GET", &secret, Value::Null).await.body;
    let said = json!({"secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "description": "d"});
    let refused = world.call("PATCH", &path, said).await;
    assert_eq!(refused.status, 422);
    assert_eq!(refused.body["detail"][0]["loc"], json!(["body", "secret"]), "{refused:?}");
    assert_eq!(world.call("GET", &secret, Value::Null).await.body, before);
    let patched = world.call("PATCH", &path, json!({"secret": null, "description": "d"})).await;
    assert_eq!((patched.status.as_u16(), &patched.body["description"]), (200, &json!("d")));
}

#[tokio::test]
async fn of_many_who_bring_the_same_thing_along_at_once_one_has_created_it() {
    let (world, app) = World::with_application().await;
    // Each call lets the others get on with theirs.
    world.gauge.switch_on();
    for (path, body) in [
        ("/api/v1/app/mine".to_owned(), json!({"name": "n"})),
        (format!("/api/v1/app/{app}/endpoint/mine"), json!({"url": URL})),
        ("/api/v1/event-type/mine".to_owned(), json!({"description": "d"})),
    ] {
        let calls = (0..24).map(|_| world.call("PUT", &path, body.clone()));
        let replies = futures_util::future::join_all(calls).await;
        let with = |status: u16| replies.iter().filter(|reply| reply.status == status).count();
        assert_eq!((with(201), with(200)), (1, 23), "{path}");
    }
}

/// Clients take such a name in a path for a way up: to delete the endpoint would delete its
/// application.
#[tokio::test]
async fn a_name_of_dots_alone_is_refused_wherever_one_is_given() {
    let (world, app) = World::with_application().await;
    let endpoint = format!("/api/v1/app/{app}/endpoint");
    for dots in [".", "..", "..."] {
        for (path, body, field) in [
            ("/api/v1/app", json!({"name": "n", "uid": dots}), "uid"),
            (&*endpoint, json!({"url": "http://127.0.0.1:9/", "uid": dots}), "uid"),
            ("/api/v1/event-type", json!({"name": dots, "description": ""}), "name"),
            (
                &*format!("/api/v1/app/{app}/msg"),
                json!({"eventType": dots, "payload": {}}),
                "eventType",
            ),
        ] {
            let refused = world.call("POST", path, body).await;
            assert_eq!(refused.status, 422, "{path}: {refused:?}");
            assert_eq!(refused.body["detail"][0]["loc"], json!(["body", field]), "{refused:?}");
        }
    }
    let fine = json!({"url": "http://127.0.0.1:9/", "uid": "a..b."});
    assert_eq!(world.call("POST", &endpoint, fine).await.status, 201);
}

//! What lists are asked with, and what of that is refused.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{URL, get};
use crate::support::network::answer;
use crate::support::stage::described;
use crate::support::world::{World, text};

/// Every list that is filtered by what was published.
async fn lists(world: &World) -> Vec<String> {
    let app = world.application().await;
    world.network.always(URL, answer(200));
    let ep = world.endpoint(&app, URL).await;
    let body = json!({"eventType": "a", "payload": {}, "channels": ["red"], "tags": ["vip"]});
    let sent = world.call("POST", &format!("/api/v1/app/{app}/msg"), body).await;
    world.dispatch_all().await;
    let msg = text(&sent.body["id"]);
    [
        "msg?".to_owned(),
        "msg-search?q=a&".to_owned(),
        "delivery?".to_owned(),
        format!("delivery?endpoint_id={ep}&"),
        format!("attempt/endpoint/{ep}?"),
        format!("attempt/endpoint/{ep}?status=1&"),
        format!("attempt/endpoint/{ep}/count?"),
        format!("attempt/msg/{msg}?"),
        format!("endpoint/{ep}/msg?"),
        format!("msg/{msg}/attempt?"),
        format!("msg/{msg}/endpoint/{ep}/attempt?"),
    ]
    .map(|list| format!("/api/v1/app/{app}/{list}"))
    .into()
}

#[tokio::test]
async fn a_filter_that_no_message_can_have_is_refused_at_its_name() {
    let world = World::new();
    let (long_channel, long_type) = ("c".repeat(129), "t".repeat(257));
    for list in lists(&world).await {
        for (name, good, bad) in [
            ("channel", "red", ["", "a%20b", long_channel.as_str()]),
            ("event_types", "a,b", ["a%20b", "b,%C3%BC", long_type.as_str()]),
            ("tag", "vip", [long_channel.as_str(), long_type.as_str(), long_type.as_str()]),
        ] {
            assert_eq!(get(&world, &format!("{list}{name}={good}")).await.status, 200, "{list}");
            for value in bad {
                let refused = get(&world, &format!("{list}{name}={value}")).await;
                assert_eq!(refused.status, 422, "{list}{name}={value}: {refused:?}");
                assert_eq!(refused.body["detail"][0]["loc"], json!(["query", name]), "{list}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_to_be_published_is_prechecked_by_the_same_rules() {
    let (world, app) = World::with_application().await;
    let path = format!("/api/v1/app/{app}/msg/precheck/active");
    for name in ["", "a b", &"t".repeat(257)] {
        let refused = world.call("POST", &path, json!({"eventType": name})).await;
        assert_eq!(refused.status, 422, "{name}");
        assert_eq!(refused.body["detail"][0]["loc"], json!(["body", "eventType"]));
    }
}

#[tokio::test]
async fn a_span_that_begins_in_the_future_is_refused_at_the_field_that_was_sent() {
    let (world, app, ep) = World::with_endpoint(URL).await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/recover");
    // A world begins on 15 January 2027 at eight.
    for (body, field) in [
        (json!({"since": "2027-02-01T00:00:00Z"}), "since"),
        (json!({"since": "2027-01-15T00:00:00Z", "until": "2027-01-14T00:00:00Z"}), "until"),
    ] {
        let refused = world.call("POST", &path, body).await;
        let loc: &Value = &refused.body["detail"][0]["loc"];
        assert_eq!((refused.status.as_u16(), loc), (422, &json!(["body", field])));
    }
}

#[tokio::test]
async fn a_list_of_applications_by_their_endpoints_is_refused_and_not_passed_over() {
    let world = World::new();
    let one = "exclude_apps_with_no_endpoints";
    for name in
        [one, "exclude_apps_with_disabled_endpoints", "exclude_apps_with_svix_play_endpoints"]
    {
        for value in ["true", "maybe"] {
            let refused = get(&world, &format!("/api/v1/app?{name}={value}")).await;
            assert_eq!(refused.status, 400, "{name}={value}");
            assert!(text(&refused.body["detail"]).contains(name), "{refused:?}");
        }
        assert_eq!(get(&world, &format!("/api/v1/app?{name}=false")).await.status, 200);
    }
}

#[tokio::test]
async fn what_is_no_list_is_there_once() {
    let world = World::new();
    let lists = lists(&world).await;
    let mut single = BTreeSet::new();
    for operation in described(&BTreeMap::new())["paths"].as_object().expect("paths").values() {
        for method in operation.as_object().into_iter().flatten().map(|(_, method)| method) {
            let parameters = method["parameters"].as_array().into_iter().flatten();
            let query = parameters.filter(|one| one["in"] == "query");
            let query = query.filter(|one| one["schema"]["type"] != "array");
            single.extend(query.map(|one| text(&one["name"])));
        }
    }
    assert!(single.len() > 20, "{single:?}");
    for name in &single {
        let twice = get(&world, &format!("{}{name}=1&{name}=1", lists[0])).await;
        let detail = text(&twice.body["detail"]);
        assert_eq!(twice.status, 400, "{name}: {twice:?}");
        assert!(detail.contains(name.as_str()) && detail.contains("once"), "{name}: {detail}");
    }
    let body = json!({"eventType": "a", "payload": {}});
    let publish = format!("{}with_content=true&with_content=false", lists[0]);
    assert_eq!(world.call("POST", &publish, body).await.status, 400);
    let batch = publish.replace("/msg?", "/msg/batch?");
    let messages = json!({"messages": [{"eventType": "a", "payload": {}}]});
    assert_eq!(world.call("POST", &batch, messages).await.status, 400);
    // Lists may be repeated, and what nobody reads.
    let both = format!("{}event_types=a&event_types=b&trace=1&trace=2", lists[0]);
    assert_eq!(get(&world, &both).await.status, 200);
}

#[tokio::test]
async fn half_of_a_surrogate_pair_is_refused_for_what_it_is() {
    let world = World::new();
    let request = http::Request::builder()
        .method("POST")
        .uri("/api/v1/app")
        .header("authorization", format!("Bearer {}", world.token()))
        .body(bytes::Bytes::from_static(br#"{"name": "a\ud800"}"#))
        .unwrap();
    let refused = world.send(request).await;
    assert_eq!(refused.status, 422);
    let detail = &refused.body["detail"][0];
    assert_eq!(detail["loc"], json!(["body", "name"]));
    assert!(text(&detail["msg"]).contains("surrogate"), "{detail}");
}

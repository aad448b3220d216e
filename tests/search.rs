//! Finding messages by what is in them.

use serde_json::{Value, json};

use crate::support::network::answer;
use crate::support::world::{Reply, World, text};

async fn search(world: &World, app: &str, query: &str) -> Reply {
    world.call("GET", &format!("/api/v1/app/{app}/msg-search?{query}"), Value::Null).await
}

async fn found(world: &World, app: &str, query: &str) -> Vec<String> {
    let reply = search(world, app, query).await;
    assert_eq!(reply.status, 200, "{query}: {reply:?}");
    assert_eq!(reply.body["done"], true, "{query}");
    reply.body["data"].as_array().unwrap().iter().map(|one| text(&one["id"])).collect()
}

/// An application with three messages, and their ids.
async fn world() -> (World, String, [String; 3]) {
    let (world, app) = World::with_application().await;
    let mut ids = Vec::new();
    for body in [
        json!({"eventType": "order.paid", "eventId": "Order-1001", "payload": {"mail": "Ann@x"}}),
        json!({"eventType": "order.failed", "tags": ["VIP"], "payload": {"mail": "bob@x"}}),
        json!({"eventType": "user.made", "channels": ["north"], "payload": {"of": "order"}}),
    ] {
        world.advance_s(1);
        let path = format!("/api/v1/app/{app}/msg");
        ids.push(text(&world.call("POST", &path, body).await.body["id"]));
    }
    (world, app, ids.try_into().unwrap())
}

#[tokio::test]
async fn a_message_is_found_by_any_of_its_names_in_whatever_case() {
    let (world, app, [paid, failed, made]) = world().await;
    for (query, expected) in [
        ("q=order", vec![&failed, &paid]),
        ("q=order-10", vec![&paid]),
        ("q=ORDER.P", vec![&paid]),
        ("q=vip", vec![&failed]),
        ("q=NORTH", vec![&made]),
        ("q=bob", vec![]),
        ("q=order&event_types=order.failed", vec![&failed]),
        ("q=order&tag=VIP", vec![&failed]),
        ("q=order&order=ascending", vec![&paid, &failed]),
    ] {
        assert_eq!(
            found(&world, &app, query).await.iter().collect::<Vec<_>>(),
            expected,
            "{query}"
        );
    }
}

#[tokio::test]
async fn an_id_or_event_id_finds_that_message_alone_with_one_read() {
    let (world, app, [paid, ..]) = world().await;
    for name in [paid.as_str(), "Order-1001"] {
        let before = world.meter.usage();
        assert_eq!(found(&world, &app, &format!("q={name}&with_content=false")).await, [&*paid]);
        let calls = world.meter.usage().store_calls - before.store_calls;
        // The application is another one.
        assert_eq!(calls, 2, "{name}");
        let shown = search(&world, &app, &format!("q={name}")).await;
        assert_eq!(shown.body["data"][0]["payload"], json!({"mail": "Ann@x"}));
        assert!(found(&world, &app, &format!("q={name}&tag=VIP")).await.is_empty());
    }
}

#[tokio::test]
async fn payloads_are_looked_into_only_when_asked_for_and_to_the_letter() {
    let (world, app, [paid, failed, made]) = world().await;
    assert_eq!(found(&world, &app, "q=@x&in_payload=true").await, [&*failed, &*paid]);
    assert_eq!(found(&world, &app, "q=Ann&in_payload=true").await, [&*paid]);
    assert!(found(&world, &app, "q=ann&in_payload=true").await.is_empty());
    assert!(found(&world, &app, "q=Ann&in_payload=false").await.is_empty());
    assert_eq!(found(&world, &app, "q=order&in_payload=true").await, [&*made, &*failed, &*paid]);
    let expunge = format!("/api/v1/app/{app}/msg/{paid}/content");
    assert_eq!(world.call("DELETE", &expunge, Value::Null).await.status, 204);
    assert!(found(&world, &app, "q=Ann&in_payload=true").await.is_empty());
    assert!(found(&world, &app, "q=expunged&in_payload=true").await.is_empty());
}

#[tokio::test]
async fn a_page_that_found_nothing_leads_on_to_those_that_did() {
    let (world, app) = World::with_application().await;
    let first = world.publish(&app, json!({"needle": 1})).await;
    for _ in 0..120 {
        world.advance_s(1);
        world.publish(&app, json!({"hay": 1})).await;
    }
    let (mut query, mut pages, mut found) = (String::new(), 0, Vec::new());
    loop {
        let path = format!("q=needle&in_payload=true&limit=250{query}");
        let before = world.meter.usage();
        let page = search(&world, &app, &path).await;
        let calls = world.meter.usage().store_calls - before.store_calls;
        assert!(calls <= 2 + 10 + 50, "{calls}");
        found.extend(page.body["data"].as_array().unwrap().iter().map(|one| text(&one["id"])));
        pages += 1;
        if page.body["done"] == true {
            break;
        }
        query = format!("&iterator={}", text(&page.body["iterator"]));
    }
    assert_eq!((found, pages), (vec![first], 3));
}

#[tokio::test]
async fn another_application_s_messages_are_not_found() {
    let (world, _, [paid, ..]) = world().await;
    let other = world.application().await;
    for query in ["q=order&in_payload=true", "q=Order-1001", &format!("q={paid}")] {
        assert!(found(&world, &other, query).await.is_empty(), "{query}");
    }
}

#[tokio::test]
async fn what_nothing_can_be_looked_for_with_is_refused() {
    let (world, app, _) = world().await;
    for query in [String::new(), "q=".to_owned(), format!("q={}", "x".repeat(257))] {
        let refused = search(&world, &app, &query).await;
        assert_eq!(refused.status, 422, "{refused:?}");
        assert_eq!(refused.body["detail"][0]["loc"], json!(["query", "q"]));
    }
}

#[tokio::test]
async fn what_is_found_says_how_far_it_is_for_a_read_a_row() {
    let (world, app, _) = world().await;
    world.dispatch_all().await;
    world.endpoint(&app, "http://127.0.0.1:9/hook").await;
    world.network.next("http://127.0.0.1:9/hook", answer(500));
    for n in [1, 2] {
        let body =
            json!({"eventType": "cart.left", "eventId": format!("cart-{n}"), "payload": {"n": n}});
        world.call("POST", &format!("/api/v1/app/{app}/msg"), body).await;
        world.dispatch_all().await;
        world.advance_s(1);
    }
    let deliveries = async |query: &str| {
        world.call("GET", &format!("/api/v1/app/{app}/delivery?{query}"), Value::Null).await
    };
    // Calls to the store of a search, and of one that says how far each message is.
    let calls = async |query: &str| {
        let before = world.meter.usage().store_calls;
        search(&world, &app, &format!("{query}&with_content=false")).await;
        let between = world.meter.usage().store_calls;
        deliveries(query).await;
        (between - before, world.meter.usage().store_calls - between)
    };
    // What is remembered from then on is not asked for again.
    calls("q=nothing").await;
    let (plain, with_state) = calls("q=nothing").await;
    for (query, expected, reads) in [
        ("q=cart-", vec![("cart-2", "delivered", 1), ("cart-1", "failing", 0)], 2),
        ("q=cart-1", vec![("cart-1", "failing", 0)], 1),
        ("q=%3A1&in_payload=true", vec![("cart-1", "failing", 0)], 1),
        ("q=cart-&state=delivered", vec![("cart-2", "delivered", 1)], 2),
        ("q=cart-&event_types=other", vec![], 0),
    ] {
        let reply = deliveries(query).await;
        let shown: Vec<(String, String, u64)> = reply.body["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                (text(&row["eventId"]), text(&row["state"]), row["delivered"].as_u64().unwrap())
            })
            .collect();
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(id, state, delivered)| (id.to_owned(), state.to_owned(), delivered))
            .collect();
        assert_eq!(shown, expected, "{query}");
        let (without, with) = calls(query).await;
        assert_eq!(
            with + plain,
            without + with_state + reads,
            "{query}: a read for each message that was found"
        );
    }
    let long = format!("q={}", "x".repeat(257));
    for wrong in ["q=", &long, "q=a&in_payload=maybe", "in_payload=maybe"] {
        assert!([400, 422].contains(&deliveries(wrong).await.status.as_u16()), "{wrong}");
    }
    let ep = text(
        &world.call("GET", &format!("/api/v1/app/{app}/endpoint"), Value::Null).await.body["data"]
            [0]["id"],
    );
    let both = deliveries(&format!("q=cart&endpoint_id={ep}")).await;
    assert_eq!(
        (both.status.as_u16(), &both.body["detail"]),
        (400, &json!("The query parameter `q` cannot be given together with `endpoint_id`."))
    );
}

#[tokio::test]
async fn a_replay_of_what_no_message_can_be_is_refused() {
    let (world, app) = World::with_application().await;
    let ep = world.endpoint(&app, "http://127.0.0.1:9/").await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/bulk-replay");
    for (field, wrong) in [("channel", ""), ("channel", "a b"), ("tag", ""), ("tag", "\u{e9}")] {
        let body = json!({"since": world.ambient.now().to_rfc3339(), field: wrong});
        let refused = world.call("POST", &path, body).await;
        assert_eq!(refused.status, 422, "{field} {wrong:?}: {refused:?}");
        assert_eq!(refused.body["detail"][0]["loc"], json!(["body", field]));
    }
}

//! What an operator looks after: records that nobody could process.

use bytes::Bytes;
use shared::domain::message::MAX_PAYLOAD_BYTES;
use shared::queue::record::Record;
use shared::queue::{Consumer, Outgoing, send_one};
use shared::store::keys::parked_by_time;
use shared::store::table::{Condition, Item, Write};
use shared::store::{PARKED_DAYS, Parked, Parking};

use super::*;

const PATH: &str = "/api/v1/operator/parked";

async fn park(world: &World, id: &str, body: String) {
    let parked = Parked {
        id: id.to_owned(),
        queue: "deliveries".to_owned(),
        reason: "a test".to_owned(),
        at: world.ambient.now(),
        body,
    };
    Parking::new(world.table.clone()).park(&parked).await.unwrap();
}

fn parked_ids(reply: &Reply) -> Vec<String> {
    ids(reply)
}

/// The record of a message that was accepted, taken out of the queue.
async fn accepted(world: &World, app: &str) -> String {
    use shared::queue::Consumer;
    world.publish(app, json!({"card": "4111111111111111"})).await;
    let batch = world.queues.deliveries.receive(1, 0).await.unwrap();
    world.queues.deliveries.delete(&[batch[0].receipt.clone()]).await.unwrap();
    batch[0].body.clone()
}

#[tokio::test]
async fn what_nobody_can_read_is_parked_shown_and_cannot_be_redriven() {
    let world = World::new();
    let garbage =
        Outgoing { body: "garbage 4111111111111111".into(), group: "g".into(), delay_s: 0 };
    send_one(&world.queues.deliveries, garbage).await.unwrap();
    world.dispatch_all().await;
    let list = get(&world, PATH).await;
    let [id] = &parked_ids(&list)[..] else { panic!("{list:?}") };
    let item = list.body["data"][0].as_object().unwrap();
    let fields: Vec<&String> = item.keys().collect();
    assert_eq!(fields, ["id", "queue", "reason", "timestamp"]);
    assert_eq!(item["timestamp"], "2027-01-15T08:00:00Z");
    assert!(!String::from_utf8_lossy(&list.bytes).contains("4111"), "{list:?}");
    let redrive = post(&world, &format!("{PATH}/{id}/redrive"), Value::Null).await;
    assert_error(&redrive, 400, "unreadable");
    assert_eq!(parked_ids(&get(&world, PATH).await).len(), 1, "it stays");
}

#[tokio::test]
async fn a_parked_message_that_is_redriven_is_delivered_once() {
    let (world, app, _) = World::with_endpoint(URL).await;
    let record = accepted(&world, &app).await;
    park(&world, "r-1", record).await;
    let list = get(&world, PATH).await;
    assert!(!String::from_utf8_lossy(&list.bytes).contains("4111"), "{list:?}");
    let path = format!("{PATH}/{}/redrive", parked_ids(&list)[0]);
    let redriven = post(&world, &path, Value::Null).await;
    assert_eq!((redriven.status.as_u16(), &redriven.bytes[..]), (202, &b"{}"[..]));
    world.live_s(60).await;
    assert_eq!(world.network.sent_to(URL).len(), 1);
    assert!(parked_ids(&get(&world, PATH).await).is_empty());
    assert_error(&post(&world, &path, Value::Null).await, 404, "not_found");
}

#[tokio::test]
async fn a_parked_resend_goes_back_to_the_queue_of_retries() {
    let (world, app, ep) = World::with_endpoint(URL).await;
    let msg = world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    let record = Record::Resend {
        app: app.parse().unwrap(),
        msg: msg.parse().unwrap(),
        ep: ep.parse().unwrap(),
        attempt: UNKNOWN_ATTEMPT.parse().unwrap(),
        again: false,
        not_before: None,
    };
    park(&world, "r-1", record.outgoing(0).body).await;
    let id = format!("{msg}.{ep}.{UNKNOWN_ATTEMPT}");
    let redriven = post(&world, &format!("{PATH}/{id}/redrive"), Value::Null).await;
    assert_eq!(redriven.status, 202);
    world.dispatch_all().await;
    let attempts = world.attempts(&app, &msg).await;
    assert_eq!(attempts.len(), 2);
    assert!(attempts.iter().any(|attempt| attempt["id"] == UNKNOWN_ATTEMPT));
}

#[tokio::test]
async fn another_organisation_cannot_see_or_redrive_what_is_parked() {
    let world = World::new();
    let stranger = world.token_of(OrganisationId::new(&world.ambient));
    let list = world.call_as(&stranger, "GET", PATH, Value::Null).await;
    assert_eq!(list.status, 403, "{list:?}");
    let path = format!("{PATH}/some-id/redrive");
    let redrive = world.call_as(&stranger, "POST", &path, Value::Null).await;
    assert_eq!(redrive.status, 403, "{redrive:?}");
}

#[tokio::test]
async fn the_largest_record_that_travels_in_base64_is_parked_whole() {
    let world = World::new();
    let mut payload = String::from("{\"a\":\"\u{FFFE}");
    while payload.len() < MAX_PAYLOAD_BYTES - 2 {
        payload.push(char::from(b'a' + (payload.len() * payload.len() % 23) as u8));
    }
    payload.push_str("\"}");
    let app = world.application().await;
    let body = format!("{{\"eventType\":\"a.b\",\"payload\":{payload}}}");
    let request = http::Request::post(format!("/api/v1/app/{app}/msg"))
        .header("authorization", format!("Bearer {}", world.token()))
        .body(body.into())
        .unwrap();
    assert_eq!(world.send(request).await.status, 202);
    let record = world.queues.deliveries.receive(1, 0).await.unwrap().remove(0);
    assert!(record.body.len() > 450 * 1024, "{}", record.body.len());
    let parked = Parked {
        id: record.id.clone(),
        queue: "deliveries".to_owned(),
        reason: "a test".to_owned(),
        at: world.ambient.now(),
        body: record.body.clone(),
    };
    let parking = Parking::new(world.table.clone());
    parking.park(&parked).await.unwrap();
    let id = &parked_ids(&get(&world, PATH).await)[0];
    let found = parking.find(id, world.ambient.now()).await.unwrap().unwrap();
    assert_eq!(found.parked, parked);
}

#[tokio::test]
async fn parked_records_are_shown_newest_first() {
    let world = World::new();
    for id in ["a", "b", "c"] {
        park(&world, id, "garbage".to_owned()).await;
        world.advance_s(1);
    }
    assert_eq!(parked_ids(&get(&world, PATH).await), ["c", "b", "a"]);
    assert_error(&post(&world, &format!("{PATH}/d/redrive"), Value::Null).await, 404, "not_found");
}

#[tokio::test]
async fn an_application_token_is_not_for_operators() {
    let (world, app) = World::with_application().await;
    park(&world, "a", "garbage".to_owned()).await;
    let token = world.app_token(&app);
    let list = world.call_as(&token, "GET", PATH, Value::Null).await;
    assert_error(&list, 403, "insufficient access");
    let path = format!("{PATH}/a/redrive");
    let redrive = world.call_as(&token, "POST", &path, Value::Null).await;
    assert_error(&redrive, 403, "insufficient access");
}

/// The record of a retry of this delivery.
fn retry(app: &str, msg: &str, ep: &str) -> String {
    let record = Record::Retry {
        app: app.parse().unwrap(),
        msg: msg.parse().unwrap(),
        ep: ep.parse().unwrap(),
        attempt: 2,
    };
    record.outgoing(0).body
}

#[tokio::test]
async fn what_fails_again_and_again_is_parked_once_with_its_latest_reason() {
    let (world, app) = World::with_application().await;
    for n in 0..100 {
        world.advance_s(900);
        park(&world, &format!("record-{n}"), retry(&app, UNKNOWN_MSG, UNKNOWN_EP)).await;
    }
    let list = get(&world, PATH).await;
    assert_eq!(parked_ids(&list), [format!("{UNKNOWN_MSG}.{UNKNOWN_EP}")]);
    assert_eq!(list.body["data"][0]["timestamp"], world.ambient.now().to_rfc3339());
}

#[tokio::test]
async fn a_record_that_is_parked_again_while_it_is_redriven_stays() {
    let world = World::new();
    park(&world, "first", retry(&world.application().await, UNKNOWN_MSG, UNKNOWN_EP)).await;
    let parking = Parking::new(world.table.clone());
    let id = parked_ids(&get(&world, PATH).await).remove(0);
    let held = parking.find(&id, world.ambient.now()).await.unwrap().unwrap();
    parking.park(&held.parked).await.unwrap();
    assert!(!parking.remove(&held).await.unwrap());
    assert_eq!(parked_ids(&get(&world, PATH).await).len(), 1);
}

#[tokio::test]
async fn parked_records_are_kept_for_90_days() {
    let world = World::new();
    park(&world, "a", "garbage".to_owned()).await;
    world.advance_s(PARKED_DAYS * 86_400 - 1);
    assert_eq!(parked_ids(&get(&world, PATH).await), ["a"]);
    world.advance_s(1);
    assert!(parked_ids(&get(&world, PATH).await).is_empty());
    let redrive = post(&world, &format!("{PATH}/a/redrive"), Value::Null).await;
    assert_error(&redrive, 404, "not_found");
}

#[tokio::test]
async fn all_parked_records_are_listed_page_by_page_earlier_ones_included() {
    let world = World::new();
    for n in 0..6 {
        world.advance_s(1);
        park_as_before(&world, &format!("earlier-{n}"), "garbage").await;
    }
    for n in 0..7 {
        world.advance_s(1);
        park(&world, &format!("later-{n}"), "garbage".to_owned()).await;
    }
    let expected: Vec<String> = (0..7)
        .rev()
        .map(|n| format!("later-{n}"))
        .chain((0..6).rev().map(|n| format!("earlier-{n}")))
        .collect();
    for limit in [1, 2, 5, 13, 50] {
        let mut found = Vec::new();
        let mut path = format!("{PATH}?limit={limit}");
        loop {
            let page = get(&world, &path).await;
            found.append(&mut parked_ids(&page));
            if page.body["done"] == true {
                break;
            }
            path = format!("{PATH}?limit={limit}&iterator={}", text(&page.body["iterator"]));
        }
        assert_eq!(found, expected, "by {limit}");
    }
}

#[tokio::test]
async fn an_earlier_parked_record_is_redriven_as_any_other() {
    let (world, app, _) = World::with_endpoint(URL).await;
    let record = accepted(&world, &app).await;
    for n in 0..300 {
        park_as_before(&world, &format!("garbage-{n}"), "garbage").await;
    }
    park_as_before(&world, "r-1", &record).await;
    let path = format!("{PATH}/r-1/redrive");
    assert_eq!(post(&world, &path, Value::Null).await.status, 202);
    world.live_s(60).await;
    assert_eq!(world.network.sent_to(URL).len(), 1);
    assert_error(&post(&world, &path, Value::Null).await, 404, "not_found");
}

#[tokio::test]
async fn many_parked_records_are_redriven_page_by_page_and_what_does_not_read_stays() {
    let (world, app, _) = World::with_endpoint(URL).await;
    for n in 0..30 {
        world.advance_s(1);
        let record = accepted(&world, &app).await;
        park(&world, &format!("record-{n}"), record).await;
        if n % 10 == 0 {
            park(&world, &format!("garbage-{n}"), "garbage".to_owned()).await;
        }
    }
    let (mut redriven, mut unreadable) = (0, Vec::new());
    let mut path = format!("{PATH}/redrive?limit=10");
    loop {
        let page = post(&world, &path, Value::Null).await;
        assert_eq!(page.status, 200, "{page:?}");
        redriven += page.body["redriven"].as_u64().unwrap();
        unreadable.extend(page.body["unreadable"].as_array().unwrap().iter().map(text));
        if page.body["done"] == true {
            break;
        }
        path = format!("{PATH}/redrive?limit=10&iterator={}", text(&page.body["iterator"]));
    }
    unreadable.sort();
    assert_eq!((redriven, unreadable.len()), (30, 3));
    assert_eq!(sorted(parked_ids(&get(&world, PATH).await)), unreadable);
    world.live_s(60).await;
    assert_eq!(world.network.sent_to(URL).len(), 30);
}

/// Parks a record under its time, as it was done before.
async fn park_as_before(world: &World, id: &str, body: &str) {
    let at = world.ambient.now();
    let doc = json!({"v": 1, "id": id, "queue": "deliveries", "reason": "a test", "at": at});
    let body = [&[0], body.as_bytes()].concat();
    let item = Item::new(parked_by_time(at, id), doc.to_string()).body(Bytes::from(body));
    world.table.write(Write::Put(item, Condition::Always)).await.unwrap();
}

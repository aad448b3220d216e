//! A message with more attempts than a list of them reads: one of each of 10,000 endpoints, and some
//! more.

use serde_json::{Value, json};
use shared::domain::id::{AttemptId, EndpointId, MessageId};
use shared::store::Inbox;
use shared::store::keys::{ATTEMPT_PREFIX, message_pk};
use shared::store::table::{Condition, Index, Item, Key, Query, Write, prefix_range};

use crate::support::network::answer;
use crate::support::world::World;

const URL: &str = "http://127.0.0.1:9/hook";
const COUNT: usize = 10_010;

/// Puts copies of the one attempt of a message on record, each to an endpoint of its own. The id of
/// the one that stands last.
async fn multiply(world: &World, msg: &MessageId) -> AttemptId {
    let (from, to) = prefix_range(ATTEMPT_PREFIX);
    let pk = message_pk(&msg.key());
    let query =
        Query { index: Index::Base, pk, from, to, descending: false, after: None, limit: 2 };
    let first = world.table.query(&query).await.unwrap().items.remove(0);
    let old: Value = serde_json::from_str(&first.doc).unwrap();
    let (old_id, old_ep) = (old["id"].as_str().unwrap(), old["ep"].as_str().unwrap());
    let mut last: Option<(String, AttemptId)> = None;
    let mut writes = Vec::new();
    for _ in 0..COUNT {
        let (ep, id) = (EndpointId::new(&world.ambient), AttemptId::new(&world.ambient));
        let of_its_own =
            |text: &str| text.replace(old_ep, &ep.to_string()).replace(old_id, &id.to_string());
        let key = Key { pk: first.key.pk.clone(), sk: of_its_own(&first.key.sk) };
        if last.as_ref().is_none_or(|(sk, _)| *sk < key.sk) {
            last = Some((key.sk.clone(), id));
        }
        let item = Item { key, doc: of_its_own(&first.doc), by_time: None, ..first.clone() };
        writes.push(Write::Put(item, Condition::Always));
        if writes.len() == 25 {
            world.table.transact(std::mem::take(&mut writes)).await.unwrap();
        }
    }
    world.table.transact(writes).await.unwrap();
    last.unwrap().1
}

#[tokio::test]
async fn each_of_more_than_ten_thousand_attempts_is_there_and_what_is_behind_them_is_seen() {
    let world = World::new();
    world.network.always(URL, answer(500));
    let app = world.application().await;
    world.endpoint(&app, URL).await;
    let msg = world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    let id: MessageId = msg.parse().unwrap();
    let last = multiply(&world, &id).await;
    let of_message = format!("/api/v1/app/{app}/msg/{msg}");
    let one = world.call("GET", &format!("{of_message}/attempt/{last}"), Value::Null).await;
    assert_eq!((one.status.as_u16(), &one.body["id"]), (200, &json!(last.to_string())));
    let content = format!("{of_message}/attempt/{last}/content");
    assert_eq!(world.call("DELETE", &content, Value::Null).await.status, 204);

    // Deliveries stand behind attempts.
    let (_, deliveries) = world.admin.history.outcome_of_message(&id).await.unwrap();
    assert_eq!(deliveries.len(), 1);

    let app = app.parse().unwrap();
    let message = world.admin.history.message(&app, &msg, world.ambient.now()).await;
    let message = message.unwrap().unwrap();
    let before = world.meter.usage();
    assert!(Inbox::new(world.table.clone()).has_outcome(&message).await.unwrap());
    assert_eq!(world.meter.usage().since(&before).store_calls, 1, "whether there is any");
}

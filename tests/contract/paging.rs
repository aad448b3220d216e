//! Lists are walked both ways, from any page and from any item.

use serde_json::{Value, json};

use super::{URL, get};
use crate::support::network::answer;
use crate::support::world::{World, text};

/// Things enough for three pages of two in every list, and the lists' paths.
async fn stage() -> (World, Vec<String>) {
    let world = World::new();
    world.network.always(URL, answer(200));
    let app = world.application().await;
    let ep = world.endpoint(&app, URL).await;
    let mut last = String::new();
    for n in 0..5 {
        world.advance_s(1);
        world.application().await;
        world.endpoint(&app, URL).await;
        world.describe(&format!("type.{n}")).await;
        last = world.publish(&app, json!({"n": n})).await;
        world.dispatch_all().await;
        world.call("PUT", "/api/v1/stats/usage/event-types", Value::Null).await;
    }
    let below = format!("/api/v1/app/{app}");
    let lists = vec![
        "/api/v1/app".to_owned(),
        "/api/v1/event-type".to_owned(),
        "/api/v1/background-task".to_owned(),
        format!("{below}/endpoint"),
        format!("{below}/msg"),
        format!("{below}/msg/{last}/endpoint"),
        format!("{below}/msg/{last}/attempt"),
        format!("{below}/attempt/msg/{last}"),
        format!("{below}/attempt/endpoint/{ep}"),
        format!("{below}/endpoint/{ep}/msg"),
    ];
    (world, lists)
}

fn names(body: &Value) -> Vec<String> {
    let name = |item: &Value| text(if item["id"].is_null() { &item["name"] } else { &item["id"] });
    body["data"].as_array().expect("a list").iter().map(name).collect()
}

#[tokio::test]
async fn every_page_that_shows_something_tells_the_way_back() {
    let (world, lists) = stage().await;
    for list in lists {
        let mut next = format!("{list}?limit=2");
        let mut pages = Vec::new();
        loop {
            let page = get(&world, &next).await.body;
            assert!(page["prevIterator"].as_str().is_some_and(|it| it.starts_with('-')), "{next}");
            pages.push(names(&page));
            if page["done"] == true {
                break;
            }
            next = format!("{list}?limit=2&iterator={}", text(&page["iterator"]));
        }
        assert!(pages.len() >= 3, "{list}: {pages:?}");
    }
}

#[tokio::test]
async fn walking_back_ends_at_the_first_page_which_is_done() {
    let (world, lists) = stage().await;
    for list in lists {
        let first = get(&world, &format!("{list}?limit=2")).await.body;
        let second = format!("{list}?limit=2&iterator={}", text(&first["iterator"]));
        let second = get(&world, &second).await.body;
        let third = format!("{list}?limit=2&iterator={}", text(&second["iterator"]));
        let third = get(&world, &third).await.body;
        let back = format!("{list}?limit=2&iterator={}", text(&third["prevIterator"]));
        let back = get(&world, &back).await.body;
        assert_eq!((names(&back), &back["done"]), (names(&second), &json!(false)), "{list}");
        let back = format!("{list}?limit=2&iterator={}", text(&back["prevIterator"]));
        let back = get(&world, &back).await.body;
        assert_eq!((names(&back), &back["done"]), (names(&first), &json!(true)), "{list}");
        let before = format!("{list}?limit=2&iterator={}", text(&back["prevIterator"]));
        let before = get(&world, &before).await.body;
        let nothing = json!({"data": [], "iterator": null, "prevIterator": null, "done": true});
        assert_eq!(before, nothing, "{list}");
    }
}

#[tokio::test]
async fn the_id_of_anything_in_a_list_serves_as_its_iterator() {
    let (world, lists) = stage().await;
    for list in lists {
        let all = names(&get(&world, &list).await.body);
        for (place, id) in all.iter().enumerate() {
            let on = get(&world, &format!("{list}?iterator={id}")).await;
            assert_eq!(on.status, 200, "{list}: {on:?}");
            assert_eq!(names(&on.body), all[place + 1..], "{list} on from {id}");
            let back = get(&world, &format!("{list}?iterator=-{id}")).await;
            assert_eq!(names(&back.body), all[..place], "{list} back from {id}");
        }
    }
}

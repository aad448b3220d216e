//! Everything that is asked for besides publishing: shapes, statuses, lists, and who may what.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use shared::domain::id::OrganisationId;
use shared::domain::keyring::{MAX_GRACE_S, MAX_OLD};
use shared::domain::secret::SigningSecret;
use shared::domain::signature::verify;
use shared::sender::target::TargetPolicy;

use crate::support::answers::{another_organisation, assert_error, places};
use crate::support::network::{answer, header};
use crate::support::still::START;
use crate::support::world::{Builder, Reply, World, text};

const URL: &str = "http://127.0.0.1:9/hook";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const UNKNOWN_APP: &str = "app_0ujtsYcgvSTl8PAuAdqWYSMnLOv";
const UNKNOWN_EP: &str = "ep_0ujtsYcgvSTl8PAuAdqWYSMnLOv";
const UNKNOWN_MSG: &str = "msg_0ujtsYcgvSTl8PAuAdqWYSMnLOv";
const UNKNOWN_ATTEMPT: &str = "atmpt_0ujtsYcgvSTl8PAuAdqWYSMnLOv";

async fn get(world: &World, path: &str) -> Reply {
    world.call("GET", path, Value::Null).await
}

async fn post(world: &World, path: &str, body: Value) -> Reply {
    world.call("POST", path, body).await
}

/// The ids of a page.
fn ids(reply: &Reply) -> Vec<String> {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body["data"].as_array().unwrap().iter().map(|item| text(&item["id"])).collect()
}

/// A path with one more query parameter.
fn with(path: &str, parameter: &str) -> String {
    let separator = if path.contains('?') { '&' } else { '?' };
    format!("{path}{separator}{parameter}")
}

/// Walks a whole list in pages of `limit`, there and back, and answers with all ids in order.
async fn walk(world: &World, path: &str, limit: usize) -> Vec<String> {
    let path = with(path, &format!("limit={limit}"));
    let mut pages: Vec<Vec<String>> = Vec::new();
    let mut page = get(world, &path).await;
    assert!(page.body.get("prevIterator").is_none(), "{page:?}");
    loop {
        let found = ids(&page);
        assert!(found.len() <= limit);
        if let Some(last) = found.last()
            && found.len() == limit
        {
            assert_eq!(page.body["iterator"], json!(last), "the last id of the page");
        }
        pages.push(found);
        if page.body["done"] == true {
            break;
        }
        let iterator = text(&page.body["iterator"]);
        page = get(world, &with(&path, &format!("iterator={iterator}"))).await;
        assert!(pages.len() < 1000, "the walk does not end");
    }
    let forth: Vec<String> = pages.concat();

    // And back again, over everything but the last page.
    let mut back: Vec<String> = pages.last().unwrap().clone();
    while let Some(iterator) = page.body.get("prevIterator") {
        let iterator = text(iterator);
        assert!(iterator.starts_with('-'), "{iterator}");
        page = get(world, &with(&path, &format!("iterator={iterator}"))).await;
        assert_eq!(page.body["done"], false, "there is the page that we came from");
        // Whoever turns round again meets what comes next, and nothing is left out.
        let on = match page.body["iterator"].as_str() {
            Some(iterator) => get(world, &with(&path, &format!("iterator={iterator}"))).await,
            None => get(world, &path).await,
        };
        assert!(back.starts_with(&ids(&on)), "{on:?}");
        let mut found = ids(&page);
        assert!(found.len() <= limit);
        found.append(&mut back);
        back = found;
        assert!(back.len() <= forth.len(), "the walk back does not end");
    }
    assert_eq!(back, forth, "there and back is the same list");
    forth
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

fn reversed(mut ids: Vec<String>) -> Vec<String> {
    ids.reverse();
    ids
}

mod applications {
    use super::*;

    const APPS: &str = "/api/v1/app";

    #[tokio::test]
    async fn a_new_application_comes_back_field_by_field() {
        let world = World::new();
        let body = json!({
            "name": "First", "uid": "customer-1", "throttleRate": 7, "metadata": {"a": "b"},
        });
        let created = post(&world, APPS, body).await;
        assert_eq!(created.status, 201);
        let id = text(&created.body["id"]);
        let shown = json!({
            "id": id, "name": "First", "uid": "customer-1", "throttleRate": 7, "rateLimit": 7,
            "metadata": {"a": "b"},
            "createdAt": "2027-01-15T08:00:00Z", "updatedAt": "2027-01-15T08:00:00Z",
        });
        assert_eq!(created.body, shown);
        for reference in [id.as_str(), "customer-1"] {
            let read = get(&world, &format!("{APPS}/{reference}")).await;
            assert_eq!((read.status.as_u16(), &read.body), (200, &shown));
        }
    }

    #[tokio::test]
    async fn a_name_is_all_that_an_application_needs() {
        let world = World::new();
        let created = post(&world, APPS, json!({"name": "x", "newer": [1]})).await;
        assert_eq!(created.status, 201);
        assert_eq!(created.body["uid"], Value::Null);
        assert_eq!(created.body["metadata"], json!({}));
        assert!(created.body.get("throttleRate").is_none());
    }

    #[tokio::test]
    async fn what_breaks_a_rule_is_named_and_nothing_is_created() {
        let world = World::new();
        let long = "x".repeat(257);
        let cases = [
            (json!({}), "name"),
            (json!({"name": ""}), "name"),
            (json!({"name": 7}), "name"),
            (json!({"name": null}), "name"),
            (json!({"name": "x", "uid": ""}), "uid"),
            (json!({"name": "x", "uid": "a b"}), "uid"),
            (json!({"name": "x", "uid": "app_1"}), "uid"),
            (json!({"name": "x", "uid": long}), "uid"),
            (json!({"name": "x", "uid": 7}), "uid"),
            (json!({"name": "x", "throttleRate": 0}), "throttleRate"),
            (json!({"name": "x", "throttleRate": 65_536}), "throttleRate"),
            (json!({"name": "x", "throttleRate": "7"}), "throttleRate"),
            (json!({"name": "x", "metadata": []}), "metadata"),
            (json!({"name": "x", "metadata": {"a.b": 7}}), "metadata/a.b"),
        ];
        for (body, field) in cases {
            let reply = post(&world, APPS, body.clone()).await;
            assert_eq!(places(&reply), [format!("body/{field}")], "{body}");
            let reply = world.call("PUT", "/api/v1/app/new", body.clone()).await;
            assert_eq!(places(&reply), [format!("body/{field}")], "{body}");
        }
        let several = json!({"name": "", "uid": "", "throttleRate": 0});
        assert_eq!(
            places(&post(&world, APPS, several).await),
            ["body/name", "body/uid", "body/throttleRate"]
        );
        assert!(ids(&get(&world, APPS).await).is_empty());
    }

    #[tokio::test]
    async fn a_body_that_is_no_json_object_is_refused() {
        let world = World::new();
        let missing = post(&world, APPS, Value::Null).await;
        assert_eq!(places(&missing), ["body"]);
        assert_eq!(missing.body["detail"][0]["type"], "value_error.jsondecode");
        for body in [json!([]), json!(["x", null, null, null, {}]), json!("x"), json!(7)] {
            let reply = post(&world, APPS, body.clone()).await;
            assert_eq!(places(&reply), ["body"], "{body}");
            assert_eq!(reply.body["detail"][0]["msg"], "must be a JSON object", "{body}");
        }
        let app = world.application().await;
        for path in [format!("{APPS}/{app}"), format!("{APPS}/{app}/endpoint/x")] {
            let reply = world.call("PUT", &path, json!([])).await;
            assert_eq!(places(&reply), ["body"], "{path}");
        }
        let reply = world.call("PATCH", &format!("{APPS}/{app}"), json!([])).await;
        assert_eq!(places(&reply), ["body"]);
    }

    #[tokio::test]
    async fn a_body_of_more_than_half_a_mebibyte_is_too_large() {
        let world = World::new();
        let body = json!({"name": "x".repeat(512 * 1024)});
        assert_error(&post(&world, APPS, body).await, 413, "payload_too_large");
    }

    #[tokio::test]
    async fn metadata_may_have_4096_bytes_of_json() {
        let world = World::new();
        let metadata = |bytes: usize| json!({"k": "x".repeat(bytes - r#"{"k":""}"#.len())});
        let body = |bytes| json!({"name": "x", "metadata": metadata(bytes)});
        let created = post(&world, APPS, body(4096)).await;
        assert_eq!(created.status, 201);
        assert_eq!(places(&post(&world, APPS, body(4097)).await), ["body/metadata"]);
        let path = format!("{APPS}/{}", text(&created.body["id"]));
        let patch = json!({"metadata": metadata(4097)});
        assert_eq!(places(&world.call("PATCH", &path, patch).await), ["body/metadata"]);
        let patch = json!({"metadata": metadata(4096)});
        assert_eq!(world.call("PATCH", &path, patch).await.status, 200);
    }

    #[tokio::test]
    async fn a_uid_belongs_to_one_application_of_an_organisation() {
        let world = World::new();
        let named = json!({"name": "x", "uid": "customer-1"});
        let first = post(&world, APPS, named.clone()).await;
        assert_eq!(first.status, 201);
        assert_error(&post(&world, APPS, named.clone()).await, 409, "conflict");
        let other = world.application().await;
        let path = format!("{APPS}/{other}");
        assert_error(&world.call("PUT", &path, named.clone()).await, 409, "conflict");
        let patch = json!({"uid": "customer-1"});
        assert_error(&world.call("PATCH", &path, patch).await, 409, "conflict");
        assert_eq!(ids(&get(&world, APPS).await).len(), 2);
        // Another organisation has names of its own.
        let token = world.token_of(another_organisation());
        assert_eq!(world.call_as(&token, "POST", APPS, named.clone()).await.status, 201);
        // Once it is given up it is free.
        let path = format!("{APPS}/{}", text(&first.body["id"]));
        let renamed = world.call("PATCH", &path, json!({"uid": "customer-2"})).await;
        assert_eq!(renamed.body["uid"], "customer-2");
        assert_error(&get(&world, &format!("{APPS}/customer-1")).await, 404, "not_found");
        assert_eq!(post(&world, APPS, named).await.status, 201);
    }

    #[tokio::test]
    async fn get_if_exists_brings_the_application_that_has_the_uid() {
        let world = World::new();
        let path = format!("{APPS}?get_if_exists=true");
        let first = post(&world, &path, json!({"name": "First", "uid": "customer-1"})).await;
        assert_eq!(first.status, 201);
        let second = post(&world, &path, json!({"name": "Second", "uid": "customer-1"})).await;
        assert_eq!(second.status, 200);
        assert_eq!(second.body, first.body);
        let nameless = json!({"name": "Third"});
        assert_eq!(post(&world, &path, nameless.clone()).await.status, 201);
        assert_eq!(post(&world, &path, nameless).await.status, 201);
        let named = json!({"name": "x", "uid": "customer-1"});
        let reply = post(&world, &format!("{APPS}?get_if_exists=false"), named).await;
        assert_error(&reply, 409, "conflict");
    }

    #[tokio::test]
    async fn put_replaces_everything_that_a_caller_can_set() {
        let world = World::new();
        let body = json!({
            "name": "First", "uid": "customer-1", "throttleRate": 7, "metadata": {"a": "b"},
        });
        let created = post(&world, APPS, body).await;
        let path = format!("{APPS}/customer-1");
        world.advance_s(60);
        let updated = world.call("PUT", &path, json!({"name": "Second"})).await;
        assert_eq!(updated.status, 200);
        assert_eq!(
            updated.body,
            json!({
                "id": created.body["id"], "name": "Second", "uid": null, "metadata": {},
                "createdAt": "2027-01-15T08:00:00Z", "updatedAt": "2027-01-15T08:01:00Z",
            })
        );
    }

    #[tokio::test]
    async fn what_was_shown_can_be_put_back() {
        let world = World::new();
        let body = json!({"name": "x", "uid": "customer-1", "rateLimit": 7});
        let created = post(&world, APPS, body).await;
        assert_eq!(created.body["throttleRate"], 7, "the older name");
        let path = format!("{APPS}/customer-1");
        let again = world.call("PUT", &path, created.body.clone()).await;
        assert_eq!(again.status, 200, "{again:?}");
        assert_eq!(again.body, created.body);
        let patched = world.call("PATCH", &path, created.body.clone()).await;
        assert_eq!(patched.status, 200, "{patched:?}");
        assert_eq!(patched.body, created.body);
    }

    #[tokio::test]
    async fn put_creates_an_application_whose_uid_is_the_name_in_the_path() {
        let world = World::new();
        let path = format!("{APPS}/customer-1");
        let created = world.call("PUT", &path, json!({"name": "x"})).await;
        assert_eq!(created.status, 201);
        assert_eq!(created.body["uid"], "customer-1");
        let again = world.call("PUT", &path, json!({"name": "y", "uid": "customer-1"})).await;
        assert_eq!(again.status, 200);
        assert_eq!(again.body["id"], created.body["id"]);
        // An id that is not there cannot be made.
        let reply = world.call("PUT", &format!("{APPS}/{UNKNOWN_APP}"), json!({"name": "x"})).await;
        assert_error(&reply, 404, "not_found");
    }

    #[tokio::test]
    async fn patch_changes_what_is_there_and_clears_what_is_null() {
        let world = World::new();
        let body = json!({
            "name": "First", "uid": "customer-1", "throttleRate": 7, "metadata": {"a": "b"},
        });
        let created = post(&world, APPS, body).await;
        let path = format!("{APPS}/{}", text(&created.body["id"]));
        let mut expected = created.body.clone();
        world.advance_s(60);
        // What changes nothing is no update.
        let patched = world.call("PATCH", &path, json!({})).await;
        assert_eq!((patched.status.as_u16(), &patched.body), (200, &expected));
        expected["updatedAt"] = json!("2027-01-15T08:01:00Z");

        let patched = world.call("PATCH", &path, json!({"name": "Second"})).await;
        expected["name"] = json!("Second");
        assert_eq!(patched.body, expected);

        let patched = world.call("PATCH", &path, json!({"uid": null})).await;
        expected["uid"] = Value::Null;
        assert_eq!(patched.body, expected);
        assert_error(&get(&world, &format!("{APPS}/customer-1")).await, 404, "not_found");

        let patched = world.call("PATCH", &path, json!({"rateLimit": 9})).await;
        expected["throttleRate"] = json!(9);
        expected["rateLimit"] = json!(9);
        assert_eq!(patched.body, expected);

        let patch = json!({"throttleRate": null, "metadata": {"c": "d"}});
        let patched = world.call("PATCH", &path, patch).await;
        expected.as_object_mut().unwrap().remove("throttleRate");
        expected.as_object_mut().unwrap().remove("rateLimit");
        expected["metadata"] = json!({"c": "d"});
        assert_eq!(patched.body, expected);
        assert_eq!(get(&world, &path).await.body, expected);
    }

    #[tokio::test]
    async fn a_patch_that_breaks_a_rule_changes_nothing() {
        let world = World::new();
        let app = world.application().await;
        let path = format!("{APPS}/{app}");
        let before = get(&world, &path).await.body;
        for (patch, field) in [
            (json!({"name": ""}), "name"),
            (json!({"name": "good", "uid": "a b"}), "uid"),
            (json!({"name": "good", "uid": "app_1"}), "uid"),
            (json!({"name": "good", "throttleRate": 0}), "throttleRate"),
            (json!({"name": "good", "throttleRate": -1}), "throttleRate"),
        ] {
            let reply = world.call("PATCH", &path, patch).await;
            assert_eq!(places(&reply), [format!("body/{field}")]);
        }
        assert_eq!(get(&world, &path).await.body, before);
    }

    #[tokio::test]
    async fn a_deleted_application_is_gone_with_its_endpoints_and_its_uid() {
        let world = World::new();
        let named = json!({"name": "x", "uid": "customer-1"});
        let app = text(&post(&world, APPS, named.clone()).await.body["id"]);
        let ep = world.endpoint(&app, URL).await;
        let other = world.application().await;
        let path = format!("{APPS}/{app}");
        let deleted = world.call("DELETE", &format!("{APPS}/customer-1"), Value::Null).await;
        assert_eq!((deleted.status.as_u16(), deleted.bytes.len()), (204, 0));
        assert_error(&get(&world, &path).await, 404, "not_found");
        assert_error(&get(&world, &format!("{path}/endpoint/{ep}")).await, 404, "not_found");
        assert_error(&world.call("DELETE", &path, Value::Null).await, 404, "not_found");
        assert_eq!(ids(&get(&world, APPS).await), [other]);
        assert_eq!(post(&world, APPS, named).await.status, 201);
    }

    #[tokio::test]
    async fn applications_are_listed_in_order_of_creation_and_only_ones_own() {
        let world = World::new();
        let mut created = Vec::new();
        for _ in 0..7 {
            created.push(world.application().await);
            world.clock.advance_ms(4);
        }
        let token = world.token_of(another_organisation());
        let foreign = world.call_as(&token, "GET", APPS, Value::Null).await;
        assert!(ids(&foreign).is_empty());
        for limit in [1, 2, 3, 6, 7, 8, 250] {
            assert_eq!(walk(&world, APPS, limit).await, created, "{limit}");
            let path = format!("{APPS}?order=descending");
            assert_eq!(walk(&world, &path, limit).await, reversed(created.clone()), "{limit}");
        }
        let ascending = get(&world, &format!("{APPS}?order=ascending")).await;
        assert_eq!(ids(&ascending), created);
        assert_eq!(ascending.body["done"], true);
    }

    #[tokio::test]
    async fn a_page_that_ends_with_the_list_says_so() {
        let world = World::new();
        for _ in 0..4 {
            world.application().await;
            world.clock.advance_ms(4);
        }
        let first = get(&world, &format!("{APPS}?limit=2")).await;
        assert_eq!(first.body["done"], false);
        let iterator = text(&first.body["iterator"]);
        let second = get(&world, &format!("{APPS}?limit=2&iterator={iterator}")).await;
        assert_eq!((ids(&second).len(), &second.body["done"]), (2, &json!(true)));
        let end = text(&second.body["iterator"]);
        let third = get(&world, &format!("{APPS}?limit=2&iterator={end}")).await;
        assert_eq!((ids(&third).len(), &third.body["done"]), (0, &json!(true)));
        assert_eq!(third.body["iterator"], json!(end), "to look again later");
    }

    #[tokio::test]
    async fn whoever_walks_back_beyond_the_beginning_starts_anew_without_losing_any() {
        let world = World::new();
        let app = world.application().await;
        world.clock.advance_ms(4);
        let second = world.application().await;
        let ep = world.endpoint(&app, URL).await;
        for (path, first, all) in [
            (APPS.to_owned(), app.clone(), vec![app.clone(), second]),
            (format!("{APPS}/{app}/endpoint"), ep.clone(), vec![ep]),
        ] {
            let before = get(&world, &format!("{path}?iterator=-{first}")).await;
            assert!(ids(&before).is_empty());
            assert!(before.body.get("prevIterator").is_none());
            assert_eq!(
                (&before.body["iterator"], &before.body["done"]),
                (&json!(null), &json!(false))
            );
            // Without an iterator the next page is the first one.
            assert_eq!(ids(&get(&world, &path).await), all);
        }
    }

    #[tokio::test]
    async fn a_list_parameter_that_makes_no_sense_is_named() {
        let world = World::new();
        let app = world.application().await;
        let lists =
            [APPS.to_owned(), format!("{APPS}/{app}/endpoint"), format!("{APPS}/{app}/msg")];
        for path in lists {
            for (parameter, name) in [
                ("limit=0", "limit"),
                ("limit=251", "limit"),
                ("iterator=x", "iterator"),
                ("iterator=atmpt_0ujtsYcgvSTl8PAuAdqWYSMnLOv", "iterator"),
                ("iterator=--", "iterator"),
            ] {
                let reply = get(&world, &format!("{path}?{parameter}")).await;
                assert_eq!(places(&reply), [format!("query/{name}")], "{path} {parameter}");
                assert_eq!(reply.body["detail"][0]["type"], "value_error");
            }
            for (parameter, name) in [
                ("limit=-1", "limit"),
                ("limit=ten", "limit"),
                ("limit=", "limit"),
                ("order=up", "order"),
                ("order=", "order"),
                ("before=yesterday", "before"),
                ("after=2027-01-15", "after"),
                ("after=1800000000", "after"),
            ] {
                let reply = get(&world, &format!("{path}?{parameter}")).await;
                assert_error(&reply, 400, "generic_error");
                let detail = text(&reply.body["detail"]);
                assert!(detail.contains(&format!("`{name}`")), "{path} {parameter}: {detail}");
            }
            assert_eq!(get(&world, &format!("{path}?limit=250")).await.status, 200);
            assert_eq!(get(&world, &format!("{path}?limit=1&unknown=x")).await.status, 200);
        }
    }

    #[tokio::test]
    async fn a_page_has_50_items_unless_asked_otherwise() {
        let world = World::new();
        for _ in 0..51 {
            world.application().await;
            world.clock.advance_ms(4);
        }
        let page = get(&world, APPS).await;
        assert_eq!((ids(&page).len(), &page.body["done"]), (50, &json!(false)));
    }
}

mod endpoints {
    use super::*;

    async fn world() -> (World, String) {
        let world = World::new();
        let app = world.application().await;
        world.describe("a").await;
        world.describe("b").await;
        let path = format!("/api/v1/app/{app}/endpoint");
        (world, path)
    }

    #[tokio::test]
    async fn a_new_endpoint_comes_back_field_by_field_without_its_secret() {
        let (world, path) = world().await;
        let body = json!({
            "url": URL, "uid": "main", "description": "Orders", "disabled": true,
            "eventTypes": ["b", "a"], "channels": ["c"], "throttleRate": 7,
            "metadata": {"k": "v"}, "secret": SECRET, "version": 1, "newer": null,
        });
        let created = post(&world, &path, body).await;
        assert_eq!(created.status, 201);
        let id = text(&created.body["id"]);
        let shown = json!({
            "id": id, "url": URL, "uid": "main", "description": "Orders", "disabled": true,
            "eventTypes": ["b", "a"], "filterTypes": ["b", "a"], "channels": ["c"],
            "throttleRate": 7, "rateLimit": 7, "metadata": {"k": "v"}, "version": 1,
            "createdAt": "2027-01-15T08:00:00Z", "updatedAt": "2027-01-15T08:00:00Z",
        });
        assert_eq!(created.body, shown);
        for reference in [id.as_str(), "main"] {
            let read = get(&world, &format!("{path}/{reference}")).await;
            assert_eq!((read.status.as_u16(), &read.body), (200, &shown));
        }
        let secret = get(&world, &format!("{path}/main/secret")).await;
        assert_eq!(secret.body, json!({"key": SECRET}));
    }

    #[tokio::test]
    async fn a_url_is_all_that_an_endpoint_needs() {
        let (world, path) = world().await;
        let created = post(&world, &path, json!({"url": URL})).await;
        assert_eq!(created.status, 201);
        let id = text(&created.body["id"]);
        assert_eq!(
            created.body,
            json!({
                "id": id, "url": URL, "uid": null, "description": "", "disabled": false,
                "eventTypes": null, "filterTypes": null, "channels": null, "metadata": {},
                "version": 1,
                "createdAt": "2027-01-15T08:00:00Z", "updatedAt": "2027-01-15T08:00:00Z",
            })
        );
    }

    #[tokio::test]
    async fn the_names_of_older_sdks_are_understood() {
        let (world, path) = world().await;
        let body = json!({"url": URL, "filterTypes": ["a"], "rateLimit": 3});
        let created = post(&world, &path, body).await;
        assert_eq!(created.body["eventTypes"], json!(["a"]));
        assert_eq!(created.body["throttleRate"], 3);
        let path = format!("{path}/{}", text(&created.body["id"]));
        let patch = json!({"filterTypes": ["b"], "rateLimit": null});
        let patched = world.call("PATCH", &path, patch).await;
        assert_eq!(patched.body["eventTypes"], json!(["b"]));
        assert!(patched.body.get("throttleRate").is_none());
    }

    #[tokio::test]
    async fn what_breaks_a_rule_is_named_and_nothing_is_created() {
        let (world, path) = world().await;
        let eleven: Vec<String> = (0..11).map(|n| n.to_string()).collect();
        let cases = [
            ("url", json!(""), "url"),
            ("url", json!("example.com"), "url"),
            ("url", json!("ftp://example.com"), "url"),
            ("url", json!("https://user:pass@example.com"), "url"),
            ("url", json!("https://10.0.0.1/"), "url"),
            ("url", json!(format!("https://example.com/{}", "x".repeat(70_000))), "url"),
            ("url", json!(7), "url"),
            ("url", json!(null), "url"),
            ("uid", json!("a b"), "uid"),
            ("uid", json!("ep_1"), "uid"),
            ("uid", json!("x".repeat(257)), "uid"),
            ("description", json!(7), "description"),
            ("disabled", json!("yes"), "disabled"),
            ("eventTypes", json!([]), "eventTypes"),
            ("eventTypes", json!(["a", "a"]), "eventTypes"),
            ("eventTypes", json!(["good", "a b"]), "eventTypes/1"),
            ("eventTypes", json!(["x".repeat(257)]), "eventTypes/0"),
            ("eventTypes", json!(["a", 7]), "eventTypes/1"),
            ("eventTypes", json!("a"), "eventTypes"),
            ("channels", json!([]), "channels"),
            ("channels", json!(eleven), "channels"),
            ("channels", json!(["x".repeat(129)]), "channels/0"),
            ("channels", json!(["a", "b", "a"]), "channels"),
            ("throttleRate", json!(0), "throttleRate"),
            ("throttleRate", json!(70_000), "throttleRate"),
            ("metadata", json!({"a": 1}), "metadata/a"),
            ("metadata", json!({"k": "x".repeat(4096)}), "metadata"),
            ("secret", json!("whsec_short"), "secret"),
            ("secret", json!("AAAA"), "secret"),
            ("secret", json!(7), "secret"),
        ];
        for (field, value, place) in cases {
            let mut body = json!({"url": URL});
            body[field] = value;
            for reply in [
                post(&world, &path, body.clone()).await,
                world.call("PUT", &format!("{path}/new"), body).await,
            ] {
                assert_eq!(places(&reply), [format!("body/{place}")], "{field}");
            }
        }
        assert_eq!(places(&post(&world, &path, json!({})).await), ["body/url"]);
        assert!(ids(&get(&world, &path).await).is_empty());
    }

    #[tokio::test]
    async fn a_secret_that_is_refused_is_not_repeated() {
        let (world, path) = world().await;
        let reply = post(&world, &path, json!({"url": URL, "secret": "hunter2-hunter2"})).await;
        assert!(!String::from_utf8_lossy(&reply.bytes).contains("hunter2"), "{reply:?}");
        assert_eq!(places(&reply), ["body/secret"]);
    }

    #[tokio::test]
    async fn in_production_an_endpoint_is_on_the_public_internet_and_encrypted() {
        let world = World::build(Builder { policy: TargetPolicy::default(), ..Builder::default() });
        let app = world.application().await;
        let path = format!("/api/v1/app/{app}/endpoint");
        let good = post(&world, &path, json!({"url": "https://example.com/hook"})).await;
        assert_eq!(good.status, 201);
        let ep = text(&good.body["id"]);
        for url in [
            "https://127.0.0.1/",
            "https://localhost/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://2130706433/",
            "https://169.254.169.254/latest/meta-data/",
            "https://192.168.1.1/",
            "https://example.com:22/",
            "http://example.com/hook",
        ] {
            let body = json!({"url": url});
            assert_eq!(places(&post(&world, &path, body.clone()).await), ["body/url"], "{url}");
            let one = format!("{path}/{ep}");
            assert_eq!(places(&world.call("PUT", &one, body.clone()).await), ["body/url"], "{url}");
            assert_eq!(places(&world.call("PATCH", &one, body).await), ["body/url"], "{url}");
        }
        assert_eq!(get(&world, &format!("{path}/{ep}")).await.body, good.body);
    }

    #[tokio::test]
    async fn a_uid_belongs_to_one_endpoint_of_an_application() {
        let (world, path) = world().await;
        let named = json!({"url": URL, "uid": "main"});
        assert_eq!(post(&world, &path, named.clone()).await.status, 201);
        assert_error(&post(&world, &path, named.clone()).await, 409, "conflict");
        let other = text(&post(&world, &path, json!({"url": URL})).await.body["id"]);
        let one = format!("{path}/{other}");
        assert_error(&world.call("PUT", &one, named.clone()).await, 409, "conflict");
        assert_error(&world.call("PATCH", &one, json!({"uid": "main"})).await, 409, "conflict");
        let elsewhere = world.application().await;
        let elsewhere = format!("/api/v1/app/{elsewhere}/endpoint");
        assert_eq!(post(&world, &elsewhere, named.clone()).await.status, 201);
        assert_eq!(world.call("DELETE", &format!("{path}/main"), Value::Null).await.status, 204);
        assert_eq!(world.call("PATCH", &one, json!({"uid": "main"})).await.status, 200);
    }

    #[tokio::test]
    async fn put_replaces_an_endpoint_but_never_its_secret() {
        let (world, path) = world().await;
        let body = json!({
            "url": URL, "uid": "main", "description": "Orders", "disabled": true,
            "eventTypes": ["a"], "channels": ["c"], "throttleRate": 7, "metadata": {"k": "v"},
            "secret": SECRET,
        });
        let created = post(&world, &path, body).await;
        world.advance_s(60);
        let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let update = json!({"url": "http://127.0.0.1:9/new", "secret": other});
        let updated = world.call("PUT", &format!("{path}/main"), update).await;
        assert_eq!(updated.status, 200);
        let id = text(&created.body["id"]);
        assert_eq!(
            updated.body,
            json!({
                "id": id, "url": "http://127.0.0.1:9/new", "uid": null, "description": "",
                "disabled": false, "eventTypes": null, "filterTypes": null, "channels": null,
                "metadata": {}, "version": 1,
                "createdAt": "2027-01-15T08:00:00Z", "updatedAt": "2027-01-15T08:01:00Z",
            })
        );
        let secret = get(&world, &format!("{path}/{id}/secret")).await;
        assert_eq!(secret.body["key"], SECRET);
    }

    #[tokio::test]
    async fn what_was_shown_can_be_put_back() {
        let (world, path) = world().await;
        let body = json!({"url": URL, "uid": "main", "throttleRate": 7, "eventTypes": ["a"]});
        let created = post(&world, &path, body).await;
        for method in ["PUT", "PATCH"] {
            let again = world.call(method, &format!("{path}/main"), created.body.clone()).await;
            assert_eq!((again.status.as_u16(), &again.body), (200, &created.body), "{method}");
        }
    }

    #[tokio::test]
    async fn put_creates_an_endpoint_whose_uid_is_the_name_in_the_path() {
        let (world, path) = world().await;
        let body = json!({"url": URL, "secret": SECRET});
        let created = world.call("PUT", &format!("{path}/main"), body.clone()).await;
        assert_eq!((created.status.as_u16(), &created.body["uid"]), (201, &json!("main")));
        let secret = get(&world, &format!("{path}/main/secret")).await;
        assert_eq!(secret.body["key"], SECRET);
        let unknown = world.call("PUT", &format!("{path}/{UNKNOWN_EP}"), body).await;
        assert_error(&unknown, 404, "not_found");
    }

    #[tokio::test]
    async fn patch_changes_what_is_there_and_clears_what_is_null() {
        let (world, path) = world().await;
        let body = json!({
            "url": URL, "uid": "main", "description": "Orders", "disabled": true,
            "eventTypes": ["a"], "channels": ["c"], "throttleRate": 7, "metadata": {"k": "v"},
        });
        let created = post(&world, &path, body).await;
        let path = format!("{path}/{}", text(&created.body["id"]));
        let mut expected = created.body.clone();
        for (patch, changes) in [
            (json!({}), json!({})),
            (json!({"url": "http://127.0.0.1:9/new"}), json!({"url": "http://127.0.0.1:9/new"})),
            (json!({"description": ""}), json!({"description": ""})),
            (json!({"disabled": false}), json!({"disabled": false})),
            (json!({"uid": null}), json!({"uid": null})),
            (json!({"uid": "other"}), json!({"uid": "other"})),
            (json!({"eventTypes": ["b"]}), json!({"eventTypes": ["b"], "filterTypes": ["b"]})),
            (json!({"eventTypes": null}), json!({"eventTypes": null, "filterTypes": null})),
            (json!({"channels": ["d", "e"]}), json!({"channels": ["d", "e"]})),
            (json!({"channels": null}), json!({"channels": null})),
            (json!({"throttleRate": 9}), json!({"throttleRate": 9, "rateLimit": 9})),
            (json!({"metadata": {}}), json!({"metadata": {}})),
        ] {
            let patched = world.call("PATCH", &path, patch.clone()).await;
            for (field, value) in changes.as_object().unwrap() {
                expected[field] = value.clone();
            }
            assert_eq!((patched.status.as_u16(), &patched.body), (200, &expected), "{patch}");
        }
        assert_eq!(get(&world, &path).await.body, expected);
        world.advance_s(60);
        let cleared = world.call("PATCH", &path, json!({"throttleRate": null})).await;
        assert!(cleared.body.get("throttleRate").is_none());
        assert_eq!(cleared.body["updatedAt"], "2027-01-15T08:01:00Z");
    }

    #[tokio::test]
    async fn a_patch_that_breaks_a_rule_changes_nothing() {
        let (world, path) = world().await;
        let created = post(&world, &path, json!({"url": URL})).await;
        let path = format!("{path}/{}", text(&created.body["id"]));
        for (patch, place) in [
            (json!({"description": "x", "url": "nowhere"}), "url"),
            (json!({"description": "x", "uid": "ep_1"}), "uid"),
            (json!({"description": "x", "eventTypes": []}), "eventTypes"),
            (json!({"description": "x", "channels": ["a", ""]}), "channels/1"),
            (json!({"description": "x", "throttleRate": 0}), "throttleRate"),
            (json!({"description": "x", "metadata": {"k": "x".repeat(4096)}}), "metadata"),
            (json!({"description": "x", "disabled": 1}), "disabled"),
        ] {
            let reply = world.call("PATCH", &path, patch).await;
            assert_eq!(places(&reply), [format!("body/{place}")]);
        }
        assert_eq!(get(&world, &path).await.body, created.body);
    }

    #[tokio::test]
    async fn endpoints_are_listed_newest_first_unless_asked_otherwise() {
        let (world, path) = world().await;
        let mut created = Vec::new();
        for _ in 0..7 {
            created.push(text(&post(&world, &path, json!({"url": URL})).await.body["id"]));
            world.clock.advance_ms(4);
        }
        for limit in [1, 2, 3, 6, 7, 8] {
            assert_eq!(walk(&world, &path, limit).await, reversed(created.clone()), "{limit}");
            let ascending = format!("{path}?order=ascending");
            assert_eq!(walk(&world, &ascending, limit).await, created, "{limit}");
        }
    }

    #[tokio::test]
    async fn a_deleted_endpoint_is_gone_and_gets_nothing() {
        let (world, path) = world().await;
        let app = path.split('/').nth(4).unwrap().to_owned();
        let ep = world.endpoint(&app, URL).await;
        let one = format!("{path}/{ep}");
        assert_eq!(world.call("DELETE", &one, Value::Null).await.status, 204);
        assert_error(&get(&world, &one).await, 404, "not_found");
        assert_error(&world.call("DELETE", &one, Value::Null).await, 404, "not_found");
        assert_error(&world.call("PATCH", &one, json!({})).await, 404, "not_found");
        world.publish(&app, json!({})).await;
        world.dispatch_all().await;
        assert!(world.network.sent().is_empty());
    }

    #[tokio::test]
    async fn an_endpoint_is_seen_in_its_own_application_only() {
        let (world, path) = world().await;
        let ep = text(&post(&world, &path, json!({"url": URL, "uid": "main"})).await.body["id"]);
        let other = world.application().await;
        for reference in [ep.as_str(), "main"] {
            let elsewhere = format!("/api/v1/app/{other}/endpoint/{reference}");
            assert_error(&get(&world, &elsewhere).await, 404, "not_found");
            let deleted = world.call("DELETE", &elsewhere, Value::Null).await;
            assert_error(&deleted, 404, "not_found");
        }
        assert_eq!(get(&world, &format!("{path}/{ep}")).await.status, 200);
    }

    #[tokio::test]
    async fn an_application_has_at_most_200_endpoints() {
        let (world, path) = world().await;
        for _ in 0..200 {
            assert_eq!(post(&world, &path, json!({"url": URL})).await.status, 201);
        }
        assert_error(&post(&world, &path, json!({"url": URL})).await, 400, "limit_reached");
        let put = world.call("PUT", &format!("{path}/new"), json!({"url": URL})).await;
        assert_error(&put, 400, "limit_reached");
        assert_eq!(ids(&get(&world, &format!("{path}?limit=250")).await).len(), 200);
    }
}

mod secrets {
    use super::*;

    /// Which of the secrets verify the last delivery.
    fn signers(world: &World, secrets: &[&SigningSecret]) -> Vec<bool> {
        let sent = world.network.sent();
        let last = sent.last().unwrap();
        let (id, at) = (header(last, "webhook-id"), header(last, "webhook-timestamp"));
        let signatures = header(last, "webhook-signature");
        assert_eq!(header(last, "svix-signature"), signatures);
        let now = world.ambient.now();
        let count = signatures.split(' ').count();
        let verified: Vec<bool> = secrets
            .iter()
            .map(|secret| {
                let secret = std::slice::from_ref(*secret);
                verify(secret, id, at, signatures, &last.body, now).is_ok()
            })
            .collect();
        assert_eq!(verified.iter().filter(|ok| **ok).count(), count, "no other signature");
        verified
    }

    async fn secret_of(world: &World, path: &str) -> SigningSecret {
        let reply = get(world, path).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.body.as_object().unwrap().len(), 1);
        SigningSecret::parse(&text(&reply.body["key"])).unwrap()
    }

    async fn deliver(world: &World, app: &str) {
        world.publish(app, json!({"n": 1})).await;
        world.dispatch_all().await;
    }

    #[tokio::test]
    async fn after_a_rotation_both_secrets_sign_for_24_hours_and_then_the_new_one_alone() {
        let world = World::new();
        let app = world.application().await;
        let ep = world.endpoint(&app, URL).await;
        let path = format!("/api/v1/app/{app}/endpoint/{ep}/secret");
        let old = secret_of(&world, &path).await;
        deliver(&world, &app).await;
        assert_eq!(signers(&world, &[&old]), [true]);

        let rotated = post(&world, &format!("{path}/rotate"), Value::Null).await;
        assert_eq!(rotated.status, 200);
        let new = secret_of(&world, &path).await;
        assert_eq!(rotated.body, json!({"key": new.reveal()}), "newer SDKs read it from here");
        assert_ne!(old.reveal(), new.reveal());
        deliver(&world, &app).await;
        assert_eq!(signers(&world, &[&old, &new]), [true, true]);
        world.advance_s(86_399);
        deliver(&world, &app).await;
        assert_eq!(signers(&world, &[&old, &new]), [true, true]);
        world.advance_s(1);
        deliver(&world, &app).await;
        assert_eq!(signers(&world, &[&old, &new]), [false, true]);
    }

    #[tokio::test]
    async fn a_rotation_takes_a_secret_and_a_grace_period_of_the_callers_choice() {
        let world = World::new();
        let app = world.application().await;
        let ep = world.endpoint(&app, URL).await;
        let path = format!("/api/v1/app/{app}/endpoint/{ep}/secret");
        let old = secret_of(&world, &path).await;
        let body = json!({"key": SECRET, "gracePeriodSeconds": 0});
        assert_eq!(post(&world, &format!("{path}/rotate"), body).await.status, 200);
        let new = secret_of(&world, &path).await;
        assert_eq!(new.reveal(), SECRET);
        deliver(&world, &app).await;
        assert_eq!(signers(&world, &[&old, &new]), [false, true]);
        let body = json!({"key": null, "gracePeriodSeconds": MAX_GRACE_S});
        assert_eq!(post(&world, &format!("{path}/rotate"), body).await.status, 200);
        world.advance_s(MAX_GRACE_S - 1);
        let newest = secret_of(&world, &path).await;
        deliver(&world, &app).await;
        assert_eq!(signers(&world, &[&new, &newest]), [true, true]);
    }

    #[tokio::test]
    async fn a_retry_is_signed_with_the_secrets_of_its_own_time() {
        let world = World::new();
        let app = world.application().await;
        let ep = world.endpoint(&app, URL).await;
        let path = format!("/api/v1/app/{app}/endpoint/{ep}/secret");
        let old = secret_of(&world, &path).await;
        world.network.next(URL, answer(500));
        deliver(&world, &app).await;
        let body = json!({"gracePeriodSeconds": 0});
        assert_eq!(post(&world, &format!("{path}/rotate"), body).await.status, 200);
        let new = secret_of(&world, &path).await;
        world.live_s(10).await;
        assert_eq!(world.network.sent_to(URL).len(), 2);
        assert_eq!(signers(&world, &[&old, &new]), [false, true]);
    }

    #[tokio::test]
    async fn a_rotation_that_breaks_a_rule_is_refused() {
        let world = World::new();
        let app = world.application().await;
        let ep = world.endpoint(&app, URL).await;
        let keys = [
            format!("/api/v1/app/{app}/endpoint/{ep}/secret"),
            format!("/api/v1/app/{app}/integration-key"),
        ];
        for path in keys {
            let before = secret_of(&world, &path).await;
            for (body, place) in [
                (json!({"gracePeriodSeconds": MAX_GRACE_S + 1}), "body/gracePeriodSeconds"),
                (json!({"gracePeriodSeconds": u64::MAX}), "body/gracePeriodSeconds"),
                (json!({"gracePeriodSeconds": -1}), "body/gracePeriodSeconds"),
                (json!({"key": "short"}), "body/key"),
                (json!({"key": 7}), "body/key"),
                (json!([]), "body"),
            ] {
                let reply = post(&world, &format!("{path}/rotate"), body).await;
                assert_eq!(places(&reply), [place]);
            }
            assert_eq!(secret_of(&world, &path).await, before);
        }
    }

    #[tokio::test]
    async fn the_eleventh_rotation_within_the_grace_period_is_refused_and_changes_nothing() {
        let world = World::new();
        let app = world.application().await;
        let ep = world.endpoint(&app, URL).await;
        let things = [
            (format!("/api/v1/app/{app}/endpoint/{ep}"), "secret"),
            (format!("/api/v1/app/{app}"), "integration-key"),
        ];
        for (thing, name) in things {
            let path = format!("{thing}/{name}");
            for _ in 0..MAX_OLD {
                let rotated = post(&world, &format!("{path}/rotate"), Value::Null).await;
                assert!(rotated.status.is_success(), "{rotated:?}");
            }
            let (secret, shown) = (secret_of(&world, &path).await, get(&world, &thing).await);
            world.advance_s(60);
            let refused = post(&world, &format!("{path}/rotate"), Value::Null).await;
            assert_error(&refused, 400, "limit_reached");
            assert_eq!(secret_of(&world, &path).await, secret);
            assert_eq!(get(&world, &thing).await.body, shown.body, "not even its date");
            world.advance_s(86_400);
            let rotated = post(&world, &format!("{path}/rotate"), Value::Null).await;
            assert!(rotated.status.is_success(), "{rotated:?}");
        }
    }

    #[tokio::test]
    async fn the_integration_key_is_rotated_and_is_not_an_endpoints_secret() {
        let world = World::new();
        let app = world.application().await;
        let ep = world.endpoint(&app, URL).await;
        let path = format!("/api/v1/app/{app}/integration-key");
        let first = secret_of(&world, &path).await;
        let endpoint = format!("/api/v1/app/{app}/endpoint/{ep}/secret");
        assert_ne!(first, secret_of(&world, &endpoint).await);
        assert_eq!(post(&world, &format!("{path}/rotate"), Value::Null).await.status, 204);
        assert_ne!(secret_of(&world, &path).await, first);
        let body = json!({"key": SECRET});
        assert_eq!(post(&world, &format!("{path}/rotate"), body).await.status, 204);
        assert_eq!(secret_of(&world, &path).await.reveal(), SECRET);
    }

    #[tokio::test]
    async fn the_integration_key_is_for_the_organisation_alone() {
        let world = World::new();
        let app = world.application().await;
        let token = world.app_token(&app);
        let path = format!("/api/v1/app/{app}/integration-key");
        let read = world.call_as(&token, "GET", &path, Value::Null).await;
        assert_error(&read, 403, "insufficient access");
        let rotate = world.call_as(&token, "POST", &format!("{path}/rotate"), Value::Null).await;
        assert_error(&rotate, 403, "insufficient access");
    }

    #[tokio::test]
    async fn a_secret_is_in_no_other_answer() {
        let world = World::new();
        let app = world.application().await;
        let body = json!({"url": URL, "secret": SECRET, "uid": "main"});
        world.endpoint_with(&app, body).await;
        let key = get(&world, &format!("/api/v1/app/{app}/integration-key")).await;
        let key = text(&key.body["key"]);
        let msg = world.publish(&app, json!({})).await;
        world.dispatch_all().await;
        for path in [
            "/api/v1/app".to_owned(),
            format!("/api/v1/app/{app}"),
            format!("/api/v1/app/{app}/endpoint"),
            format!("/api/v1/app/{app}/endpoint/main"),
            format!("/api/v1/app/{app}/msg/{msg}/endpoint"),
            format!("/api/v1/app/{app}/attempt/msg/{msg}"),
        ] {
            let reply = get(&world, &path).await;
            assert_eq!(reply.status, 200);
            let answer = String::from_utf8_lossy(&reply.bytes).into_owned();
            assert!(!answer.contains(&SECRET[6..]) && !answer.contains(&key[6..]), "{answer}");
            assert!(!answer.contains("keyring") && !answer.contains("sealed"), "{answer}");
        }
    }
}

mod messages {
    use super::*;

    async fn world() -> (World, String, String) {
        let world = World::new();
        let app = world.application().await;
        let path = format!("/api/v1/app/{app}/msg");
        (world, app, path)
    }

    #[tokio::test]
    async fn a_message_is_read_by_its_id_and_by_its_event_id() {
        let (world, _, path) = world().await;
        let body = json!({
            "eventType": "order.paid", "eventId": "order-1", "channels": ["a"],
            "payload": {"n": 1},
        });
        let published = post(&world, &path, body).await;
        let id = text(&published.body["id"]);
        for reference in [id.as_str(), "order-1"] {
            let read = get(&world, &format!("{path}/{reference}")).await;
            assert_eq!((read.status.as_u16(), &read.body), (200, &published.body));
            let bare = get(&world, &format!("{path}/{reference}?with_content=false")).await;
            let mut expected = published.body.clone();
            expected["payload"] = json!({});
            assert_eq!(bare.body, expected);
        }
    }

    #[tokio::test]
    async fn the_payload_is_shown_in_its_own_spelling() {
        let (world, _, path) = world().await;
        let payload = r#"{ "b":1.0,"a" : "\u00e9", "a":2 }"#;
        let request = http::Request::post(&path)
            .header("authorization", format!("Bearer {}", world.token()))
            .body(format!(r#"{{"eventType":"a","payload":{payload}}}"#).into())
            .unwrap();
        let id = text(&world.send(request).await.body["id"]);
        for path in [path.clone(), format!("{path}/{id}")] {
            let shown = String::from_utf8(get(&world, &path).await.bytes.to_vec()).unwrap();
            assert!(shown.contains(payload), "{shown}");
        }
    }

    #[tokio::test]
    async fn a_message_is_seen_in_its_own_application_only() {
        let (world, app, path) = world().await;
        let body = json!({"eventType": "a", "eventId": "order-1", "payload": {}});
        let id = text(&post(&world, &path, body).await.body["id"]);
        let other = world.application().await;
        for reference in [id.as_str(), "order-1", UNKNOWN_MSG, "nothing", "msg_"] {
            let elsewhere = get(&world, &format!("/api/v1/app/{other}/msg/{reference}")).await;
            assert_error(&elsewhere, 404, "not_found");
        }
        for path in [
            format!("/api/v1/app/{other}/attempt/msg/{id}"),
            format!("/api/v1/app/{other}/msg/{id}/endpoint"),
            format!("/api/v1/app/{app}/attempt/msg/{UNKNOWN_MSG}"),
            format!("/api/v1/app/{app}/msg/{UNKNOWN_MSG}/endpoint"),
        ] {
            assert_error(&get(&world, &path).await, 404, "not_found");
        }
    }

    #[tokio::test]
    async fn an_id_with_the_place_of_a_message_and_another_time_is_not_that_message() {
        let (world, _, path) = world().await;
        let id =
            text(&post(&world, &path, json!({"eventType": "a", "payload": {}})).await.body["id"]);
        let id: shared::domain::id::MessageId = id.parse().unwrap();
        let other = shared::domain::id::MessageId::from_key(START.plus_ms(4), id.key());
        assert_error(&get(&world, &format!("{path}/{other}")).await, 404, "not_found");
    }

    #[tokio::test]
    async fn messages_are_listed_newest_first_and_in_pages() {
        let (world, app, path) = world().await;
        let mut published = Vec::new();
        for n in 0..23 {
            published.push(world.publish(&app, json!({"n": n})).await);
            world.clock.advance_ms(4);
        }
        for limit in [1, 5, 22, 23, 24] {
            assert_eq!(walk(&world, &path, limit).await, reversed(published.clone()), "{limit}");
            let ascending = format!("{path}?order=ascending");
            assert_eq!(walk(&world, &ascending, limit).await, published, "{limit}");
        }
        let page = get(&world, &path).await;
        assert_eq!(page.body["data"][0]["payload"], json!({"n": 22}));
        let bare = get(&world, &format!("{path}?with_content=false")).await;
        assert_eq!(ids(&bare), ids(&page));
        assert_eq!(bare.body["data"][0]["payload"], json!({}));
    }

    #[tokio::test]
    async fn before_and_after_cut_a_window_out_of_the_list() {
        let (world, app, path) = world().await;
        let mut published = Vec::new();
        for n in 0..6 {
            published.push(world.publish(&app, json!({"n": n})).await);
            world.advance_s(10);
        }
        let at = |n: u64| START.plus_ms(n * 10_000).to_rfc3339();
        let window = async |query: String| {
            let path = format!("{path}?order=ascending{query}");
            walk(&world, &path, 2).await
        };
        assert_eq!(window(format!("&before={}", at(2))).await, published[..2]);
        assert_eq!(window(format!("&after={}", at(4))).await, published[4..]);
        assert_eq!(window(format!("&after={}&before={}", at(1), at(5))).await, published[1..5]);
        assert!(window(format!("&after={}", at(6))).await.is_empty());
        assert!(window(format!("&before={}", at(0))).await.is_empty());
        assert!(window(format!("&after={}&before={}", at(4), at(2))).await.is_empty());
        let descending = walk(&world, &format!("{path}?before={}&after={}", at(5), at(1)), 3).await;
        assert_eq!(descending, reversed(published[1..5].to_vec()));
        // An offset is as good as Z.
        let offset = format!("{path}?order=ascending&after=2027-01-15T09:00:40%2B01:00");
        assert_eq!(ids(&get(&world, &offset).await), published[4..]);
    }

    #[tokio::test]
    async fn messages_are_filtered_by_event_type_and_channel() {
        let (world, _, path) = world().await;
        let mut published = Vec::new();
        for (event_type, channels) in
            [("a", json!(["x"])), ("b", json!(["x", "y"])), ("c", json!(null)), ("a", json!(["y"]))]
        {
            let body = json!({"eventType": event_type, "channels": channels, "payload": {}});
            published.push(text(&post(&world, &path, body).await.body["id"]));
            world.clock.advance_ms(4);
        }
        let pick = |positions: &[usize]| -> Vec<String> {
            positions.iter().map(|n| published[*n].clone()).collect()
        };
        for (query, expected) in [
            ("event_types=a", pick(&[0, 3])),
            ("event_types=a,c", pick(&[0, 2, 3])),
            ("event_types=a&event_types=c", pick(&[0, 2, 3])),
            ("event_types=nothing", pick(&[])),
            ("event_types=", pick(&[0, 1, 2, 3])),
            ("channel=x", pick(&[0, 1])),
            ("channel=y&event_types=a", pick(&[3])),
            ("channel=nothing", pick(&[])),
        ] {
            let path = format!("{path}?order=ascending&{query}");
            assert_eq!(walk(&world, &path, 1).await, expected, "{query}");
        }
    }

    #[tokio::test]
    async fn a_message_past_its_retention_is_forgotten_wherever_it_is_asked_for() {
        let (world, app, path) = world().await;
        world.endpoint(&app, URL).await;
        let body = json!({
            "eventType": "a", "eventId": "order-1", "payload": {}, "payloadRetentionPeriod": 5,
        });
        let id = text(&post(&world, &path, body).await.body["id"]);
        world.dispatch_all().await;
        world.advance_s(5 * 86_400);
        for reference in [id.as_str(), "order-1"] {
            assert_error(&get(&world, &format!("{path}/{reference}")).await, 404, "not_found");
        }
        assert!(ids(&get(&world, &path).await).is_empty());
    }

    #[tokio::test]
    async fn a_new_message_of_a_forgotten_event_does_not_inherit_its_attempts() {
        let (world, app, path) = world().await;
        world.endpoint(&app, URL).await;
        world.network.next(URL, answer(500));
        let body = json!({
            "eventType": "a", "eventId": "order-1", "payload": {}, "payloadRetentionPeriod": 5,
        });
        let old = text(&post(&world, &path, body.clone()).await.body["id"]);
        world.live_s(60).await;
        assert_eq!(world.attempts(&app, &old).await.len(), 2);
        world.advance_s(5 * 86_400);
        let new = text(&post(&world, &path, body).await.body["id"]);
        world.dispatch_all().await;
        let attempts = world.attempts(&app, &new).await;
        assert_eq!(attempts.len(), 1);
        assert_eq!(attempts[0]["msgId"], json!(new));
        assert_eq!(world.network.sent_to(URL).len(), 3);
    }
}

mod attempts {
    use super::*;

    async fn world() -> (World, String, String) {
        let world = World::new();
        let app = world.application().await;
        let ep = world.endpoint(&app, URL).await;
        (world, app, ep)
    }

    /// Publishes and dispatches an event to which the endpoint answers with this status.
    async fn attempted(world: &World, app: &str, body: Value, status: u16) -> String {
        world.network.next(URL, answer(status));
        let reply = post(world, &format!("/api/v1/app/{app}/msg"), body).await;
        assert_eq!(reply.status, 202, "{reply:?}");
        world.dispatch_all().await;
        world.clock.advance_ms(4);
        text(&reply.body["id"])
    }

    fn event() -> Value {
        json!({"eventType": "a", "payload": {}})
    }

    #[tokio::test]
    async fn an_attempt_is_shown_field_by_field() {
        let (world, app, ep) = world().await;
        let msg = attempted(&world, &app, event(), 503).await;
        let attempts = world.attempts(&app, &msg).await;
        let id = text(&attempts[0]["id"]);
        let shown = json!({
            "id": id, "msgId": msg, "endpointId": ep, "url": URL, "response": "ok",
            "responseStatusCode": 503, "responseDurationMs": 7, "status": 2,
            "statusText": "fail", "triggerType": 0, "timestamp": "2027-01-15T08:00:00Z",
        });
        assert_eq!(attempts, std::slice::from_ref(&shown));
        let one = get(&world, &format!("/api/v1/app/{app}/msg/{msg}/attempt/{id}")).await;
        assert_eq!((one.status.as_u16(), &one.body), (200, &shown));
        let by_endpoint = get(&world, &format!("/api/v1/app/{app}/attempt/endpoint/{ep}")).await;
        assert_eq!(by_endpoint.body["data"], json!([shown]));
        for path in [
            format!("/api/v1/app/{app}/attempt/endpoint/{ep}?with_content=false"),
            format!("/api/v1/app/{app}/attempt/msg/{msg}?with_content=false"),
        ] {
            assert_eq!(get(&world, &path).await.body["data"][0]["response"], "");
        }
    }

    #[tokio::test]
    async fn a_successful_attempt_is_a_success() {
        let (world, app, _) = world().await;
        let msg = attempted(&world, &app, event(), 204).await;
        let attempts = world.attempts(&app, &msg).await;
        assert_eq!(
            (&attempts[0]["status"], &attempts[0]["statusText"]),
            (&json!(0), &json!("success"))
        );
        assert_eq!(attempts[0]["responseStatusCode"], 204);
    }

    #[tokio::test]
    async fn an_attempt_is_found_at_its_own_message_only() {
        let (world, app, _) = world().await;
        let first = attempted(&world, &app, event(), 200).await;
        let second = attempted(&world, &app, event(), 200).await;
        let id = text(&world.attempts(&app, &first).await[0]["id"]);
        for (msg, attempt) in
            [(&second, id.as_str()), (&first, UNKNOWN_ATTEMPT), (&first, "atmpt_"), (&first, "x")]
        {
            let path = format!("/api/v1/app/{app}/msg/{msg}/attempt/{attempt}");
            assert_error(&get(&world, &path).await, 404, "not_found");
        }
    }

    /// Position by position: what each of the 120 events was answered with.
    fn status_of(position: usize) -> u16 {
        match position {
            5 => 302,
            _ => [200, 500, 404][position % 3],
        }
    }

    #[tokio::test]
    async fn the_attempts_at_an_endpoint_are_listed_filtered_and_paged() {
        let (world, app, ep) = world().await;
        let other = world.endpoint(&app, "http://127.0.0.1:9/other").await;
        let mut messages = Vec::new();
        for position in 0..120 {
            let channels = if position < 10 { json!(["early"]) } else { Value::Null };
            let event_type = if position % 2 == 0 { "even" } else { "odd" };
            let body = json!({"eventType": event_type, "channels": channels, "payload": {}});
            messages.push(attempted(&world, &app, body, status_of(position)).await);
        }
        let path = format!("/api/v1/app/{app}/attempt/endpoint/{ep}?order=ascending");
        let all = walk(&world, &path, 50).await;
        assert_eq!(all.len(), 120);
        assert_eq!(all, sorted(all.clone()));
        let unique: BTreeSet<&String> = all.iter().collect();
        assert_eq!(unique.len(), 120);
        for (position, id) in all.iter().enumerate() {
            let one = format!("/api/v1/app/{app}/msg/{}/attempt/{id}", messages[position]);
            let attempt = get(&world, &one).await;
            assert_eq!(attempt.body["responseStatusCode"], status_of(position), "{position}");
            assert_eq!(attempt.body["endpointId"], json!(ep));
        }

        let having = |wanted: &dyn Fn(usize) -> bool| -> Vec<String> {
            (0..120).filter(|n| wanted(*n)).map(|n| all[n].clone()).collect()
        };
        let cases: [(&str, Vec<String>); 14] = [
            ("status=0", having(&|n| status_of(n) == 200)),
            ("status=2", having(&|n| status_of(n) != 200)),
            ("status=1", Vec::new()),
            ("status=3", Vec::new()),
            ("status_code_class=200", having(&|n| status_of(n) == 200)),
            ("status_code_class=300", vec![all[5].clone()]),
            ("status_code_class=400", having(&|n| status_of(n) == 404)),
            ("status_code_class=500", having(&|n| status_of(n) == 500)),
            ("status_code_class=100", Vec::new()),
            ("status=0&status_code_class=500", Vec::new()),
            ("event_types=even", having(&|n| n % 2 == 0)),
            ("event_types=even&status=2", having(&|n| n % 2 == 0 && status_of(n) != 200)),
            ("channel=early", having(&|n| n < 10)),
            ("channel=early&status=0", having(&|n| n < 10 && status_of(n) == 200)),
        ];
        for (query, expected) in cases {
            let rare = expected.len() < 2;
            for limit in if rare { [1, 2] } else { [7, 250] } {
                let path = format!("/api/v1/app/{app}/attempt/endpoint/{ep}?{query}");
                let found = walk(&world, &path, limit).await;
                assert_eq!(found, reversed(expected.clone()), "{query} {limit}");
                let found = walk(&world, &with(&path, "order=ascending"), limit).await;
                assert_eq!(found, expected, "{query} {limit} ascending");
            }
        }

        // A window of time: an event every 4 ms.
        let at = |n: u64| START.plus_ms(n * 4).to_rfc3339();
        let window = format!("{path}&after={}&before={}", at(30), at(60));
        assert_eq!(walk(&world, &window, 7).await, all[30..60]);

        let of_other =
            walk(&world, &format!("/api/v1/app/{app}/attempt/endpoint/{other}"), 50).await;
        assert_eq!(of_other.len(), 120);
        assert!(of_other.iter().all(|id| !all.contains(id)));
    }

    #[tokio::test]
    async fn the_attempts_of_a_message_are_listed_filtered_and_paged() {
        let (world, app, ep) = world().await;
        let quiet = world.endpoint(&app, "http://127.0.0.1:9/quiet").await;
        let body = json!({"eventType": "a", "channels": ["x"], "payload": {}});
        let msg = attempted(&world, &app, body, status_of(0)).await;
        let resend = format!("/api/v1/app/{app}/msg/{msg}/endpoint/{ep}/resend");
        for position in 1..120 {
            world.network.next(URL, answer(status_of(position)));
            assert_eq!(post(&world, &resend, Value::Null).await.status, 202);
            world.dispatch_all().await;
            world.clock.advance_ms(4);
        }
        let path = format!("/api/v1/app/{app}/attempt/msg/{msg}");
        assert_eq!(walk(&world, &path, 50).await.len(), 121);
        let own = format!("{path}?order=ascending&endpoint_id={ep}");
        let all = walk(&world, &own, 50).await;
        assert_eq!(all.len(), 120);
        assert_eq!(all, sorted(all.clone()));
        assert_eq!(walk(&world, &format!("{path}?endpoint_id={quiet}"), 50).await.len(), 1);
        let unknown = get(&world, &format!("{path}?endpoint_id={UNKNOWN_EP}")).await;
        assert_error(&unknown, 404, "not_found");

        let having = |status: u16| -> Vec<String> {
            (0..120).filter(|n| status_of(*n) == status).map(|n| all[n].clone()).collect()
        };
        for (query, expected) in [
            ("status=0", having(200)),
            ("status_code_class=300", vec![all[5].clone()]),
            ("status_code_class=400", having(404)),
            ("status_code_class=500&status=2", having(500)),
            ("status=1", Vec::new()),
            ("status_code_class=0", Vec::new()),
            ("event_types=a", all.clone()),
            ("event_types=b", Vec::new()),
            ("channel=x", all.clone()),
            ("channel=y", Vec::new()),
        ] {
            let rare = expected.len() < 2;
            for limit in if rare { [1, 2] } else { [7, 250] } {
                let found = walk(&world, &with(&own, query), limit).await;
                assert_eq!(found, expected, "{query} {limit}");
            }
        }
        let at = |n: u64| START.plus_ms(n * 4).to_rfc3339();
        let window = with(&own, &format!("after={}&before={}", at(30), at(60)));
        assert_eq!(walk(&world, &window, 7).await, all[30..60]);
    }

    #[tokio::test]
    async fn an_attempt_without_an_answer_has_the_status_code_class_0() {
        let (world, app, ep) = world().await;
        world.network.next(URL, shared::sender::Ending::TimedOut);
        let msg = world.publish(&app, json!({})).await;
        world.dispatch_all().await;
        for path in [format!("attempt/msg/{msg}"), format!("attempt/endpoint/{ep}")] {
            let path = format!("/api/v1/app/{app}/{path}?status_code_class=0");
            let found = get(&world, &path).await;
            assert_eq!(ids(&found).len(), 1);
            assert_eq!(found.body["data"][0]["responseStatusCode"], 0);
        }
    }

    #[tokio::test]
    async fn a_filter_that_makes_no_sense_is_named() {
        let (world, app, ep) = world().await;
        let msg = world.publish(&app, json!({})).await;
        for path in [format!("attempt/msg/{msg}"), format!("attempt/endpoint/{ep}")] {
            for (query, name) in [
                ("status=4", "status"),
                ("status=success", "status"),
                ("status=", "status"),
                ("status_code_class=201", "status_code_class"),
                ("status_code_class=2xx", "status_code_class"),
            ] {
                let reply = get(&world, &format!("/api/v1/app/{app}/{path}?{query}")).await;
                assert_error(&reply, 400, "generic_error");
                assert!(text(&reply.body["detail"]).contains(&format!("`{name}`")), "{query}");
            }
            for (query, name) in
                [("limit=0", "limit"), ("iterator=msg_0ujtsYcgvSTl8PAuAdqWYSMnLOv", "iterator")]
            {
                let reply = get(&world, &format!("/api/v1/app/{app}/{path}?{query}")).await;
                assert_eq!(places(&reply), [format!("query/{name}")], "{query}");
            }
        }
    }

    #[tokio::test]
    async fn names_of_the_callers_own_are_as_good_as_ids() {
        let world = World::new();
        let body = json!({"name": "x", "uid": "customer-1"});
        assert_eq!(post(&world, "/api/v1/app", body).await.status, 201);
        world.endpoint_with("customer-1", json!({"url": URL, "uid": "main"})).await;
        let body = json!({"eventType": "a", "eventId": "order-1", "payload": {}});
        let msg = attempted(&world, "customer-1", body, 500).await;
        let base = "/api/v1/app/customer-1";
        for path in [
            format!("{base}/attempt/msg/order-1"),
            format!("{base}/attempt/msg/order-1?endpoint_id=main"),
            format!("{base}/attempt/endpoint/main"),
        ] {
            let found = get(&world, &path).await;
            assert_eq!(found.body["data"][0]["msgId"], json!(msg), "{path}");
        }
        let attempt = get(&world, &format!("{base}/attempt/endpoint/main")).await;
        let attempt = text(&attempt.body["data"][0]["id"]);
        let one = get(&world, &format!("{base}/msg/order-1/attempt/{attempt}")).await;
        assert_eq!(one.status, 200);
        let destinations = get(&world, &format!("{base}/msg/order-1/endpoint")).await;
        assert_eq!(destinations.body["data"][0]["uid"], "main");
        let resend = format!("{base}/msg/order-1/endpoint/main/resend");
        assert_eq!(post(&world, &resend, Value::Null).await.status, 202);
        world.dispatch_all().await;
        assert_eq!(world.network.sent_to(URL).len(), 2);
        for path in ["endpoint/main/secret", "endpoint/main", "integration-key"] {
            assert_eq!(get(&world, &format!("{base}/{path}")).await.status, 200, "{path}");
        }
    }

    #[tokio::test]
    async fn destinations_tell_how_far_a_message_is_with_each_endpoint() {
        let (world, app, ok) = world().await;
        let failing = world.endpoint(&app, "http://127.0.0.1:9/failing").await;
        let body = json!({"url": "http://127.0.0.1:9/never", "eventTypes": ["other"]});
        world.endpoint_with(&app, body).await;
        world.network.always("http://127.0.0.1:9/failing", answer(500));
        let msg = world.publish(&app, json!({})).await;
        world.dispatch_all().await;
        let path = format!("/api/v1/app/{app}/msg/{msg}/endpoint");
        let destination = async |ep: &str| {
            let page = get(&world, &path).await;
            assert_eq!(ids(&page).len(), 2, "{page:?}");
            let data = page.body["data"].as_array().unwrap().clone();
            data.into_iter().find(|item| item["id"] == json!(ep)).unwrap()
        };
        let shown = destination(&ok).await;
        assert_eq!((&shown["status"], &shown["statusText"]), (&json!(0), &json!("success")));
        assert_eq!((&shown["nextAttempt"], &shown["url"]), (&Value::Null, &json!(URL)));
        let shown = destination(&failing).await;
        assert_eq!((&shown["status"], &shown["statusText"]), (&json!(1), &json!("pending")));
        let next =
            shared::domain::clock::Timestamp::parse_rfc3339(&text(&shown["nextAttempt"])).unwrap();
        assert!((4000..=6000).contains(&next.since(START)), "{next:?}");
        world.live_s(40 * 3600).await;
        let shown = destination(&failing).await;
        assert_eq!((&shown["status"], &shown["statusText"]), (&json!(2), &json!("fail")));
        assert_eq!(shown["nextAttempt"], Value::Null);
        assert_eq!(walk(&world, &path, 1).await.len(), 2);
    }

    #[tokio::test]
    async fn a_resend_goes_out_as_a_manual_attempt_with_the_same_bytes_and_id() {
        let (world, app, ep) = world().await;
        let msg =
            attempted(&world, &app, json!({"eventType": "a", "payload": {"n": 1}}), 200).await;
        let path = format!("/api/v1/app/{app}/msg/{msg}/endpoint/{ep}/resend");
        world.advance_s(60);
        let reply = post(&world, &path, Value::Null).await;
        assert_eq!((reply.status.as_u16(), &reply.bytes[..]), (202, &b"{}"[..]));
        world.dispatch_all().await;
        let sent = world.network.sent_to(URL);
        assert_eq!(sent.len(), 2);
        assert_eq!(sent[0].body, sent[1].body);
        assert_eq!(header(&sent[0], "webhook-id"), header(&sent[1], "webhook-id"));
        let attempts = world.attempts(&app, &msg).await;
        let triggers: Vec<&Value> = attempts.iter().map(|a| &a["triggerType"]).collect();
        assert_eq!(triggers, [0, 1]);
    }

    #[tokio::test]
    async fn a_resend_ignores_filters() {
        let (world, app, _) = world().await;
        let msg = attempted(&world, &app, event(), 200).await;
        let picky = world
            .endpoint_with(&app, json!({"url": "http://127.0.0.1:9/picky", "eventTypes": ["z"]}))
            .await;
        let path = format!("/api/v1/app/{app}/msg/{msg}/endpoint/{picky}/resend");
        assert_eq!(post(&world, &path, Value::Null).await.status, 202);
        world.dispatch_all().await;
        assert_eq!(world.network.sent_to("http://127.0.0.1:9/picky").len(), 1);
    }

    #[tokio::test]
    async fn a_resend_that_succeeds_ends_a_failing_delivery() {
        let (world, app, ep) = world().await;
        let msg = attempted(&world, &app, event(), 500).await;
        let base = format!("/api/v1/app/{app}/msg/{msg}/endpoint");
        assert_eq!(get(&world, &base).await.body["data"][0]["statusText"], "pending");
        post(&world, &format!("{base}/{ep}/resend"), Value::Null).await;
        world.dispatch_all().await;
        assert_eq!(get(&world, &base).await.body["data"][0]["statusText"], "success");
        world.live_s(3600).await;
        assert_eq!(world.network.sent_to(URL).len(), 2);
    }

    #[tokio::test]
    async fn a_resend_to_a_disabled_endpoint_is_refused() {
        let (world, app, ep) = world().await;
        let msg = attempted(&world, &app, event(), 200).await;
        let endpoint = format!("/api/v1/app/{app}/endpoint/{ep}");
        world.call("PATCH", &endpoint, json!({"disabled": true})).await;
        let path = format!("/api/v1/app/{app}/msg/{msg}/endpoint/{ep}/resend");
        assert_error(&post(&world, &path, Value::Null).await, 400, "endpoint_disabled");
        world.dispatch_all().await;
        assert_eq!(world.network.sent_to(URL).len(), 1);
        world.call("PATCH", &endpoint, json!({"disabled": false})).await;
        assert_eq!(post(&world, &path, Value::Null).await.status, 202);
    }

    #[tokio::test]
    async fn a_resend_of_nothing_or_to_nobody_is_not_found() {
        let (world, app, ep) = world().await;
        let msg = attempted(&world, &app, event(), 200).await;
        for (msg, ep) in [(msg.as_str(), UNKNOWN_EP), (UNKNOWN_MSG, ep.as_str()), ("x", "y")] {
            let path = format!("/api/v1/app/{app}/msg/{msg}/endpoint/{ep}/resend");
            assert_error(&post(&world, &path, Value::Null).await, 404, "not_found");
        }
    }
}

mod operator {
    use shared::domain::message::MAX_PAYLOAD_BYTES;
    use shared::queue::record::Record;
    use shared::queue::{Consumer, Outgoing, send_one};
    use shared::store::{Parked, Parking};

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
        let world = World::new();
        let app = world.application().await;
        world.endpoint(&app, URL).await;
        let record = accepted(&world, &app).await;
        park(&world, "r-1", record).await;
        let list = get(&world, PATH).await;
        assert!(!String::from_utf8_lossy(&list.bytes).contains("4111"), "{list:?}");
        let path = format!("{PATH}/r-1/redrive");
        let redriven = post(&world, &path, Value::Null).await;
        assert_eq!((redriven.status.as_u16(), &redriven.bytes[..]), (202, &b"{}"[..]));
        world.live_s(60).await;
        assert_eq!(world.network.sent_to(URL).len(), 1);
        assert!(parked_ids(&get(&world, PATH).await).is_empty());
        assert_error(&post(&world, &path, Value::Null).await, 404, "not_found");
    }

    #[tokio::test]
    async fn a_parked_resend_goes_back_to_the_queue_of_retries() {
        let world = World::new();
        let app = world.application().await;
        let ep = world.endpoint(&app, URL).await;
        let msg = world.publish(&app, json!({})).await;
        world.dispatch_all().await;
        let record = Record::Resend {
            app: app.parse().unwrap(),
            msg: msg.parse().unwrap(),
            ep: ep.parse().unwrap(),
            attempt: UNKNOWN_ATTEMPT.parse().unwrap(),
            again: false,
        };
        park(&world, "r-1", record.outgoing(0).body).await;
        let redriven = post(&world, &format!("{PATH}/r-1/redrive"), Value::Null).await;
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
        assert_eq!(parking.find(&record.id).await.unwrap(), Some(parked));
    }

    #[tokio::test]
    async fn parked_records_are_shown_newest_first() {
        let world = World::new();
        for id in ["a", "b", "c"] {
            park(&world, id, "garbage".to_owned()).await;
            world.advance_s(1);
        }
        assert_eq!(parked_ids(&get(&world, PATH).await), ["c", "b", "a"]);
        assert_error(
            &post(&world, &format!("{PATH}/d/redrive"), Value::Null).await,
            404,
            "not_found",
        );
    }

    #[tokio::test]
    async fn an_application_token_is_not_for_operators() {
        let world = World::new();
        let app = world.application().await;
        park(&world, "a", "garbage".to_owned()).await;
        let token = world.app_token(&app);
        let list = world.call_as(&token, "GET", PATH, Value::Null).await;
        assert_error(&list, 403, "insufficient access");
        let path = format!("{PATH}/a/redrive");
        let redrive = world.call_as(&token, "POST", &path, Value::Null).await;
        assert_error(&redrive, 403, "insufficient access");
    }
}

mod access {
    use super::*;

    /// Every route that names an application, with a body that would do.
    fn routes(app: &str, ep: &str, msg: &str, attempt: &str) -> Vec<(&'static str, String, Value)> {
        let base = format!("/api/v1/app/{app}");
        let application = json!({"name": "Changed"});
        let endpoint = json!({"url": URL});
        let event = json!({"eventType": "a", "payload": {}});
        let none = Value::Null;
        [
            ("GET", "", &none),
            ("PUT", "", &application),
            ("PATCH", "", &application),
            ("GET", "/integration-key", &none),
            ("POST", "/integration-key/rotate", &none),
            ("GET", "/endpoint", &none),
            ("POST", "/endpoint", &endpoint),
            ("GET", "/endpoint/{ep}", &none),
            ("PUT", "/endpoint/{ep}", &endpoint),
            ("PATCH", "/endpoint/{ep}", &endpoint),
            ("GET", "/endpoint/{ep}/secret", &none),
            ("POST", "/endpoint/{ep}/secret/rotate", &none),
            ("GET", "/msg", &none),
            ("POST", "/msg", &event),
            ("GET", "/msg/{msg}", &none),
            ("GET", "/msg/{msg}/attempt/{attempt}", &none),
            ("GET", "/msg/{msg}/endpoint", &none),
            ("POST", "/msg/{msg}/endpoint/{ep}/resend", &none),
            ("GET", "/attempt/msg/{msg}", &none),
            ("GET", "/attempt/endpoint/{ep}", &none),
            ("DELETE", "/endpoint/{ep}", &none),
            ("DELETE", "", &none),
        ]
        .map(|(method, path, body)| {
            let path = path.replace("{ep}", ep).replace("{msg}", msg).replace("{attempt}", attempt);
            (method, format!("{base}{path}"), body.clone())
        })
        .to_vec()
    }

    const ORGANISATION_ONLY: [(&str, &str); 4] = [
        ("GET", "/api/v1/app"),
        ("POST", "/api/v1/app"),
        ("GET", "/api/v1/operator/parked"),
        ("POST", "/api/v1/operator/parked/x/redrive"),
    ];

    struct Scene {
        world: World,
        app: String,
        routes: Vec<(&'static str, String, Value)>,
    }

    async fn scene() -> Scene {
        let world = World::new();
        let app = world.application().await;
        let ep = world.endpoint(&app, URL).await;
        let msg = world.publish(&app, json!({})).await;
        world.dispatch_all().await;
        let attempt = text(&world.attempts(&app, &msg).await[0]["id"]);
        let routes = routes(&app, &ep, &msg, &attempt);
        Scene { world, app, routes }
    }

    #[tokio::test]
    async fn the_organisation_may_do_everything() {
        let Scene { world, routes, .. } = scene().await;
        for (method, path, body) in routes {
            let reply = world.call(method, &path, body).await;
            assert!(reply.status.is_success(), "{method} {path}: {reply:?}");
        }
    }

    #[tokio::test]
    async fn without_a_token_nothing_is_answered() {
        let Scene { world, routes, .. } = scene().await;
        let only = ORGANISATION_ONLY.map(|(method, path)| (method, path.to_owned(), Value::Null));
        for (method, path, body) in routes.into_iter().chain(only) {
            let request = http::Request::builder().method(method).uri(&path);
            let reply = world.send(request.body(body.to_string().into()).unwrap()).await;
            assert_error(&reply, 401, "authentication_failed");
            for token in ["", "x", "a.b.c"] {
                let reply = world.call_as(token, method, &path, body.clone()).await;
                assert_error(&reply, 401, "authentication_failed");
            }
        }
    }

    #[tokio::test]
    async fn to_another_organisation_nothing_is_there() {
        let Scene { world, app, routes } = scene().await;
        let token = world.token_of(another_organisation());
        let before = get(&world, &format!("/api/v1/app/{app}")).await;
        for (method, path, body) in routes {
            let reply = world.call_as(&token, method, &path, body).await;
            assert_error(&reply, 404, "not_found");
        }
        assert_eq!(get(&world, &format!("/api/v1/app/{app}")).await.body, before.body);
        assert!(ids(&world.call_as(&token, "GET", "/api/v1/app", Value::Null).await).is_empty());
    }

    #[tokio::test]
    async fn another_application_has_no_access() {
        let Scene { world, app, routes } = scene().await;
        let other = world.application().await;
        let token = world.app_token(&other);
        let before = get(&world, &format!("/api/v1/app/{app}")).await;
        for (method, path, body) in routes {
            let reply = world.call_as(&token, method, &path, body).await;
            assert_error(&reply, 403, "insufficient access");
        }
        for (method, path) in ORGANISATION_ONLY {
            let reply = world.call_as(&token, method, path, json!({"name": "x"})).await;
            assert_error(&reply, 403, "insufficient access");
        }
        assert_eq!(get(&world, &format!("/api/v1/app/{app}")).await.body, before.body);
    }

    #[tokio::test]
    async fn an_application_looks_after_its_endpoints_but_not_after_itself() {
        let Scene { world, app, routes } = scene().await;
        let token = world.app_token(&app);
        let own = format!("/api/v1/app/{app}");
        for (method, path, body) in routes {
            let reply = world.call_as(&token, method, &path, body).await;
            let itself = path == own && method != "GET" || path.contains("integration-key");
            if itself {
                assert_error(&reply, 403, "insufficient access");
            } else {
                assert!(reply.status.is_success(), "{method} {path}: {reply:?}");
            }
        }
    }

    #[tokio::test]
    async fn an_application_cannot_take_the_uid_of_another_one_to_come() {
        let Scene { world, app, .. } = scene().await;
        let token = world.app_token(&app);
        let path = format!("/api/v1/app/{app}");
        for method in ["PATCH", "PUT"] {
            let body = json!({"name": "x", "uid": "customer-2"});
            let reply = world.call_as(&token, method, &path, body).await;
            assert_error(&reply, 403, "insufficient access");
        }
        let body = json!({"name": "x"});
        let reply = world.call_as(&token, "PUT", "/api/v1/app/customer-2", body).await;
        assert_error(&reply, 403, "insufficient access");
    }

    #[tokio::test]
    async fn an_application_finds_itself_by_its_uid() {
        let world = World::new();
        let body = json!({"name": "x", "uid": "customer-1"});
        let app = text(&post(&world, "/api/v1/app", body).await.body["id"]);
        let token = world.app_token(&app);
        let reply = world.call_as(&token, "GET", "/api/v1/app/customer-1", Value::Null).await;
        assert_eq!(reply.body["id"], json!(app));
        // And learns nothing of names that are not its own.
        for reference in ["customer-2", UNKNOWN_APP] {
            let path = format!("/api/v1/app/{reference}");
            let reply = world.call_as(&token, "GET", &path, Value::Null).await;
            assert_error(&reply, 403, "insufficient access");
        }
    }

    #[tokio::test]
    async fn a_trailing_slash_makes_no_difference() {
        let Scene { world, routes, .. } = scene().await;
        for (method, path, body) in routes {
            let reply = world.call(method, &format!("{path}/"), body).await;
            assert!(reply.status.is_success(), "{method} {path}: {reply:?}");
        }
    }

    #[tokio::test]
    async fn a_path_that_there_is_not_is_not_found() {
        let Scene { world, app, .. } = scene().await;
        for (method, path) in [
            ("GET", "/".to_owned()),
            ("GET", "/api/v1".to_owned()),
            ("GET", "/api/v2/app".to_owned()),
            ("GET", "/app".to_owned()),
            ("GET", format!("/api/v1/app/{app}/nothing")),
            ("GET", format!("/api/v1/app/{app}/endpoint/x/y/z")),
        ] {
            let reply = world.call(method, &path, Value::Null).await;
            assert_error(&reply, 404, "not_found");
        }
    }

    #[tokio::test]
    async fn health_needs_no_token() {
        let world = World::new();
        for path in ["/api/v1/health", "/api/v1/health/", "/api/v1/health/ping"] {
            let request = http::Request::get(path).body(bytes::Bytes::new()).unwrap();
            let reply = world.send(request).await;
            assert_eq!((reply.status.as_u16(), reply.bytes.len()), (204, 0), "{path}");
        }
    }

    #[tokio::test]
    async fn a_failing_store_is_our_fault_and_says_nothing_more() {
        use crate::support::faults::Fault;
        let Scene { world, routes, .. } = scene().await;
        for (method, path, body) in routes {
            world.plan.fail_after(0, Fault::Before);
            let reply = world.call(method, &path, body).await;
            assert_eq!(
                (reply.status.as_u16(), &reply.bytes[..]),
                (500, &b"{}"[..]),
                "{method} {path}"
            );
        }
    }
}

//! Applications: create, read, list, change, delete.

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
    assert_eq!(created.body.get("throttleRate"), Some(&Value::Null));
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
            "id": created.body["id"], "name": "Second", "uid": "customer-1", "metadata": {},
            "throttleRate": null, "rateLimit": null,
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
    expected["throttleRate"] = Value::Null;
    expected["rateLimit"] = Value::Null;
    expected["metadata"] = json!({"c": "d"});
    assert_eq!(patched.body, expected);
    assert_eq!(get(&world, &path).await.body, expected);
}

#[tokio::test]
async fn a_patch_that_breaks_a_rule_changes_nothing() {
    let (world, app) = World::with_application().await;
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
    let (world, app) = World::with_application().await;
    world.clock.advance_ms(4);
    let second = world.application().await;
    let ep = world.endpoint(&app, URL).await;
    for (path, first, all) in [
        (APPS.to_owned(), app.clone(), vec![app.clone(), second]),
        (format!("{APPS}/{app}/endpoint"), ep.clone(), vec![ep]),
    ] {
        let before = get(&world, &format!("{path}?iterator=-{first}")).await;
        let nothing = json!({"data": [], "iterator": null, "prevIterator": null, "done": true});
        assert_eq!(before.body, nothing);
        // Without an iterator the next page is the first one.
        assert_eq!(ids(&get(&world, &path).await), all);
    }
}

#[tokio::test]
async fn a_list_parameter_that_makes_no_sense_is_named() {
    let (world, app) = World::with_application().await;
    let lists = [APPS.to_owned(), format!("{APPS}/{app}/endpoint"), format!("{APPS}/{app}/msg")];
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

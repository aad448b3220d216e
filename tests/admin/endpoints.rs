//! Endpoints: create, read, list, change, delete.

use super::*;

async fn world() -> (World, String) {
    let (world, app) = World::with_application().await;
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
            "version": 1, "throttleRate": null, "rateLimit": null,
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
    assert_eq!(patched.body.get("throttleRate"), Some(&Value::Null));
}

#[tokio::test]
async fn what_breaks_a_rule_is_named_and_nothing_is_created() {
    let (world, path) = world().await;
    let eleven: Vec<String> = (0..11).map(|n| n.to_string()).collect();
    let cases = [
        ("url", json!(""), "url"),
        ("url", json!("example.com"), "url"),
        ("url", json!("ftp://example.com"), "url"),
        // What no header could carry.
        ("url", json!("https://us%3Aer:pass@example.com"), "url"),
        ("url", json!("https://user:pa%0Ass@example.com"), "url"),
        ("url", json!("https://user:pa%zz@example.com"), "url"),
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
    let refused = world.call("PUT", &format!("{path}/main"), update).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    let update = json!({"url": "http://127.0.0.1:9/new", "secret": SECRET});
    let updated = world.call("PUT", &format!("{path}/main"), update).await;
    assert_eq!(updated.status, 200);
    let id = text(&created.body["id"]);
    assert_eq!(
        updated.body,
        json!({
            "id": id, "url": "http://127.0.0.1:9/new", "uid": "main", "description": "",
            "throttleRate": null, "rateLimit": null,
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
    assert_eq!(cleared.body.get("throttleRate"), Some(&Value::Null));
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

#[tokio::test]
async fn an_endpoint_does_not_lead_back_to_where_events_come_in() {
    let mut world = World::new();
    world.admin.settings.publish_url = Some("https://events.example.org".to_owned());
    let path = format!("/api/v1/app/{}/endpoint", world.application().await);
    let create = async |url: &str| {
        let request = http::Request::post(&path)
            .header("authorization", format!("Bearer {}", world.token()))
            .header("host", "api.example.org")
            .header("x-forwarded-proto", "https")
            .body(json!({"url": url}).to_string().into())
            .unwrap();
        world.send(request).await
    };
    for url in [
        "https://api.example.org/api/v1/app/x/msg",
        "https://API.example.org:443/in/src_x",
        "https://api.example.org/",
        "https://events.example.org/in/src_x",
    ] {
        let refused = create(url).await;
        assert_eq!(refused.status, 422, "{url}: {refused:?}");
        assert_eq!(refused.body["detail"][0]["loc"], json!(["body", "url"]), "{url}");
    }
    for url in ["https://api.example.org/inspect/0123", "https://hooks.example.org/"] {
        assert_eq!(create(url).await.status, 201, "{url}");
    }
}

#[tokio::test]
async fn user_name_and_password_of_a_url_are_sealed_sent_as_basic_and_never_shown() {
    let (world, path) = world().await;
    let created =
        post(&world, &path, json!({"url": "http://me:s3%40cret@127.0.0.1:9/hook?a=@"})).await;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(created.body["url"], "http://127.0.0.1:9/hook?a=@");
    let ep = format!("{path}/{}", text(&created.body["id"]));
    let headers = get(&world, &format!("{ep}/headers")).await.body;
    assert_eq!(headers, json!({"headers": {}, "sensitive": ["Authorization"]}));
    assert!(!world.on_disk("s3@cret") && !world.on_disk("s3%40cret"));
    // base64 of `me:s3@cret`
    let basic = "Basic bWU6czNAY3JldA==";
    assert!(!world.on_disk(&basic[6..]));
    let app = path.split('/').nth(4).unwrap().to_owned();
    let sent = async || {
        world.publish(&app, json!({})).await;
        world.dispatch_all().await;
        let last = world.network.sent().pop().unwrap();
        last.headers.into_iter().find(|(name, _)| name == "Authorization").map(|(_, value)| value)
    };
    assert_eq!(sent().await.as_deref(), Some(basic));
    // Who writes back what was shown does not lose them.
    let same = json!({"url": created.body["url"], "description": "d"});
    assert_eq!(world.call("PUT", &ep, same).await.status, 200);
    assert_eq!(sent().await.as_deref(), Some(basic));
    let patch = json!({"url": "http://you:@127.0.0.1:9/hook"});
    let patched = world.call("PATCH", &ep, patch).await.body;
    assert_eq!(patched["url"], "http://127.0.0.1:9/hook");
    assert_eq!(sent().await.as_deref(), Some("Basic eW91Og=="));
    // They do not go to another place.
    world.call("PATCH", &ep, json!({"url": "http://127.0.0.1:9/other"})).await;
    assert_eq!(sent().await, None);
    // What is set as a header stays, wherever the endpoint moves.
    let own = json!({"headers": {"Authorization": "Bearer one"}});
    world.call("PUT", &format!("{ep}/headers"), own).await;
    world.call("PATCH", &ep, json!({"url": URL})).await;
    assert_eq!(sent().await.as_deref(), Some("Bearer one"));
}

#[tokio::test]
async fn a_url_is_kept_as_it_was_typed_but_for_blanks_and_has_no_control_characters() {
    let (world, app) = World::with_application().await;
    let path = format!("/api/v1/app/{app}/endpoint");
    for (typed, kept) in [
        (" https://h.example/\n", "https://h.example/"),
        ("https://h.example/a b", "https://h.example/a%20b"),
        ("HTTPS://H.example", "HTTPS://H.example"),
    ] {
        let made = post(&world, &path, json!({"url": typed})).await;
        assert_eq!((made.status.as_u16(), &made.body["url"]), (201, &json!(kept)), "{typed}");
    }
    for typed in ["https://h.example/a\tb", "https://h.ex\nample/", "https://h.example/\u{1b}[31m"]
    {
        let refused = post(&world, &path, json!({"url": typed})).await;
        assert_eq!(refused.status, 422, "{typed:?}");
        assert_eq!(refused.body["detail"][0]["loc"], json!(["body", "url"]), "{typed:?}");
    }
}

#[tokio::test]
async fn the_older_name_of_a_field_counts_beside_a_null() {
    let (world, app) = World::with_application().await;
    world.describe("order.paid").await;
    let said = json!({"url": URL, "rateLimit": 3, "throttleRate": null,
        "filterTypes": ["order.paid"], "eventTypes": null});
    let path = format!("/api/v1/app/{app}/endpoint");
    let made = post(&world, &path, said.clone()).await;
    let path = format!("{path}/{}", text(&made.body["id"]));
    let changed = world.call("PATCH", &path, said).await;
    for reply in [made, changed] {
        let shown = (&reply.body["throttleRate"], &reply.body["eventTypes"]);
        assert_eq!(shown, (&json!(3), &json!(["order.paid"])), "{reply:?}");
    }
}

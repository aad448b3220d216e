//! Publishing: what is accepted, what is refused and how, and that nothing accepted is lost or
//! published twice.

use bytes::Bytes;
use futures_util::future::join_all;
use http::Request;
use proptest::prelude::*;
use serde_json::{Value, json};
use shared::api::request::MAX_BODY_BYTES;
use shared::domain::id::MessageId;
use shared::domain::message::MAX_PAYLOAD_BYTES;
use shared::domain::secret::SigningSecret;
use shared::domain::signature::{TOLERANCE_S, sign};
use shared::domain::token::{Access, Tokens};
use shared::queue::Consumer;

use crate::support::answers::{another_organisation, assert_error, places};
use crate::support::faults::Fault;
use crate::support::network::{answer, header};
use crate::support::still::START;
use crate::support::world::{Reply, World, organisation, text};

const URL: &str = "http://127.0.0.1:9/hook";

/// A world with an application that has one endpoint.
async fn world() -> (World, String) {
    let world = World::new();
    let app = world.application().await;
    world.endpoint(&app, URL).await;
    (world, app)
}

fn path(app: &str) -> String {
    format!("/api/v1/app/{app}/msg")
}

fn event() -> Value {
    json!({"eventType": "order.paid", "payload": {"n": 1}})
}

/// A request with exactly these headers and bytes.
async fn post(
    world: &World,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Reply {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    world.send(request.body(body.into()).unwrap()).await
}

/// Publishes with the organisation's token and these headers.
async fn publish(world: &World, app: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
    let bearer = format!("Bearer {}", world.token());
    let mut all = vec![("authorization", bearer.as_str())];
    all.extend_from_slice(headers);
    post(world, &path(app), &all, body.to_string()).await
}

/// Publishes these bytes with the organisation's token.
async fn publish_bytes(world: &World, app: &str, body: impl Into<Bytes>) -> Reply {
    let bearer = format!("Bearer {}", world.token());
    post(world, &path(app), &[("authorization", bearer.as_str())], body).await
}

/// How often the endpoint was called after everything was dispatched.
async fn delivered(world: &World) -> usize {
    world.dispatch_all().await;
    world.network.sent_to(URL).len()
}

/// The same after a while: the second copy of a message keeps its distance from the first.
async fn delivered_later(world: &World) -> usize {
    world.live_s(120).await;
    world.network.sent_to(URL).len()
}

mod answers {
    use super::*;

    #[tokio::test]
    async fn what_was_published_comes_back_field_by_field() {
        let (world, app) = world().await;
        let body = json!({
            "eventType": "order.paid",
            "eventId": "order-1",
            "channels": ["b", "a"],
            "payload": {"z": [1, 2.5, null], "a": {"é": true}},
            "payloadRetentionPeriod": 5,
            "somethingNewer": "is ignored",
        });
        let reply = publish(&world, &app, &[], &body).await;
        assert_eq!(reply.status, 202);
        let id = text(&reply.body["id"]);
        assert_eq!(
            reply.body,
            json!({
                "id": id,
                "eventType": "order.paid",
                "eventId": "order-1",
                "channels": ["b", "a"],
                "payload": {"z": [1, 2.5, null], "a": {"é": true}},
                "timestamp": "2027-01-15T08:00:00Z",
            })
        );
        let id: MessageId = id.parse().unwrap();
        assert_eq!(id.ksuid().timestamp(), START);
    }

    #[tokio::test]
    async fn fields_that_were_left_out_or_null_are_left_out() {
        let (world, app) = world().await;
        let nulls = json!({
            "eventType": "a", "payload": {}, "eventId": null, "channels": null,
            "payloadRetentionPeriod": null,
        });
        for body in [json!({"eventType": "a", "payload": {}}), nulls] {
            let reply = publish(&world, &app, &[], &body).await;
            assert_eq!(reply.status, 202, "{reply:?}");
            let mut fields: Vec<&String> = reply.body.as_object().unwrap().keys().collect();
            fields.sort();
            assert_eq!(fields, ["eventType", "id", "payload", "timestamp"]);
        }
    }

    #[tokio::test]
    async fn the_payload_comes_back_in_its_own_spelling() {
        let (world, app) = world().await;
        let payload = r#"{ "b":1.0,"a" : "\u00e9", "a":2 }"#;
        let body = format!(r#"{{"payload":{payload},"eventType":"a"}}"#);
        let reply = publish_bytes(&world, &app, body).await;
        assert_eq!(reply.status, 202);
        let answer = String::from_utf8(reply.bytes.to_vec()).unwrap();
        assert!(answer.contains(payload), "{answer}");
    }

    #[tokio::test]
    async fn without_content_the_payload_comes_back_empty_and_is_delivered_whole() {
        let (world, app) = world().await;
        for (query, shown) in [
            ("?with_content=false", json!({})),
            ("?with_content=true", json!({"n": 1})),
            ("", json!({"n": 1})),
        ] {
            let path = format!("{}{query}", path(&app));
            let reply = world.call("POST", &path, event()).await;
            assert_eq!(reply.body["payload"], shown, "{query}");
        }
        assert_eq!(delivered(&world).await, 3);
        assert!(world.network.sent_to(URL).iter().all(|sent| &sent.body[..] == br#"{"n":1}"#));
    }

    #[tokio::test]
    async fn a_trailing_slash_makes_no_difference() {
        let (world, app) = world().await;
        let reply = world.call("POST", &format!("{}/", path(&app)), event()).await;
        assert_eq!(reply.status, 202);
    }

    #[tokio::test]
    async fn an_application_is_published_to_by_its_uid() {
        let (world, _) = world().await;
        let body = json!({"name": "Named", "uid": "customer-1"});
        let app = text(&world.call("POST", "/api/v1/app", body).await.body["id"]);
        world.endpoint("customer-1", "http://127.0.0.1:9/named").await;
        let by_uid = publish(&world, "customer-1", &[], &event()).await;
        let by_id = publish(&world, &app, &[], &event()).await;
        assert_eq!((by_uid.status.as_u16(), by_id.status.as_u16()), (202, 202));
        world.dispatch_all().await;
        assert_eq!(world.network.sent_to("http://127.0.0.1:9/named").len(), 2);
    }

    #[tokio::test]
    async fn another_path_or_method_is_not_found() {
        let (world, app) = world().await;
        let bearer = format!("Bearer {}", world.token());
        for (method, path) in [
            ("GET", path(&app)),
            ("PUT", path(&app)),
            ("POST", format!("/api/v1/app/{app}")),
            ("POST", format!("/api/v2/app/{app}/msg")),
            ("POST", format!("/api/v1/app/{app}/msg/msg")),
            ("POST", "/msg".to_owned()),
        ] {
            let request = Request::builder().method(method).uri(&path);
            let request = request.header("authorization", &bearer).body(Bytes::new()).unwrap();
            let response = world.receiver.handle(request).await;
            assert_eq!(response.status(), 404, "{method} {path}");
        }
    }
}

mod access {
    use super::*;

    async fn refused(world: &World, app: &str, headers: &[(&str, &str)]) {
        let reply = post(world, &path(app), headers, event().to_string()).await;
        assert_error(&reply, 401, "authentication_failed");
    }

    #[tokio::test]
    async fn without_a_token_nothing_is_published() {
        let (world, app) = world().await;
        refused(&world, &app, &[]).await;
        refused(&world, &app, &[("authorization", "")]).await;
        refused(&world, &app, &[("authorization", "Bearer")]).await;
        refused(&world, &app, &[("authorization", "Bearer ")]).await;
        let token = world.token();
        refused(&world, &app, &[("authorization", &token)]).await;
        refused(&world, &app, &[("authorization", &format!("Basic {token}"))]).await;
        assert_eq!(delivered(&world).await, 0);
    }

    #[tokio::test]
    async fn two_tokens_are_as_good_as_none() {
        let (world, app) = world().await;
        let bearer = format!("Bearer {}", world.token());
        refused(&world, &app, &[("authorization", &bearer), ("authorization", &bearer)]).await;
    }

    #[tokio::test]
    async fn an_expired_token_is_refused() {
        let (world, app) = world().await;
        let access = Access::Organisation(organisation());
        let bearer = format!("Bearer {}", world.tokens.issue(access, START, 60));
        world.advance_s(59);
        let reply =
            post(&world, &path(&app), &[("authorization", &bearer)], event().to_string()).await;
        assert_eq!(reply.status, 202);
        world.advance_s(1);
        refused(&world, &app, &[("authorization", &bearer)]).await;
    }

    #[tokio::test]
    async fn a_forged_token_is_refused() {
        let (world, app) = world().await;
        let access = Access::Organisation(organisation());
        let forged = Tokens::new(b"another key of thirty-two bytes!").issue(access, START, 60);
        refused(&world, &app, &[("authorization", &format!("Bearer {forged}"))]).await;
        refused(&world, &app, &[("authorization", "Bearer a.b.c")]).await;
    }

    #[tokio::test]
    async fn the_scheme_may_be_spelled_in_any_case() {
        let (world, app) = world().await;
        for scheme in ["bearer", "BEARER", "Bearer"] {
            let bearer = format!("{scheme} {}", world.token());
            let reply =
                post(&world, &path(&app), &[("authorization", &bearer)], event().to_string()).await;
            assert_eq!(reply.status, 202, "{scheme}");
        }
    }

    #[tokio::test]
    async fn no_token_of_an_application_publishes_anywhere() {
        let (world, app) = world().await;
        let other = world.application().await;
        let access = format!("/api/v1/auth/app-portal-access/{app}");
        let visit = world.call("POST", &access, json!({})).await;
        for token in [world.app_token(&app), text(&visit.body["token"])] {
            // It does not learn which applications exist.
            for app in [&app, &other, "app_0ujtsYcgvSTl8PAuAdqWYSMnLOv", "nobody"] {
                let reply = world.call_as(&token, "POST", &path(app), event()).await;
                assert_error(&reply, 403, "insufficient access");
            }
        }
        assert_eq!(delivered(&world).await, 0);
    }

    #[tokio::test]
    async fn an_event_name_cannot_be_taken_away_by_a_customer() {
        let (world, app) = world().await;
        let mut named = event();
        named["eventId"] = json!("order-1001");
        world.call_as(&world.app_token(&app), "POST", &path(&app), named.clone()).await;
        assert_eq!(publish(&world, &app, &[], &named).await.status, 202);
        assert_eq!(delivered(&world).await, 1);
    }

    #[tokio::test]
    async fn an_unknown_application_is_not_found_and_neither_is_another_organisations() {
        let (world, app) = world().await;
        for unknown in ["app_0ujtsYcgvSTl8PAuAdqWYSMnLOv", "nobody", "app_", "%20"] {
            let reply = publish(&world, unknown, &[], &event()).await;
            assert_error(&reply, 404, "not_found");
        }
        let token = world.token_of(another_organisation());
        let reply = world.call_as(&token, "POST", &path(&app), event()).await;
        assert_error(&reply, 404, "not_found");
        assert_eq!(delivered(&world).await, 0);
    }

    #[tokio::test]
    async fn a_uid_means_the_application_of_the_callers_own_organisation() {
        let (world, _) = world().await;
        let token = world.token_of(another_organisation());
        let body = json!({"name": "Named", "uid": "customer-1"});
        assert_eq!(world.call("POST", "/api/v1/app", body.clone()).await.status, 201);
        let reply = world.call_as(&token, "POST", &path("customer-1"), event()).await;
        assert_error(&reply, 404, "not_found");
        assert_eq!(world.call_as(&token, "POST", "/api/v1/app", body).await.status, 201);
        let reply = world.call_as(&token, "POST", &path("customer-1"), event()).await;
        assert_eq!(reply.status, 202);
        let id = text(&reply.body["id"]);
        let seen = world.call("GET", &format!("{}/{id}", path("customer-1")), Value::Null).await;
        assert_error(&seen, 404, "not_found");
    }

    #[tokio::test]
    async fn a_deleted_application_is_published_to_no_more() {
        let (world, app) = world().await;
        let deleted = world.call("DELETE", &format!("/api/v1/app/{app}"), Value::Null).await;
        assert_eq!(deleted.status, 204);
        assert_error(&publish(&world, &app, &[], &event()).await, 404, "not_found");
    }
}

mod shapes {
    use super::*;

    #[tokio::test]
    async fn every_wrong_field_is_named() {
        let (world, app) = world().await;
        let long = |n: usize| "x".repeat(n);
        let cases = [
            ("eventType", json!("")),
            ("eventType", json!("a b")),
            ("eventType", json!("é")),
            ("eventType", json!(long(257))),
            ("eventId", json!("")),
            ("eventId", json!("a/b")),
            ("eventId", json!("msg_1")),
            ("eventId", json!(long(257))),
            ("channels", json!([])),
            ("channels", json!(["a", "b", "c", "d", "e", "f"])),
            ("channels", json!(["a", "a"])),
            ("payloadRetentionPeriod", json!(4)),
            ("payloadRetentionPeriod", json!(91)),
            ("payloadRetentionPeriod", json!(0)),
            ("payload", json!([])),
            ("payload", json!("text")),
            ("payload", json!(1)),
            ("payload", json!(null)),
        ];
        for (field, value) in cases {
            let mut body = event();
            body[field] = value.clone();
            let reply = publish(&world, &app, &[], &body).await;
            assert_eq!(places(&reply), [format!("body/{field}")], "{value}");
            assert_eq!(reply.body["detail"][0]["type"], "value_error");
        }
        let mut body = event();
        body["channels"] = json!(["good", "", long(129)]);
        let reply = publish(&world, &app, &[], &body).await;
        assert_eq!(places(&reply), ["body/channels/1", "body/channels/2"]);
        assert_eq!(delivered(&world).await, 0);
    }

    #[tokio::test]
    async fn the_longest_names_and_the_most_channels_are_taken() {
        let (world, app) = world().await;
        let channels = ["a", "b", "c", "d", "e"].map(|name| name.repeat(128));
        let body = json!({
            "eventType": "x".repeat(256),
            "eventId": "y".repeat(256),
            "channels": channels,
            "payloadRetentionPeriod": 90,
            "payload": {},
        });
        let reply = publish(&world, &app, &[], &body).await;
        assert_eq!(reply.status, 202, "{reply:?}");
    }

    #[tokio::test]
    async fn several_wrong_fields_are_named_at_once() {
        let (world, app) = world().await;
        let body = json!({
            "eventType": "a b", "eventId": "", "channels": [], "payloadRetentionPeriod": 1,
            "payload": 7,
        });
        let mut found = places(&publish(&world, &app, &[], &body).await);
        found.sort();
        let fields = ["channels", "eventId", "eventType", "payload", "payloadRetentionPeriod"];
        assert_eq!(found, fields.map(|field| format!("body/{field}")));
    }

    #[tokio::test]
    async fn a_field_of_the_wrong_type_is_named() {
        let (world, app) = world().await;
        let cases = [
            ("eventType", json!(7), "body/eventType"),
            ("eventType", json!(null), "body/eventType"),
            ("eventId", json!(7), "body/eventId"),
            ("eventId", json!({}), "body/eventId"),
            ("channels", json!("a"), "body/channels"),
            ("channels", json!(["a", 7]), "body/channels/1"),
            ("payloadRetentionPeriod", json!("30"), "body/payloadRetentionPeriod"),
            ("payloadRetentionPeriod", json!(-1), "body/payloadRetentionPeriod"),
            ("payloadRetentionPeriod", json!(30.5), "body/payloadRetentionPeriod"),
        ];
        for (field, value, place) in cases {
            let mut body = event();
            body[field] = value.clone();
            let reply = publish(&world, &app, &[], &body).await;
            assert_eq!(places(&reply), [place], "{value}");
            assert_eq!(reply.body["detail"][0]["type"], "value_error");
        }
    }

    #[tokio::test]
    async fn a_missing_field_is_named() {
        let (world, app) = world().await;
        for field in ["eventType", "payload"] {
            let mut body = event();
            body.as_object_mut().unwrap().remove(field);
            let reply = publish(&world, &app, &[], &body).await;
            assert_eq!(places(&reply), [format!("body/{field}")]);
        }
        let reply = publish(&world, &app, &[], &json!({})).await;
        assert_eq!(places(&reply), ["body/eventType"]);
    }

    #[tokio::test]
    async fn a_body_that_is_no_json_is_refused_as_such() {
        let (world, app) = world().await;
        let bodies: [&[u8]; 11] = [
            b"",
            b" ",
            b"{",
            b"{\"eventType\":\"a\",\"payload\":{}",
            b"{\"eventType\":\"a\",\"payload\":{}}}",
            b"{\"eventType\":\"a\",\"payload\":{}} x",
            b"{'eventType':'a','payload':{}}",
            b"{\"eventType\":\"a\",\"payload\":{\"a\":}}",
            b"{\"eventType\":\"a\",\"payload\":{\"a\":\"\x01\"}}",
            b"{\"eventType\":\"a\",\"payload\":{\"a\":\"\xFF\"}}",
            b"eventType=a&payload=b",
        ];
        for body in bodies {
            let reply = publish_bytes(&world, &app, body).await;
            let shown = String::from_utf8_lossy(body);
            assert_eq!(places(&reply), ["body"], "{shown}");
            assert_eq!(reply.body["detail"][0]["type"], "value_error.jsondecode", "{shown}");
        }
        assert_eq!(delivered(&world).await, 0);
    }

    #[tokio::test]
    async fn a_body_that_is_json_but_no_object_is_refused_even_when_its_items_would_fit() {
        let (world, app) = world().await;
        for body in ["[]", "null", "7", "\"text\"", r#"["a",{"n":1},null,null,null]"#] {
            let reply = publish_bytes(&world, &app, body).await;
            assert_eq!(places(&reply), ["body"], "{body}");
            assert_eq!(reply.body["detail"][0]["msg"], "must be a JSON object", "{body}");
        }
        assert_eq!(delivered(&world).await, 0);
    }

    #[tokio::test]
    async fn a_field_that_comes_twice_is_refused() {
        let (world, app) = world().await;
        let body = r#"{"eventType":"a","eventType":"b","payload":{}}"#;
        assert_eq!(publish_bytes(&world, &app, body).await.status, 422);
    }

    #[tokio::test]
    async fn the_rules_do_not_talk_about_our_own_code() {
        let (world, app) = world().await;
        for body in ["[]", "{}", "7", r#"{"eventType":7}"#, r#"{"eventType":"a","payload":[]}"#] {
            let reply = publish_bytes(&world, &app, body).await;
            let answer = reply.body.to_string();
            for word in ["struct", "Shape", "MessageIn", " at line "] {
                assert!(!answer.contains(word), "{body}: {answer}");
            }
        }
    }

    #[tokio::test]
    async fn a_payload_of_sixty_four_levels_is_delivered_and_a_deeper_one_refused() {
        let (world, app) = world().await;
        let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        let arrays = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        // Brackets in a text are no levels, and what is closed is none any more.
        let wide = format!(r#"{{"a":"\"{}","b":[{}]}}"#, "[{".repeat(99), ["[[]]"; 99].join(","));
        for (payload, is_deep) in [
            (objects(64), false),
            (format!(r#"{{"a":{}}}"#, arrays(63)), false),
            (wide, false),
            (objects(65), true),
            (format!(r#"{{"a":{}}}"#, arrays(64)), true),
            (objects(20_000), true),
        ] {
            let body = format!(r#"{{"eventType":"a","payload":{payload}}}"#);
            let reply = publish_bytes(&world, &app, body).await;
            match is_deep {
                true => assert_eq!(places(&reply), ["body/payload"]),
                false => {
                    assert_eq!(reply.status, 202, "{reply:?}");
                    world.dispatch_all().await;
                    assert_eq!(world.network.sent_to(URL).pop().unwrap().body, payload);
                }
            }
        }
        let deep = arrays(65);
        let raw = format!(
            r#"{{"eventType":"a","payload":{{}},"transformationsParams":{{"rawPayload":"{deep}"}}}}"#
        );
        assert_eq!(publish_bytes(&world, &app, raw).await.status, 202, "a raw one is no JSON");
    }

    #[tokio::test]
    async fn what_is_beyond_a_limit_is_not_looked_at_and_twenty_rules_are_told() {
        let (world, app) = world().await;
        let mut body = event();
        body["channels"] = json!(vec!["not a name"; 30_000]);
        body["tags"] = json!(vec!["not a tag"; 5_000]);
        let reply = publish(&world, &app, &[], &body).await;
        assert_eq!(places(&reply), ["body/channels", "body/tags"]);
        let path = format!("/api/v1/app/{app}/endpoint");
        let types = |count: usize, name: &dyn Fn(usize) -> String| {
            let names: Vec<String> = (0..count).map(name).collect();
            json!({"url": URL, "eventTypes": names})
        };
        let many = world.call("POST", &path, types(40_000, &|n| n.to_string())).await;
        assert_eq!(places(&many), ["body/eventTypes"]);
        let wrong = world.call("POST", &path, types(1_000, &|n| format!("no name {n}"))).await;
        assert_eq!(places(&wrong).len(), 20);
        let headers: serde_json::Map<String, Value> =
            (0..20_000).map(|n| (format!("x-{n}"), json!("1"))).collect();
        let many = json!({"url": URL, "headers": headers});
        assert_eq!(places(&world.call("POST", &path, many).await), ["body/headers"]);
    }

    #[tokio::test]
    async fn a_name_has_an_end() {
        let (world, app) = world().await;
        let path = format!("/api/v1/app/{app}");
        for (name, status) in [("ä".repeat(256), 200), ("ä".repeat(257), 422)] {
            let changed = world.call("PATCH", &path, json!({"name": name})).await;
            assert_eq!(changed.status, status);
            if status == 422 {
                assert_eq!(places(&changed), ["body/name"]);
            }
        }
    }

    #[tokio::test]
    async fn characters_that_the_queue_refuses_arrive_all_the_same() {
        let (world, app) = world().await;
        let payload = "{\"a\":\"\u{FFFE}\u{FFFF}\u{7F}\\u0000\"}";
        let body = format!(r#"{{"eventType":"a","payload":{payload}}}"#);
        assert_eq!(publish_bytes(&world, &app, body).await.status, 202);
        assert_eq!(delivered(&world).await, 1);
        assert_eq!(world.network.sent_to(URL)[0].body, payload);
    }
}

mod sizes {
    use super::*;

    /// A payload of exactly this many bytes that does not compress well.
    fn payload_of(bytes: usize) -> String {
        let mut state = 1u32;
        let filler: String = (0..bytes - r#"{"a":""}"#.len())
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                char::from(b'0' + (state >> 24) as u8 % 75)
            })
            .map(|c| if c == '\\' { '/' } else { c })
            .collect();
        format!(r#"{{"a":"{filler}"}}"#)
    }

    #[tokio::test]
    async fn the_largest_payload_is_accepted_and_delivered_byte_for_byte() {
        let (world, app) = world().await;
        let payload = payload_of(MAX_PAYLOAD_BYTES);
        assert_eq!(payload.len(), 350 * 1024);
        let body = format!(r#"{{"eventType":"a","payload":{payload}}}"#);
        let reply = publish_bytes(&world, &app, body).await;
        assert_eq!(reply.status, 202);
        assert_eq!(delivered(&world).await, 1);
        assert_eq!(world.network.sent_to(URL)[0].body, payload);
    }

    #[tokio::test]
    async fn the_largest_payload_survives_a_retry_too() {
        let (world, app) = world().await;
        let payload = payload_of(MAX_PAYLOAD_BYTES);
        world.network.next(URL, answer(500));
        let body = format!(r#"{{"eventType":"a","payload":{payload}}}"#);
        assert_eq!(publish_bytes(&world, &app, body).await.status, 202);
        world.live_s(60).await;
        let sent = world.network.sent_to(URL);
        assert_eq!(sent.len(), 2);
        assert_eq!(sent[1].body, payload);
    }

    #[tokio::test]
    async fn a_payload_of_one_byte_more_is_too_large() {
        let (world, app) = world().await;
        let payload = payload_of(MAX_PAYLOAD_BYTES + 1);
        let body = format!(r#"{{"eventType":"a","payload":{payload}}}"#);
        assert_error(&publish_bytes(&world, &app, body).await, 413, "payload_too_large");
        assert_eq!(delivered(&world).await, 0);
    }

    #[tokio::test]
    async fn a_body_may_be_larger_than_the_payload_but_not_without_end() {
        let (world, app) = world().await;
        let body = event().to_string();
        let padded = |bytes: usize| format!("{body}{}", " ".repeat(bytes - body.len()));
        assert_eq!(publish_bytes(&world, &app, padded(MAX_BODY_BYTES)).await.status, 202);
        let reply = publish_bytes(&world, &app, padded(MAX_BODY_BYTES + 1)).await;
        assert_error(&reply, 413, "payload_too_large");
        // White space around the payload does not count.
        assert_eq!(delivered(&world).await, 1);
        assert_eq!(&world.network.sent_to(URL)[0].body[..], br#"{"n":1}"#);
    }
}

mod once {
    use super::*;

    #[tokio::test]
    async fn an_event_id_is_taken_once() {
        let (world, app) = world().await;
        let mut body = event();
        body["eventId"] = json!("order-1");
        assert_eq!(publish(&world, &app, &[], &body).await.status, 202);
        world.dispatch_all().await;
        body["payload"] = json!({"n": 2});
        assert_error(&publish(&world, &app, &[], &body).await, 409, "conflict");
        world.advance_s(3600);
        assert_error(&publish(&world, &app, &[], &body).await, 409, "conflict");
        assert_eq!(delivered(&world).await, 1);
        assert_eq!(&world.network.sent_to(URL)[0].body[..], br#"{"n":1}"#);
    }

    #[tokio::test]
    async fn an_event_id_is_free_in_every_other_application() {
        let (world, app) = world().await;
        let other = world.application().await;
        let mut body = event();
        body["eventId"] = json!("order-1");
        let first = publish(&world, &app, &[], &body).await;
        let second = publish(&world, &other, &[], &body).await;
        assert_eq!((first.status.as_u16(), second.status.as_u16()), (202, 202));
        assert_ne!(first.body["id"], second.body["id"]);
    }

    #[tokio::test]
    async fn an_event_id_is_free_again_when_its_message_was_forgotten() {
        let (world, app) = world().await;
        let mut body = event();
        body["eventId"] = json!("order-1");
        body["payloadRetentionPeriod"] = json!(5);
        let first = publish(&world, &app, &[], &body).await;
        world.dispatch_all().await;
        world.advance_s(5 * 86_400 - 1);
        assert_error(&publish(&world, &app, &[], &body).await, 409, "conflict");
        world.advance_s(1);
        let second = publish(&world, &app, &[], &body).await;
        assert_eq!(second.status, 202);
        assert_ne!(first.body["id"], second.body["id"]);
        assert_eq!(delivered(&world).await, 2);
    }

    #[tokio::test]
    async fn the_same_idempotency_key_brings_the_same_answer_and_one_delivery() {
        let (world, app) = world().await;
        let key = [("idempotency-key", "k-1")];
        let first = publish(&world, &app, &key, &event()).await;
        assert_eq!(first.status, 202);
        world.dispatch_all().await;
        world.advance_s(60);
        let second = publish(&world, &app, &key, &event()).await;
        assert_eq!(second.status, 202);
        assert_eq!(second.bytes, first.bytes, "timestamp and all");
        let another = publish(&world, &app, &[("idempotency-key", "k-2")], &event()).await;
        assert_ne!(another.body["id"], first.body["id"]);
        assert_eq!(delivered(&world).await, 2);
    }

    #[tokio::test]
    async fn repeats_that_come_before_the_first_delivery_make_no_second_one() {
        let (world, app) = world().await;
        let key = [("idempotency-key", "k-1")];
        let body = event();
        let replies = join_all((0..5).map(|_| publish(&world, &app, &key, &body))).await;
        for reply in &replies {
            assert_eq!(reply.status, 202);
            assert_eq!(reply.bytes, replies[0].bytes);
        }
        assert_eq!(delivered_later(&world).await, 1);
    }

    #[tokio::test]
    async fn an_event_id_with_the_same_idempotency_key_is_the_same_request() {
        let (world, app) = world().await;
        let mut body = event();
        body["eventId"] = json!("order-1");
        let key = [("idempotency-key", "k-1")];
        let first = publish(&world, &app, &key, &body).await;
        world.dispatch_all().await;
        let again = publish(&world, &app, &key, &body).await;
        assert_eq!(again.status, 202);
        assert_eq!(again.bytes, first.bytes);
        let other = publish(&world, &app, &[("idempotency-key", "k-2")], &body).await;
        assert_error(&other, 409, "conflict");
        assert_error(&publish(&world, &app, &[], &body).await, 409, "conflict");
        assert_eq!(delivered(&world).await, 1);
    }

    #[tokio::test]
    async fn an_idempotency_key_and_an_event_id_of_the_same_name_are_two_things() {
        let (world, app) = world().await;
        let by_key = publish(&world, &app, &[("idempotency-key", "name")], &event()).await;
        let mut body = event();
        body["eventId"] = json!("name");
        let by_id = publish(&world, &app, &[], &body).await;
        assert_eq!((by_key.status.as_u16(), by_id.status.as_u16()), (202, 202));
        assert_eq!(delivered(&world).await, 2);
    }

    #[tokio::test]
    async fn events_without_any_name_are_all_published() {
        let (world, app) = world().await;
        for _ in 0..3 {
            assert_eq!(publish(&world, &app, &[], &event()).await.status, 202);
        }
        assert_eq!(delivered(&world).await, 3);
    }

    #[tokio::test]
    async fn an_idempotency_key_that_we_cannot_keep_is_refused_instead_of_ignored() {
        let (world, app) = world().await;
        let too_long = "k".repeat(257);
        for key in ["", "ü", &too_long] {
            let reply = publish(&world, &app, &[("idempotency-key", key)], &event()).await;
            assert_error(&reply, 400, "invalid_idempotency_key");
        }
        let two = [("idempotency-key", "a"), ("idempotency-key", "b")];
        let reply = publish(&world, &app, &two, &event()).await;
        assert_error(&reply, 400, "invalid_idempotency_key");
        let longest = "k".repeat(256);
        let reply = publish(&world, &app, &[("idempotency-key", &longest)], &event()).await;
        assert_eq!(reply.status, 202);
        assert_eq!(delivered(&world).await, 1);
    }

    #[tokio::test]
    async fn of_many_requests_at_once_with_the_same_event_id_one_is_accepted() {
        let (world, app) = world().await;
        let mut body = event();
        body["eventId"] = json!("order-1");
        let replies = join_all((0..20).map(|_| publish(&world, &app, &[], &body))).await;
        let accepted = replies.iter().filter(|reply| reply.status == 202).count();
        let refused = replies.iter().filter(|reply| reply.status == 409).count();
        assert_eq!((accepted, refused), (1, 19));
        let list = world.call("GET", &path(&app), Value::Null).await;
        assert_eq!(list.body["data"].as_array().unwrap().len(), 1);
        assert_eq!(delivered_later(&world).await, 1);
    }
}

/// Port calls of a request before the one that stores the message: the application is read.
const BEFORE_STORE: usize = 1;
/// Port calls before the one that sends it to the queue.
const BEFORE_QUEUE: usize = 2;

mod crashes {
    use super::*;

    fn assert_internal(reply: &Reply) {
        assert_eq!(reply.status, 500);
        assert_eq!(&reply.bytes[..], b"{}", "the reason is for the log alone");
    }

    /// Publishes with this fault at that call, then once more; asserts one delivery.
    async fn published_once(skip: usize, fault: Fault, headers: &[(&str, &str)], id: Option<&str>) {
        let (world, app) = world().await;
        let mut body = event();
        body["eventId"] = json!(id);
        world.plan.fail_after(skip, fault);
        assert_internal(&publish(&world, &app, headers, &body).await);
        world.dispatch_all().await;
        let again = publish(&world, &app, headers, &body).await;
        assert_eq!(again.status, 202, "{again:?}");
        assert_eq!(delivered_later(&world).await, 1, "{skip} {fault:?}");
        assert_eq!(header(&world.network.sent_to(URL)[0], "webhook-id"), again.body["id"]);
        world.live_s(3600).await;
        assert_eq!(world.network.sent_to(URL).len(), 1, "{skip} {fault:?}");
    }

    #[tokio::test]
    async fn a_request_that_died_between_store_and_queue_is_delivered_once_when_repeated() {
        let key = [("idempotency-key", "k-1")];
        published_once(BEFORE_QUEUE, Fault::Before, &key, None).await;
        published_once(BEFORE_QUEUE, Fault::Before, &key, Some("order-1")).await;
    }

    #[tokio::test]
    async fn a_request_whose_queue_answer_was_lost_is_delivered_once_when_repeated() {
        let key = [("idempotency-key", "k-1")];
        published_once(BEFORE_QUEUE, Fault::After, &key, None).await;
    }

    #[tokio::test]
    async fn a_request_whose_store_answer_was_lost_is_delivered_once_when_repeated() {
        let key = [("idempotency-key", "k-1")];
        published_once(BEFORE_STORE, Fault::After, &key, None).await;
    }

    #[tokio::test]
    async fn a_request_that_never_reached_the_store_is_delivered_once_when_repeated() {
        published_once(BEFORE_STORE, Fault::Before, &[("idempotency-key", "k-1")], None).await;
        published_once(BEFORE_STORE, Fault::Before, &[], Some("order-1")).await;
        published_once(0, Fault::Before, &[], None).await;
    }

    #[tokio::test]
    async fn an_event_that_died_between_store_and_queue_is_delivered_though_its_repeat_conflicts() {
        let (world, app) = world().await;
        let mut body = event();
        body["eventId"] = json!("order-1");
        world.plan.fail_after(BEFORE_QUEUE, Fault::Before);
        assert_internal(&publish(&world, &app, &[], &body).await);
        assert_eq!(delivered_later(&world).await, 0);
        assert_error(&publish(&world, &app, &[], &body).await, 409, "conflict");
        assert_eq!(delivered_later(&world).await, 1);
        assert_error(&publish(&world, &app, &[], &body).await, 409, "conflict");
        assert_eq!(delivered_later(&world).await, 1);
    }

    #[tokio::test]
    async fn what_was_expunged_before_it_was_sent_is_not_sent_when_it_is_published_again() {
        let (world, app) = world().await;
        let mut body = event();
        body["eventId"] = json!("order-1");
        let key = [("idempotency-key", "k-1")];
        world.plan.fail_after(BEFORE_QUEUE, Fault::Before);
        assert_internal(&publish(&world, &app, &key, &body).await);
        let content = format!("{}/order-1/content", path(&app));
        assert_eq!(world.call("DELETE", &content, Value::Null).await.status, 204);
        let again = publish(&world, &app, &key, &body).await;
        assert_eq!(again.body["payload"], json!({"expired": true}), "{again:?}");
        assert_error(&publish(&world, &app, &[], &body).await, 409, "conflict");
        assert_eq!(delivered_later(&world).await, 0);
    }

    /// Six days: longer than the shortest retention, and nothing has been cleaned up yet.
    const FORGOTTEN_S: u64 = 6 * 86_400;

    fn short_lived() -> Value {
        let mut body = event();
        body["eventId"] = json!("order-1");
        body["payloadRetentionPeriod"] = json!(5);
        body
    }

    #[tokio::test]
    async fn an_event_id_that_comes_back_after_its_retention_names_a_new_event() {
        let (world, app) = world().await;
        assert_eq!(publish(&world, &app, &[], &short_lived()).await.status, 202);
        assert_eq!(delivered_later(&world).await, 1);
        world.advance_s(FORGOTTEN_S);
        // After so long it is read again whether the token was taken back.
        world.plan.fail_after(BEFORE_QUEUE + 1, Fault::Before);
        assert_internal(&publish(&world, &app, &[], &short_lived()).await);
        assert_error(&publish(&world, &app, &[], &short_lived()).await, 409, "conflict");
        assert_eq!(delivered_later(&world).await, 2);
    }

    #[tokio::test]
    async fn attempts_of_a_forgotten_event_do_not_count_for_the_new_one_of_its_name() {
        let (world, app) = world().await;
        assert_eq!(publish(&world, &app, &[], &short_lived()).await.status, 202);
        assert_eq!(delivered_later(&world).await, 1);
        world.advance_s(FORGOTTEN_S);
        assert_eq!(publish(&world, &app, &[], &short_lived()).await.status, 202);
        // Whoever received it first died.
        let taken = world.queues.deliveries.receive(1, 0).await.unwrap();
        assert_eq!(taken.len(), 1);
        world.live_s(600).await;
        assert_eq!(world.network.sent_to(URL).len(), 2);
    }

    #[tokio::test]
    async fn a_repeat_that_dies_too_leaves_the_event_for_the_next_one() {
        let (world, app) = world().await;
        let key = [("idempotency-key", "k-1")];
        // A repeat finds the message in the store, and looks for attempts before it sends.
        for calls in [BEFORE_QUEUE, BEFORE_QUEUE + 1, BEFORE_QUEUE + 1] {
            world.plan.fail_after(calls, Fault::Before);
            assert_internal(&publish(&world, &app, &key, &event()).await);
        }
        assert_eq!(delivered_later(&world).await, 0);
        assert_eq!(publish(&world, &app, &key, &event()).await.status, 202);
        assert_eq!(delivered_later(&world).await, 1);
    }
}

mod signed {
    use super::*;

    /// A publisher that signs with the integration key.
    struct Publisher {
        key: SigningSecret,
        id: String,
        family: &'static str,
        at_s: u64,
    }

    impl Publisher {
        async fn new(world: &World, app: &str) -> Self {
            Self {
                key: key_of(world, app).await,
                id: "evt_1".to_owned(),
                family: "webhook-",
                at_s: world.ambient.now().as_secs(),
            }
        }

        /// The three headers for this body.
        fn headers(&self, body: &str) -> Vec<(String, String)> {
            let signature =
                sign(std::slice::from_ref(&self.key), &self.id, self.at_s, body.as_bytes());
            [
                ("id", self.id.clone()),
                ("timestamp", self.at_s.to_string()),
                ("signature", signature),
            ]
            .map(|(name, value)| (format!("{}{name}", self.family), value))
            .to_vec()
        }

        async fn publish(&self, world: &World, app: &str) -> Reply {
            let body = event().to_string();
            send(world, app, &self.headers(&body), &body).await
        }
    }

    async fn key_of(world: &World, app: &str) -> SigningSecret {
        let path = format!("/api/v1/app/{app}/integration-key");
        let reply = world.call("GET", &path, Value::Null).await;
        SigningSecret::parse(&text(&reply.body["key"])).unwrap()
    }

    async fn send(world: &World, app: &str, headers: &[(String, String)], body: &str) -> Reply {
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        post(world, &path(app), &headers, body.to_owned()).await
    }

    #[tokio::test]
    async fn a_request_signed_with_the_integration_key_is_accepted() {
        let (world, app) = world().await;
        for (id, family) in [("evt_1", "webhook-"), ("evt_2", "svix-")] {
            let publisher =
                Publisher { id: id.to_owned(), family, ..Publisher::new(&world, &app).await };
            let reply = publisher.publish(&world, &app).await;
            assert_eq!(reply.status, 202, "{family}: {reply:?}");
        }
        assert_eq!(delivered(&world).await, 2);
    }

    #[tokio::test]
    async fn a_signed_request_may_name_the_application_by_its_uid() {
        let (world, _) = world().await;
        let body = json!({"name": "Named", "uid": "customer-1"});
        let app = text(&world.call("POST", "/api/v1/app", body).await.body["id"]);
        let publisher = Publisher::new(&world, &app).await;
        assert_eq!(publisher.publish(&world, "customer-1").await.status, 202);
    }

    #[tokio::test]
    async fn a_wrong_key_is_refused() {
        let (world, app) = world().await;
        let other = world.application().await;
        let key = key_of(&world, &other).await;
        let publisher = Publisher { key, ..Publisher::new(&world, &app).await };
        let reply = publisher.publish(&world, &app).await;
        assert_error(&reply, 401, "authentication_failed");
        assert_eq!(delivered(&world).await, 0);
    }

    #[tokio::test]
    async fn the_secret_of_an_endpoint_is_not_a_key_for_publishing() {
        let (world, app) = world().await;
        let ep = world.endpoint(&app, "http://127.0.0.1:9/other").await;
        let path = format!("/api/v1/app/{app}/endpoint/{ep}/secret");
        let secret = world.call("GET", &path, Value::Null).await;
        let key = SigningSecret::parse(&text(&secret.body["key"])).unwrap();
        let publisher = Publisher { key, ..Publisher::new(&world, &app).await };
        let reply = publisher.publish(&world, &app).await;
        assert_error(&reply, 401, "authentication_failed");
    }

    #[tokio::test]
    async fn a_timestamp_outside_of_five_minutes_is_refused() {
        let (world, app) = world().await;
        let now = START.as_secs();
        for (at_s, id, status) in [
            (now - TOLERANCE_S, "evt_1", 202),
            (now + TOLERANCE_S, "evt_2", 202),
            (now - TOLERANCE_S - 1, "evt_3", 401),
            (now + TOLERANCE_S + 1, "evt_4", 401),
            (0, "evt_5", 401),
        ] {
            let publisher =
                Publisher { at_s, id: id.to_owned(), ..Publisher::new(&world, &app).await };
            let reply = publisher.publish(&world, &app).await;
            assert_eq!(reply.status, status, "{id}: {reply:?}");
        }
        assert_eq!(delivered(&world).await, 2);
    }

    #[tokio::test]
    async fn a_request_without_one_of_the_headers_is_refused_with_their_names() {
        let (world, app) = world().await;
        let body = event().to_string();
        for family in ["webhook-", "svix-"] {
            let publisher = Publisher { family, ..Publisher::new(&world, &app).await };
            for missing in 0..3 {
                let mut headers = publisher.headers(&body);
                headers.remove(missing);
                let reply = send(&world, &app, &headers, &body).await;
                assert_error(&reply, 401, "authentication_failed");
                let detail = text(&reply.body["detail"]);
                assert!(detail.contains("webhook-signature"), "{detail}");
            }
        }
        assert_eq!(delivered(&world).await, 0);
    }

    #[tokio::test]
    async fn a_request_with_one_of_the_headers_twice_is_refused() {
        let (world, app) = world().await;
        let body = event().to_string();
        let publisher = Publisher::new(&world, &app).await;
        for doubled in 0..3 {
            let mut headers = publisher.headers(&body);
            headers.push(headers[doubled].clone());
            let reply = send(&world, &app, &headers, &body).await;
            assert_error(&reply, 401, "authentication_failed");
        }
        assert_eq!(delivered(&world).await, 0);
    }

    #[tokio::test]
    async fn headers_of_two_families_are_not_mixed() {
        let (world, app) = world().await;
        let body = event().to_string();
        let publisher = Publisher::new(&world, &app).await;
        let mut headers = publisher.headers(&body);
        headers[2].0 = "svix-signature".to_owned();
        let reply = send(&world, &app, &headers, &body).await;
        assert_error(&reply, 401, "authentication_failed");
    }

    #[tokio::test]
    async fn a_body_that_was_tampered_with_is_refused() {
        let (world, app) = world().await;
        let publisher = Publisher::new(&world, &app).await;
        let body = event().to_string();
        let headers = publisher.headers(&body);
        let tampered =
            [body.replace('1', "2"), format!("{body} "), format!(" {body}"), "{}".into()];
        for body in tampered {
            let reply = send(&world, &app, &headers, &body).await;
            assert_error(&reply, 401, "authentication_failed");
        }
        assert_eq!(send(&world, &app, &headers, &body).await.status, 202);
        assert_eq!(delivered(&world).await, 1);
    }

    #[tokio::test]
    async fn a_tampered_id_or_timestamp_is_refused() {
        let (world, app) = world().await;
        let body = event().to_string();
        let headers = Publisher::new(&world, &app).await.headers(&body);
        for (position, value) in [
            (0, "evt_2".to_owned()),
            (1, (START.as_secs() + 1).to_string()),
            (1, "soon".to_owned()),
            (1, String::new()),
            (2, "v1,".to_owned()),
            (2, String::new()),
        ] {
            let mut headers = headers.clone();
            headers[position].1 = value;
            let reply = send(&world, &app, &headers, &body).await;
            assert_error(&reply, 401, "authentication_failed");
        }
    }

    #[tokio::test]
    async fn a_rotated_key_signs_until_its_overlap_is_over() {
        let (world, app) = world().await;
        let old = Publisher::new(&world, &app).await.key;
        let path = format!("/api/v1/app/{app}/integration-key/rotate");
        assert_eq!(world.call("POST", &path, Value::Null).await.status, 204);
        let new = Publisher::new(&world, &app).await.key;
        assert_ne!(old.reveal(), new.reveal());
        let mut count = 0;
        let mut publish = async |key: &SigningSecret| {
            count += 1;
            let id = format!("evt_{count}");
            let publisher =
                Publisher { key: key.clone(), id, ..Publisher::new(&world, &app).await };
            publisher.publish(&world, &app).await.status.as_u16()
        };
        assert_eq!((publish(&old).await, publish(&new).await), (202, 202));
        world.advance_s(86_399);
        assert_eq!((publish(&old).await, publish(&new).await), (202, 202));
        world.advance_s(1);
        assert_eq!((publish(&old).await, publish(&new).await), (401, 202));
    }

    #[tokio::test]
    async fn a_signed_request_that_is_repeated_is_published_once() {
        let (world, app) = world().await;
        let publisher = Publisher::new(&world, &app).await;
        let first = publisher.publish(&world, &app).await;
        world.dispatch_all().await;
        world.advance_s(60);
        // Signed anew, as a client that retries does, and as it was.
        let retried = Publisher::new(&world, &app).await.publish(&world, &app).await;
        let replayed = publisher.publish(&world, &app).await;
        assert_eq!((first.status.as_u16(), retried.status.as_u16()), (202, 202));
        assert_eq!(retried.bytes, first.bytes);
        assert_eq!(replayed.bytes, first.bytes);
        assert_eq!(delivered(&world).await, 1);
    }

    #[tokio::test]
    async fn a_captured_request_is_published_once_whatever_key_is_put_beside_it() {
        let (world, app) = world().await;
        let body = event().to_string();
        let signed = Publisher::new(&world, &app).await.headers(&body);
        let mut first = None;
        for (key, status) in
            [(None, 202), (Some("k-1"), 400), (Some("k-2"), 400), (Some("evt_1"), 202)]
        {
            let mut headers = signed.clone();
            headers.extend(key.map(|key| ("idempotency-key".to_owned(), key.to_owned())));
            let reply = send(&world, &app, &headers, &body).await;
            assert_eq!(reply.status, status, "{key:?}: {reply:?}");
            if status == 202 {
                assert_eq!(reply.bytes, *first.get_or_insert(reply.bytes.clone()));
            }
        }
        assert_eq!(delivered_later(&world).await, 1);
    }

    #[tokio::test]
    async fn headers_of_a_signature_beside_a_token_name_nothing() {
        let (world, app) = world().await;
        for family in ["webhook-", "svix-"] {
            let names = ["id", "timestamp", "signature"].map(|name| format!("{family}{name}"));
            let forwarded: Vec<(&str, &str)> =
                names.iter().map(String::as_str).zip(["m1", "1", "v1,x"]).collect();
            for n in [1, 2] {
                let body = json!({"eventType": "a", "payload": {"n": n}});
                assert_eq!(publish(&world, &app, &forwarded, &body).await.status, 202);
            }
            // Nor do they make two of a request that has a key.
            let keyed = [&forwarded[..], &[("idempotency-key", family)]].concat();
            for _ in 0..2 {
                assert_eq!(publish(&world, &app, &keyed, &event()).await.status, 202);
            }
        }
        assert_eq!(delivered_later(&world).await, 6);
    }

    #[tokio::test]
    async fn a_stranger_is_not_told_which_applications_exist() {
        let (world, app) = world().await;
        let own = Publisher::new(&world, &app).await;
        let known = Publisher {
            key: SigningSecret::generate(&world.ambient),
            ..Publisher::new(&world, &app).await
        };
        let known = known.publish(&world, &app).await;
        for unknown in ["app_0ujtsYcgvSTl8PAuAdqWYSMnLOv", "nobody"] {
            let reply = own.publish(&world, unknown).await;
            assert_error(&reply, 401, "authentication_failed");
            assert_eq!(reply.bytes, known.bytes);
        }
    }

    #[tokio::test]
    async fn a_token_counts_more_than_a_signature() {
        let (world, app) = world().await;
        let body = event().to_string();
        let mut headers = Publisher::new(&world, &app).await.headers(&body);
        headers.push(("authorization".to_owned(), "Bearer nothing".to_owned()));
        let reply = send(&world, &app, &headers, &body).await;
        assert_error(&reply, 401, "authentication_failed");
    }

    #[tokio::test]
    async fn a_signed_request_still_has_to_be_in_order() {
        let (world, app) = world().await;
        let body = r#"{"eventType":"a b","payload":{}}"#;
        let headers = Publisher::new(&world, &app).await.headers(body);
        let reply = send(&world, &app, &headers, body).await;
        assert_eq!(places(&reply), ["body/eventType"]);
    }
}

mod circles {
    use super::*;

    #[tokio::test]
    async fn an_event_that_our_own_deliveries_bring_back_comes_to_an_end() {
        let (world, app) = world().await;
        let mut hops = None;
        for round in 1.. {
            let mut headers = vec![("user-agent", "Posthorn/0.1.0")];
            headers.extend(hops.as_deref().map(|hops| ("posthorn-hops", hops)));
            let reply = publish(&world, &app, &headers, &event()).await;
            if round > 4 {
                assert_error(&reply, 400, "too_many_hops");
                break;
            }
            assert_eq!(reply.status, 202, "{round}");
            world.dispatch_all().await;
            let sent = world.network.sent_to(URL).pop().unwrap();
            hops = Some(header(&sent, "posthorn-hops").to_owned());
            assert_eq!(hops.as_deref(), Some(round.to_string().as_str()));
        }
        assert_eq!(publish(&world, &app, &[("user-agent", "x")], &event()).await.status, 202);
        world.dispatch_all().await;
        let sent = world.network.sent_to(URL).pop().unwrap();
        assert!(sent.headers.iter().all(|(name, _)| name != "posthorn-hops"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_body_makes_it_fail_on_our_side(
        body in prop_oneof![
            ".{0,60}".boxed(),
            r#"\{"eventType":"a","payload":.{0,20}\}"#.boxed(),
            r#"\{("eventType":"[a-z]",)?("payload":(\{\}|\[\]|[0-9]e[0-9]{1,4}),)?("eventId":("[a-z]?"|null|7),)?"channels":(null|\["a"\]|\{\})\}"#.boxed(),
        ],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let status = runtime.block_on(async {
            let (world, app) = world().await;
            publish_bytes(&world, &app, body.clone()).await.status.as_u16()
        });
        prop_assert!([202, 413, 422].contains(&status), "{}: {}", status, body);
    }
}

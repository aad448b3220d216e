//! Requests that are signed instead of carrying a token.

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
        let signature = sign(std::slice::from_ref(&self.key), &self.id, self.at_s, body.as_bytes());
        [("id", self.id.clone()), ("timestamp", self.at_s.to_string()), ("signature", signature)]
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
        let publisher = Publisher { at_s, id: id.to_owned(), ..Publisher::new(&world, &app).await };
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
    let tampered = [body.replace('1', "2"), format!("{body} "), format!(" {body}"), "{}".into()];
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
        let publisher = Publisher { key: key.clone(), id, ..Publisher::new(&world, &app).await };
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
    for (key, status) in [(None, 202), (Some("k-1"), 400), (Some("k-2"), 400), (Some("evt_1"), 202)]
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

//! Who may publish, and to which application.

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
    let reply = post(&world, &path(&app), &[("authorization", &bearer)], event().to_string()).await;
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

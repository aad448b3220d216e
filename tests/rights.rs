//! Each operation of the API beside each kind of token: who may, who may not, and that what is
//! refused changes nothing.

use std::collections::BTreeSet;

use description::{Caller, Route};
use serde_json::{Value, json};
use shared::domain::right::{Right, Scope};
use shared::domain::secret::SigningSecret;
use shared::domain::signature;
use shared::domain::token::Access;

use crate::support::stage::{Stage, descriptions, routes};
use crate::support::world::{organisation, text};

/// What only a token of a kind that is named here may do, by the name of the right.
const VISITOR: [&str; 7] = [
    "Token",
    "ViewBase",
    "ViewEndpointSecret",
    "ManageEndpointSecret",
    "ManageTransformations",
    "CreateAttempts",
    "ManageEndpoint",
];
const ORGANISATION: [&str; 6] = ["Publish", "Broadcast", "Read", "Manage", "Keys", "Operate"];

/// A kind of token.
struct Kind {
    name: String,
    token: String,
    /// The names of the rights that it has.
    has: BTreeSet<&'static str>,
    /// Whether it reaches the application on stage.
    reaches: bool,
    /// What is answered whatever is asked for, if that is so.
    always: Option<u16>,
}

impl Kind {
    fn expects(&self, route: &Route) -> Option<u16> {
        let right = format!("{:?}", route.right.unwrap_or(Right::Token));
        let is_of_app = route.path.contains("{app_id}");
        match self.always {
            Some(status) => Some(status),
            None if !self.has.contains(right.as_str()) => Some(403),
            None => (is_of_app && !self.reaches).then_some(404),
        }
    }
}

fn kind(name: &str, token: String, has: &[&'static str]) -> Kind {
    let has = has.iter().copied().collect();
    Kind { name: name.to_owned(), token, has, reaches: true, always: None }
}

async fn visit(stage: &Stage, app: &str, body: Value) -> String {
    let path = format!("/api/v1/auth/app-portal-access/{app}");
    let reply = stage.world.call("POST", &path, body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    text(&reply.body["token"])
}

/// A visitor's token for each capability.
async fn visitors(stage: &Stage) -> Vec<Kind> {
    let app = &stage.names["app_id"];
    let all = visit(stage, app, Value::Null).await;
    let looks = visit(stage, app, json!({"readOnly": true})).await;
    let old = stage.world.app_token(app);
    let mut kinds = vec![
        kind("portal", all, &VISITOR),
        kind("portal, as earlier versions made it", old, &VISITOR),
        kind("portal, read-only", looks, &["Token", "ViewBase"]),
    ];
    for (capability, more) in [
        ("ViewEndpointSecret", &["ViewEndpointSecret"][..]),
        ("ManageEndpointSecret", &["ViewEndpointSecret", "ManageEndpointSecret"]),
        ("ManageTransformations", &["ManageTransformations"]),
        ("CreateAttempts", &["CreateAttempts"]),
        ("ManageEndpoint", &["ViewEndpointSecret", "ManageEndpointSecret", "ManageEndpoint"]),
    ] {
        let asked = json!({"capabilities": ["ViewBase", capability]});
        let token = visit(stage, app, asked).await;
        kinds.push(kind(capability, token, &[&["Token", "ViewBase"], more].concat()));
    }
    let other = visit(stage, &stage.other_app, Value::Null).await;
    let other = kind("portal of another application", other, &VISITOR);
    kinds.push(Kind { reaches: false, ..other });
    kinds
}

/// A backend's token for each scope, of the organisation and of one application.
fn backends(stage: &Stage) -> Vec<Kind> {
    let world = &stage.world;
    let app = |name: &str| Access::Application(organisation(), name.parse().unwrap());
    let all = [&VISITOR[..], &ORGANISATION].concat();
    let mut kinds = vec![kind("organisation", world.token(), &all)];
    let looks_and_changes = [&VISITOR[..], &["Read", "Manage"]].concat();
    for (name, scope, has) in [
        ("read", Scope::Read, vec!["Token", "ViewBase", "Read"]),
        ("publish", Scope::Publish, vec!["Token", "Publish", "Broadcast"]),
        ("manage", Scope::Manage, looks_and_changes),
        ("all", Scope::All, all),
    ] {
        let issue =
            |access| world.tokens.issue_api(access, (scope, None), world.ambient.now(), 600);
        kinds.push(kind(name, issue(Access::Organisation(organisation())), &has));
        let is_within =
            |right: &&str| !["Broadcast", "Read", "Manage", "Keys", "Operate"].contains(right);
        let within: Vec<_> = has.into_iter().filter(is_within).collect();
        let own = issue(app(&stage.names["app_id"]));
        kinds.push(kind(&format!("{name}, of the application"), own, &within));
        let other = issue(app(&stage.other_app));
        let other = kind(&format!("{name}, of another application"), other, &within);
        kinds.push(Kind { reaches: false, ..other });
    }
    kinds
}

/// Tokens that are over.
async fn over(stage: &Stage) -> Vec<Kind> {
    let world = &stage.world;
    let over = |name, token, status| Kind { always: Some(status), ..kind(name, token, &[]) };
    let app = &stage.names["app_id"];
    let logged_out = visit(stage, app, Value::Null).await;
    world.call_as(&logged_out, "POST", "/api/v1/auth/logout", Value::Null).await;
    let gone = world.application().await;
    let orphan = visit(stage, &gone, Value::Null).await;
    world.call("DELETE", &format!("/api/v1/app/{gone}"), Value::Null).await;
    let access = Access::Organisation(organisation());
    let expired = world.tokens.issue_api(access, (Scope::All, None), world.ambient.now(), 0);
    vec![
        over("taken back", logged_out, 401),
        over("expired", expired, 401),
        over("of a deleted application", orphan, 403),
    ]
}

/// The table, with what ends tokens and the application at its end.
fn ordered() -> Vec<Route> {
    let last = [
        "v1.authentication.expire-all",
        "v1.application.delete",
        "posthorn.authentication.expire-organisation",
        "v1.authentication.logout",
    ];
    let mut routes = routes();
    routes.retain(|route| route.right.is_some());
    routes.sort_by_key(|route| last.iter().position(|id| route.id == *id).map_or(0, |at| at + 1));
    routes
}

#[tokio::test]
async fn what_a_token_is_not_good_for_is_refused_and_changes_nothing() {
    let stage = Stage::new().await;
    let kinds = [visitors(&stage).await, backends(&stage), over(&stage).await];
    let stored = || stage.world.stored.lock().unwrap().clone();
    let before = stored();
    let mut refused = 0;
    for kind in kinds.iter().flatten() {
        for route in ordered() {
            let Some(status) = kind.expects(&route) else { continue };
            let reply = stage.send(&kind.token, &stage.play(&route)).await;
            assert_eq!(reply.status.as_u16(), status, "{}: {}: {reply:?}", kind.name, route.id);
            match status {
                403 => assert_eq!(reply.body["code"], "insufficient access", "{}", route.id),
                404 => assert_eq!(reply.body["code"], "not_found", "{}", route.id),
                _ => {}
            }
            refused += 1;
        }
    }
    assert!(refused > 1_000, "{refused}");
    assert!(stored() == before);
}

#[tokio::test]
async fn what_a_token_is_good_for_is_not_refused() {
    for at in 0.. {
        let stage = Stage::new().await;
        let mut kinds = visitors(&stage).await;
        kinds.extend(backends(&stage));
        let Some(kind) = kinds.get(at) else {
            assert!(at > 20, "{at}");
            break;
        };
        for route in ordered() {
            if kind.expects(&route).is_none() {
                let reply = stage.send(&kind.token, &stage.play(&route)).await;
                let status = reply.status.as_u16();
                // No token of the organisation is left after that.
                let is_over = route.id == "posthorn.authentication.expire-organisation";
                let is_let_in = status != 401 && status != 403 && status < 500;
                assert!(is_let_in, "{}: {}: {reply:?}", kind.name, route.id);
                if is_over {
                    break;
                }
            }
        }
    }
}

#[test]
fn who_may_call_an_operation_and_what_it_asks_for_agree() {
    let described = descriptions();
    for route in routes() {
        let caller = described.iter().find(|one| one.id == route.id).unwrap().caller;
        let names_app = route.path.contains("{app_id}");
        let expected = match route.right {
            None => Caller::Anyone,
            Some(Right::Token) => Caller::Member,
            Some(Right::Operate) => Caller::Operator,
            Some(right) if right == Right::Publish || right.is_of_organisation() => {
                Caller::Organisation
            }
            Some(_) if names_app => Caller::Application,
            Some(_) => Caller::Member,
        };
        assert_eq!(caller, expected, "{}", route.id);
    }
}

#[tokio::test]
async fn the_integration_key_of_an_application_publishes_to_it_and_does_nothing_else() {
    let stage = Stage::new().await;
    let app = &stage.names["app_id"];
    let path = format!("/api/v1/app/{app}/integration-key");
    let key = text(&stage.world.call("GET", &path, Value::Null).await.body["key"]);
    let before = stage.world.stored.lock().unwrap().clone();
    for route in ordered() {
        let play = stage.play(&route);
        let publishes_to_it = route.right == Some(Right::Publish) && route.path.contains("/msg");
        for named in [app, &stage.other_app] {
            let path = play.path.replace(app.as_str(), named);
            let is_own = publishes_to_it && named == app;
            if publishes_to_it || named == app {
                let reply = signed(&stage, &key, &play.method, &path, &play.body).await;
                let expected = if is_own { 202 } else { 401 };
                assert_eq!(reply, expected, "{} {path}", route.id);
            }
            // Nor is it a token.
            let reply = stage.world.call_as(&key, &play.method, &path, play.body.clone()).await;
            assert_eq!(reply.status, 401, "{}: {reply:?}", route.id);
        }
    }
    let after = stage.world.stored.lock().unwrap().clone();
    assert_eq!(after.len(), before.len() + 2, "a message alone and one of a batch");
}

/// The status of a request that is signed with this key.
async fn signed(stage: &Stage, key: &str, method: &str, path: &str, body: &Value) -> u16 {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let secret = SigningSecret::parse(key).unwrap();
    let at = stage.world.ambient.now().as_secs();
    let signature = signature::sign(&[secret], "msg-1", at, body.as_bytes());
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("webhook-id", "msg-1")
        .header("webhook-timestamp", at.to_string())
        .header("webhook-signature", signature)
        .body(body.into())
        .unwrap();
    stage.world.send(request).await.status.as_u16()
}

//! What this function's operations do, take and answer: the text of the API's description. Only
//! compiled where that is made, for the tests (the feature `description`).
//!
//! To add an operation:
//!
//! 1. give it a line in `routes.rs`, with the right that it asks for, and a handler;
//! 2. derive `JsonSchema` for its body and its answer (`pub(crate)`; what serde cannot know, such
//!    as a format, a range or what an id looks like, goes into `#[schemars(...)]`);
//! 3. describe it in the file of its noun below: `describe(id, summary)`, then who may call it if
//!    not everybody, `query`, `takes`, `answers` and the failures of its own;
//! 4. give it a line in `tests/support/stage.rs` if it needs a body or a name of a new kind;
//! 5. run `UPDATE_GOLDEN=1 cargo test golden`, and read what changed in `openapi.json` and
//!    `examples.json` beside this file. After a conflict in these two, run it again.

use crate::JsonSchema;
use description::{Caller, Description, JsonObject, Route, describe};

use crate::one_time::{OneTimeTokenIn, OneTimeTokenOut};
use crate::routes::OPEN;

mod application;
mod attempt;
mod auth;
mod delivery;
mod endpoint;
mod event_type;
mod integration;
mod message;
mod operational;
mod operator;
mod profile;
mod source;
mod stats;
mod task;

/// Every operation that this function answers.
pub fn routes() -> Vec<Route> {
    let route = |(id, method, path): (&str, &str, &str), right| Route {
        id: id.to_owned(),
        method: method.to_owned(),
        path: path.to_owned(),
        right,
    };
    let table = crate::OPERATIONS.iter().map(|operation| {
        let path = operation.path();
        route((operation.id, operation.method, &path), Some(operation.right))
    });
    table.chain(OPEN.map(|open| route(open, None))).collect()
}

/// What each of them does.
pub fn descriptions() -> Vec<Description> {
    [
        application::descriptions(),
        attempt::descriptions(),
        auth::descriptions(),
        delivery::descriptions(),
        endpoint::descriptions(),
        event_type::descriptions(),
        integration::descriptions(),
        message::descriptions(),
        open(),
        operational::descriptions(),
        operator::descriptions(),
        source::descriptions(),
        stats::descriptions(),
        task::descriptions(),
        profile::descriptions(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn open() -> Vec<Description> {
    let open = |id, summary| describe(id, summary).caller(Caller::Anyone);
    vec![
        open("v1.health.get", "See whether the API answers").answers_empty(204, "It does"),
        open("posthorn.health.ping", "See whether the API answers").answers_empty(204, "It does"),
        open("posthorn.openapi.get", "Get this document").answers_as(
            200,
            "application/json",
            "The document",
        ),
        open("v1.authentication.exchange-one-time-token", "Exchange the code of a link for its token")
            .detail("Once: the code opens nothing after that.")
            .takes::<OneTimeTokenIn>()
            .answers::<OneTimeTokenOut>(200, "The token")
            .fails(401, "It was exchanged before, or nobody made it, or it is too old"),
        open("posthorn.jwks.get", "Get the keys that check security event tokens")
            .detail("Those of the deployment's own organisation. To be kept for five minutes.")
            .answers::<JwkSet>(200, "The key set (RFC 7517)"),
        open("posthorn.jwks.get-of", "Get the keys of an organisation")
            .answers::<JwkSet>(200, "The key set, empty if it has none")
            .fails(404, "That is no organisation's id"),
        open("posthorn.welcome.get", "See where to go from here").answers_as(
            200,
            "text/html",
            "The page",
        ),
        open("posthorn.docs.get", "Read this document").answers_as(200, "text/html", "The page"),
        open("posthorn.portal.get", "Open the portal of an application")
            .detail("Shows what the token opens that is in its fragment, as `app-portal-access` links to it.")
            .answers_as(200, "text/html", "The page"),
        open("posthorn.console.get", "Open the operator's console")
            .detail("Shows what the organisation's token opens that is in its fragment, as `posthorn console` links to it.")
            .answers_as(200, "text/html", "The page"),
    ]
}

/// What [`Admin::jwks`](crate::Admin) answers, which a library writes.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its shape matters")]
struct JwkSet {
    /// Public keys.
    keys: Vec<JsonObject>,
}

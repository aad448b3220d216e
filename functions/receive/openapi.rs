//! What publishing does, takes and answers: this function's part of the API's description. Only
//! compiled where that is made.

use description::{Caller, Description, Route, WITH_CONTENT, describe};
use shared::api::message::{MessageOut, MessageShape};
use shared::domain::right::Right;

use crate::batch::{BatchOut, BatchShape};

/// The operations that this function answers.
pub fn routes() -> Vec<Route> {
    let publish = |id: &str, path: &str| Route {
        id: id.to_owned(),
        method: "POST".to_owned(),
        path: path.to_owned(),
        right: Some(Right::Publish),
    };
    vec![
        publish("v1.message.create", "/api/v1/app/{app_id}/msg"),
        publish("posthorn.message.create-batch", "/api/v1/app/{app_id}/msg/batch"),
    ]
}

/// What they do.
pub fn descriptions() -> Vec<Description> {
    vec![
        describe("v1.message.create", "Publish an event")
            .caller(Caller::Organisation)
            .detail(
                "Delivered to every endpoint of the application that wants it, at least once. \
                 Instead of a token a request may carry the headers of Standard Webhooks, signed \
                 with the application's integration key.",
            )
            .query([WITH_CONTENT])
            .takes::<MessageShape>()
            .answers::<MessageOut>(202, "It is stored and will be delivered")
            .fails(409, "An event with this `eventId` was published before"),
        describe("posthorn.message.create-batch", "Publish up to 100 events")
            .caller(Caller::Organisation)
            .detail(
                "Each is answered for itself, in order, as a call of its own would be, but no \
                 `application` is made: look at `failed`. What was taken is taken, whatever became of the others. An \
                 `idempotency-key` is for the whole call: repeated with the same messages it \
                 publishes each of them once. At most 1 MiB.",
            )
            .query([WITH_CONTENT])
            .takes::<BatchShape>()
            .answers::<BatchOut>(202, "What became of each")
            .fails(503, "None of them could be taken: ask again"),
    ]
}

//! What publishing does, takes and answers: this function's part of the API's description. Only
//! compiled where that is made.

use description::{Caller, Description, Route, WITH_CONTENT, describe};
use shared::api::message::{MessageOut, MessageShape};
use shared::domain::right::Right;

/// The one operation that this function answers.
pub fn routes() -> Vec<Route> {
    vec![Route {
        id: "v1.message.create".to_owned(),
        method: "POST".to_owned(),
        path: "/api/v1/app/{app_id}/msg".to_owned(),
        right: Some(Right::Publish),
    }]
}

/// What it does.
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
    ]
}

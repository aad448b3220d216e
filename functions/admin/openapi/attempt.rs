//! Attempts.

use description::{
    Caller, Description, EmptyObject, Parameter, WINDOW, WITH_CONTENT, boolean, describe, moment,
    name, page,
};
use shared::domain::id::{AttemptId, EndpointId};

use crate::attempt::{AttemptOut, DestinationOut};
use crate::attempted::{AttemptedOut, EndpointStats};
use crate::counts::{AttemptStats, RateStatus};
use crate::page::Page;
use crate::sent::SentHeadersOut;
use crate::tally::CountOut;

/// What both lists of attempts take.
const FILTER: [Parameter; 4] = [
    Parameter::STATUS,
    Parameter::STATUS_CODE_CLASS,
    WITH_CONTENT,
    boolean("with_msg", "Whether each comes with its message, without the payload: a read each."),
];

pub(super) fn descriptions() -> Vec<Description> {
    vec![
        describe("v1.message-attempt.list-by-msg", "List the attempts of a message")
            .detail("Newest first, to every endpoint that is there still.")
            .query(page(AttemptId::PREFIX))
            .query(WINDOW)
            .query(FILTER)
            .query([name("endpoint_id", 256, "Only attempts to this endpoint.")])
            .answers::<Page<AttemptOut>>(200, "A page"),
        describe("v1.message-attempt.list-by-msg-deprecated", "List the attempts of a message")
            .detail("Deprecated: an older path of the list of attempts by message.")
            .query(page(AttemptId::PREFIX))
            .query(WINDOW)
            .query(FILTER)
            .query([name("endpoint_id", 256, "Only attempts to this endpoint.")])
            .answers::<Page<AttemptOut>>(200, "A page"),
        describe(
            "v1.message-attempt.list-by-endpoint-deprecated",
            "List the attempts of a message to reach an endpoint",
        )
        .detail("Deprecated: the list of attempts by message takes `endpoint_id`.")
        .query(page(AttemptId::PREFIX))
        .query(WINDOW)
        .query(FILTER)
        .answers::<Page<AttemptOut>>(200, "A page"),
        describe("v1.message-attempt.list-by-endpoint", "List the attempts to reach an endpoint")
            .detail("Newest first. A page may be short before the list is `done`: go on from it.")
            .query(page(AttemptId::PREFIX))
            .query(WINDOW)
            .query(FILTER)
            .answers::<Page<AttemptOut>>(200, "A page"),
        describe(
            "v1.message-attempt.list-attempted-messages",
            "List the messages that were sent to an endpoint",
        )
        .detail("Newest first. A page may be short before the list is `done`: go on from it.")
        .query(page(AttemptId::PREFIX))
        .query(WINDOW)
        .query([Parameter::STATUS, WITH_CONTENT])
        .answers::<Page<AttemptedOut>>(200, "A page"),
        describe("v1.endpoint.get-stats", "Count what an endpoint was sent")
            .detail(
                "Attempts by how they ended, and deliveries that have none by how far they are; of \
                 the last 28 days if it is not said. The latest 40,000 count.",
            )
            .query([
                moment("since", "From this moment on, at most 28 days before `until`."),
                moment("until", "Until this moment; now if it is not said."),
            ])
            .answers::<EndpointStats>(200, "The numbers"),
        describe("v1.endpoint.get-attempt-stats", "Count the attempts to reach an endpoint")
            .detail(
                "In whole hours, of the last 28 days if it is not said. The latest 40,000 count.",
            )
            .query([
                moment("since", "From the hour of this moment on, at most 28 days before `until`."),
                moment("until", "Until the end of the hour of this moment; now if not said."),
            ])
            .answers::<AttemptStats>(200, "The numbers"),
        describe("posthorn.endpoint.rate-limit-status", "See how near an endpoint is to its rate")
            .detail("Counted of the attempts on record; at most 10,000 count.")
            .answers::<RateStatus>(200, "The rate, and what was sent"),
        describe("v1.message-attempt.count-by-endpoint", "Count the attempts to reach an endpoint")
            .detail(
                "The list of attempts by endpoint as a number; the latest 40,000 are looked at.",
            )
            .query(WINDOW)
            .query([Parameter::STATUS, Parameter::STATUS_CODE_CLASS])
            .answers::<CountOut>(200, "The number"),
        describe("v1.message-attempt.get-headers", "See what headers an attempt was made with")
            .detail(
                "Worked out anew: the endpoint's own headers are those that it has today, and the \
                 signature is not shown.",
            )
            .answers::<SentHeadersOut>(200, "The headers"),
        describe("v1.message-attempt.get", "Get an attempt")
            .answers::<AttemptOut>(200, "The attempt"),
        describe(
            "v1.message-attempt.list-attempted-destinations",
            "List the endpoints that a message was sent to",
        )
        .query(page(EndpointId::PREFIX))
        .answers::<Page<DestinationOut>>(200, "A page"),
        describe("v1.message-attempt.resend", "Send a message to an endpoint once more")
            .detail("Whatever came of the earlier attempts. Filters do not count.")
            .answers::<EmptyObject>(202, "It will be sent")
            .fails(400, "The endpoint is disabled, or the payload is gone"),
        describe("v1.message-attempt.expunge-content", "Expunge an endpoint's answer")
            .caller(Caller::Organisation)
            .answers_empty(204, "It is gone"),
    ]
}

//! Background tasks, and what begins them.

use description::{Caller, Description, boolean, choice, describe, page};
use shared::domain::id::TaskId;

use crate::cancel::{CancelIn, CanceledOut};
use crate::page::Page;
use crate::task::{BegunOut, BulkReplayIn, KINDS, SpanIn, TaskOut};

const BEGUN: &str = "The task, begun and perhaps over already";
const DISABLED: &str = "The endpoint is disabled";

pub(super) fn descriptions() -> Vec<Description> {
    vec![
        describe("v1.background-task.list", "List background tasks")
            .caller(Caller::Organisation)
            .detail(
                "Those of the last 90 days, newest first. `with_names` they are at most 50 a page, \
                 and each application or endpoint that they are about is read: one read unit for \
                 4 KB.",
            )
            .query(page(TaskId::PREFIX))
            .query([
                choice("status", &["running", "finished", "failed"], "Only tasks in this state."),
                choice("task", &KINDS, "Only tasks of this kind."),
                boolean(
                    "with_names",
                    "Whether it is said what applications and endpoints are called.",
                ),
            ])
            .answers::<Page<TaskOut>>(200, "A page"),
        describe("v1.background-task.get", "Get a background task")
            .caller(Caller::Organisation)
            .answers::<TaskOut>(200, "The task")
            .fails(413, "Event types that it describes are too large for one answer"),
        describe("v1.endpoint.recover", "Recover failed deliveries")
            .detail(
                "Every message published in that time, at most 14 days ago, whose delivery to \
                 this endpoint was given up is attempted again, in the background.",
            )
            .takes::<SpanIn>()
            .answers::<BegunOut>(202, BEGUN)
            .fails(400, DISABLED),
        describe("v1.endpoint.replay-missing", "Replay missing messages")
            .detail(
                "Sends, in the background, every message published in that time, at most 14 days \
                 ago, that the endpoint subscribes to now and that was never attempted.",
            )
            .takes::<SpanIn>()
            .answers::<BegunOut>(202, BEGUN)
            .fails(400, DISABLED),
        describe("posthorn.application.task", "Get a background task of an application")
            .detail("One that `recover`, `replay-missing` or `bulk-replay` began for it.")
            .answers::<TaskOut>(200, "The task"),
        describe("v1.endpoint.bulk-replay", "Replay messages")
            .detail(
                "Every message published in that time, at most 14 days ago, that fits, whatever \
                 came of it, in the background.",
            )
            .takes::<BulkReplayIn>()
            .answers::<BegunOut>(202, BEGUN)
            .fails(400, DISABLED),
        describe("posthorn.message.cancel", "Cancel a message")
            .caller(Caller::Organisation)
            .detail(
                "One that waits for its `deliverAt` is not sent; of any other the pending \
                 deliveries are canceled.",
            )
            .answers::<CanceledOut>(200, "How much was canceled"),
        describe("v1.endpoint.cancel-msgs", "Cancel pending deliveries")
            .caller(Caller::Organisation)
            .detail(
                "Of the messages in `msgIds`, or of all that were published since `since`, whether \
                 they were attempted or not; with `since` one call looks at one page: repeat it \
                 with the `iterator` until `done`. A delivery that is being sent is left alone.",
            )
            .takes::<CancelIn>()
            .answers::<CanceledOut>(200, "How many were canceled"),
    ]
}

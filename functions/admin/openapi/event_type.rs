//! Event types.

use description::{Caller, Description, JsonObject, PAGE, boolean, describe};

use crate::environment::{EnvironmentIn, EnvironmentOut};
use crate::event_type::{EventTypeIn, EventTypeOut, EventTypePatch, EventTypeUpdate};
use crate::import::{ImportIn, ImportOut};
use crate::page::Page;
use crate::retry_schedule::{RetryScheduleIn, RetryScheduleOut};
use crate::task::BegunOut;

pub(super) fn descriptions() -> Vec<Description> {
    let change = |id, summary| describe(id, summary).caller(Caller::Organisation);
    let archived = boolean("include_archived", "Whether archived ones are shown as well.");
    let content =
        boolean("with_content", "Whether schemas are shown; they are not unless it is true.");
    vec![
        describe("v1.event-type.list", "List event types")
            .caller(Caller::Member)
            .detail(
                "By name. A token with feature flags sees those of its flags and those without.",
            )
            .query(PAGE)
            .query([archived, content])
            .answers::<Page<EventTypeOut>>(200, "A page"),
        change("v1.event-type.import-openapi", "Import event types from an OpenAPI description")
            .detail(
                "Each of its `webhooks` or `x-webhooks` becomes an event type, with the body of \
                 its request as its schema. `replaceAll` archives those that it does not have.",
            )
            .takes::<ImportIn>()
            .answers::<ImportOut>(200, "What was changed, or would be"),
        change(
            "posthorn.event-type.export-openapi",
            "Export event types as an OpenAPI description",
        )
        .answers::<JsonObject>(200, "The description")
        .fails(413, "It is too large for one answer: event types are read page by page"),
        change("v1.event-type.export-openapi", "Export event types as an OpenAPI description")
            .detail(
                "The description is the `data` of the task: the event types as they are when it \
                 is looked at.",
            )
            .answers::<BegunOut>(202, "The task, which is over already"),
        change("v1.environment.export", "Export what is set up for all applications")
            .detail(
                "Event types, archived ones too, and how the portal looks. At once; one read for \
                 about 1 MB of event types.",
            )
            .answers::<EnvironmentOut>(200, "The environment")
            .fails(413, "It is too large for one answer: event types are read page by page"),
        change("v1.environment.import", "Import what was exported elsewhere")
            .detail(
                "Adds and changes, and takes nothing away: at most 500 event types a request, of \
                 which all are checked before any is stored. Two reads and a write for each that \
                 is new or changed. Settings that are not known here are left alone.",
            )
            .takes::<EnvironmentIn>()
            .answers_empty(204, "It is done"),
        change("v1.event-type.create", "Create an event type")
            .detail(
                "One that was archived comes back with what is said here; its `retrySchedule` and \
                 `timeoutSeconds` stay unless they are said.",
            )
            .takes::<EventTypeIn>()
            .answers::<EventTypeOut>(201, "The new event type")
            .fails(409, "There is one of this name"),
        describe("v1.event-type.get", "Get an event type")
            .caller(Caller::Member)
            .answers::<EventTypeOut>(200, "The event type"),
        change("v1.event-type.update", "Change an event type, or create it")
            .detail(
                "A field left out is cleared, but not `retrySchedule` and `timeoutSeconds`: \
                 `null` clears those.",
            )
            .takes::<EventTypeUpdate>()
            .answers::<EventTypeOut>(200, "The changed event type")
            .answers::<EventTypeOut>(201, "The new event type"),
        change("v1.event-type.patch", "Change some of an event type")
            .detail("A field left out stays as it is; `null` clears one that may be empty.")
            .takes::<EventTypePatch>()
            .answers::<EventTypeOut>(200, "The changed event type"),
        change("v1.event-type.delete", "Archive an event type, or delete it")
            .detail("Messages of an archived type still go out.")
            .query([boolean("expunge", "Delete it instead.")])
            .answers_empty(204, "It is archived or gone"),
        change("v1.event-type.get-retry-schedule", "Get an event type's retry schedule")
            .answers::<RetryScheduleOut>(200, "The delays; `null` if it has none of its own"),
        change("v1.event-type.update-retry-schedule", "Set an event type's retry schedule")
            .detail(
                "It holds for endpoints that have none of their own, from the next attempt on. \
                 Processes may remember for half a minute that there was another one.",
            )
            .takes::<RetryScheduleIn>()
            .answers::<RetryScheduleOut>(200, "The delays"),
    ]
}

//! Statistics, and small questions.

use description::{Caller, Description, describe};

use crate::auth::{ExpireIn, WhoOut};
use crate::message::{PrecheckIn, PrecheckOut};
use crate::stats::{AppUsageStatsIn, AppUsageStatsOut};
use crate::task::BegunOut;

pub(super) fn descriptions() -> Vec<Description> {
    vec![
        describe("v1.statistics.aggregate-app-stats", "Count what applications were sent")
            .caller(Caller::Organisation)
            .detail(
                "In the background: the task's `data.appStats` has the number of messages that \
                 each application's endpoints were sent in that time, for at most 2,500 \
                 applications. Endpoints that were deleted do not count.",
            )
            .takes::<AppUsageStatsIn>()
            .answers::<AppUsageStatsOut>(202, "The task"),
        describe("v1.statistics.aggregate-event-types", "Collect the event types in use")
            .caller(Caller::Organisation)
            .detail(
                "In the background: the task's `data.event_types` has what the endpoints of each \
                 application chose, for at most 2,500 applications.",
            )
            .answers::<BegunOut>(202, "The task"),
        describe("v1.authentication.whoami", "See whose token this is")
            .caller(Caller::Member)
            .answers::<WhoOut>(200, "What the token opens"),
        describe("v1.authentication.expire-all", "Take an application's tokens back")
            .caller(Caller::Organisation)
            .detail(
                "All that were made before this moment, or those of the sessions that are named, \
                 at once or after `expiry` seconds. \
                 Processes may remember for half a minute that one was good.",
            )
            .may_take::<ExpireIn>()
            .answers_empty(204, "They are taken back"),
        describe("v1.message.precheck", "See whether a message would go anywhere")
            .takes::<PrecheckIn>()
            .answers::<PrecheckOut>(200, "Whether any endpoint wants it"),
    ]
}

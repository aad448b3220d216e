//! Statistics, and small questions.

use description::{Caller, Description, describe, moment};

use crate::auth::{ExpireIn, WhoOut};
use crate::message::{PrecheckIn, PrecheckOut};
use crate::stats::{AppUsageStatsIn, AppUsageStatsOut};
use crate::tally::{ApplicationStats, EndpointCountOut, SeriesOut};
use crate::task::BegunOut;

pub(super) fn descriptions() -> Vec<Description> {
    let series = [
        moment("startDate", "From this moment on; a day before `endDate` if it is not said."),
        moment("endDate", "Until this moment; now if it is not said."),
    ];
    vec![
        describe("v1.application.get-stats", "Count what an application was sent")
            .detail(
                "In the last 28 days, or less. At most 40,000 lines of its endpoints' trails are \
                 read; endpoints that were deleted do not count.",
            )
            .query([
                moment("since", "From this moment on, at most 28 days before `until`."),
                moment("until", "Until this moment; now if it is not said."),
            ])
            .answers::<ApplicationStats>(200, "The numbers"),
        describe("posthorn.endpoint.count", "Count an application's endpoints")
            .answers::<EndpointCountOut>(200, "The number"),
        describe("v1.stats.app-attempts", "Chart the attempts to reach an application")
            .detail(
                "In buckets of five minutes for up to a day, of a day for up to 28. Its endpoints \
                 share a budget of 40,000 attempts.",
            )
            .query(series)
            .answers::<SeriesOut>(200, "Numbers bucket by bucket"),
        describe("v1.stats.endpoint-attempts", "Chart the attempts to reach an endpoint")
            .detail(
                "In buckets of five minutes for up to a day, of a day for up to 28; the latest \
                 40,000 count.",
            )
            .query(series)
            .answers::<SeriesOut>(200, "Numbers bucket by bucket"),
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
        describe("v1.authentication.expire-all", "Revoke an application's tokens")
            .caller(Caller::Organisation)
            .detail(
                "All that were made before this moment, or those of the sessions that are named, \
                 at once or after `expiry` seconds. \
                 Processes may remember for half a minute that one was good.",
            )
            .may_take::<ExpireIn>()
            .answers_empty(204, "They are revoked"),
        describe("v1.message.precheck", "See whether a message would go anywhere")
            .takes::<PrecheckIn>()
            .answers::<PrecheckOut>(200, "Whether any endpoint wants it"),
    ]
}

//! Profiles.

use description::{Caller, Description, describe};
use shared::api::message::MessageOut;

use crate::check::{CheckIn, CheckOut};
use crate::example::ExampleIn;
use crate::profile::{GrantIn, GrantOut, LoadOut, ProfileIn, ProfileList, ProfileOut};

pub(super) fn descriptions() -> Vec<Description> {
    let describe = |id, summary| describe(id, summary).caller(Caller::Organisation);
    vec![
        describe("posthorn.profile.list", "List profiles")
            .detail("Those that come with Posthorn and up to 250 that were stored, by name.")
            .answers::<ProfileList>(200, "Their rules, without their events"),
        describe("posthorn.profile.get", "Get a profile")
            .answers::<ProfileOut>(200, "Its rules and its events"),
        describe("posthorn.application.profile", "Get the profile of an application")
            .caller(Caller::Application)
            .detail("What holds where an endpoint does not name another.")
            .answers::<ProfileOut>(200, "Its rules and its events"),
        describe("posthorn.profile.put", "Store a profile")
            .detail("In place of one of the same name. It is followed within a minute.")
            .takes::<ProfileIn>()
            .answers::<ProfileOut>(200, "What was stored"),
        describe("posthorn.profile.load", "Load a profile's event types")
            .detail(
                "Each with its schema and example, in the group of the profile's name. One \
                     that is there already is changed.",
            )
            .answers::<LoadOut>(200, "The names of the event types"),
        describe("v1.endpoint.send-example", "Send an event type's example to an endpoint")
            .caller(Caller::Application)
            .detail(
                "The first of the `examples` in the latest schema, whatever the endpoint \
                     chose. An endpoint that takes it is verified.",
            )
            .takes::<ExampleIn>()
            .answers::<MessageOut>(200, "The message")
            .fails(400, "The endpoint is disabled"),
        describe("posthorn.endpoint.check", "Check whether an endpoint is a good receiver")
            .caller(Caller::Application)
            .detail(
                "Sends a test event, the same again, one with a wrong signature and one that \
                     is an hour old, and reports what the endpoint did. One that takes the first \
                     is verified.",
            )
            .may_take::<CheckIn>()
            .answers::<CheckOut>(200, "What the endpoint did")
            .fails(400, "The endpoint gets tokens, which the check does not send"),
        describe("posthorn.event-type-grant.set", "Grant opt-in event types to an application")
            .detail("In place of those it had. Only event types that its profile sends on request.")
            .takes::<GrantIn>()
            .answers::<GrantOut>(200, "What it has now"),
    ]
}

//! Profiles.

use shared::openapi::{Caller, Description, describe};

use crate::profile::{GrantIn, GrantOut, ProfileIn, ProfileList, ProfileOut};

pub(super) fn descriptions() -> Vec<Description> {
    let describe = |id, summary| describe(id, summary).caller(Caller::Organisation);
    vec![
        describe("posthorn.profile.list", "List profiles")
            .detail("Those that come with Posthorn and up to 250 that were stored, by name.")
            .answers::<ProfileList>(200, "Their rules, without their events"),
        describe("posthorn.profile.get", "Get a profile")
            .answers::<ProfileOut>(200, "Its rules and its events"),
        describe("posthorn.profile.put", "Store a profile")
            .detail("In place of one of the same name. It is followed within a minute.")
            .takes::<ProfileIn>()
            .answers::<ProfileOut>(200, "What was stored"),
        describe("posthorn.event-type-grant.set", "Grant opt-in event types to an application")
            .detail("In place of those it had. Only event types that its profile sends on request.")
            .takes::<GrantIn>()
            .answers::<GrantOut>(200, "What it has now"),
    ]
}

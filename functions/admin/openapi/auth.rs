//! Tokens.

use description::{Caller, Description, describe};

use crate::auth::{AppPortalAccessIn, AppPortalAccessOut};

pub(super) fn descriptions() -> Vec<Description> {
    vec![
        describe("v1.authentication.app-portal-access", "Let a visitor into an application")
            .caller(Caller::Organisation)
            .detail("The token opens this application only.")
            .may_take::<AppPortalAccessIn>()
            .answers::<AppPortalAccessOut>(200, "A token, and where to go with it"),
        describe("v1.authentication.dashboard-access", "Let a visitor into an application")
            .caller(Caller::Organisation)
            .detail("Superseded by `app-portal-access`.")
            .answers::<AppPortalAccessOut>(200, "A token, and where to go with it"),
        describe("v1.authentication.logout", "Take back the token that this comes with")
            .caller(Caller::Member)
            .detail("Others may remember it for half a minute.")
            .answers_empty(204, "It opens nothing any more"),
    ]
}

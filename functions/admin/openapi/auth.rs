//! Tokens.

use description::{Caller, Description, describe, page};
use shared::domain::id::ApiTokenId;

use crate::api_token::{ApiTokenIn, ApiTokenOut, NewApiTokenOut};
use crate::auth::{AppPortalAccessIn, AppPortalAccessOut, ExpireOrganisationIn};
use crate::page::Page;

pub(super) fn descriptions() -> Vec<Description> {
    vec![
        describe("v1.authentication.app-portal-access", "Let a visitor into an application")
            .caller(Caller::Organisation)
            .detail(
                "The token opens this application only, for what `capabilities` say: each \
                 operation has the one that it asks for in `x-capability`.",
            )
            .may_take::<AppPortalAccessIn>()
            .answers::<AppPortalAccessOut>(200, "A token, and where to go with it"),
        describe("v1.authentication.dashboard-access", "Let a visitor into an application")
            .caller(Caller::Organisation)
            .detail("Superseded by `app-portal-access`.")
            .answers::<AppPortalAccessOut>(200, "A token, and where to go with it"),
        describe("v1.authentication.logout", "Revoke the token that this comes with")
            .caller(Caller::Member)
            .detail("Others may remember it for half a minute.")
            .answers_empty(204, "It opens nothing any more"),
        describe("posthorn.api-token.list", "List API tokens")
            .caller(Caller::Organisation)
            .query(page(ApiTokenId::PREFIX))
            .answers::<Page<ApiTokenOut>>(200, "A page, without the tokens themselves"),
        describe("posthorn.api-token.create", "Make an API token")
            .caller(Caller::Organisation)
            .detail("The token is in this answer and nowhere else.")
            .takes::<ApiTokenIn>()
            .answers::<NewApiTokenOut>(201, "The new token")
            .fails(400, "There are too many"),
        describe("posthorn.api-token.delete", "Revoke an API token")
            .caller(Caller::Organisation)
            .detail("Processes may remember for half a minute that it was good.")
            .answers_empty(204, "It opens nothing any more"),
        describe("posthorn.authentication.expire-organisation", "Revoke all tokens")
            .caller(Caller::Organisation)
            .detail(
                "All of the organisation and of its applications that were made before this \
                 moment, the caller's own as well, at once or after `expiry` seconds. The next \
                 one is made by `posthorn token`. Processes may remember for half a minute that \
                 one was good.",
            )
            .may_take::<ExpireOrganisationIn>()
            .answers_empty(204, "They are revoked"),
    ]
}

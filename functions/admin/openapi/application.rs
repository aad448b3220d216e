//! Applications and their integration keys.

use description::{Caller, Description, boolean, describe, page};
use shared::api::application::ApplicationIn;
use shared::domain::id::ApplicationId;

use crate::application::{ApplicationOut, ApplicationPatch};
use crate::page::Page;
use crate::secret::{KeyRotateIn, SecretOut};

const UID_TAKEN: &str = "The uid is taken, or, on AWS, was less than a minute ago";

pub(super) fn descriptions() -> Vec<Description> {
    let describe = |id, summary| describe(id, summary).caller(Caller::Organisation);
    vec![
        describe("v1.application.list", "List applications")
            .detail("Oldest first, unless `order` says otherwise.")
            .query(page(ApplicationId::PREFIX))
            .answers::<Page<ApplicationOut>>(200, "A page"),
        describe("v1.application.create", "Create an application")
            .query([boolean("get_if_exists", "Answer with the one that has the uid already.")])
            .takes::<ApplicationIn>()
            .answers::<ApplicationOut>(201, "The new application")
            .answers::<ApplicationOut>(200, "The one that has the uid, with `get_if_exists`")
            .fails(409, UID_TAKEN),
        describe("v1.application.get", "Get an application")
            .caller(Caller::Application)
            .answers::<ApplicationOut>(200, "The application"),
        describe("v1.application.update", "Change an application, or create it")
            .detail(
                "Creates one if the path has the uid of none. A field left out is cleared, but not \
                 the uid that the path has, nor `profile` and `sandbox`, which Svix's libraries do \
                 not know of.",
            )
            .takes::<ApplicationIn>()
            .answers::<ApplicationOut>(200, "The changed application")
            .answers::<ApplicationOut>(201, "The new application")
            .fails(409, UID_TAKEN),
        describe("v1.application.patch", "Change some of an application")
            .detail("A field left out stays as it is; `null` clears one that may be empty.")
            .takes::<ApplicationPatch>()
            .answers::<ApplicationOut>(200, "The changed application")
            .fails(409, UID_TAKEN),
        describe("v1.application.delete", "Delete an application")
            .detail("Its endpoints go with it. Its messages stay until they expire, unseen.")
            .answers_empty(204, "It is gone"),
        describe("posthorn.integration-key.get", "Get an application's integration key")
            .detail("With it a publisher signs requests instead of carrying a token.")
            .answers::<SecretOut>(200, "The key"),
        describe("posthorn.integration-key.rotate", "Replace an application's integration key")
            .detail(
                "The old one holds for `gracePeriodSeconds`, a day if it is not said. The new one may \
                 be unknown for half a minute.",
            )
            .may_take::<KeyRotateIn>()
            .answers_empty(204, "There is a new key")
            .fails(400, "Too many old keys still hold"),
    ]
}

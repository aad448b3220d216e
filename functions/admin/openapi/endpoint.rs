//! Endpoints and their secrets.

use description::{Description, describe, page};
use shared::domain::id::EndpointId;

use crate::endpoint::{EndpointIn, EndpointOut, EndpointPatch};
use crate::headers::{HeadersIn, HeadersOut, HeadersPatch};
use crate::page::Page;
use crate::secret::{RotateIn, SecretOut};

const UID_TAKEN: &str = "The uid is taken in this application";
const TOO_MANY: &str = "The application has as many endpoints as it may have";

pub(super) fn descriptions() -> Vec<Description> {
    vec![
        describe("v1.endpoint.list", "List an application's endpoints")
            .detail("Newest first, unless `order` says otherwise.")
            .query(page(EndpointId::PREFIX))
            .answers::<Page<EndpointOut>>(200, "A page"),
        describe("v1.endpoint.create", "Create an endpoint")
            .detail("Without `eventTypes` it gets every event, without `channels` from every one.")
            .takes::<EndpointIn>()
            .answers::<EndpointOut>(201, "The new endpoint")
            .fails(400, TOO_MANY)
            .fails(409, UID_TAKEN),
        describe("v1.endpoint.get", "Get an endpoint").answers::<EndpointOut>(200, "The endpoint"),
        describe("v1.endpoint.update", "Change an endpoint, or create it")
            .detail(
                "Creates one if the path has the uid of none. A field left out is cleared, but not \
                 the uid that the path has, nor what Svix's libraries do not know of: `version`, \
                 `profile`, `apiVersion`, `format`, `jwtAlgorithm`, `retrySchedule` and \
                 `timeoutSeconds` stay until they are said, and so do its `headers`. The secret of an \
                 endpoint that is there is rotated, and not changed here.",
            )
            .takes::<EndpointIn>()
            .answers::<EndpointOut>(200, "The changed endpoint")
            .answers::<EndpointOut>(201, "The new endpoint")
            .fails(400, TOO_MANY)
            .fails(409, UID_TAKEN),
        describe("v1.endpoint.patch", "Change some of an endpoint")
            .detail("A field left out stays as it is; `null` clears one that may be empty.")
            .takes::<EndpointPatch>()
            .answers::<EndpointOut>(200, "The changed endpoint")
            .fails(409, UID_TAKEN),
        describe("v1.endpoint.delete", "Delete an endpoint").answers_empty(204, "It is gone"),
        describe("v1.endpoint.get-secret", "Get an endpoint's signing secret")
            .answers::<SecretOut>(200, "The secret"),
        describe("v1.endpoint.rotate-secret", "Replace an endpoint's signing secret")
            .detail(
                "What is sent is signed with the old one as well for `gracePeriodSeconds`, a day \
                 if it is not said.",
            )
            .may_take::<RotateIn>()
            .answers::<SecretOut>(200, "The new secret")
            .fails(400, "Too many old secrets still hold"),
        describe("v1.endpoint.get-headers", "Get the headers that a customer added")
            .answers::<HeadersOut>(200, "The headers; credentials by name only"),
        describe("v1.endpoint.update-headers", "Replace the headers that a customer added")
            .takes::<HeadersIn>()
            .answers_empty(204, "They are replaced"),
        describe("v1.endpoint.patch-headers", "Add, replace and remove headers")
            .detail("`null` removes one.")
            .takes::<HeadersPatch>()
            .answers_empty(204, "They are changed"),
    ]
}

//! Operational webhooks.

use description::{Caller, Description, describe, page};
use shared::domain::id::EndpointId;

use crate::endpoint::{EndpointIn, EndpointOut};
use crate::headers::{HeadersIn, HeadersOut};
use crate::page::Page;
use crate::secret::{RotateIn, SecretOut};

const UID_TAKEN: &str = "The uid is taken by another operational endpoint";
const TOO_MANY: &str = "There are as many operational endpoints as there may be";

pub(super) fn descriptions() -> Vec<Description> {
    let describe = |id, summary| describe(id, summary).caller(Caller::Organisation);
    vec![
        describe("v1.operational-webhook.endpoint.list", "List the endpoints for notices")
            .detail("Newest first, unless `order` says otherwise.")
            .query(page(EndpointId::PREFIX))
            .answers::<Page<EndpointOut>>(200, "A page"),
        describe("v1.operational-webhook.endpoint.create", "Create an endpoint for notices")
            .detail(
                "It gets notices of what happens to endpoints, messages and tasks: \
                 `endpoint.created`, `.updated`, `.deleted`, `.enabled`, `.disabled`, `.failing`, \
                 `message.attempt.failing`, `.exhausted`, `.recovered`, \
                 `background_task.finished`, `event_type.deprecated` and `profile.deprecated`.",
            )
            .takes::<EndpointIn>()
            .answers::<EndpointOut>(201, "The new endpoint")
            .fails(400, TOO_MANY)
            .fails(409, UID_TAKEN),
        describe("v1.operational-webhook.endpoint.get", "Get an endpoint for notices")
            .answers::<EndpointOut>(200, "The endpoint"),
        describe(
            "v1.operational-webhook.endpoint.update",
            "Change an endpoint for notices, or create it",
        )
        .takes::<EndpointIn>()
        .answers::<EndpointOut>(200, "The changed endpoint")
        .answers::<EndpointOut>(201, "The new endpoint")
        .fails(400, TOO_MANY)
        .fails(409, UID_TAKEN),
        describe("v1.operational-webhook.endpoint.delete", "Delete an endpoint for notices")
            .answers_empty(204, "It is gone"),
        describe("v1.operational-webhook.endpoint.get-secret", "Get the secret that signs notices")
            .answers::<SecretOut>(200, "The secret"),
        describe(
            "v1.operational-webhook.endpoint.rotate-secret",
            "Replace the secret that signs notices",
        )
        .may_take::<RotateIn>()
        .answers_empty(204, "It is replaced")
        .fails(400, "Too many old secrets still hold"),
        describe(
            "v1.operational-webhook.endpoint.get-headers",
            "Get the headers that notices carry",
        )
        .answers::<HeadersOut>(200, "The headers; credentials by name only"),
        describe(
            "v1.operational-webhook.endpoint.update-headers",
            "Replace the headers that notices carry",
        )
        .takes::<HeadersIn>()
        .answers_empty(204, "They are replaced"),
    ]
}

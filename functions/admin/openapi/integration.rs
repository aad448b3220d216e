//! Integrations.

use description::{Caller, Description, describe, page};
use shared::domain::id::IntegrationId;

use crate::integration::{IntegrationIn, IntegrationKeyOut, IntegrationOut};
use crate::page::Page;

pub(super) fn descriptions() -> Vec<Description> {
    let describe = |id, summary| describe(id, summary).caller(Caller::Organisation);
    vec![
        describe("v1.integration.list", "List an application's integrations")
            .detail("Oldest first, unless `order` says otherwise.")
            .query(page(IntegrationId::PREFIX))
            .answers::<Page<IntegrationOut>>(200, "A page, without the keys"),
        describe("v1.integration.create", "Create an integration")
            .detail("Another system that publishes to this application, with a key of its own.")
            .takes::<IntegrationIn>()
            .answers::<IntegrationOut>(201, "The new integration")
            .fails(400, "There are too many"),
        describe("v1.integration.get", "Get an integration")
            .answers::<IntegrationOut>(200, "The integration, without its key"),
        describe("v1.integration.update", "Change an integration")
            .detail("A field left out is cleared. The key stays.")
            .takes::<IntegrationIn>()
            .answers::<IntegrationOut>(200, "The changed integration"),
        describe("v1.integration.delete", "Delete an integration")
            .detail("Processes may remember for half a minute that its key was good.")
            .answers_empty(204, "It is gone, and its key opens nothing"),
        describe("v1.integration.get-key", "Get an integration's key")
            .detail("A bearer token that publishes to this application and does nothing else.")
            .answers::<IntegrationKeyOut>(200, "The key"),
        describe("v1.integration.rotate-key", "Replace an integration's key")
            .detail(
                "The old one opens nothing any more; processes may remember for half a minute \
                 that it was good.",
            )
            .answers::<IntegrationKeyOut>(200, "The new key"),
    ]
}

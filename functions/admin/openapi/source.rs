//! Sources.

use description::{Caller, Description, describe, moment, page};
use shared::domain::id::{EndpointId, MessageId, SourceId};

use crate::auth::{AppPortalAccessIn, AppPortalAccessOut};
use crate::endpoint::{EndpointIn, EndpointOut};
use crate::headers::{HeadersIn, HeadersOut};
use crate::page::Page;
use crate::secret::{RotateIn, SecretOut};
use crate::source::{IngestSourceIn, IngestSourceOut};
use crate::source_change::{IngestSourcePatch, RotateTokenOut};
use crate::source_log::LoggedOut;
use crate::source_state::SourceStateOut;

const UID_TAKEN: &str = "The uid is taken";

pub(super) fn descriptions() -> Vec<Description> {
    let describe = |id, summary| describe(id, summary).caller(Caller::Organisation);
    vec![
        describe("v1.ingest.source.list", "List sources")
            .query(page(SourceId::PREFIX))
            .answers::<Page<IngestSourceOut>>(200, "A page"),
        describe("v1.ingest.source.create", "Create a source")
            .detail("Another system whose webhooks are taken at `ingestUrl`.")
            .takes::<IngestSourceIn>()
            .answers::<IngestSourceOut>(201, "The new source")
            .fails(400, "There are too many")
            .fails(409, UID_TAKEN),
        describe("v1.ingest.source.get", "Get a source")
            .answers::<IngestSourceOut>(200, "The source, without its secret"),
        describe("v1.ingest.source.update", "Change a source, or create it")
            .detail("The secret stays if it is left out. It takes half a minute to be everywhere.")
            .takes::<IngestSourceIn>()
            .answers::<IngestSourceOut>(200, "The changed source")
            .answers::<IngestSourceOut>(201, "The new source")
            .fails(400, "There are too many")
            .fails(409, UID_TAKEN),
        describe("v1.ingest.source.patch", "Change some of a source")
            .detail("A field left out stays as it is. It takes half a minute to be everywhere.")
            .takes::<IngestSourcePatch>()
            .answers::<IngestSourceOut>(200, "The changed source"),
        describe("v1.ingest.source.rotate-token", "Give a source another address")
            .detail(
                "The address before it holds for two days. The new one may be unknown for half a \
                 minute.",
            )
            .answers::<RotateTokenOut>(200, "The new address")
            .fails(400, "Three addresses before it still hold"),
        describe(
            "v1.ingest.authentication.consumer-portal-access",
            "Let a visitor look after a source's endpoints",
        )
        .detail(
            "They are those of the application that the source publishes to, and this is the \
             same as `app-portal-access` for it.",
        )
        .may_take::<AppPortalAccessIn>()
        .answers::<AppPortalAccessOut>(200, "A token, and where to go with it"),
        describe("posthorn.ingest.source.log", "See what came in at a source")
            .detail(
                "Newest first: each webhook that became a message, and what was refused in the \
                 last seven days, a line for each process and minute with how many there were. \
                 Read from the list of the application's messages: a page may be short before \
                 the list is `done`: go on from it.",
            )
            .query(page(MessageId::PREFIX))
            .query([
                moment("after", "Nothing from before this moment."),
                moment("before", "Nothing from this moment on."),
            ])
            .answers::<Page<LoggedOut>>(200, "A page"),
        describe("posthorn.source.state", "See how sources are")
            .detail(
                "A page of the list of sources, at most 50: what each took last, and what it \
                 refused in the last seven days. Read, not counted: of each application that they \
                 publish to the latest 20 messages, and up to 100 if a source is not among them, \
                 1,000 in all; half a read unit for each source's refusals. A page of 50 sources of \
                 one application costs 35 read units, of 50 applications 130. A list that is spread over several places \
                 is read in each.",
            )
            .query(page(SourceId::PREFIX))
            .answers::<Page<SourceStateOut>>(200, "A page"),
        describe("v1.ingest.source.delete", "Delete a source").answers_empty(204, "It is gone"),
    ]
    .into_iter()
    .chain(endpoints())
    .collect()
}

/// A source's endpoints: those of its application.
fn endpoints() -> Vec<Description> {
    let describe = |id, summary| describe(id, summary).caller(Caller::Organisation);
    vec![
        describe("v1.ingest.endpoint.list", "List a source's endpoints")
            .detail("They are those of the application that it publishes to.")
            .query(page(EndpointId::PREFIX))
            .answers::<Page<EndpointOut>>(200, "A page"),
        describe("v1.ingest.endpoint.create", "Create an endpoint of a source")
            .detail("An endpoint of its application: it gets what others publish there as well.")
            .takes::<EndpointIn>()
            .answers::<EndpointOut>(201, "The new endpoint")
            .fails(400, "The application has as many endpoints as it may have")
            .fails(409, UID_TAKEN),
        describe("v1.ingest.endpoint.get", "Get an endpoint of a source")
            .answers::<EndpointOut>(200, "The endpoint"),
        describe("v1.ingest.endpoint.update", "Change an endpoint of a source, or create it")
            .takes::<EndpointIn>()
            .answers::<EndpointOut>(200, "The changed endpoint")
            .answers::<EndpointOut>(201, "The new endpoint")
            .fails(400, "The application has as many endpoints as it may have")
            .fails(409, UID_TAKEN),
        describe("v1.ingest.endpoint.delete", "Delete an endpoint of a source")
            .answers_empty(204, "It is gone"),
        describe("v1.ingest.endpoint.get-secret", "Get the secret of a source's endpoint")
            .answers::<SecretOut>(200, "The secret"),
        describe("v1.ingest.endpoint.rotate-secret", "Replace the secret of a source's endpoint")
            .may_take::<RotateIn>()
            .answers::<SecretOut>(200, "The new secret")
            .fails(400, "Too many old secrets still hold"),
        describe("v1.ingest.endpoint.get-headers", "Get the headers of a source's endpoint")
            .answers::<HeadersOut>(200, "The headers; credentials by name only"),
        describe("v1.ingest.endpoint.update-headers", "Replace the headers of a source's endpoint")
            .takes::<HeadersIn>()
            .answers_empty(204, "They are replaced"),
    ]
}

//! Sources.

use description::{Caller, Description, describe, page};
use shared::domain::id::SourceId;

use crate::page::Page;
use crate::source::{IngestSourceIn, IngestSourceOut};

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
        describe("v1.ingest.source.delete", "Delete a source").answers_empty(204, "It is gone"),
    ]
}

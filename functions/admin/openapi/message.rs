//! Messages.

use description::{Caller, Description, WINDOW, WITH_CONTENT, boolean, describe, needed, page};
use shared::api::message::{MessageOut, MessageShape};
use shared::domain::id::MessageId;

use crate::expunge::{BulkExpungeContentsIn, BulkExpungeContentsOut};
use crate::message::RawPayloadOut;
use crate::page::Page;
use crate::search::MAX_TEXT;
use crate::task::BegunOut;

pub(super) fn descriptions() -> Vec<Description> {
    vec![
        describe("v1.message.list", "List an application's messages")
            .detail("Newest first. A page may be short before the list is `done`: go on from it.")
            .query(page(MessageId::PREFIX))
            .query(WINDOW)
            .query([WITH_CONTENT])
            .answers::<Page<MessageOut>>(200, "A page"),
        describe("posthorn.message.search", "Find messages by what is in them")
            .detail(
                "Newest first. An id or event id finds that message alone, with one read. Any \
                 other text finds those that have it in their event id, event type, subject, a \
                 tag or a channel, in whatever case; with `in_payload` also those whose payload \
                 has it to the letter: a read for each message that is looked at, at most 50 a \
                 page. A page may be short, or empty, before the list is `done`: go on from it.",
            )
            .query(page(MessageId::PREFIX))
            .query(WINDOW)
            .query([
                needed("q", MAX_TEXT, "What is looked for."),
                boolean("in_payload", "Whether payloads are looked into as well."),
                WITH_CONTENT,
            ])
            .answers::<Page<MessageOut>>(200, "A page"),
        describe("v1.message.get", "Get a message")
            .query([WITH_CONTENT])
            .answers::<MessageOut>(200, "The message"),
        describe("v1.message.get-raw-payload", "Get a message's payload to the letter")
            .answers::<RawPayloadOut>(200, "The payload, as text"),
        describe("v1.message.broadcast", "Publish an event to every application")
            .caller(Caller::Organisation)
            .detail(
                "In the background, to every application that there is when the task reaches it. A \
                 `deliverAt` is refused.",
            )
            .takes::<MessageShape>()
            .answers::<BegunOut>(202, "The task, begun and perhaps over already"),
        describe("v1.message.expunge-content", "Expunge a message's payload")
            .caller(Caller::Organisation)
            .detail("It is not sent any more; a copy that is in a queue is still sent once.")
            .answers_empty(204, "It is gone"),
        describe("v1.message.bulk-expunge-content", "Expunge the payloads of some messages")
            .caller(Caller::Organisation)
            .detail("Of those that are named, by id or event id; at most 100.")
            .takes::<BulkExpungeContentsIn>()
            .answers::<BulkExpungeContentsOut>(200, "What became of each"),
        describe("v1.message.expunge-all-contents", "Expunge all payloads of an application")
            .caller(Caller::Organisation)
            .detail(
                "In the background, of all messages that there are by now. The task's \
                 `data.messagesPurged` tells how many that were.",
            )
            .answers::<BegunOut>(202, "The task, begun and perhaps over already"),
    ]
}

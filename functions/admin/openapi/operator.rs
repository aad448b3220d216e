//! What an operator looks after.

use description::{Caller, Description, EmptyObject, PAGE, describe};

use crate::inspector::{InspectedList, InspectorOut};
use crate::jwt_key::{KeyList, KeyOut, RotateIn};
use crate::operator::{ParkedOut, RedrivenOut};
use crate::page::Page;
use crate::reseal::{KeysOut, ResealedOut};

pub(super) fn descriptions() -> Vec<Description> {
    let describe = |id, summary| describe(id, summary).caller(Caller::Operator);
    vec![
        describe("posthorn.parked.list", "List the records that nobody could process")
            .query(PAGE)
            .answers::<Page<ParkedOut>>(200, "A page of them, newest first"),
        describe("posthorn.parked.redrive-many", "Send many parked records back to their queues")
            .detail("To be asked again with the `iterator` of the answer, until it is `done`.")
            .query(PAGE)
            .answers::<RedrivenOut>(200, "What became of a page of them"),
        describe("posthorn.parked.redrive", "Send a parked record back to its queue")
            .answers::<EmptyObject>(202, "It is in the queue")
            .fails(400, "The record does not read"),
        describe("posthorn.root-secret.get", "See which keys the root secret has")
            .detail("By their ids, which tell nothing of them.")
            .answers::<KeysOut>(200, "As the process that answers knows them"),
        describe("posthorn.root-secret.reseal", "Seal with the root secret's key in use")
            .detail(
                "Everything of a page of applications, and at last the keys and sources of the \
                 organisation. To be asked again with the `iterator` of the answer, until it is \
                 `done`. `posthorn root-secret` does it.",
            )
            .query(PAGE)
            .answers::<ResealedOut>(200, "What came of it"),
        describe("posthorn.jwt-key.list", "List the keys that sign security event tokens")
            .caller(Caller::Organisation)
            .answers::<KeyList>(200, "All that are published"),
        describe("posthorn.jwt-key.rotate", "Add a key that takes over")
            .caller(Caller::Organisation)
            .may_take::<RotateIn>()
            .answers::<KeyOut>(201, "The new key")
            .fails(400, "Too many keys are published")
            .fails(409, "The key is in the set already"),
        describe("posthorn.inspector.create", "Make an endpoint that shows what arrives")
            .caller(Caller::Organisation)
            .detail("Its `url` takes whatever is sent to it for a day, without a token.")
            .answers::<InspectorOut>(201, "The new inspector"),
        describe("posthorn.inspector.list", "See what was sent to an inspector")
            .caller(Caller::Organisation)
            .answers::<InspectedList>(
                200,
                "The latest 100 requests that fit an answer, newest first",
            ),
    ]
}

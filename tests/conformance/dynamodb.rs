//! What only a table across a network can get wrong: answers that do not arrive, and
//! transactions of somebody else.

use serde_json::{Value, json};
use shared::domain::clock::Timestamp;
use shared::store::StoreError;
use shared::store::table::{Condition, Item, Key, Table, Transacted, Write, Written};

use crate::support::dynoxide::{Dynoxide, Fault};

const ABSENT: Condition = Condition::AbsentAt(Timestamp(0));

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_never_reported_as_lost_to_a_rival() {
    let database = Dynoxide::start();
    let table = database.table();
    database.next(Fault::AnswerLost);
    let claimed = table.write(Write::Put(item("claim"), ABSENT)).await;
    assert!(matches!(claimed, Err(StoreError::Unavailable(_))), "{claimed:?}");
    assert_eq!(table.get(&item("claim").key).await, Ok(Some(item("claim"))));
}

#[tokio::test]
async fn a_throttled_claim_is_repeated_and_may_be_lost_to_a_rival() {
    let database = Dynoxide::start();
    let table = database.table();
    database.next(throttled());
    assert_eq!(table.write(Write::Put(item("claim"), ABSENT)).await, Ok(Written::Done));
    database.next(throttled());
    let lost = Written::Lost(Some(Box::new(item("claim"))));
    assert_eq!(table.write(Write::Put(item("claim"), ABSENT)).await, Ok(lost));
}

#[tokio::test]
async fn a_transaction_whose_answer_was_lost_is_known_by_its_token() {
    let database = Dynoxide::start();
    let table = database.table();
    database.next(Fault::AnswerLost);
    let writes = vec![Write::Put(item("a"), ABSENT), Write::Put(item("b"), ABSENT)];
    assert_eq!(table.transact(writes).await, Ok(Transacted::Done));
}

#[tokio::test]
async fn a_conflict_of_transactions_is_waited_out() {
    let database = Dynoxide::start();
    let table = database.table();
    database.next(cancelled(&["None", "TransactionConflict"]));
    database.next(cancelled(&["TransactionConflict", "None"]));
    let writes = vec![Write::Put(item("a"), ABSENT), Write::Put(item("b"), ABSENT)];
    assert_eq!(table.transact(writes).await, Ok(Transacted::Done));

    database.next(Fault::Answer(400, error("TransactionConflictException")));
    let changed = Item { rev: 2, ..item("a") };
    let written = table.write(Write::Put(changed, Condition::Revision(1))).await;
    assert_eq!(written, Ok(Written::Done));
}

#[tokio::test]
async fn a_transaction_that_is_throttled_is_made_again_as_the_sdk_does_with_a_put() {
    let database = Dynoxide::start();
    let table = database.table();
    database.next(cancelled(&["ThrottlingError", "None"]));
    database.next(cancelled(&["None", "ProvisionedThroughputExceeded"]));
    database.next(cancelled(&["ThrottlingError", "TransactionConflict"]));
    database.next(Fault::Answer(400, error("TransactionInProgressException")));
    let writes = vec![Write::Put(item("a"), ABSENT), Write::Put(item("b"), ABSENT)];
    assert_eq!(table.transact(writes).await, Ok(Transacted::Done));
    // What cannot be repeated is not.
    database.next(cancelled(&["ThrottlingError", "ConditionalCheckFailed"]));
    let writes = vec![Write::Put(item("c"), ABSENT), Write::Put(item("b"), ABSENT)];
    assert_eq!(table.transact(writes).await, Ok(Transacted::Lost(vec![1])));
}

#[tokio::test]
async fn a_transaction_that_is_still_being_done_is_asked_after_under_its_own_name() {
    let database = Dynoxide::start();
    let table = database.table();
    // It is done, and its answer does not come; who asks again hears that it is under way.
    database.next(Fault::AnswerLost);
    for _ in 0..5 {
        database.next(Fault::Answer(400, error("TransactionInProgressException")));
    }
    let writes = vec![Write::Put(item("a"), ABSENT), Write::Put(item("b"), ABSENT)];
    table.transact(writes).await.unwrap();
    let tokens = database.tokens();
    assert!(tokens.len() > 6, "{tokens:?}");
    assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
}

#[tokio::test]
async fn a_conflict_without_end_is_unavailable() {
    let database = Dynoxide::start();
    let table = database.table();
    for _ in 0..5 {
        database.next(cancelled(&["TransactionConflict"]));
    }
    let transacted = table.transact(vec![Write::Put(item("a"), ABSENT)]).await;
    assert!(matches!(transacted, Err(StoreError::Unavailable(_))), "{transacted:?}");
    assert_eq!(table.get(&item("a").key).await, Ok(None));
}

#[tokio::test]
async fn a_table_that_does_not_exist_is_unavailable() {
    let database = Dynoxide::start();
    database.next(Fault::Answer(400, error("ResourceNotFoundException")));
    let read = database.table().get(&item("a").key).await;
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
}

fn item(sk: &str) -> Item {
    Item {
        key: Key { pk: "pk".into(), sk: sk.into() },
        by_time: None,
        due: None,
        expires_at: None,
        rev: 1,
        doc: "{}".into(),
        body: None,
    }
}

fn throttled() -> Fault {
    Fault::Answer(400, error("ThrottlingException"))
}

fn error(code: &str) -> Value {
    json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "no" })
}

fn cancelled(codes: &[&str]) -> Fault {
    let reasons: Vec<_> = codes.iter().map(|code| json!({ "Code": code })).collect();
    let mut body = error("TransactionCanceledException");
    body["CancellationReasons"] = Value::Array(reasons);
    Fault::Answer(400, body)
}

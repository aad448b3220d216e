//! The table port on DynamoDB.
//!
//! A get is a consistent `GetItem`, a write one conditional `PutItem` or `DeleteItem`, a
//! transaction one `TransactWriteItems`. The SDK repeats a call that got no answer, and the
//! first try may have had its effect. For a transaction DynamoDB knows the repetition by its
//! token. A single write has no token, so `Watched` keeps watch: a condition that fails
//! after an unanswered try may have been made to fail by that very try, and the write ends as
//! [`StoreError::Unavailable`] rather than as lost to somebody else.
//!
//! Not guaranteed: that an index read sees what has just been written, nor that a page is full
//! (DynamoDB ends a page after 1 MB).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    CancellationReason, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::FinalizerInterceptorContextRef;
use aws_smithy_runtime_api::client::orchestrator::OrchestratorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

use self::attributes::{Attributes, Expression};
use super::keys::index;
use super::table::{
    Condition, Index, Item, Key, Page, Query, Table, Transacted, Write, Written, check_transaction,
};
use super::{Backpressure, Limit, StoreError};
use crate::aws::describe;
use crate::domain::clock::Ambient;

mod attributes;

/// Longest pauses before a write is tried again that met somebody else's transaction, or a
/// transaction that was throttled, in milliseconds. Such a transaction is over within a few
/// milliseconds; the SDK does not repeat a transaction that was throttled. Whoever has more
/// patience asks again.
const PAUSES_MS: [u64; 4] = [10, 20, 40, 80];
/// Why DynamoDB cancels a transaction that may succeed the next time.
const PASSING: [&str; 3] =
    ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];

/// A DynamoDB table with the key `pk`, `sk` and the indexes `by_time` (`tpk`, `tsk`) and `due`
/// (`dpk`, `dsk`), both with `doc`, `rev` and `expires_at` in them.
pub struct DynamoTable {
    client: Client,
    name: String,
    backpressure: Backpressure,
}

impl DynamoTable {
    /// The table of this name, which has to exist.
    pub fn new(client: Client, table_name: impl Into<String>) -> Self {
        Self { client, name: table_name.into(), backpressure: Backpressure::default() }
    }

    /// The same, which tells what is throttled.
    #[must_use]
    pub fn telling(self, backpressure: Backpressure) -> Self {
        Self { backpressure, ..self }
    }

    async fn read(&self, key: &Key, consistent: bool) -> Result<Option<Item>, StoreError> {
        let request = self
            .client
            .get_item()
            .table_name(&self.name)
            .set_key(Some(attributes::key_attributes(Index::Base, key)))
            .consistent_read(consistent);
        let answer = request.send().await.map_err(|error| failed("GetItem", &error))?;
        answer.item.map(attributes::from_attributes).transpose()
    }
}

#[async_trait]
impl Table for DynamoTable {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.read(key, true).await
    }

    async fn glance(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.read(key, false).await
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        if query.from > query.to {
            // DynamoDB refuses such a range; nothing is in it.
            return Ok(Page::default());
        }
        let (pk, sk) = attributes::key_names(query.index);
        let mut request = self
            .client
            .query()
            .table_name(&self.name)
            .expression_attribute_values(":pk", attributes::text(&query.pk))
            .expression_attribute_values(":to", attributes::text(&query.to))
            .scan_index_forward(!query.descending)
            .limit(i32::try_from(query.limit.max(1)).unwrap_or(i32::MAX));
        // DynamoDB has no empty keys and refuses to compare with one.
        request = if query.from.is_empty() {
            request.key_condition_expression(format!("{pk} = :pk AND {sk} <= :to"))
        } else {
            request
                .key_condition_expression(format!("{pk} = :pk AND {sk} BETWEEN :from AND :to"))
                .expression_attribute_values(":from", attributes::text(&query.from))
        };
        request = match query.index {
            Index::Base => request.consistent_read(true),
            Index::ByTime => request.index_name(index::BY_TIME),
            Index::Due => request.index_name(index::DUE),
        };
        let after = query.after.as_ref();
        let after = after.map(|position| attributes::position_attributes(query.index, position));

        let answer = request.set_exclusive_start_key(after).send().await;
        let answer = answer.map_err(|error| failed("Query", &error))?;
        let items = answer.items.unwrap_or_default().into_iter();
        let next = answer.last_evaluated_key.filter(|key| !key.is_empty());
        Ok(Page {
            items: items.map(attributes::from_attributes).collect::<Result<_, _>>()?,
            next: next.map(|key| attributes::to_position(query.index, key)).transpose()?,
        })
    }

    async fn write(&self, write: Write) -> Result<Written, StoreError> {
        write.check_size()?;
        let tries = Watched::new(write.key().clone(), self.backpressure.clone());
        let mut pauses = PAUSES_MS.into_iter();
        loop {
            let refused = match &write {
                Write::Put(item, condition) => self.put(item, *condition, &tries).await,
                Write::Delete(key, condition) => self.delete(key, *condition, &tries).await,
            };
            match refused {
                Ok(()) => return Ok(Written::Done),
                Err(Refused::Lost(_)) if tries.any_unanswered() => {
                    let why = "the condition failed after a try without an answer";
                    return Err(StoreError::Unavailable(why.into()));
                }
                Err(Refused::Lost(in_the_way)) => {
                    let item = in_the_way.map(attributes::from_attributes).transpose()?;
                    return Ok(Written::Lost(item.map(Box::new)));
                }
                Err(Refused::Conflict(why)) => wait_for_the_other(&mut pauses, why).await?,
                Err(Refused::Failed(error)) => return Err(error),
            }
        }
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted, StoreError> {
        if writes.is_empty() {
            return Ok(Transacted::Done);
        }
        check_transaction(&writes)?;
        let actions = writes.iter().map(|write| self.action(write));
        let actions = actions.collect::<Result<Vec<_>, _>>()?;
        let mut pauses = PAUSES_MS.into_iter();
        let mut token = token();
        loop {
            let request = self.client.transact_write_items().client_request_token(&token);
            let answer = request.set_transact_items(Some(actions.clone())).send().await;
            match answer.map_err(cancelled) {
                Ok(_) => return Ok(Transacted::Done),
                Err(Cancelled::Lost(positions)) => return Ok(Transacted::Lost(positions)),
                Err(Cancelled::Conflict(why)) => {
                    wait_for_the_other(&mut pauses, why).await?;
                    token = self::token();
                }
                // Under another token this very transaction would be somebody else's.
                Err(Cancelled::UnderWay(why)) => wait_for_the_other(&mut pauses, why).await?,
                Err(Cancelled::Failed(error)) => return Err(error),
            }
        }
    }
}

impl DynamoTable {
    async fn put(&self, item: &Item, condition: Condition, tries: &Watched) -> Result<(), Refused> {
        let Expression { text, values } = condition.into();
        let request = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(attributes::to_attributes(item)))
            .set_condition_expression(text)
            .set_expression_attribute_values(values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let answer = request.customize().interceptor(tries.clone()).send().await;
        answer.map(drop).map_err(|error| match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(lost)) => {
                Refused::Lost(lost.item.clone())
            }
            Some(PutItemError::TransactionConflictException(_)) => {
                Refused::Conflict(describe("PutItem", &error))
            }
            _ => Refused::Failed(failed("PutItem", &error)),
        })
    }

    async fn delete(
        &self,
        key: &Key,
        condition: Condition,
        tries: &Watched,
    ) -> Result<(), Refused> {
        let Expression { text, values } = condition.into();
        let request = self
            .client
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(attributes::key_attributes(Index::Base, key)))
            .set_condition_expression(text)
            .set_expression_attribute_values(values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let answer = request.customize().interceptor(tries.clone()).send().await;
        answer.map(drop).map_err(|error| match error.as_service_error() {
            Some(DeleteItemError::ConditionalCheckFailedException(lost)) => {
                Refused::Lost(lost.item.clone())
            }
            Some(DeleteItemError::TransactionConflictException(_)) => {
                Refused::Conflict(describe("DeleteItem", &error))
            }
            _ => Refused::Failed(failed("DeleteItem", &error)),
        })
    }

    fn action(&self, write: &Write) -> Result<TransactWriteItem, StoreError> {
        let Expression { text, values } = write.condition().into();
        let action = TransactWriteItem::builder();
        let action = match write {
            Write::Put(item, _) => action.put(
                Put::builder()
                    .table_name(&self.name)
                    .set_item(Some(attributes::to_attributes(item)))
                    .set_condition_expression(text)
                    .set_expression_attribute_values(values)
                    .build()
                    .map_err(incomplete)?,
            ),
            Write::Delete(key, _) => action.delete(
                Delete::builder()
                    .table_name(&self.name)
                    .set_key(Some(attributes::key_attributes(Index::Base, key)))
                    .set_condition_expression(text)
                    .set_expression_attribute_values(values)
                    .build()
                    .map_err(incomplete)?,
            ),
        };
        Ok(action.build())
    }
}

/// Why a single write was not done.
enum Refused {
    Lost(Option<Attributes>),
    Conflict(String),
    Failed(StoreError),
}

/// Why a transaction was not done.
enum Cancelled {
    Lost(Vec<usize>),
    Conflict(String),
    /// An earlier try of it, whose answer did not come.
    UnderWay(String),
    Failed(StoreError),
}

/// What the tries of one transaction are known by.
fn token() -> String {
    hex::encode(Ambient::system().random::<16>())
}

fn cancelled(error: SdkError<TransactWriteItemsError>) -> Cancelled {
    let reasons = match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
            cancelled.cancellation_reasons()
        }
        Some(TransactWriteItemsError::TransactionInProgressException(_)) => {
            return Cancelled::UnderWay(describe("TransactWriteItems", &error));
        }
        _ => return Cancelled::Failed(failed("TransactWriteItems", &error)),
    };
    let has = |code: &str| reasons.iter().any(|reason| reason.code() == Some(code));
    let why = describe("TransactWriteItems", &error);
    if has("ValidationError") || has("ItemCollectionSizeLimitExceeded") {
        Cancelled::Failed(StoreError::Invalid(why))
    } else if has("ConditionalCheckFailed") {
        let lost = |(_, reason): &(usize, &CancellationReason)| {
            reason.code() == Some("ConditionalCheckFailed")
        };
        let positions = reasons.iter().enumerate().filter(lost).map(|(position, _)| position);
        Cancelled::Lost(positions.collect())
    } else if PASSING.into_iter().any(has) {
        Cancelled::Conflict(why)
    } else {
        Cancelled::Failed(StoreError::Unavailable(why))
    }
}

fn failed<E, R>(operation: &str, error: &SdkError<E, R>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
{
    let why = describe(operation, error);
    match (error.code(), error.as_service_error().and_then(exceeded)) {
        (Some("ValidationException" | "ItemCollectionSizeLimitExceededException"), _) => {
            StoreError::Invalid(why)
        }
        (_, Some(limit)) => StoreError::Throttled { limit, why },
        _ => StoreError::Unavailable(why),
    }
}

/// What a call ran into, if it was throttled. All operations say it in a list of reasons, each
/// under a type of its own: `IndexWriteKeyRangeThroughputExceeded`, say, and the name of the index.
fn exceeded<E: ProvideErrorMetadata + fmt::Debug>(error: &E) -> Option<Limit> {
    const CODES: [&str; 3] =
        ["ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"];
    let is_throttled = error.code().is_some_and(|code| CODES.contains(&code));
    if !is_throttled {
        return None;
    }
    let reasons = format!("{error:?}");
    let names = |index: &str| reasons.contains(&format!("index/{index}"));
    Some(match reasons.contains("KeyRangeThroughputExceeded") {
        false => Limit::Store,
        true if names(index::BY_TIME) => Limit::List,
        true if names(index::DUE) => Limit::Due,
        true => Limit::Partition,
    })
}

fn incomplete(error: aws_sdk_dynamodb::error::BuildError) -> StoreError {
    StoreError::Invalid(error.to_string())
}

async fn wait_for_the_other(
    pauses: &mut impl Iterator<Item = u64>,
    why: String,
) -> Result<(), StoreError> {
    let whole = pauses.next().ok_or(StoreError::Unavailable(why))?;
    // Those who met each other must not meet again.
    let random = u64::from_be_bytes(Ambient::system().random());
    let pause = whole / 2 + random % (whole / 2 + 1);
    tokio::time::sleep(Duration::from_millis(pause)).await;
    Ok(())
}

/// Watches the tries of a single write: remembers whether one of them ended in a way that leaves
/// open whether it had its effect (no answer at all, or an error of the service's own, 5xx), and
/// tells of those that were throttled.
#[derive(Clone, Debug)]
struct Watched {
    key: Key,
    unanswered: Arc<AtomicBool>,
    backpressure: Backpressure,
}

impl Watched {
    fn new(key: Key, backpressure: Backpressure) -> Self {
        Self { key, unanswered: Arc::default(), backpressure }
    }

    fn any_unanswered(&self) -> bool {
        self.unanswered.load(Ordering::Relaxed)
    }
}

impl Intercept for Watched {
    fn name(&self) -> &'static str {
        "Watched"
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let answered = context.response().is_some_and(|answer| !answer.status().is_server_error());
        if !answered {
            self.unanswered.store(true, Ordering::Relaxed);
        }
        self.backpressure.tried();
        let error = context.output_or_error().and_then(Result::err);
        let Some(error) = error.and_then(OrchestratorError::as_operation_error) else {
            return Ok(());
        };
        let limit = match (error.downcast_ref::<PutItemError>(), error.downcast_ref()) {
            (Some(error), _) => exceeded(error),
            (_, Some(error)) => exceeded::<DeleteItemError>(error),
            (None, None) => None,
        };
        if let Some(limit) = limit {
            self.backpressure.throttled(limit, &self.key);
        }
        Ok(())
    }
}

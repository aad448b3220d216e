//! [`Item`] and [`Condition`] in DynamoDB's words.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;

use crate::domain::clock::Timestamp;
use crate::store::StoreError;
use crate::store::keys::attribute::{BODY, DOC, DPK, DSK, EXPIRES_AT, PK, REV, SK, TPK, TSK};
use crate::store::table::{Condition, Index, Item, Key, Position};

/// An item, or a part of one, on the wire.
pub(super) type Attributes = HashMap<String, AttributeValue>;

/// The partition and the sort key attribute of an index.
pub(super) fn key_names(index: Index) -> (&'static str, &'static str) {
    match index {
        Index::Base => (PK, SK),
        Index::ByTime => (TPK, TSK),
        Index::Due => (DPK, DSK),
    }
}

/// A key of an index.
pub(super) fn key_attributes(index: Index, key: &Key) -> Attributes {
    let mut attributes = Attributes::new();
    put_key(&mut attributes, index, key);
    attributes
}

/// The whole item.
pub(super) fn to_attributes(item: &Item) -> Attributes {
    let mut attributes = key_attributes(Index::Base, &item.key);
    if let Some(key) = &item.by_time {
        put_key(&mut attributes, Index::ByTime, key);
    }
    if let Some(key) = &item.due {
        put_key(&mut attributes, Index::Due, key);
    }
    if let Some(at) = item.expires_at {
        // Up, never down: an item may live a second longer, not a second less.
        attributes.insert(EXPIRES_AT.into(), number(at.as_ms().div_ceil(1000)));
    }
    attributes.insert(REV.into(), number(item.rev));
    attributes.insert(DOC.into(), text(&item.doc));
    if let Some(body) = &item.body {
        attributes.insert(BODY.into(), AttributeValue::B(Blob::new(body.to_vec())));
    }
    attributes
}

/// The item that these attributes are; an index read has fewer of them.
pub(super) fn from_attributes(mut attributes: Attributes) -> Result<Item, StoreError> {
    Ok(Item {
        key: required(take_key(&mut attributes, Index::Base)?, PK)?,
        by_time: take_key(&mut attributes, Index::ByTime)?,
        due: take_key(&mut attributes, Index::Due)?,
        expires_at: take_number(&mut attributes, EXPIRES_AT)?
            .map(|seconds| Timestamp(seconds.saturating_mul(1000))),
        rev: required(take_number(&mut attributes, REV)?, REV)?,
        doc: required(take_text(&mut attributes, DOC)?, DOC)?,
        body: take_bytes(&mut attributes, BODY)?,
    })
}

/// Where a page ended: the index's key and the item's own, together.
pub(super) fn position_attributes(index: Index, position: &Position) -> Attributes {
    let mut attributes = key_attributes(index, &position.index_key);
    put_key(&mut attributes, Index::Base, &position.key);
    attributes
}

/// The reverse of [`position_attributes`].
pub(super) fn to_position(
    index: Index,
    mut attributes: Attributes,
) -> Result<Position, StoreError> {
    let key = required(take_key(&mut attributes, Index::Base)?, PK)?;
    let index_key = match index {
        Index::Base => key.clone(),
        Index::ByTime | Index::Due => {
            required(take_key(&mut attributes, index)?, key_names(index).0)?
        }
    };
    Ok(Position { key, index_key })
}

/// A condition as an expression with its values. Both are `None` for [`Condition::Always`]:
/// DynamoDB wants no expression rather than an empty one.
#[derive(Default)]
pub(super) struct Expression {
    pub(super) text: Option<String>,
    pub(super) values: Option<Attributes>,
}

impl From<Condition> for Expression {
    fn from(condition: Condition) -> Self {
        let (text, name, value) = match condition {
            Condition::Always => return Self::default(),
            Condition::AbsentAt(now) => (
                format!(
                    "attribute_not_exists({PK}) OR \
                     (attribute_exists({EXPIRES_AT}) AND {EXPIRES_AT} <= :now)"
                ),
                ":now",
                now.as_secs(),
            ),
            Condition::Revision(rev) => (format!("{REV} = :rev"), ":rev", rev),
        };
        Self { text: Some(text), values: Some(HashMap::from([(name.to_owned(), number(value))])) }
    }
}

/// A string value.
pub(super) fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn put_key(attributes: &mut Attributes, index: Index, key: &Key) {
    let (pk, sk) = key_names(index);
    attributes.insert(pk.to_owned(), text(&key.pk));
    attributes.insert(sk.to_owned(), text(&key.sk));
}

fn take_key(attributes: &mut Attributes, index: Index) -> Result<Option<Key>, StoreError> {
    let (pk, sk) = key_names(index);
    match (take_text(attributes, pk)?, take_text(attributes, sk)?) {
        (Some(pk), Some(sk)) => Ok(Some(Key { pk, sk })),
        (None, None) => Ok(None),
        _ => Err(StoreError::Corrupt(format!("only one of {pk} and {sk}"))),
    }
}

fn take_text(attributes: &mut Attributes, name: &str) -> Result<Option<String>, StoreError> {
    match attributes.remove(name) {
        None => Ok(None),
        Some(AttributeValue::S(value)) => Ok(Some(value)),
        Some(_) => Err(wrong_type(name)),
    }
}

fn take_number(attributes: &mut Attributes, name: &str) -> Result<Option<u64>, StoreError> {
    match attributes.remove(name) {
        None => Ok(None),
        Some(AttributeValue::N(value)) => value.parse().map(Some).map_err(|_| wrong_type(name)),
        Some(_) => Err(wrong_type(name)),
    }
}

fn take_bytes(attributes: &mut Attributes, name: &str) -> Result<Option<Bytes>, StoreError> {
    match attributes.remove(name) {
        None => Ok(None),
        Some(AttributeValue::B(value)) => Ok(Some(Bytes::from(value.into_inner()))),
        Some(_) => Err(wrong_type(name)),
    }
}

fn required<T>(value: Option<T>, name: &str) -> Result<T, StoreError> {
    value.ok_or_else(|| StoreError::Corrupt(format!("no {name}")))
}

fn wrong_type(name: &str) -> StoreError {
    StoreError::Corrupt(format!("{name} has a wrong type or value"))
}

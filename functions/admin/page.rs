//! Lists: what a caller may ask of a page, and the page itself (Svix's `ListResponse`).

use std::str::FromStr;

use crate::JsonSchema;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde::Serialize;
use shared::api::error::{self, ApiError, Violation};
use shared::api::request::query_value;
use shared::domain::clock::Timestamp;
use shared::store::{Listed, Walk};

/// Items of a page when the caller does not say (Svix).
const DEFAULT_LIMIT: usize = 50;
/// Most items of a page (Svix).
const MAX_LIMIT: usize = 250;

/// One page as the API shows it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ListResponse{T}")]
pub(crate) struct Page<T> {
    data: Vec<T>,
    iterator: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_iterator: Option<String>,
    done: bool,
}

/// How the caller wants to walk a list of things with ids of type `Id`.
///
/// # Errors
/// 400 that names a parameter which does not read, 422 for one that breaks a rule.
pub(crate) fn walk<Id: FromStr>(
    request: &Request<Bytes>,
    descending_by_default: bool,
) -> Result<Walk, ApiError> {
    let limit = match query_value(request, "limit") {
        None => DEFAULT_LIMIT,
        Some(text) => Some(text.parse().map_err(|_| ApiError::bad_query("limit", limit_rule()))?)
            .filter(|limit| (1..=MAX_LIMIT).contains(limit))
            .ok_or_else(|| Violation::query("limit", limit_rule()))?,
    };
    let descending = match query_value(request, "order").as_deref() {
        None => descending_by_default,
        Some("ascending") => false,
        Some("descending") => true,
        Some(_) => {
            return Err(ApiError::bad_query("order", "must be `ascending` or `descending`"));
        }
    };
    let iterator = query_value(request, "iterator");
    let (iterator, backward) = match iterator.as_deref().map(|text| text.strip_prefix('-')) {
        Some(Some(id)) => (Some(id.to_owned()), true),
        _ => (iterator, false),
    };
    if iterator.as_deref().is_some_and(|id| id.parse::<Id>().is_err()) {
        let rule = "must be the `iterator` or `prevIterator` of a page of this list";
        return Err(Violation::query("iterator", rule).into());
    }
    let (after, before) = (moment(request, "after")?, moment(request, "before")?);
    Ok(Walk { limit, descending, iterator, backward, after, before })
}

/// A moment that the query names.
///
/// # Errors
/// 400 when it does not read.
pub(crate) fn moment(request: &Request<Bytes>, name: &str) -> Result<Option<Timestamp>, ApiError> {
    let unreadable = || ApiError::bad_query(name, "must be a date such as 2026-01-31T12:00:00Z");
    query_value(request, name)
        .map(|text| Timestamp::parse_rfc3339(&text).ok_or_else(unreadable))
        .transpose()
}

/// A page that came from the store.
pub(crate) fn respond<T, O: Serialize>(
    walk: &Walk,
    listed: Listed<T>,
    show: impl Fn(T) -> O,
) -> Response<Bytes> {
    let page = Page {
        // There is a page before this one only if the caller came from one.
        prev_iterator: listed.prev.filter(|_| walk.iterator.is_some()).map(|id| format!("-{id}")),
        iterator: listed.iterator,
        done: listed.done,
        data: listed.items.into_iter().map(show).collect(),
    };
    error::json(StatusCode::OK, &page)
}

/// Cuts a page out of a list that is at hand as a whole. `items` may be in any order.
pub(crate) fn cut<T>(walk: &Walk, mut items: Vec<T>, id: impl Fn(&T) -> String) -> Listed<T> {
    items.sort_by_key(|item| id(item));
    if walk.descending {
        items.reverse();
    }
    let beyond = |item: &T| match &walk.iterator {
        None => true,
        Some(iterator) if walk.descending != walk.backward => id(item) < *iterator,
        Some(iterator) => id(item) > *iterator,
    };
    let mut kept: Vec<T> = items.into_iter().filter(beyond).collect();
    let more = kept.len() > walk.limit;
    if walk.backward {
        kept.drain(..kept.len().saturating_sub(walk.limit));
    }
    kept.truncate(walk.limit);
    let iterator = match kept.last() {
        Some(last) => Some(id(last)),
        // Nothing comes before the iterator: the list begins at its beginning again.
        None if walk.backward => None,
        None => walk.iterator.clone(),
    };
    let prev = kept.first().map(&id).filter(|_| more || !walk.backward);
    Listed { items: kept, iterator, prev, done: !more && !walk.backward }
}

fn limit_rule() -> String {
    format!("must be 1 to {MAX_LIMIT}")
}

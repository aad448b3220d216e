//! Lists: what a caller may ask of a page, and the page itself (Svix's `ListResponse`).

use std::pin::pin;
use std::str::FromStr;

use crate::JsonSchema;
use bytes::Bytes;
use futures_util::future::TryFutureExt;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use http::{Request, Response, StatusCode};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use shared::api::error::{self, ApiError, Violation};
use shared::api::request::query_value;
use shared::domain::clock::Timestamp;
use shared::store::{Listed, Walk};

/// Items of a page when the caller does not say (Svix).
const DEFAULT_LIMIT: usize = 50;
/// Most items of a page (Svix).
const MAX_LIMIT: usize = 250;
/// Most bytes of what an answer lists, as they are quoted in the JSON that Lambda passes on: it takes
/// 6,291,556 in all.
pub(crate) const MAX_QUOTED_BYTES: usize = 5 * 1024 * 1024;
/// Items that are looked up at once.
pub(crate) const AT_ONCE: usize = 16;
/// The same of items each of which takes several reads.
pub(crate) const FEW: usize = 8;
/// What an iterator begins with whose id begins like a way back.
const ONWARD: char = '=';

/// A page of a list.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ListResponse{T}")]
pub(crate) struct Page<T> {
    data: Vec<T>,
    iterator: Option<String>,
    prev_iterator: Option<String>,
    /// Nothing comes after this page; before it, where it was walked back to.
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
    let (iterator, backward) = match iterator.as_deref().and_then(|text| text.split_at_checked(1)) {
        Some(("-", id)) => (Some(id.to_owned()), true),
        Some(("=", id)) => (Some(id.to_owned()), false),
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

/// A page of what is small.
pub(crate) fn respond<T, O: Serialize>(
    listed: Listed<T>,
    show: impl Fn(T) -> O,
) -> Response<Bytes> {
    let Listed { items, iterator, prev, done } = listed;
    let data = items.into_iter().map(show).collect();
    answer(Listed { items: data, iterator, prev, done })
}

/// A page of what may be large.
///
/// # Errors
/// When an item cannot be written as JSON.
pub(crate) fn respond_within<T, O: Serialize>(
    walk: &Walk,
    listed: Listed<T>,
    id: impl Fn(&T) -> String,
    show: impl Fn(T) -> O,
) -> Result<Response<Bytes>, ApiError> {
    let mut filling = Filling::new(walk, listed);
    for item in std::mem::take(&mut filling.rest) {
        let id = id(&item);
        if !filling.takes(id, Some(&show(item)))? {
            break;
        }
    }
    Ok(filling.finish())
}

/// A page of what may be large and is looked up item by item. It ends early, with an iterator,
/// before the answer is too large for Lambda.
pub(crate) struct Filling<'a, T> {
    walk: &'a Walk,
    /// What is left, in the order of the walk.
    rest: Vec<T>,
    listed: Listed<Box<RawValue>>,
    quoted: usize,
    /// The id of the last one that is on the page, or left out for good.
    furthest: Option<String>,
    full: bool,
}

impl<'a, T> Filling<'a, T> {
    /// Begins with what was found.
    pub(crate) fn new(walk: &'a Walk, listed: Listed<T>) -> Self {
        let Listed { items: mut rest, iterator, prev, done } = listed;
        if walk.backward {
            // What is nearest to where the caller comes from is first on the way.
            rest.reverse();
        }
        let listed = Listed { items: Vec::new(), iterator, prev, done };
        Self { walk, rest, listed, quoted: 0, furthest: None, full: false }
    }

    /// Looks all items up, several at a time, and shows what comes of them; none is left out.
    ///
    /// # Errors
    /// When an item cannot be looked up, or not be written as JSON.
    pub(crate) async fn fill<O: Serialize, F>(
        &mut self,
        id: impl Fn(&T) -> String,
        look: impl Fn(T) -> F,
    ) -> Result<(), ApiError>
    where
        F: Future<Output = Result<Option<O>, ApiError>>,
    {
        let looks = std::mem::take(&mut self.rest).into_iter().map(|item| {
            let id = id(&item);
            look(item).map_ok(|shown| (id, shown))
        });
        let mut looked = pin!(stream::iter(looks).buffered(AT_ONCE));
        while let Some((id, shown)) = looked.try_next().await? {
            if !self.takes(id, shown.as_ref())? {
                break;
            }
        }
        Ok(())
    }

    /// Shows an item like this, or leaves it out; whether the page takes more.
    fn takes<O: Serialize>(&mut self, id: String, shown: Option<&O>) -> Result<bool, ApiError> {
        if let Some(shown) = shown {
            let shown =
                to_raw_value(shown).map_err(|error| ApiError::Internal(error.to_string()))?;
            self.quoted += quoted_len(shown.get());
            self.full = self.quoted > MAX_QUOTED_BYTES && !self.listed.items.is_empty();
            if self.full {
                return Ok(false);
            }
            self.listed.items.push(shown);
        }
        self.furthest = Some(id);
        Ok(true)
    }

    /// Where the list goes on if nothing of it is on the page yet. Only onwards: whoever goes back
    /// comes from a page with something on it.
    pub(crate) fn further(&self) -> Option<String> {
        let Listed { items, iterator, done, .. } = &self.listed;
        let goes_on = items.is_empty() && !done && !self.walk.backward;
        iterator.clone().filter(|_| goes_on)
    }

    /// The answer.
    pub(crate) fn finish(self) -> Response<Bytes> {
        let mut listed = self.listed;
        if self.full {
            let end = if self.walk.backward { &mut listed.prev } else { &mut listed.iterator };
            *end = self.furthest;
            listed.done = false;
        }
        if self.walk.backward {
            listed.items.reverse();
        }
        answer(listed)
    }
}

fn answer<O: Serialize>(listed: Listed<O>) -> Response<Bytes> {
    error::json(StatusCode::OK, &of(listed))
}

/// A page as a part of an answer.
pub(crate) fn of<O>(listed: Listed<O>) -> Page<O> {
    Page {
        prev_iterator: listed.prev.map(|id| format!("-{id}")),
        iterator: listed.iterator.map(|id| match id.starts_with(['-', ONWARD]) {
            true => format!("{ONWARD}{id}"),
            false => id,
        }),
        done: listed.done,
        data: listed.items,
    }
}

/// Does all of this, so much of it at the same time; what comes of it is in the order of the work.
///
/// # Errors
/// When some of it fails; what has not begun by then is left undone.
pub(crate) fn side_by_side<T, F>(
    at_once: usize,
    work: impl IntoIterator<Item = F>,
) -> impl Future<Output = Result<Vec<T>, ApiError>>
where
    F: Future<Output = Result<T, ApiError>>,
{
    // The futures alone: one that holds the iterator's closure as well is not always `Send`.
    let work: Vec<F> = work.into_iter().collect();
    stream::iter(work).buffered(at_once).try_collect()
}

/// The first of these, as many as fit an answer; at least one.
pub(crate) fn fitting<O: Serialize>(items: impl Iterator<Item = O>) -> Vec<O> {
    let (mut fitting, mut quoted) = (Vec::new(), 0);
    for item in items {
        quoted += serde_json::to_string(&item).map_or(0, |json| quoted_len(&json));
        if quoted > MAX_QUOTED_BYTES && !fitting.is_empty() {
            break;
        }
        fitting.push(item);
    }
    fitting
}

/// How long JSON is within a string of JSON, at most.
pub(crate) fn quoted_len(json: &str) -> usize {
    let escaped = json.bytes().filter(|byte| matches!(byte, b'"' | b'\\' | b'\n')).count();
    json.len() + escaped + ",".len()
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
    let prev = kept.first().map(&id);
    Listed { items: kept, iterator, prev, done: !more }
}

fn limit_rule() -> String {
    format!("must be 1 to {MAX_LIMIT}")
}

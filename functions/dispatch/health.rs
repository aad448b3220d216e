//! The health of endpoints: written down when it changes, never counted per delivery.
//!
//! An endpoint's clock starts when a message to it is given up, and stops with the next one that
//! it takes. While it runs, the organisation is warned; when it has run for
//! [`Settings::disable_after_ms`](crate::Settings) the endpoint is disabled. A clock that
//! started so long ago that nothing can be said about the time between starts anew.
//!
//! What an attempt says about an endpoint holds for the URL that was called. It is decided on
//! the endpoint as it is when the change is made: an endpoint that has moved, was enabled or has
//! taken something meanwhile is left alone. A note that cannot be made is lost: the next delivery
//! makes it.
//!
//! Since when an endpoint fails is noted with the second attempt of a delivery that fails, with the
//! last one, or with a probe of an endpoint that is left alone: a delivery that fails once and
//! succeeds then costs nothing here.

use std::collections::HashMap;
use std::sync::Mutex;

use shared::domain::application::Application;
use shared::domain::attempt::Attempt;
use shared::domain::clock::Timestamp;
use shared::domain::endpoint::{Endpoint, Failing};
use shared::domain::health::DisabledBy;
use shared::domain::id::{ApplicationId, EndpointId};
use shared::domain::notice::{Notice, Trigger};
use shared::domain::sync::hold;
use shared::store::table::Write;
use shared::store::{Limit, StoreError};
use tracing::{error, warn};

use crate::job::{Job, NotDone};

/// At which parts of that time the organisation is warned, in percent.
const WARNINGS: [u8; 3] = [50, 70, 90];

/// What a message that was given up means for its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    /// Nothing new.
    None,
    /// The clock starts.
    Start,
    /// So much of the time has passed, in percent.
    Warn(u8),
    /// All of it has.
    Disable,
}

impl Sign {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Start => "start",
            Self::Warn(50) => "half",
            Self::Warn(_) => "warn",
            Self::Disable => "disable",
        }
    }
}

/// How long this process does not repeat a note, in milliseconds: those who read the endpoint
/// before it was made would all make it.
const NOTED_MS: u64 = 30_000;
/// Notes beyond this are forgotten.
const MAX_NOTES: usize = 10_000;

/// What a note says, and of which state of the endpoint.
type Note = (EndpointId, &'static str, Option<Timestamp>);

/// The notes that this process has made lately.
#[derive(Default)]
pub(crate) struct Notes(Mutex<HashMap<Note, Timestamp>>);

impl Notes {
    /// Whether this is to be noted: not if it was a moment ago.
    pub(crate) fn is_new(&self, note: Note, now: Timestamp) -> bool {
        let mut made = hold(&self.0);
        if made.len() > MAX_NOTES {
            made.clear();
        }
        if made.get(&note).is_some_and(|at| now.since(*at) < NOTED_MS) {
            return false;
        }
        made.insert(note, now);
        true
    }
}

/// The endpoint took something: its clock stops.
pub(crate) async fn succeeded(job: &Job, seen: &Endpoint) {
    let Some(since) = seen
        .failing
        .map(|failing| failing.since)
        .or_else(|| seen.health.failing.map(|failing| failing.since))
    else {
        return;
    };
    let note = (seen.id, "succeeded", Some(since));
    if !job.context.notes.is_new(note, job.now()) {
        return;
    }
    let now = job.now();
    let change = |endpoint: &mut Endpoint| {
        if endpoint.url == seen.url {
            endpoint.failing = None;
            endpoint.health.recover(now);
        }
    };
    log(seen.id, edit(job, (seen.app, seen.id), &change).await);
}

/// A delivery failed, and not for the first time, or not as the first one. `since`: when its message
/// could be sent, or since when the endpoint is silent.
pub(crate) async fn stumbled(
    job: &Job,
    seen: &Endpoint,
    application: &Application,
    attempt: &Attempt,
    since: Timestamp,
) {
    let note = (seen.id, "stumbled", seen.health.failing.map(|failing| failing.since));
    if !seen.health.would_fail(attempt.at) || !job.context.notes.is_new(note, job.now()) {
        return;
    }
    let change = |endpoint: &mut Endpoint| {
        if endpoint.url == attempt.url && !endpoint.disabled {
            endpoint.health.fail(attempt, since, application.org);
        }
    };
    log(seen.id, edit(job, (seen.app, seen.id), &change).await);
}

/// The endpoint took a test event.
pub(crate) async fn verified(job: &Job, seen: &Endpoint) {
    let now = job.now();
    let note = (seen.id, "verified", None);
    if seen.verified_at.is_some() || !job.context.notes.is_new(note, now) {
        return;
    }
    let change = |endpoint: &mut Endpoint| {
        if endpoint.url == seen.url {
            endpoint.verified_at = endpoint.verified_at.or(Some(now));
        }
    };
    log(seen.id, edit(job, (seen.app, seen.id), &change).await);
}

/// Does this. Where it fails because the list of the endpoint's attempts takes no more, that is
/// spread wider from now on; one of a few callers sees to it.
pub(crate) async fn watched<T, F: Future<Output = Result<T, StoreError>>>(
    job: &Job,
    attempt: &Attempt,
    call: impl FnOnce() -> F,
) -> Result<T, StoreError> {
    const CALLERS: u64 = 8;
    let result = call().await;
    let is_full = matches!(&result, Err(StoreError::Throttled { limit: Limit::List, .. }));
    // No lot is drawn for what goes well, which is almost everything.
    if is_full && u64::from_be_bytes(job.context.parts.ambient.random()) < u64::MAX / CALLERS {
        let wider = attempt.spread.wider();
        let change = |endpoint: &mut Endpoint| endpoint.spread = endpoint.spread.max(wider);
        log(attempt.ep, edit(job, (attempt.app, attempt.ep), &change).await);
    }
    result
}

/// A message to the endpoint was given up.
pub(crate) async fn given_up(
    job: &Job,
    seen: &Endpoint,
    application: &Application,
    attempt: &Attempt,
    since: Timestamp,
) {
    // With a schedule of one attempt it is the first that is heard of it.
    let began = since;
    let Some(limit_ms) = job.context.parts.settings.disable_after_ms else { return };
    let now = job.now();
    let sign = sign(seen.failing, limit_ms, now);
    let note = (seen.id, sign.name(), seen.failing.map(|failing| failing.since));
    if sign == Sign::None || !job.context.notes.is_new(note, now) {
        return;
    }
    let since = seen.failing.map_or(now, |failing| failing.since);
    let notice = |is: &Endpoint| match sign {
        Sign::Warn(_) => Some(Notice::failing(application, is, since, since.plus_ms(limit_ms))),
        Sign::Disable => Some(Notice::disabled(application, is, Trigger::Automatic(since))),
        Sign::None | Sign::Start => None,
    };
    let change = |endpoint: &mut Endpoint| {
        // Enabled, moved, or found alive meanwhile: what was seen says nothing about it.
        let same = endpoint.url == seen.url && endpoint.disabled == seen.disabled;
        let clock = endpoint.failing.map(|failing| failing.since);
        match sign {
            Sign::Start if same && self::sign(endpoint.failing, limit_ms, now) == Sign::Start => {
                endpoint.failing = Some(Failing { since: now, warned: 0 });
                endpoint.health.fail(attempt, began, application.org);
            }
            Sign::Warn(percent) if same && clock == Some(since) => {
                let warned = endpoint.failing.map_or(0, |failing| failing.warned);
                endpoint.failing = Some(Failing { since, warned: percent.max(warned) });
            }
            Sign::Disable if same && clock == Some(since) => {
                endpoint.disable(DisabledBy::Failing, now);
                endpoint.updated_at = now;
            }
            _ => {}
        }
    };
    let told = match sign {
        Sign::None | Sign::Start => edit(job, (seen.app, seen.id), &change).await,
        _ => edit_and_tell(job, application, seen.id, &change, &notice).await,
    };
    if matches!(told, Ok(true)) {
        warn!(endpoint.id = %seen.id, "disabled: it has only failed for too long");
    }
    log(seen.id, told);
}

/// The endpoint answered that it is gone: it is disabled, if it is still where it was.
///
/// # Errors
/// When it could not be: the record comes again.
pub(crate) async fn gone(
    job: &Job,
    application: &Application,
    attempt: &Attempt,
) -> Result<(), NotDone> {
    let tenant = job.tenant_with(attempt.app, attempt.ep).await?;
    let Some(tenant) = tenant else { return Ok(()) };
    let endpoint = tenant.endpoint_by_id(&attempt.ep);
    if !endpoint.is_some_and(|it| !it.disabled && it.url == attempt.url) {
        return Ok(());
    }
    let notice =
        |is: &Endpoint| Some(Notice::disabled(application, is, Trigger::Automatic(attempt.at)));
    let now = job.now();
    let change = |endpoint: &mut Endpoint| {
        if endpoint.url == attempt.url && !endpoint.disabled {
            endpoint.disable(DisabledBy::Gone, now);
            endpoint.updated_at = now;
        }
    };
    // Of many deliveries that find it gone at once, one disables it.
    if edit_and_tell(job, application, attempt.ep, &change, &notice).await? {
        warn!(endpoint.id = %attempt.ep, "disabled: it answered that it is gone");
    }
    Ok(())
}

/// A change of an endpoint. No type parameter, which would have as many copies of all that stores it.
type Change<'a> = &'a (dyn Fn(&mut Endpoint) + Sync);

/// Changes an endpoint, if it is there; whether that disabled it.
async fn edit(
    job: &Job,
    place: (ApplicationId, EndpointId),
    change: Change<'_>,
) -> Result<bool, StoreError> {
    edit_with(job, place, change, &|_| Ok(Vec::new())).await
}

/// The same, with what is told of the endpoint as it is then, if the change changes anything.
async fn edit_and_tell(
    job: &Job,
    application: &Application,
    ep: EndpointId,
    change: Change<'_>,
    notice: &(dyn Fn(&Endpoint) -> Option<Notice> + Sync),
) -> Result<bool, StoreError> {
    let listeners = job.context.parts.notices.listeners_about(application).await?;
    edit_with(job, (application.id, ep), change, &|is| listeners.hear(notice(is))).await
}

async fn edit_with(
    job: &Job,
    (app, ep): (ApplicationId, EndpointId),
    change: Change<'_>,
    outbox: &(dyn Fn(&Endpoint) -> Result<Vec<Write>, StoreError> + Sync),
) -> Result<bool, StoreError> {
    let edit = |endpoint: &mut Endpoint| {
        let was_disabled = endpoint.disabled;
        change(endpoint);
        endpoint.disabled && !was_disabled
    };
    let tell = |_: &Endpoint, is: &Endpoint| outbox(is);
    let editor = &job.context.parts.editor;
    let edited = editor.edit_endpoint_and_tell(&app, &ep, job.now(), edit, tell).await?;
    Ok(edited.done().is_some_and(|(_, disabled)| disabled))
}

fn log(ep: EndpointId, done: Result<bool, StoreError>) {
    if let Err(error) = done {
        error!(endpoint.id = %ep, %error, "what an attempt said about its endpoint is lost");
    }
}

fn sign(failing: Option<Failing>, limit_ms: u64, now: Timestamp) -> Sign {
    let Some(failing) = failing else { return Sign::Start };
    let passed_ms = now.since(failing.since);
    if passed_ms >= 2 * limit_ms {
        return Sign::Start;
    }
    if passed_ms >= limit_ms {
        return Sign::Disable;
    }
    let reached = |percent: &&u8| passed_ms >= limit_ms / 100 * u64::from(**percent);
    match WARNINGS.iter().rev().find(reached) {
        Some(percent) if *percent > failing.warned => Sign::Warn(*percent),
        _ => Sign::None,
    }
}

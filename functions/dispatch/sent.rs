//! Third phase: the request is out, and its answer is judged.

use shared::domain::answer_headers;
use shared::domain::attempt::{Attempt, EXCERPT_BYTES};
use shared::domain::clock::Timestamp;
use shared::sender::{Ending, Outbound, Outcome};
use tracing::field::Empty;
use tracing::{Span, instrument};

use crate::job::{Job, NotDone};
use crate::phases::{Cleared, GONE, Sent, Verdict};
use crate::policy::Policy;
use crate::request::{self, Body};
use crate::target::Target;
use crate::token;

/// Names and values of an answer's headers.
type Headers = Vec<(String, String)>;

/// Signs the request with all live secrets, with the bytes that were published, and sends it.
///
/// # Errors
/// When it could not be sent for a reason of ours: nothing is on record then.
#[instrument(
    name = "attempt",
    skip_all,
    fields(
        message.id = %target.message.id, endpoint.id = %target.endpoint().id,
        attempt.id = %cleared.id, attempt.trigger = ?cleared.trigger, status = Empty,
        delivered = Empty,
    )
)]
pub(crate) async fn send(job: &Job, target: &Target, cleared: &Cleared) -> Result<Sent, NotDone> {
    let (message, endpoint, policy) = (&target.message, target.endpoint(), &target.policy);
    let at = job.now();
    let outcome = match &cleared.shut {
        Some(reason) => uncalled(reason.clone()),
        None => request(job, target, cleared.timeout_ms, at).await?,
    };
    let duration_ms = outcome.duration_ms;
    let was_cut = cleared.timeout_ms < policy.timeout_ms;
    let taken_bytes = job.context.parts.settings.taken_excerpt_bytes;
    let (verdict, headers) = judge(outcome, policy, taken_bytes, was_cut)?;
    Span::current().record("status", verdict.status).record("delivered", verdict.ok);
    let attempt = Attempt {
        id: cleared.id,
        msg: message.id,
        app: message.app,
        ep: endpoint.id,
        trigger: cleared.trigger,
        by_hand: cleared.held.as_ref().is_some_and(|held| held.value.by_hand),
        at,
        url: endpoint.url.clone(),
        ok: verdict.ok,
        status: verdict.status,
        ms: duration_ms,
        response: verdict.response.clone(),
        headers,
        event_type: message.event_type.clone(),
        channels: message.channels.clone(),
        tags: message.tags.clone(),
        subject: message.subject.clone(),
        spread: endpoint.spread,
    };
    Ok(Sent { attempt, verdict })
}

/// What became of the request itself.
async fn request(
    job: &Job,
    target: &Target,
    timeout_ms: u64,
    at: Timestamp,
) -> Result<Outcome, NotDone> {
    let parts = &job.context.parts;
    let (message, endpoint, policy) = (&target.message, target.endpoint(), &target.policy);
    let owner = endpoint.id.to_string();
    let unopened = |what: &str| {
        NotDone::Failed(format!("{what} of {owner} does not open: has the root secret changed?"))
    };
    let secrets = endpoint.keyring.live(&owner, &parts.sealer, at);
    if secrets.is_empty() {
        return Err(unopened("the secret"));
    }
    let custom = endpoint.open_headers(&parts.sealer).ok_or_else(|| unopened("a header"))?;
    let body = match &policy.token {
        None => Ok(Body::json(message, endpoint, &policy.profile)),
        Some(claims) => token::body(parts, message, policy, claims, at).await?,
    };
    Ok(match body {
        Ok(body) => {
            let outbound = request::signed(message, endpoint, body, &secrets, (policy, custom), at);
            parts.sender.send(Outbound { timeout_ms, ..outbound }).await
        }
        Err(reason) => uncalled(reason),
    })
}

/// An attempt without a request.
fn uncalled(reason: String) -> Outcome {
    Outcome { ending: Ending::Refused(reason), duration_ms: 0 }
}

/// Success is what the policy says, 2xx unless it says less. Everything else is a failure,
/// redirects included. Of the answer of a success, `taken_bytes` are kept, and no headers. Where the
/// request `was_cut` to what this invocation had left, nobody knows whether the endpoint would have
/// answered.
///
/// # Errors
/// When the request was not sent, for want of something of ours: no attempt of the endpoint's.
fn judge(
    outcome: Outcome,
    policy: &Policy,
    taken_bytes: usize,
    was_cut: bool,
) -> Result<(Verdict, Headers), NotDone> {
    let answered = match outcome.ending {
        Ending::Answered { .. } => Some(true),
        Ending::TimedOut if was_cut => None,
        Ending::TimedOut | Ending::Failed(_) => Some(false),
        Ending::Refused(_) | Ending::Unsent(_) => None,
    };
    let mut kept = Headers::new();
    let (status, response, retry_after) = match outcome.ending {
        Ending::Answered { status, excerpt, retry_after, .. } if policy.is_success(status) => {
            (status, legible(&excerpt, taken_bytes), retry_after)
        }
        Ending::Answered { status, excerpt, retry_after, headers } => {
            kept = answer_headers::kept(&headers);
            (status, legible(&excerpt, EXCERPT_BYTES), retry_after)
        }
        Ending::TimedOut => (0, format!("no answer within {} ms", outcome.duration_ms), None),
        Ending::Refused(reason) => (0, format!("not called: {reason}"), None),
        Ending::Failed(reason) => (0, reason, None),
        Ending::Unsent(reason) => return Err(NotDone::Failed(reason)),
    };
    let (ok, gone) = (policy.is_success(status), status == GONE);
    Ok((Verdict { ok, gone, answered, retry_after, status, response }, kept))
}

/// The beginning of an answer as text of at most `keep` bytes. What is not UTF-8 becomes U+FFFD,
/// which is longer than what it stands for.
fn legible(excerpt: &[u8], keep: usize) -> String {
    let excerpt = &excerpt[..excerpt.len().min(keep)];
    let mut text = String::from_utf8_lossy(excerpt).into_owned();
    text.truncate(text.floor_char_boundary(keep));
    text
}

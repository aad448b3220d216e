//! How sources are, for the operator: what each took last and what it refused lately. Read, not
//! counted: a source that takes what it is sent writes nothing for this.

use std::collections::{BTreeMap, HashMap};

use crate::JsonSchema;
#[cfg(feature = "description")]
use description::Moment;
use serde::Serialize;
use shared::api::error::ApiError;
use shared::domain::id::{ApplicationId, MessageId, SourceId};
use shared::domain::message::Message;
use shared::domain::source::{Refusal, Refused, Source};
use shared::store::{Listed, Need, Walk};

use crate::{Answer, Call, page};

/// Most sources of a page.
const MOST_SOURCES: usize = 50;
/// Most messages that one request looks at, over all applications in one place.
const MOST_OF_ALL: usize = 1_000;
/// Most messages of one application.
const MOST_OF_ONE: usize = 100;
/// Messages of an application that are looked at first: nearly always these have what is looked for.
const FIRST: usize = 20;
/// Notes of refusals that count: as many as one read unit has.
const NOTES: usize = 20;

/// How a source is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SourceStateOut {
    source_id: SourceId,
    /// The name of the application that it publishes to; none if that is gone.
    application: Option<String>,
    state: State,
    /// The latest webhook that became a message, if it was found.
    last_taken: Option<TakenOut>,
    /// What was refused in the last seven days, if anything was.
    refused: Option<RefusedOut>,
    /// Latest messages of its application that were looked at for it.
    looked_at: usize,
    /// Whether those are all that are kept.
    complete: bool,
}

/// How a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "SourceState")]
enum State {
    /// Nothing came in that is still on record.
    Waiting,
    /// The last that came in was proved, and became a message.
    Verified,
    /// The last that came in was refused.
    Refused,
    /// Nothing of it is among the messages that were looked at.
    Quiet,
}

/// A webhook that became a message.
#[derive(Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "SourceTaken")]
struct TakenOut {
    /// That of the message.
    id: MessageId,
    event_type: String,
    #[schemars(with = "Moment")]
    timestamp: String,
}

/// Webhooks that were refused.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "SourceRefused")]
struct RefusedOut {
    /// When the last of them came; what comes within a minute of it is noted with the next.
    #[schemars(with = "Moment")]
    timestamp: String,
    /// Why that was refused.
    reason: Refusal,
    /// The reason in a sentence, and what to do about it.
    says: &'static str,
    /// How many there are in the latest 20 notes of them; there may be more since the last one.
    count: u64,
    /// When the first of these notes was made.
    #[schemars(with = "Moment")]
    since: String,
}

/// Why a request was refused, and what to do about it.
pub(crate) fn sentence(reason: Refusal) -> &'static str {
    match reason {
        Refusal::Headers => {
            "A header that proves the request is missing. Choose the kind of source that the \
             sender is."
        }
        Refusal::Tolerance => {
            "The request was signed too long ago, or in the future. Check the sender's clock."
        }
        Refusal::Signature => "The proof does not fit. Compare the secret on both sides.",
        Refusal::Secret => "The source has no secret that can be used. Store the sender's secret.",
        Refusal::Body => {
            "The body is not a JSON object. Choose JSON in the settings of the system that sends it."
        }
    }
}

/// What an application's latest messages tell of its sources.
#[derive(Default)]
struct Seen {
    /// What the application is called.
    application: Option<String>,
    /// The latest message of each source that has one among them.
    last: HashMap<SourceId, Message>,
    looked_at: usize,
    complete: bool,
}

impl Seen {
    /// Adds older messages.
    fn add(&mut self, listed: Listed<Message>) -> Option<String> {
        self.looked_at += listed.items.len();
        self.complete = listed.done;
        for message in listed.items {
            if let Some(source) = message.source {
                self.last.entry(source).or_insert(message);
            }
        }
        listed.iterator
    }
}

impl Call<'_> {
    /// How each source is, page by page as the list of sources has them.
    pub(crate) async fn list_source_states(&self) -> Answer {
        let mut walk = page::walk::<SourceId>(self.request, false)?;
        walk.limit = walk.limit.min(MOST_SOURCES);
        let all = self.admin.sources.list(&self.access.organisation()).await?;
        let listed = page::cut(&walk, all, |source: &Source| source.id.to_string());
        let Listed { items, iterator, prev, done } = listed;
        let seen = self.seen_of(&items).await?;
        let shown = items.iter().map(|source| self.state_of(source, seen.get(&source.app)));
        let items = page::side_by_side(page::AT_ONCE, shown).await?;
        Ok(page::respond(Listed { items, iterator, prev, done }, |shown| shown))
    }

    /// What the latest messages of the applications tell that these sources publish to.
    async fn seen_of(&self, sources: &[Source]) -> Result<HashMap<ApplicationId, Seen>, ApiError> {
        let mut apps: BTreeMap<ApplicationId, Vec<SourceId>> = BTreeMap::new();
        for source in sources {
            apps.entry(source.app).or_default().push(source.id);
        }
        let most = (MOST_OF_ALL / apps.len().max(1)).clamp(FIRST, MOST_OF_ONE);
        let reads = apps.iter().map(|(app, wanted)| self.look(app, wanted, most));
        let seen = page::side_by_side(page::AT_ONCE, reads).await?;
        Ok(apps.into_keys().zip(seen).collect())
    }

    /// Looks through an application's latest messages until each of these sources was met, or
    /// `most` of them were looked at.
    async fn look(
        &self,
        app: &ApplicationId,
        wanted: &[SourceId],
        most: usize,
    ) -> Result<Seen, ApiError> {
        let Some(tenant) = self.admin.directory.tenant(app, Need::Application).await? else {
            return Ok(Seen { complete: true, ..Seen::default() });
        };
        let application = Some(tenant.application.name.clone());
        let mut seen = Seen { application, ..Seen::default() };
        let spread = tenant.application.spread;
        let mut iterator = None;
        for limit in [FIRST, most - FIRST] {
            let is_met = wanted.iter().all(|source| seen.last.contains_key(source));
            if limit == 0 || is_met || seen.complete {
                break;
            }
            let walk = Walk { descending: true, ..Walk::onward(limit, iterator.take()) };
            let now = self.admin.ambient.now();
            let listed = self.admin.history.messages(app, spread, &walk, now, |_| true).await?;
            iterator = seen.add(listed);
        }
        Ok(seen)
    }

    async fn state_of(
        &self,
        source: &Source,
        seen: Option<&Seen>,
    ) -> Result<SourceStateOut, ApiError> {
        let now = self.admin.ambient.now();
        let notes = self.admin.source_log.latest_refused(&source.id, NOTES, now).await?;
        let taken = seen.and_then(|seen| seen.last.get(&source.id));
        let complete = seen.is_some_and(|seen| seen.complete);
        let state = match (taken, notes.first()) {
            (Some(taken), Some(refused)) if taken.at >= refused.at => State::Verified,
            (_, Some(_)) => State::Refused,
            (Some(_), None) => State::Verified,
            (None, None) if complete => State::Waiting,
            (None, None) => State::Quiet,
        };
        Ok(SourceStateOut {
            source_id: source.id,
            application: seen.and_then(|seen| seen.application.clone()),
            state,
            last_taken: taken.map(|message| TakenOut {
                id: message.id,
                event_type: message.event_type.clone(),
                timestamp: message.at.to_rfc3339(),
            }),
            refused: refused_out(&notes),
            looked_at: seen.map_or(0, |seen| seen.looked_at),
            complete,
        })
    }
}

/// What these notes come to, newest first.
fn refused_out(notes: &[Refused]) -> Option<RefusedOut> {
    let (last, first) = (notes.first()?, notes.last()?);
    Some(RefusedOut {
        timestamp: last.at.to_rfc3339(),
        reason: last.reason,
        says: sentence(last.reason),
        count: notes.iter().map(|note| note.count).sum(),
        since: first.at.to_rfc3339(),
    })
}

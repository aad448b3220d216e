//! The health of endpoints: written down when it changes, never counted per delivery.
//!
//! An endpoint's clock starts when a message to it is given up, and stops with the next one that
//! it takes. While it runs, the organisation is warned; when it has run for
//! [`Settings::disable_after_ms`](crate::Settings) the endpoint is disabled. A clock that
//! started so long ago that nothing can be said about the time between starts anew.

use shared::domain::application::Application;
use shared::domain::attempt::Attempt;
use shared::domain::clock::Timestamp;
use shared::domain::endpoint::{Endpoint, Failing};
use shared::domain::message::Message;
use shared::domain::notice::{FAILING_AFTER, Notice, Trigger};
use shared::store::table::Write;
use shared::store::{Consequence, StoreError};
use tracing::{error, warn};

use crate::{Dispatcher, Undone};

/// How long an endpoint may only fail before it is disabled, in milliseconds: five days (Svix).
pub const DISABLE_AFTER_MS: u64 = 5 * 86_400_000;
/// At which parts of that time the organisation is warned, in percent.
const WARNINGS: [u8; 3] = [50, 70, 90];

/// What a message that was given up means for its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Nothing new.
    None,
    /// The clock starts.
    Start,
    /// So much of the time has passed, in percent.
    Warn(u8),
    /// All of it has.
    Disable,
}

impl Dispatcher {
    /// What the organisation is told about this attempt, to be written with its record.
    ///
    /// The request is out by now: an attempt that is not recorded would be sent again, so if
    /// the store cannot say twice who listens, nobody is told, and the log has it.
    pub(crate) async fn tidings(
        &self,
        message: &Message,
        application: &Application,
        attempt: &Attempt,
        number: u32,
        consequence: &Consequence,
    ) -> Vec<Write> {
        let kind = match consequence {
            Consequence::Failed => "message.attempt.exhausted",
            Consequence::Retry { .. } if number == FAILING_AFTER => "message.attempt.failing",
            Consequence::Delivered if number > FAILING_AFTER => "message.attempt.recovered",
            Consequence::Retry { .. } | Consequence::Delivered => return Vec::new(),
        };
        let told = async || -> Result<Vec<Write>, StoreError> {
            let notice = Notice::attempt(kind, application, message, attempt);
            self.parts.notices.about(application, &notice).await
        };
        match told().await {
            Ok(tidings) => tidings,
            Err(_) => told().await.unwrap_or_else(|error| {
                error!(message.id = %message.id, kind, %error, "a notice is lost");
                Vec::new()
            }),
        }
    }

    /// The endpoint took something: its clock stops.
    pub(crate) async fn note_success(&self, endpoint: &Endpoint) -> Result<(), Undone> {
        if endpoint.failing.is_some() {
            self.edit(endpoint, Vec::new(), |endpoint| endpoint.failing = None).await?;
        }
        Ok(())
    }

    /// A message to the endpoint was given up.
    pub(crate) async fn note_given_up(
        &self,
        endpoint: &Endpoint,
        application: &Application,
    ) -> Result<(), Undone> {
        let Some(limit_ms) = self.parts.settings.disable_after_ms else { return Ok(()) };
        let now = self.parts.ambient.now();
        let turn = turn(endpoint.failing, limit_ms, now);
        let since = endpoint.failing.map_or(now, |failing| failing.since);
        match turn {
            Turn::None => return Ok(()),
            Turn::Disable => {
                return self.disable(endpoint, application, Trigger::Automatic(since)).await;
            }
            Turn::Start | Turn::Warn(_) => {}
        }
        let mut tidings = Vec::new();
        if matches!(turn, Turn::Warn(_)) {
            let disabled_at = since.plus_ms(limit_ms);
            let notice = Notice::failing(application, endpoint, since, disabled_at);
            tidings = self.parts.notices.about(application, &notice).await?;
        }
        self.edit(endpoint, tidings, |endpoint| match (turn, endpoint.failing) {
            (Turn::Warn(percent), Some(failing)) => {
                endpoint.failing = Some(Failing { warned: percent.max(failing.warned), ..failing });
            }
            (Turn::Start, seen) => {
                // Another delivery may have started it a moment ago.
                let since = seen.filter(|seen| now.since(seen.since) < limit_ms);
                endpoint.failing = since.or(Some(Failing { since: now, warned: 0 }));
            }
            _ => {}
        })
        .await
    }

    /// Disables an endpoint and tells the organisation.
    pub(crate) async fn disable(
        &self,
        endpoint: &Endpoint,
        application: &Application,
        trigger: Trigger,
    ) -> Result<(), Undone> {
        warn!(endpoint.id = %endpoint.id, ?trigger, "disabled");
        let notice = Notice::disabled(application, endpoint, trigger);
        let tidings = self.parts.notices.about(application, &notice).await?;
        let now = self.parts.ambient.now();
        self.edit(endpoint, tidings, |endpoint| {
            endpoint.disabled = true;
            endpoint.updated_at = now;
        })
        .await
    }

    async fn edit(
        &self,
        endpoint: &Endpoint,
        tidings: Vec<Write>,
        change: impl Fn(&mut Endpoint),
    ) -> Result<(), Undone> {
        let now = self.parts.ambient.now();
        let editor = self.parts.editor.with(tidings);
        editor.edit_endpoint(&endpoint.app, &endpoint.id, now, change).await?;
        Ok(())
    }
}

fn turn(failing: Option<Failing>, limit_ms: u64, now: Timestamp) -> Turn {
    let Some(failing) = failing else { return Turn::Start };
    let passed_ms = now.since(failing.since);
    if passed_ms >= 2 * limit_ms {
        return Turn::Start;
    }
    if passed_ms >= limit_ms {
        return Turn::Disable;
    }
    let reached = |percent: &&u8| passed_ms >= limit_ms / 100 * u64::from(**percent);
    match WARNINGS.iter().rev().find(reached) {
        Some(percent) if *percent > failing.warned => Turn::Warn(*percent),
        _ => Turn::None,
    }
}

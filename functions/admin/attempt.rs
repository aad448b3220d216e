//! Attempts: list by message and by endpoint, read, and ask for another one.

use std::collections::{BTreeSet, HashMap};

use crate::JsonSchema;
use bytes::Bytes;
#[cfg(feature = "description")]
use description::Moment;
use http::{Request, StatusCode};
use serde::Serialize;
use shared::api::error::{self, ApiError};
use shared::api::message::MessageOut;
use shared::api::request::{query_flag, query_value};
use shared::domain::attempt::Attempt;
use shared::domain::endpoint::Endpoint;
use shared::domain::id::{AttemptId, EndpointId, MessageId};
use shared::domain::message::Message;
use shared::queue::{record::Record, send_one};
use shared::store::{Listed, Tenant, Walk};

use crate::endpoint::{EndpointOut, endpoint_of};
use crate::message::Filter;
use crate::standing::{FAIL, OnRecord, SUCCESS, Standing, Tried};
use crate::{Answer, Call, page};

/// What a caller gets.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "MessageAttemptOut")]
pub(crate) struct AttemptOut {
    #[schemars(with = "description::Url")]
    url: String,
    response: String,
    response_status_code: u16,
    response_duration_ms: u64,
    /// Names and values of headers of the answer, of an attempt that failed: as many as are kept,
    /// what tells most first, and none that may be a secret.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<[String; 2]>")]
    response_headers: Vec<(String, String)>,
    #[schemars(with = "description::AttemptStatus")]
    status: u8,
    #[schemars(with = "description::AttemptStatusText")]
    status_text: &'static str,
    #[schemars(with = "description::TriggerType")]
    trigger_type: u8,
    msg_id: MessageId,
    endpoint_id: EndpointId,
    id: AttemptId,
    #[schemars(with = "Moment")]
    timestamp: String,
    /// The message, never with its payload, where it was asked for with `with_msg` and is there
    /// still.
    #[serde(skip_serializing_if = "Option::is_none")]
    msg: Option<MessageOut>,
}

impl AttemptOut {
    fn of(attempt: Attempt, with_content: bool) -> Self {
        let (status, status_text) = if attempt.ok { SUCCESS } else { FAIL };
        let trigger_type = u8::from(attempt.is_by_hand());
        Self {
            url: attempt.url,
            response: if with_content { attempt.response } else { String::new() },
            response_headers: if with_content { attempt.headers } else { Vec::new() },
            response_status_code: attempt.status,
            response_duration_ms: attempt.ms,
            status,
            status_text,
            trigger_type,
            msg_id: attempt.msg,
            endpoint_id: attempt.ep,
            id: attempt.id,
            timestamp: attempt.at.to_rfc3339(),
            msg: None,
        }
    }
}

/// An endpoint and how far a message is with it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "MessageEndpointOut")]
pub(crate) struct DestinationOut {
    #[serde(flatten)]
    endpoint: EndpointOut,
    #[serde(flatten)]
    standing: Standing,
}

/// Which attempts a caller wants to see.
pub(crate) struct AttemptFilter {
    message: Filter,
    ok: Option<bool>,
    class: Option<u16>,
    endpoint: Option<EndpointId>,
}

impl AttemptFilter {
    /// The filter of a request.
    ///
    /// # Errors
    /// 400 that names a parameter which does not read.
    pub(crate) fn of(request: &Request<Bytes>) -> Result<Self, ApiError> {
        let class = match query_value(request, "status_code_class").as_deref() {
            None => None,
            Some(class @ ("0" | "100" | "200" | "300" | "400" | "500")) => class.parse().ok(),
            Some(_) => {
                let rule = "must be 0, 100, 200, 300, 400 or 500";
                return Err(ApiError::bad_query("status_code_class", rule));
            }
        };
        let ok = match query_value(request, "status").as_deref() {
            None => None,
            Some("0") => Some(true),
            Some("2") => Some(false),
            // An attempt that is on record is over.
            Some("1" | "3") => return Self::none(request),
            Some(_) => {
                let rule = "must be 0 (success), 1, 2 (fail) or 3";
                return Err(ApiError::bad_query("status", rule));
            }
        };
        Ok(Self { message: Filter::of(request)?, ok, class, endpoint: None })
    }

    fn none(request: &Request<Bytes>) -> Result<Self, ApiError> {
        let message = Filter::of(request)?;
        Ok(Self { message, ok: None, class: Some(u16::MAX), endpoint: None })
    }

    /// Whether this attempt is wanted.
    pub(crate) fn keeps(&self, attempt: &Attempt) -> bool {
        self.message.keeps_attempt(attempt)
            && self.ok.is_none_or(|ok| attempt.ok == ok)
            && self.class.is_none_or(|class| attempt.status / 100 * 100 == class)
            && self.endpoint.is_none_or(|ep| attempt.ep == ep)
    }
}

impl Call<'_> {
    pub(crate) async fn attempts_of_message(&self, app: &str, msg: &str) -> Answer {
        let endpoint = query_value(self.request, "endpoint_id");
        self.attempts_between(app, msg, endpoint.as_deref()).await
    }

    /// The same to one endpoint, which older clients name in the path.
    pub(crate) async fn attempts_of_pair(&self, app: &str, msg: &str, ep: &str) -> Answer {
        self.attempts_between(app, msg, Some(ep)).await
    }

    async fn attempts_between(&self, app: &str, msg: &str, endpoint: Option<&str>) -> Answer {
        let tenant = match endpoint {
            Some(reference) => self.tenant_with(app, reference).await?,
            None => self.tenant(app).await?,
        };
        let message = self.message(&tenant, msg).await?;
        let walk = page::walk::<AttemptId>(self.request, true)?;
        let mut filter = AttemptFilter::of(self.request)?;
        if let Some(reference) = endpoint {
            filter.endpoint = Some(endpoint_of(&tenant, reference)?.id);
        }
        let history = &self.admin.history;
        let mut attempts = match &filter.endpoint {
            Some(ep) => history.attempts_of_pair(&message.id, ep).await?,
            None => history.attempts_of_message(&message.id).await?,
        };
        attempts.retain(|attempt| {
            filter.keeps(attempt)
                && walk.after.is_none_or(|at| attempt.at >= at)
                && walk.before.is_none_or(|at| attempt.at < at)
        });
        let id = |attempt: &Attempt| attempt.id.to_string();
        self.show_attempts(&tenant, &walk, page::cut(&walk, attempts, id)).await
    }

    pub(crate) async fn attempts_of_endpoint(&self, app: &str, ep: &str) -> Answer {
        let (tenant, endpoint) = self.endpoint(app, ep).await?;
        let walk = page::walk::<AttemptId>(self.request, true)?;
        let filter = AttemptFilter::of(self.request)?;
        let now = self.admin.ambient.now();
        let listed = self
            .admin
            .history
            .attempts_of_endpoint(&endpoint.id, endpoint.spread, &walk, now, |attempt| {
                filter.keeps(attempt)
            })
            .await?;
        self.show_attempts(&tenant, &walk, listed).await
    }

    /// A page of attempts, with their messages if the caller asks for them: each is read once.
    async fn show_attempts(&self, tenant: &Tenant, walk: &Walk, listed: Listed<Attempt>) -> Answer {
        let with_content = self.wants_content()?;
        let with_msg = query_flag(self.request, "with_msg", false)?;
        let (app, now) = (&tenant.application.id, self.admin.ambient.now());
        let shown = listed.items.iter().filter(|_| with_msg);
        let msgs: BTreeSet<MessageId> = shown.map(|attempt| attempt.msg).collect();
        let reads = msgs.into_iter().map(async |msg| {
            let found = self.admin.history.message(app, &msg.to_string(), now).await?;
            Ok::<_, ApiError>((msg, found.map(|message| MessageOut::of(message, false))))
        });
        let known = page::side_by_side(page::AT_ONCE, reads).await?;
        let known: HashMap<_, _> = known.into_iter().collect();
        let id = |attempt: &Attempt| attempt.id.to_string();
        page::respond_within(walk, listed, id, |attempt| {
            let msg = known.get(&attempt.msg).cloned().flatten();
            AttemptOut { msg, ..AttemptOut::of(attempt, with_content) }
        })
    }

    pub(crate) async fn get_attempt(&self, app: &str, msg: &str, attempt: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let message = self.message(&tenant, msg).await?;
        let found = self.attempt(&message, attempt).await?;
        Ok(error::json(StatusCode::OK, &AttemptOut::of(found, true)))
    }

    /// The attempt of this message with this id.
    pub(crate) async fn attempt(&self, message: &Message, id: &str) -> Result<Attempt, ApiError> {
        let id: AttemptId = id.parse().map_err(|_| ApiError::not_found())?;
        let found = self.admin.history.attempt_of_message(&message.id, &id).await?;
        found.ok_or_else(ApiError::not_found)
    }

    /// The endpoints that a message was sent to, and how far it is with each.
    pub(crate) async fn destinations(&self, app: &str, msg: &str) -> Answer {
        let tenant = self.whole_tenant(app).await?;
        let message = self.message(&tenant, msg).await?;
        let walk = page::walk::<EndpointId>(self.request, true)?;
        let attempts = self.admin.history.attempts_of_message(&message.id).await?;
        let deliveries = self.admin.history.deliveries_of_message(&message.id).await?;
        let on_record = OnRecord::of(&attempts, &deliveries);
        let now = self.admin.ambient.now();
        let known: Vec<(&Endpoint, Standing)> = tenant
            .endpoints
            .iter()
            .filter_map(|endpoint| {
                let (delivery, made) = on_record.at(&endpoint.id);
                let tried = Tried::of(made.iter().copied());
                let known = delivery.is_some() || tried.any;
                known.then(|| (&**endpoint, Standing::of(delivery, tried, now)))
            })
            .collect();
        let id = |(endpoint, _): &(&Endpoint, Standing)| endpoint.id.to_string();
        let listed = page::cut(&walk, known, id);
        page::respond_within(&walk, listed, id, |(endpoint, standing)| DestinationOut {
            endpoint: EndpointOut::from(endpoint.clone()),
            standing,
        })
    }

    /// Takes away what the endpoint answered.
    pub(crate) async fn expunge_attempt(&self, app: &str, msg: &str, attempt: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let message = self.message(&tenant, msg).await?;
        self.admin.eraser.attempt(&self.attempt(&message, attempt).await?).await?;
        Ok(error::empty(StatusCode::NO_CONTENT))
    }

    /// Asks for another attempt, whatever came of the earlier ones.
    pub(crate) async fn resend(&self, app: &str, msg: &str, ep: &str) -> Answer {
        let tenant = self.tenant_with(app, ep).await?;
        let message = self.message(&tenant, msg).await?;
        let endpoint = endpoint_of(&tenant, ep)?;
        if endpoint.disabled {
            return Err(ApiError::bad_request(
                "endpoint_disabled",
                "The endpoint is disabled: enable it, then send again.",
            ));
        }
        if message.expunged {
            return Err(ApiError::bad_request(
                "missing_payload",
                "The message's payload was expunged: there is nothing to send.",
            ));
        }
        if message.parts > 0 {
            return Err(ApiError::bad_request(
                "split",
                "This event was cut into several: send its parts, which its payload names.",
            ));
        }
        let profile = self.admin.profiles.of_endpoint(&tenant.application, endpoint).await?;
        if let Some(why) = profile.barred(&tenant.application, endpoint, &message) {
            return Err(ApiError::bad_request("not_admitted", format!("Not sent: {why}.")));
        }
        let record = Record::Resend {
            app: message.app,
            msg: message.id,
            ep: endpoint.id,
            attempt: AttemptId::new(&self.admin.ambient),
            again: false,
            not_before: None,
        };
        send_one(&*self.admin.queues.retries, record.outgoing(0)).await?;
        Ok(error::json(StatusCode::ACCEPTED, &serde_json::Map::new()))
    }
}

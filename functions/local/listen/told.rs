//! What a listener says: a line a delivery, coloured at a terminal, JSON for programs.

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use shared::domain::clock::Timestamp;

use super::answer::Answered;
use super::{Print, line};
use crate::output::{Paint, field};
use crate::reach::{Api, segment};
use crate::terminal::{shown, shown_in_line, shown_json};
use crate::webhook::Webhook;

/// Tells of deliveries. Clones tell the same.
#[derive(Clone)]
pub(super) struct Teller {
    api: Api,
    app: String,
    print: Option<Print>,
    json: bool,
    paint: Paint,
}

impl Teller {
    /// About the deliveries of this application.
    pub(super) fn new(api: Api, app: String, print: Option<Print>, json: bool) -> Self {
        Self { api, app, print, json, paint: Paint::of_stdout() }
    }

    /// Where it listens, and with which secret.
    pub(super) fn begin(&self, about: &Value) {
        if self.json {
            return line(&shown_json(about));
        }
        let (url, endpoint) = (field(about, "url"), field(about, "endpoint"));
        line(&format!("{url} listens as {endpoint} of {}; Ctrl-C ends it", self.app));
        line(&format!("secret {} (the same the next time)", field(about, "secret")));
        if let Some(to) = about["forwardTo"].as_str() {
            line(&format!("passed on to {to}"));
        }
        if about["relayed"] == true {
            line("by way of an inspector: the platform does not hear what is answered here");
        }
    }

    /// A delivery. Its event type is asked for meanwhile: it is not in what arrives.
    pub(super) fn tell(
        &self,
        at: Timestamp,
        request: &Request<Bytes>,
        webhook: &Webhook,
        attempt: u32,
        answered: &Answered,
    ) {
        let verified = webhook.verified.as_ref().err().map(|rejection| rejection.detail());
        let headers: Vec<(String, String)> = request
            .headers()
            .iter()
            .map(|(name, value)| {
                (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        let mut about = json!({
            "event": "delivery", "at": at.to_rfc3339(), "id": webhook.id, "attempt": attempt,
            "verified": verified.is_none(), "rejection": verified,
            "status": answered.status.as_u16(), "ms": answered.ms as u64,
            "forwardedTo": answered.to, "failure": answered.failure,
        });
        if self.print.is_some() || self.json {
            about["body"] = String::from_utf8_lossy(request.body()).into();
        }
        if self.print == Some(Print::Headers) || self.json {
            about["headers"] = json!(headers);
        }
        let teller = self.clone();
        tokio::spawn(async move {
            about["eventType"] = teller.kind(&field(&about, "id")).await.into();
            line(&match teller.json {
                true => shown_json(&about),
                false => teller.shown(&about),
            });
        });
    }

    async fn kind(&self, id: &str) -> String {
        let path = format!("/app/{}/msg/{}?with_content=false", self.app, segment(id));
        let found = self.api.find(&path).await.ok().flatten();
        found.map_or_else(|| "?".to_owned(), |message| field(&message, "eventType"))
    }

    fn shown(&self, about: &Value) -> String {
        let (paint, status) = (self.paint, about["status"].to_string());
        let is_well = about["status"].as_u64().is_some_and(|status| status < 300);
        let status = if is_well { paint.good(&status) } else { paint.bad(&status) };
        let to = about["forwardedTo"].as_str().map(|to| format!("  -> {to}")).unwrap_or_default();
        let verdict = match about["rejection"].as_str() {
            None => "signature verified".to_owned(),
            Some(why) => paint.bad(&format!("NOT VERIFIED: {}", shown_in_line(why))),
        };
        let mut text = format!(
            "{}  {}{to}  {status}  {} ms  attempt {}  {verdict}  {}",
            paint.faint(field(about, "at").get(11..19).unwrap_or_default()),
            shown_in_line(&field(about, "eventType")),
            about["ms"],
            about["attempt"],
            paint.faint(&shown_in_line(&field(about, "id"))),
        );
        if let Some(failure) = about["failure"].as_str() {
            text += &format!("\n  {}", paint.bad(&shown_in_line(failure)));
        }
        for header in about["headers"].as_array().into_iter().flatten() {
            let of = |n: usize| shown_in_line(header[n].as_str().unwrap_or_default());
            text += &format!("\n  {}: {}", of(0), of(1));
        }
        if about["body"].is_string() {
            text += &format!("\n  {}", shown(&field(about, "body")));
        }
        text
    }
}

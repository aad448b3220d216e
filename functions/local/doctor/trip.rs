//! An event through the whole stack: published, signed, delivered to an inspector, recorded.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};
use shared::domain::clock::{Ambient, Timestamp};
use shared::domain::secret::SigningSecret;

use super::Report;
use crate::reach::string;
use crate::remote::Remote;
use crate::webhook;

/// Longest wait for the event. Cold starts of all functions take less than two seconds.
const PATIENCE_MS: u64 = 30_000;
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Sends an event and says what came of it.
pub(crate) async fn take(api: &Remote, publish: &str, ambient: &Ambient, report: &mut Report) {
    match api.call(Method::GET, "/api/v1/health", Value::Null).await {
        Ok(_) => report.well("API", &api.url("")),
        Err(why) => {
            let remedy = "look at the API's routes and at the admin function's log group";
            return report.wrong("API", &why, remedy);
        }
    }
    match api.call(Method::GET, "/api/v1/operator/parked", Value::Null).await {
        Ok(parked) if parked["data"].as_array().is_some_and(|parked| !parked.is_empty()) => {
            let parked = parked["data"].as_array().map_or(0, Vec::len);
            let path = "GET /api/v1/operator/parked shows why, POST .../{id}/redrive sends it on";
            report.note("parked records", &format!("{parked}: {path}"));
        }
        Ok(_) => report.well("parked records", "none"),
        Err(why) => {
            let remedy = "is the root secret the one that the functions started with?";
            return report.wrong("operator token", &why, remedy);
        }
    }
    let app = json!({"name": "posthorn doctor", "profile": "svix"});
    let app = match api.call(Method::POST, "/api/v1/app", app).await {
        Ok(app) => app["id"].as_str().unwrap_or_default().to_owned(),
        Err(why) => return report.wrong("write", &why, "look at the admin function's log group"),
    };
    let trip = Trip { api, publish: api.at(publish), app: &app, ambient };
    match trip.run().await {
        Ok(found) => report.well("an event's trip", &found),
        Err((why, remedy)) => report.wrong("an event's trip", &why, remedy),
    }
    if let Err(why) = api.call(Method::DELETE, &format!("/api/v1/app/{app}"), Value::Null).await {
        report.note("clean up", &why);
    }
}

type Broken = (String, &'static str);

struct Trip<'a> {
    api: &'a Remote,
    publish: Remote,
    app: &'a str,
    ambient: &'a Ambient,
}

impl Trip<'_> {
    async fn run(&self) -> Result<String, Broken> {
        let at_admin = |why: String| (why, "look at the admin function's log group");
        let inspector = self.post(self.api, "/api/v1/operator/inspector", json!({})).await;
        let token = inspector.and_then(|made| string(&made, "token")).map_err(at_admin)?;
        // Where we reach it ourselves, which is not always what the stack calls itself.
        let url = self.api.url(&format!("/inspect/{token}"));
        let path = format!("/api/v1/app/{}/endpoint", self.app);
        let endpoint = self.post(self.api, &path, json!({"url": url})).await.map_err(at_admin)?;
        let endpoint = string(&endpoint, "id").map_err(at_admin)?;
        let secret = self.get(&format!("{path}/{endpoint}/secret")).await.map_err(at_admin)?;
        let secret = string(&secret, "key").and_then(|key| SigningSecret::parse(&key));
        let secret = secret.map_err(at_admin)?;

        let began = self.ambient.now();
        let event =
            json!({"eventType": "posthorn.doctor", "payload": {"sent": began.to_rfc3339()}});
        let path = format!("/api/v1/app/{}/msg", self.app);
        let message = self.post(&self.publish, &path, event.clone()).await;
        let message = message
            .and_then(|message| string(&message, "id"))
            .map_err(|why| (why, "look at the receive function's log group"))?;
        let accepted = self.ambient.now();
        let Some(arrived) = self.wait(&token, began).await.map_err(at_admin)? else {
            return Err(self.missing(&endpoint).await);
        };
        let sent = event["payload"].to_string();
        if arrived.body() != sent.as_bytes() {
            return Err(("another payload than was published arrived".into(), "report this"));
        }
        let seen = webhook::check(&arrived, &secret, self.ambient.now());
        if seen.id != message || seen.verified.is_err() {
            return Err(("the delivery is not signed as it should be".into(), "report this"));
        }
        self.recorded(&endpoint).await.map_err(|why| (why, "look at dispatch's log group"))?;
        let (all, taken) = (self.ambient.now().since(began), accepted.since(began));
        Ok(format!("accepted after {taken} ms, delivered, verified and on record after {all} ms"))
    }

    /// What arrived at the inspector, once something has.
    async fn wait(&self, token: &str, since: Timestamp) -> Result<Option<Request<Bytes>>, String> {
        let path = format!("/api/v1/operator/inspector/{token}");
        while self.ambient.now().since(since) < PATIENCE_MS {
            let seen = self.get(&path).await?;
            if let Some(one) = seen["data"].as_array().and_then(|seen| seen.first()) {
                let mut request = Request::new(Bytes::from(string(one, "body")?));
                for header in one["headers"].as_array().into_iter().flatten() {
                    let name = header[0].as_str().and_then(|name| name.parse().ok());
                    let value = header[1].as_str().and_then(|value| value.parse().ok());
                    if let (Some(name), Some(value)) = (name, value) {
                        let name: http::HeaderName = name;
                        request.headers_mut().append(name, value);
                    }
                }
                return Ok(Some(request));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(None)
    }

    /// Waits until the attempt is on record as a success.
    async fn recorded(&self, endpoint: &str) -> Result<(), String> {
        let path = format!("/api/v1/app/{}/attempt/endpoint/{endpoint}", self.app);
        let began = self.ambient.now();
        while self.ambient.now().since(began) < PATIENCE_MS {
            let attempts = self.get(&path).await?;
            if let Some(attempt) = attempts["data"].as_array().and_then(|all| all.first()) {
                return match attempt["status"].as_u64() {
                    Some(0) => Ok(()),
                    _ => Err(format!("it arrived, but is on record as {attempt}")),
                };
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err("it arrived, but its attempt is not on record".into())
    }

    /// Why nothing arrived, as far as it can be known.
    async fn missing(&self, endpoint: &str) -> Broken {
        let path = format!("/api/v1/app/{}/attempt/endpoint/{endpoint}", self.app);
        let attempts = self.get(&path).await.unwrap_or_default();
        match attempts["data"].as_array().and_then(|all| all.first()) {
            Some(attempt) => (
                format!(
                    "dispatch could not reach the stack's own inspector: {} {}",
                    attempt["responseStatusCode"], attempt["response"]
                ),
                "in a network of its own, dispatch needs a way out to the internet (NAT)",
            ),
            None => (
                format!("accepted, but not tried within {} s", PATIENCE_MS / 1000),
                "look at dispatch's log group and at the age of the deliveries queue",
            ),
        }
    }

    async fn get(&self, path: &str) -> Result<Value, String> {
        self.api.call(Method::GET, path, Value::Null).await
    }

    async fn post(&self, to: &Remote, path: &str, body: Value) -> Result<Value, String> {
        to.call(Method::POST, path, body).await
    }
}

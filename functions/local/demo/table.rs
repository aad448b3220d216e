//! One publish call that goes out in four forms, side by side.

use http::StatusCode;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use shared::domain::jose;

use super::promises::ensure;
use super::receiver::Arrival;
use super::{Demo, SYSTEMS};

/// The application that is a customer of all four.
pub(super) const CLIENT: &str = "client-of-four";

impl Demo {
    /// Publishes once to four endpoints, each of another system, and shows what became of it.
    pub(super) async fn show_side_by_side(&mut self) -> Result<(), String> {
        self.say(format_args!("\nOne publish call in four forms"));
        let app = self.client.application(CLIENT).await?;
        let mut endpoints = Vec::new();
        for system in SYSTEMS {
            let path = format!("/four/{system}");
            let format = if system == "moneyhub" { "jwt" } else { "json" };
            let body = json!({"profile": system, "format": format});
            let ep = self.endpoint(&app, &path, body).await?;
            if system == "dotpe" {
                let check = format!("/api/v1/app/{app}/endpoint/{ep}/check");
                self.client.call("POST", &check, Value::Null).await?;
            }
            if matches!(system, "dots" | "moneyhub") {
                self.inbox.answer_next(&path, StatusCode::INTERNAL_SERVER_ERROR);
            }
            endpoints.push(ep);
        }
        let payload = json!({"transaction_id": "PO20261120101509004182", "status": "SETTLED"});
        let id = self.publish(&app, "payout.updated", &payload).await?;
        // The first one's retry is the last to come.
        self.inbox.arrival(self.deadline, "/four/dots", &id, 2).await.ok_or("no retry came")?;
        let attempts = self.record(&app, &id, SYSTEMS.len() + 1).await?;
        let mut rows = Vec::new();
        for (system, ep) in SYSTEMS.iter().zip(&endpoints) {
            let path = format!("/four/{system}");
            let tries = attempts.iter().filter(|one| one["endpointId"] == ep.as_str()).count();
            let last = self.inbox.arrival(self.deadline, &path, &id, tries).await;
            let last = last.ok_or_else(|| format!("{system} did not get it"))?;
            ensure(last.verified, "the signature verifies")?;
            let format = self.format(&last).await?;
            let signature = format!("HMAC-SHA256 in {}*", last.families.join("*, "));
            let result = match last.answered {
                StatusCode::OK => "delivered",
                _ => "failed, kept for a resend by hand",
            };
            rows.push([
                (*system).to_owned(),
                format,
                signature,
                tries.to_string(),
                result.to_owned(),
            ]);
        }
        self.print_table(["system", "format", "signature", "tries", "result"], &rows);
        Ok(())
    }

    /// What a body is, checked by what a receiver can know.
    async fn format(&mut self, arrival: &Arrival) -> Result<String, String> {
        if arrival.content_type == "application/jwt" {
            let algorithm = self.check_token(&arrival.body).await?;
            return Ok(format!("security event token, {algorithm}"));
        }
        let body: Value =
            serde_json::from_slice(&arrival.body).map_err(|error| error.to_string())?;
        Ok(match body.get("data") {
            Some(_) => "JSON in an envelope".to_owned(),
            None => "JSON as published".to_owned(),
        })
    }

    /// Verifies a token with nothing but the published key set; its algorithm.
    async fn check_token(&mut self, token: &[u8]) -> Result<String, String> {
        jose::install();
        let said = |error: jsonwebtoken::errors::Error| error.to_string();
        let keys = self.client.call("GET", "/.well-known/jwks.json", Value::Null).await?;
        let keys: JwkSet = serde_json::from_value(keys).map_err(|error| error.to_string())?;
        let header = decode_header(token).map_err(said)?;
        let key = header.kid.as_deref().and_then(|kid| keys.find(kid));
        let key = DecodingKey::from_jwk(key.ok_or("the token names no published key")?);
        let mut validation = Validation::new(header.alg);
        validation.set_audience(&[CLIENT]);
        validation.set_required_spec_claims(&["iss", "aud"]);
        validation.validate_exp = false;
        let claims = decode::<Value>(token, &key.map_err(said)?, &validation).map_err(said)?.claims;
        let events = claims["events"].as_object().map_or(0, serde_json::Map::len);
        ensure(claims["sub"] == "user-1" && events == 1, "the token is about one event of a user")?;
        Ok(format!("{:?}", header.alg))
    }

    fn print_table<const N: usize>(&self, head: [&str; N], rows: &[[String; N]]) {
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].len());
            cells.chain([head[column].len()]).max().unwrap_or_default()
        };
        let line = |cells: [&str; N]| {
            let padded = cells.iter().enumerate().map(|(n, cell)| format!("{cell:<0$}", width(n)));
            self.say(format_args!("  {}", padded.collect::<Vec<_>>().join("  ").trim_end()));
        };
        line(head);
        for row in rows {
            line(row.each_ref().map(String::as_str));
        }
    }
}

//! What each of the systems promises its integrators.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::{Customer, Demo};

impl Demo {
    /// What comes before an integrator gets events.
    pub(super) async fn promises_before(
        &mut self,
        system: &str,
        customer: &Customer,
    ) -> Result<(), String> {
        if system == "dotpe" {
            let path = format!("/api/v1/app/{}/endpoint/{}/check", customer.app, customer.ep);
            let report = self.client.call("POST", &path, Value::Null).await?;
            for step in report["steps"].as_array().into_iter().flatten() {
                self.say(format_args!(
                    "  check {:<28} answered {}",
                    step["name"].as_str().unwrap_or_default(),
                    step["status"]
                ));
            }
            ensure(report["ok"] == true, "the receiver passes the check")?;
            self.say(format_args!("  the endpoint is verified, and may be sent events"));
            let path = format!("/api/v1/app/{}/event-type-grant", customer.app);
            let body = json!({"eventTypes": ["balance.threshold"]});
            self.client.call("PUT", &path, body).await?;
            self.say(format_args!("  balance.threshold is sent on request: granted"));
        }
        Ok(())
    }

    /// What comes after.
    pub(super) async fn promises_after(
        &mut self,
        system: &str,
        customer: &Customer,
    ) -> Result<(), String> {
        match system {
            "dots" => self.retry(customer).await,
            "dotpe" => self.only_200(customer).await,
            "dashx" => self.five_endpoints(customer).await,
            _ => {
                self.split(customer).await?;
                self.once(customer).await
            }
        }
    }

    async fn retry(&mut self, customer: &Customer) -> Result<(), String> {
        self.inbox.answer_next(&customer.path, StatusCode::INTERNAL_SERVER_ERROR);
        let payload = json!({"app_id": "6301bbfc-a0c5-454e-8ff9-bb510944fe0c"});
        let id = self.publish(&customer.app, "app.updated", &payload).await?;
        self.say(format_args!("  answered 500: the retry comes after 5 seconds more or less ..."));
        let waiting = ProgressBar::new_spinner();
        waiting.enable_steady_tick(Duration::from_millis(120));
        let second = self.inbox.arrival(self.deadline, &customer.path, &id, 2).await;
        waiting.finish_and_clear();
        ensure(second.is_some_and(|second| second.verified), "the retry comes")?;
        self.show_record(customer, &id, 2).await
    }

    async fn only_200(&mut self, customer: &Customer) -> Result<(), String> {
        self.inbox.answer_next(&customer.path, StatusCode::CREATED);
        let id = self.publish(&customer.app, "payin.failed", &json!({"status": "FAILED"})).await?;
        let attempts = self.record(&customer.app, &id, 1).await?;
        ensure(attempts[0]["status"] == 2, "201 is a failure")?;
        self.say(format_args!("  answered 201: a failure here, tried again in a minute"));
        Ok(())
    }

    async fn five_endpoints(&mut self, customer: &Customer) -> Result<(), String> {
        let path = format!("/api/v1/app/{}/endpoint", customer.app);
        for number in 2..=5 {
            self.endpoint(&customer.app, &format!("{}/{number}", customer.path), json!({})).await?;
        }
        let body = Bytes::from(json!({"url": format!("{}/6", self.receiver)}).to_string());
        let sixth = self.client.status("POST", &path, body).await?;
        ensure(sixth == StatusCode::BAD_REQUEST, "the sixth endpoint is refused")?;
        self.say(format_args!("  the sixth endpoint is refused"));
        let path = format!("{path}/{}/secret", customer.ep);
        let again = self.client.status("GET", &path, Bytes::new()).await?;
        ensure(again == StatusCode::BAD_REQUEST, "the secret is shown once")?;
        self.say(format_args!("  the secret was shown once, and is not shown again"));
        Ok(())
    }

    async fn split(&mut self, customer: &Customer) -> Result<(), String> {
        let transactions: Vec<String> =
            (0..13_000).map(|n| format!("3794b152-d24a-4c60-ab8f-{n:012x}")).collect();
        let account = json!({"id": "832e8311-26ef-4b74-97ec-f2b117a5ea55",
            "transactions": transactions});
        let before = self.inbox.count(&customer.path);
        let payload = json!({"accounts": [account]});
        self.publish(&customer.app, "newTransactions", &payload).await?;
        let parts = self.inbox.latest(self.deadline, &customer.path, before, 3).await;
        let mut sizes: Vec<usize> = parts
            .unwrap_or_default()
            .iter()
            .filter_map(|part| serde_json::from_slice::<Value>(&part.body).ok())
            .filter_map(|body| {
                body["payload"]["accounts"][0]["transactions"].as_array().map(Vec::len)
            })
            .collect();
        sizes.sort_unstable();
        ensure(sizes == [1_000, 6_000, 6_000], "13,000 transactions come in three events")?;
        self.say(format_args!(
            "  13,000 transactions came as three events: 6,000, 6,000 and 1,000"
        ));
        Ok(())
    }

    async fn once(&mut self, customer: &Customer) -> Result<(), String> {
        self.inbox.answer_next(&customer.path, StatusCode::INTERNAL_SERVER_ERROR);
        let payload = json!({"accountId": "832e8311-26ef-4b74-97ec-f2b117a5ea55"});
        let id = self.publish(&customer.app, "deletedAccount", &payload).await?;
        self.record(&customer.app, &id, 1).await?;
        let path = format!("/api/v1/app/{}/msg/{id}/endpoint/{}", customer.app, customer.ep);
        self.client.call("POST", &format!("{path}/resend"), Value::Null).await?;
        self.say(format_args!("  answered 500: not tried again, but sent once more by hand"));
        self.show_record(customer, &id, 2).await
    }

    async fn show_record(
        &mut self,
        customer: &Customer,
        id: &str,
        count: usize,
    ) -> Result<(), String> {
        for attempt in self.record(&customer.app, id, count).await? {
            self.say(format_args!(
                "    {}  {}  {}  {} ms",
                attempt["id"].as_str().unwrap_or_default(),
                attempt["timestamp"].as_str().unwrap_or_default(),
                attempt["responseStatusCode"],
                attempt["responseDurationMs"],
            ));
        }
        Ok(())
    }
}

/// An error unless it is so.
pub(super) fn ensure(so: bool, what: &str) -> Result<(), String> {
    if so { Ok(()) } else { Err(format!("not so: {what}")) }
}

//! What is there when a load begins: scheduled messages, retries that are due, dead letters. It is
//! put there through the same stores and handlers, in calm weather.

use http::{Request, StatusCode};
use receive::Receiver;
use shared::domain::clock::Timestamp;
use shared::domain::delivery::Delivery;
use shared::domain::id::{ApplicationId, EndpointId, MessageKey};
use shared::domain::message::{DEFAULT_RETENTION_DAYS, HOURS_A_DAY, Message, NewMessage};
use shared::queue::record::Record;
use shared::queue::{Outgoing, send_all};
use shared::store::Stores;

use super::account::{Account, Customer};
use super::life::Life;
use super::plan::{Plan, Waiting};
use super::publishers::event;

/// How long ago the attempt was planned that is due now, in milliseconds: so long that the queue
/// could not hold it.
const PLANNED_AGO_MS: u64 = 30 * 60_000;

/// Puts it there.
///
/// # Errors
/// When a handler or a store refuses.
pub(crate) async fn prepare(
    account: &Account,
    plan: &Plan,
    customers: &[Customer],
) -> Result<(), String> {
    let Waiting { scheduled: (scheduled, at_s), retries, dead } = plan.waiting;
    let life = Life::default();
    let receiver = account.ports.receiver(&life);
    let at = account.clock.now().plus_ms((at_s * 1000.0) as u64);
    for nth in 0..scheduled {
        let customer = &customers[nth as usize % customers.len()];
        schedule(account, &receiver, customer, at, plan.payload).await?;
    }
    let stores = account.ports.stores(&life);
    for nth in 0..retries {
        let customer = &customers[nth as usize % customers.len()];
        retry(account, &stores, customer, account.clock.now(), plan.payload).await?;
    }
    let mut records = Vec::new();
    for nth in 0..dead {
        let customer = &customers[nth as usize % customers.len()];
        // What is in a queue is not for the sweep yet.
        let later = account.clock.now().plus_ms(24 * 3_600_000);
        records.push(retry(account, &stores, customer, later, plan.payload).await?);
    }
    send_all(&account.ports.pipes.retries_dlq, records).await;
    Ok(())
}

async fn schedule(
    account: &Account,
    receiver: &Receiver,
    customer: &Customer,
    at: Timestamp,
    payload: usize,
) -> Result<(), String> {
    let request = Request::builder()
        .method("POST")
        .uri(format!("/api/v1/app/{}/msg", customer.app))
        .header("authorization", format!("Bearer {}", account.token))
        .body(event(payload, Some(at.to_rfc3339())))
        .map_err(|error| error.to_string())?;
    let answer = receiver.handle(request).await;
    let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    match (answer.status(), body["id"].as_str()) {
        (StatusCode::ACCEPTED, Some(id)) => {
            account.ledger.accepted(id);
            Ok(())
        }
        (status, _) => Err(format!("a message cannot be scheduled: {status}: {body}")),
    }
}

/// A delivery whose second attempt is due at `at`; the record that asks for it.
async fn retry(
    account: &Account,
    stores: &Stores,
    customer: &Customer,
    at: Timestamp,
    payload: usize,
) -> Result<Outgoing, String> {
    let app: ApplicationId = customer.app.parse().map_err(|_| "not an application".to_owned())?;
    let ep = customer.endpoints.first().and_then(|ep| ep.parse::<EndpointId>().ok());
    let ep = ep.ok_or("an application without endpoints")?;
    let ambient = &account.ports.ambient;
    let new = NewMessage {
        event_type: "order.paid".to_owned(),
        payload: event(payload, None),
        ..NewMessage::default()
    };
    let (key, now) = (MessageKey::new(ambient), ambient.now());
    let message = Message::new(new, app, key, now, DEFAULT_RETENTION_DAYS * HOURS_A_DAY);
    stores.inbox.accept(&message).await.map_err(|error| error.to_string())?;
    let first = Delivery::first(&message, ep, at, at.minus_ms(PLANNED_AGO_MS));
    let second = Delivery { attempts: 1, ..first };
    let opened = stores.deliveries.open(second, now).await;
    opened.map_err(|error| error.to_string())?;
    account.ledger.accepted_before(&message.id.to_string());
    Ok(Record::Retry { app, msg: message.id, ep, attempt: 2 }.outgoing(0))
}

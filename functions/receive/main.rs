//! Wires the receive function: API Gateway or function URL, DynamoDB, SQS.

use bytes::Bytes;
use lambda_http::{Error, Request, run, service_fn};
use receive::{Receiver, Settings};
use shared::host::assembly::Tenancy;
use shared::host::config::{self, variable};
use shared::lambda::telemetry;
use shared::lambda::wiring::Wiring;
use shared::store::{APPLICATION_TTL_MS, SOURCE_TTL_MS, StoreSettings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let telemetry = telemetry::on_lambda(&config::from_process);
    let wiring = Wiring::from_process()?.for_callers();
    let stores = StoreSettings {
        directory_ttl_ms: APPLICATION_TTL_MS,
        sources_ttl_ms: SOURCE_TTL_MS,
        ..StoreSettings::default()
    };
    let (base, invocation) = wiring.base(stores, telemetry)?;
    let tenancy = Tenancy::new(&base, &wiring.root_secret().await?, wiring.profiles());
    let settings = Settings {
        organisation: wiring.environment.organisation()?,
        retention_days: wiring.environment.retention_days()?,
        alone_since: None,
    };
    let deliveries = wiring.queue(variable::DELIVERIES_QUEUE)?;
    let (receiver, invocation) = (&Receiver::new(base, tenancy, deliveries, settings), &invocation);
    run(service_fn(|request: Request| async move {
        let request = request.map(|body| Bytes::copy_from_slice(&body));
        let answer = invocation.of(receiver.handle(request)).await;
        Ok::<_, Error>(answer.map(|body| String::from_utf8_lossy(&body).into_owned()))
    }))
    .await
}

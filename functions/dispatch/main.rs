//! Wires the dispatch function: SQS events, DynamoDB, the retries queue, the way out.

use std::sync::Arc;

use dispatch::{DISABLE_AFTER_MS, Dispatcher, Parts, Settings, lambda};
use lambda_runtime::{Error, run, service_fn};
use shared::host::assembly::Tenancy;
use shared::host::config::{self, variable};
use shared::lambda::telemetry;
use shared::lambda::wiring::Wiring;
use shared::queue::Consumer;
use shared::store::StoreSettings;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let telemetry = telemetry::on_lambda(&config::from_process);
    let wiring = Wiring::from_process()?;
    let (base, invocation) = wiring.base(StoreSettings::default(), telemetry)?;
    let tenancy = Tenancy::new(&base, &wiring.root_secret().await?, wiring.profiles());
    let settings = Settings {
        always_lease: wiring.environment.always_lease()?,
        disable_after_ms: wiring.environment.auto_disable()?.then_some(DISABLE_AFTER_MS),
        taken_excerpt_bytes: wiring.environment.taken_answer_bytes()?,
        ..Settings::default()
    };
    let retries = wiring.queue(variable::RETRIES_QUEUE)?;
    let parts = Parts::new(base, tenancy, retries.clone(), wiring.sender()?, settings);
    let (dispatcher, invocation) = (&Dispatcher::new(parts), &invocation);
    let queue = &|name: &str| -> Arc<dyn Consumer> { Arc::new(retries.sibling(name)) };
    run(service_fn(|event| invocation.of(lambda::handle(dispatcher, queue, event)))).await
}

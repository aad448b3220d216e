//! Wires the retry function: a schedule, DynamoDB, both queues and their dead letters.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use retry::{Part, Sweeper};
use serde_json::Value;
use shared::domain::clock;
use shared::host::config::{self, variable};
use shared::lambda::telemetry;
use shared::lambda::wiring::Wiring;
use shared::queue::{DeadLetters, Queues};
use shared::store::StoreSettings;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let telemetry = telemetry::on_lambda(&config::from_process);
    let wiring = Wiring::from_process()?;
    let (base, invocation) = &wiring.base(StoreSettings::default(), telemetry)?;
    let queues = Queues {
        deliveries: wiring.queue(variable::DELIVERIES_QUEUE)?,
        retries: wiring.queue(variable::RETRIES_QUEUE)?,
    };
    let dead = DeadLetters {
        deliveries: wiring.queue(variable::DELIVERIES_DLQ)?,
        retries: wiring.queue(variable::RETRIES_DLQ)?,
    };
    let sweeper = &Sweeper::new(base.clone(), queues, dead);
    run(service_fn(|event: LambdaEvent<Value>| async move {
        let deadline = clock::deadline(event.context.deadline);
        let part = Part::of(&event.payload);
        let scheduled = Part::scheduled(&event.payload);
        Ok::<_, Error>(invocation.of(sweeper.run_scheduled(part, scheduled, deadline)).await)
    }))
    .await
}

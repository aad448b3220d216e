//! Wires the retry function: a schedule, DynamoDB, both queues and their dead letters.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use retry::{Redrive, Sweeper};
use serde_json::Value;
use shared::domain::clock::{self, Ambient};
use shared::host::config::{self, variable};
use shared::lambda::telemetry;
use shared::lambda::wiring::Wiring;
use shared::store::{Deliveries, Parking};
use shared::work::Worker;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let telemetry = telemetry::on_lambda(&config::from_process);
    let wiring = Wiring::from_process()?;
    let (metrics, invocation) = &wiring.metrics(telemetry);
    let table = wiring.table()?;
    let redrive = |name, dead_letters, queue| -> Result<Redrive, String> {
        let (dead_letters, queue) = (wiring.queue(dead_letters)?, wiring.queue(queue)?);
        Ok(Redrive { name, dead_letters, queue })
    };
    let sweeper = &Sweeper {
        deliveries: Deliveries::new(table.clone()),
        accepted: wiring.queue(variable::DELIVERIES_QUEUE)?,
        retries: wiring.queue(variable::RETRIES_QUEUE)?,
        redrives: vec![
            redrive("deliveries", variable::DELIVERIES_DLQ, variable::DELIVERIES_QUEUE)?,
            redrive("retries", variable::RETRIES_DLQ, variable::RETRIES_QUEUE)?,
        ],
        parking: Parking::new(table.clone()),
        worker: Worker::new(
            table,
            wiring.queue(variable::DELIVERIES_QUEUE)?,
            wiring.queue(variable::RETRIES_QUEUE)?,
            Ambient::system(),
        ),
        metrics: metrics.clone(),
        ambient: Ambient::system(),
    };
    run(service_fn(|event: LambdaEvent<Value>| async move {
        let deadline = clock::deadline(event.context.deadline);
        Ok::<_, Error>(invocation.of(sweeper.run(deadline)).await)
    }))
    .await
}

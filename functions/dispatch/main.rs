//! Wires the dispatch function: SQS events, DynamoDB, the retries queue, the way out.

use std::sync::Arc;

use dispatch::{DISABLE_AFTER_MS, Dispatcher, Parts, Settings, lambda};
use lambda_runtime::{Error, run, service_fn};
use shared::domain::clock::Ambient;
use shared::host::config::{self, variable};
use shared::lambda::telemetry;
use shared::lambda::wiring::Wiring;
use shared::sender::{HttpSender, SenderSettings};
use shared::store::{
    Deliveries, Directory, DirectoryEditor, EVENT_TYPE_SETTINGS_TTL_MS, EventTypeSettings, KeySets,
    LISTENERS_TTL_MS, Notices, Parking,
};
use shared::work::InFlight;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let telemetry = telemetry::on_lambda(&config::from_process);
    let wiring = Wiring::from_process()?;
    let (metrics, invocation) = &wiring.metrics(telemetry);
    let table = wiring.table()?;
    let policy = wiring.environment.target_policy();
    let dispatcher = &Dispatcher::new(Parts {
        directory: Directory::new(table.clone()),
        editor: DirectoryEditor::new(table.clone(), None),
        deliveries: Deliveries::new(table.clone()),
        retries: wiring.queue(variable::RETRIES_QUEUE)?,
        parking: Parking::new(table.clone()),
        sender: Arc::new(HttpSender::new(SenderSettings { policy, ..SenderSettings::default() })?),
        sealer: wiring.root_secret().await?.sealer(),
        ambient: Ambient::system(),
        key_sets: KeySets::new(table.clone(), Ambient::system().clock),
        notices: Notices::new(table.clone(), Ambient::system(), LISTENERS_TTL_MS),
        event_type_settings: EventTypeSettings::new(
            table.clone(),
            Ambient::system().clock,
            EVENT_TYPE_SETTINGS_TTL_MS,
        ),
        profiles: wiring.profiles(table),
        in_flight: InFlight::default(),
        metrics: metrics.clone(),
        settings: Settings {
            always_lease: wiring.environment.always_lease(),
            disable_after_ms: wiring.environment.auto_disable().then_some(DISABLE_AFTER_MS),
            ..Settings::default()
        },
    });
    run(service_fn(|event| invocation.of(lambda::handle(dispatcher, event)))).await
}

//! Wires the admin function: API Gateway or function URL, DynamoDB, SQS.

use std::sync::Arc;

use admin::{Admin, generate_rsa};
use bytes::Bytes;
use lambda_http::{Error, Request, run, service_fn};
use shared::domain::clock::Ambient;
use shared::domain::token::Tokens;
use shared::host::config::{self, variable};
use shared::lambda::telemetry;
use shared::lambda::wiring::Wiring;
use shared::sender::{HttpSender, SenderSettings};
use shared::store::{
    Answers, Catalogue, Deliveries, Directory, DirectoryEditor, Eraser, History, Inbox, Inspectors,
    KeySets, Notices, Parking, ProfileStore, Revocations, Sources,
};
use shared::work::Worker;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let telemetry = telemetry::on_lambda(&config::from_process);
    let wiring = Wiring::from_process()?;
    let (metrics, invocation) = &wiring.metrics(telemetry);
    let table = wiring.table()?;
    let secret = wiring.root_secret().await?;
    let retries = wiring.queue(variable::RETRIES_QUEUE)?;
    let deliveries = wiring.queue(variable::DELIVERIES_QUEUE)?;
    let (ambient, accepted) = (Ambient::system(), deliveries.clone());
    let worker = Worker::new(table.clone(), accepted, retries.clone(), ambient);
    let policy = wiring.environment.target_policy();
    let admin = &Admin {
        directory: Directory::new(table.clone()),
        editor: DirectoryEditor::new(table.clone(), None),
        history: History::new(table.clone()),
        inbox: Inbox::new(table.clone()),
        pending: Deliveries::new(table.clone()),
        deliveries,
        retries,
        parking: Parking::new(table.clone()),
        revocations: Revocations::new(table.clone(), Ambient::system().clock),
        eraser: Eraser::new(table.clone()),
        answers: Answers::new(table.clone()),
        patience: admin::PATIENCE,
        catalogue: Catalogue::new(table.clone()),
        inspectors: Inspectors::new(table.clone()),
        key_sets: KeySets::new(table.clone(), Ambient::system().clock),
        rsa: Arc::new(generate_rsa),
        profiles: wiring.profiles(table.clone()),
        sources: Sources::new(table.clone(), Ambient::system().clock, 0),
        profile_store: ProfileStore::new(table.clone()),
        tokens: Tokens::new(&secret.token_key()),
        sealer: secret.sealer(),
        publish_url: wiring.environment.publish_url(),
        portal_frames: wiring.environment.portal_frames(),
        operator: wiring.environment.organisation()?,
        sender: Arc::new(HttpSender::new(SenderSettings {
            policy: policy.clone(),
            ..SenderSettings::default()
        })?),
        policy,
        notices: Notices::new(table, Ambient::system(), 0),
        worker,
        metrics: metrics.clone(),
        ambient: Ambient::system(),
    };
    run(service_fn(|request: Request| async move {
        let request = request.map(|body| Bytes::copy_from_slice(&body));
        let answer = invocation.of(admin.handle(request)).await;
        Ok::<_, Error>(answer.map(|body| String::from_utf8_lossy(&body).into_owned()))
    }))
    .await
}

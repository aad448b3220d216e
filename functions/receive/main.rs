//! Wires the receive function: API Gateway or function URL, DynamoDB, SQS.

use bytes::Bytes;
use lambda_http::{Error, Request, run, service_fn};
use receive::{APPLICATION_TTL_MS, Receiver, Recent};
use shared::domain::clock::Ambient;
use shared::domain::token::Tokens;
use shared::host::config::{self, variable};
use shared::lambda::telemetry;
use shared::lambda::wiring::Wiring;
use shared::store::{
    Cached, Directory, DirectoryEditor, Inbox, Revocations, SOURCE_TTL_MS, Sources,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let telemetry = telemetry::on_lambda(&config::from_process);
    let wiring = Wiring::from_process()?;
    let (metrics, invocation) = &wiring.metrics(telemetry);
    let table = wiring.table()?;
    let secret = wiring.root_secret().await?;
    let ambient = Ambient::system();
    let receiver = &Receiver {
        directory: Directory::cached(
            table.clone(),
            Cached::new(ambient.clock.clone(), APPLICATION_TTL_MS),
        ),
        editor: DirectoryEditor::new(table.clone(), None),
        inbox: Inbox::new(table.clone()),
        deliveries: wiring.queue(variable::DELIVERIES_QUEUE)?,
        profiles: wiring.profiles(table.clone()),
        revocations: Revocations::new(table.clone(), ambient.clock.clone()),
        sources: Sources::new(table.clone(), ambient.clock.clone(), SOURCE_TTL_MS),
        tokens: Tokens::new(&secret.token_key()),
        sealer: secret.sealer(),
        default_org: wiring.environment.organisation()?,
        retention_days: wiring.environment.retention_days()?,
        recent: Recent::default(),
        alone_since: None,
        metrics: metrics.clone(),
        ambient,
    };
    run(service_fn(|request: Request| async move {
        let request = request.map(|body| Bytes::copy_from_slice(&body));
        let answer = invocation.of(receiver.handle(request)).await;
        Ok::<_, Error>(answer.map(|body| String::from_utf8_lossy(&body).into_owned()))
    }))
    .await
}

//! Wires the receive function: API Gateway or function URL, DynamoDB, SQS.

use bytes::Bytes;
use lambda_http::{Error, Request, run, service_fn, tracing};
use receive::{APPLICATION_TTL_MS, Receiver};
use shared::clock::Ambient;
use shared::config::variable;
use shared::store::{Cached, Directory, Inbox};
use shared::token::Tokens;
use shared::wiring::Wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let wiring = Wiring::from_process()?;
    let table = wiring.table()?;
    let secret = wiring.environment.root_secret()?;
    let ambient = Ambient::system();
    let receiver = &Receiver {
        directory: Directory::cached(
            table.clone(),
            Cached::new(ambient.clock.clone(), APPLICATION_TTL_MS),
        ),
        inbox: Inbox::new(table),
        deliveries: wiring.queue(variable::DELIVERIES_QUEUE)?,
        tokens: Tokens::new(&secret.token_key()),
        sealer: secret.sealer(),
        default_org: wiring.environment.organisation()?,
        ambient,
    };
    run(service_fn(|request: Request| async move {
        let request = request.map(|body| Bytes::copy_from_slice(&body));
        Ok::<_, Error>(
            receiver.handle(request).await.map(|body| String::from_utf8_lossy(&body).into_owned()),
        )
    }))
    .await
}

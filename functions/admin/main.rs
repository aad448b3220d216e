//! Wires the admin function: API Gateway or function URL, DynamoDB, SQS.

use admin::{Admin, Settings};
use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use lambda_http::{Body, Error, Request, run, service_fn};
use shared::host::assembly::Tenancy;
use shared::host::config::{self, variable};
use shared::lambda::telemetry;
use shared::lambda::wiring::Wiring;
use shared::queue::Queues;
use shared::store::{NAME_REST_MS, StoreSettings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let telemetry = telemetry::on_lambda(&config::from_process);
    let wiring = Wiring::from_process()?;
    let stores = StoreSettings { name_rest_ms: NAME_REST_MS, ..StoreSettings::default() };
    let (base, invocation) = wiring.base(stores, telemetry)?;
    let tenancy = Tenancy::new(&base, &wiring.root_secret().await?, wiring.profiles());
    let queues = Queues {
        deliveries: wiring.queue(variable::DELIVERIES_QUEUE)?,
        retries: wiring.queue(variable::RETRIES_QUEUE)?,
    };
    let settings = Settings {
        operator: wiring.environment.organisation()?,
        publish_url: wiring.environment.publish_url()?,
        portal_frames: wiring.environment.portal_frames()?,
        portal_link_s: wiring.environment.portal_link_s()?,
        max_endpoints: wiring.environment.max_endpoints()?,
        retention_days: wiring.environment.retention_days()?,
        policy: wiring.environment.target_policy()?,
    };
    let admin = &Admin::new(base, tenancy, queues, wiring.sender()?, settings);
    let invocation = &invocation;
    run(service_fn(|request: Request| async move {
        let request = request.map(|body| Bytes::copy_from_slice(&body));
        let answer = invocation.of(admin.handle(request)).await;
        let is_packed = answer.headers().contains_key(CONTENT_ENCODING);
        Ok::<_, Error>(answer.map(|body| match is_packed {
            true => Body::Binary(body.to_vec()),
            false => Body::Text(String::from_utf8_lossy(&body).into_owned()),
        }))
    }))
    .await
}

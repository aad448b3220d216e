//! `posthorn listen`: an endpoint that prints and verifies what arrives.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use shared::domain::clock::Ambient;
use shared::domain::secret::SigningSecret;
use tokio::net::TcpListener;

use crate::client::Client;
use crate::terminal::shown;
use crate::{cli, http_server, webhook};

/// Listens until interrupted, then takes the endpoint away again.
pub(crate) async fn run(options: &cli::Listen) -> Result<(), String> {
    let status = StatusCode::from_u16(options.status)
        .map_err(|_| format!("--status {}: not an HTTP status", options.status))?;
    let mut client = Client::of(&options.data.directory).await?;
    let app = client.application(&options.app).await?;
    let listener = TcpListener::bind(("127.0.0.1", options.port))
        .await
        .map_err(|error| format!("cannot listen on port {}: {error}", options.port))?;
    let addr = listener.local_addr().map_err(|error| error.to_string())?;
    let url = format!("http://{addr}/");
    let body = json!({"url": url, "description": "posthorn listen"});
    let (endpoint, secret) = client.endpoint(&app, body).await?;
    let secret = Arc::new(SigningSecret::parse(&secret)?);
    println!("{url} listens as {endpoint} of {app}; Ctrl-C ends it");
    let serve = http_server::serve(listener, move |request| {
        let secret = secret.clone();
        async move { show(&request, &secret, status) }
    });
    tokio::select! {
        () = serve => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    let path = format!("/api/v1/app/{app}/endpoint/{endpoint}");
    client.again().call("DELETE", &path, Value::Null).await?;
    Ok(())
}

fn show(request: &Request<Bytes>, secret: &SigningSecret, status: StatusCode) -> Response<Bytes> {
    let now = Ambient::system().now();
    let webhook = webhook::check(request, secret, now);
    let verdict = match webhook.verified {
        Ok(()) => "signature verified".to_owned(),
        Err(rejection) => format!("NOT VERIFIED: {}", rejection.detail()),
    };
    println!("{} {} {verdict}", now.to_rfc3339(), shown(&webhook.id));
    println!("{}", shown(&String::from_utf8_lossy(request.body())));
    shared::api::error::empty(status)
}

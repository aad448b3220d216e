//! A client of the local platform's API: one kept connection, whole requests and answers.

use std::net::SocketAddr;
use std::path::Path;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use shared::domain::clock::Ambient;
use tokio::net::TcpStream;

use crate::connection::MOST_AT_ONCE;
use crate::reach::string;
use crate::{data, hint, remote};

/// A connection to a platform, with a token.
pub(crate) struct Client {
    addr: SocketAddr,
    authorization: String,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    /// A client of the platform at `addr`.
    pub(crate) fn new(addr: SocketAddr, token: &str) -> Self {
        Self { addr, authorization: format!("Bearer {token}"), connection: None }
    }

    /// A client of the platform that runs on this directory.
    pub(crate) async fn of(directory: &Path) -> Result<Self, String> {
        let not_running = || {
            format!(
                "no Posthorn is running on {}: start one with `{}`, or name another with --data",
                directory.display(),
                hint::command("up"),
            )
        };
        let addr = data::read_address(directory)?.ok_or_else(not_running)?;
        let ambient = Ambient::system();
        let token = data::organisation_token(&data::root_secret(directory, &ambient)?, &ambient);
        let mut client = Self::new(addr, &token);
        match client.status("GET", "/api/v1/app?limit=1", Bytes::new()).await {
            Ok(StatusCode::OK) => Ok(client),
            Ok(status) => Err(data::another_platform(addr, status)),
            Err(_) => Err(not_running()),
        }
    }

    /// Another connection to the same platform.
    pub(crate) fn again(&self) -> Self {
        Self { addr: self.addr, authorization: self.authorization.clone(), connection: None }
    }

    /// A request with a JSON body (`null` for none); the answer, if its status is 2xx.
    pub(crate) async fn call(
        &mut self,
        method: &str,
        path: &str,
        body: Value,
    ) -> Result<Value, String> {
        let bytes = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        self.call_bytes(method, path, bytes).await
    }

    /// A request with these bytes; the answer, if its status is 2xx.
    pub(crate) async fn call_bytes(
        &mut self,
        method: &str,
        path: &str,
        body: Bytes,
    ) -> Result<Value, String> {
        let answer = self.send(method, path, None, body).await?;
        let status = answer.status();
        let answer = answer.into_body().collect().await.map_err(|error| error.to_string())?;
        let answer = answer.to_bytes();
        if !status.is_success() {
            let answer = String::from_utf8_lossy(&answer);
            return Err(format!("{method} {path}: {status} {answer}"));
        }
        remote::read(&String::from_utf8_lossy(&answer), &format!("{method} {path}"))
    }

    /// A request with these bytes; the answer's status.
    pub(crate) async fn status(
        &mut self,
        method: &str,
        path: &str,
        body: Bytes,
    ) -> Result<StatusCode, String> {
        read_past(self.send(method, path, None, body).await?).await
    }

    /// Publishes under an idempotency key; the answer's status.
    pub(crate) async fn publish(
        &mut self,
        path: &str,
        key: &str,
        body: Bytes,
    ) -> Result<StatusCode, String> {
        read_past(self.send("POST", path, Some(key), body).await?).await
    }

    /// The application with this id or uid, which is created if it is missing.
    pub(crate) async fn application(&mut self, uid: &str) -> Result<String, String> {
        let found = match uid.starts_with("app_") {
            true => self.call("GET", &format!("/api/v1/app/{uid}"), Value::Null).await?,
            false => {
                let body = json!({"name": uid, "uid": uid});
                self.call("POST", "/api/v1/app?get_if_exists=true", body).await?
            }
        };
        string(&found, "id")
    }

    /// A new endpoint of the application; its id and its secret.
    pub(crate) async fn endpoint(
        &mut self,
        app: &str,
        body: Value,
    ) -> Result<(String, String), String> {
        let path = format!("/api/v1/app/{app}/endpoint");
        let created = self.call("POST", &path, body).await?;
        let id = string(&created, "id")?;
        if let Ok(shown_once) = string(&created, "secret") {
            return Ok((id, shown_once));
        }
        let secret = self.call("GET", &format!("{path}/{id}/secret"), Value::Null).await?;
        Ok((id, string(&secret, "key")?))
    }

    /// A request; its answer, whose body is still to be read.
    async fn send(
        &mut self,
        method: &str,
        path: &str,
        idempotency_key: Option<&str>,
        body: Bytes,
    ) -> Result<Response<Incoming>, String> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.addr.to_string())
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = idempotency_key {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
        let mut connection = match self.connection.take().filter(|open| !open.is_closed()) {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        connection.ready().await.map_err(|error| error.to_string())?;
        let answer = connection.send_request(request).await.map_err(|error| error.to_string())?;
        self.connection = Some(connection);
        Ok(answer)
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, String> {
        let describe = |error: &dyn std::fmt::Display| format!("{}: {error}", self.addr);
        let stream = TcpStream::connect(self.addr).await.map_err(|error| describe(&error))?;
        let _ = stream.set_nodelay(true);
        let (sender, connection) = Builder::new()
            .max_buf_size(MOST_AT_ONCE)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| describe(&error))?;
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// The status of an answer whose body nobody wants: the next request goes over the same connection.
async fn read_past(answer: Response<Incoming>) -> Result<StatusCode, String> {
    let status = answer.status();
    let mut body = answer.into_body();
    while let Some(frame) = body.frame().await {
        frame.map_err(|error| error.to_string())?;
    }
    Ok(status)
}

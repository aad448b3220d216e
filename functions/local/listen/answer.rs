//! What a delivery is answered with: a status that was chosen, or what the application says.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, header};
use reqwest::Url;
use tokio::time::Instant;

use super::Listen;
use crate::remote::{chain, client};

/// Longest wait for the application: twice as long as the platform waits for us.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Headers that are about one connection, or that the client sets itself.
const OWN: [HeaderName; 6] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::TE,
    header::UPGRADE,
];

/// Decides what to answer.
pub(super) struct Answerer {
    statuses: Vec<StatusCode>,
    given: AtomicUsize,
    forward: Option<(reqwest::Client, String)>,
}

/// What was answered, and by whom.
pub(super) struct Answered {
    pub(super) status: StatusCode,
    /// How long it took, in milliseconds.
    pub(super) ms: u128,
    /// Where it was passed on to.
    pub(super) to: Option<String>,
    /// Why nothing came from there.
    pub(super) failure: Option<String>,
    headers: HeaderMap,
    body: Bytes,
}

impl Answered {
    /// The answer as the platform gets it.
    pub(super) fn response(&self) -> Response<Bytes> {
        let mut response = Response::new(self.body.clone());
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        response
    }

    fn chosen(status: StatusCode) -> Self {
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        Self { status, ms: 0, to: None, failure: None, headers, body }
    }
}

impl Answerer {
    /// As the options say.
    pub(super) fn new(options: &Listen) -> Result<Self, String> {
        let forward = match &options.forward_to {
            None => None,
            Some(text) => {
                let wrong = |why: &str| format!("--forward-to {text}: {why}");
                if !["http://", "https://"].iter().any(|scheme| text.starts_with(scheme)) {
                    return Err(wrong("must begin with http:// or https://"));
                }
                Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
                Some((client(TIMEOUT)?, text.clone()))
            }
        };
        Ok(Self { statuses: options.status.clone(), given: AtomicUsize::new(0), forward })
    }

    /// The answer to a delivery.
    pub(super) async fn answer(&self, request: &Request<Bytes>) -> Answered {
        let number = self.given.fetch_add(1, Ordering::Relaxed);
        match (self.statuses.get(number), &self.forward) {
            (Some(status), _) => Answered::chosen(*status),
            (None, Some((client, url))) => pass_on(client, url, request).await,
            (None, None) => Answered::chosen(*self.statuses.last().unwrap_or(&StatusCode::OK)),
        }
    }
}

async fn pass_on(client: &reqwest::Client, url: &str, request: &Request<Bytes>) -> Answered {
    let mut headers = request.headers().clone();
    for name in &OWN {
        headers.remove(name);
    }
    let began = Instant::now();
    let sent = client
        .request(request.method().clone(), url)
        .headers(headers)
        .body(request.body().clone())
        .send()
        .await;
    let mut answered = Answered::chosen(StatusCode::BAD_GATEWAY);
    answered.to = Some(url.to_owned());
    match sent {
        Err(error) => answered.failure = Some(chain(&error.without_url())),
        Ok(response) => {
            answered.status = response.status();
            answered.headers = response.headers().clone();
            for name in &OWN {
                answered.headers.remove(name);
            }
            match response.bytes().await {
                Ok(body) => answered.body = body,
                Err(error) => answered.failure = Some(chain(&error.without_url())),
            }
        }
    }
    answered.ms = began.elapsed().as_millis();
    answered
}

//! The customers' side of the demonstration: one server, an endpoint at each path.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use shared::domain::clock::Ambient;
use shared::domain::secret::SigningSecret;
use shared::domain::sync::hold;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::{http_server, webhook};

/// Something that arrived.
#[derive(Clone)]
pub(super) struct Arrival {
    path: String,
    pub(super) id: String,
    pub(super) verified: bool,
    pub(super) content_type: String,
    /// How the names of its signature headers start.
    pub(super) families: Vec<&'static str>,
    pub(super) body: Bytes,
    pub(super) answered: StatusCode,
}

/// The receiver: secrets and answers by path, and what has arrived.
#[derive(Default)]
pub(super) struct Inbox {
    secrets: Mutex<BTreeMap<String, SigningSecret>>,
    answers: Mutex<BTreeMap<String, VecDeque<StatusCode>>>,
    arrivals: Mutex<Vec<Arrival>>,
    arrived: Notify,
}

/// Starts the receiver; its URL.
pub(super) async fn start(inbox: &Arc<Inbox>) -> Result<String, String> {
    let (listener, addr) = http_server::listen_anywhere()?;
    let inbox = inbox.clone();
    tokio::spawn(http_server::serve(listener, move |request| {
        let inbox = inbox.clone();
        async move { inbox.take(&request) }
    }));
    Ok(format!("http://{addr}"))
}

impl Inbox {
    /// Tells the endpoint at this path its secret.
    pub(super) fn trust(&self, path: &str, secret: &str) -> Result<(), String> {
        let secret = SigningSecret::parse(secret)?;
        hold(&self.secrets).insert(path.to_owned(), secret);
        Ok(())
    }

    /// What the endpoint at this path answers next to what verifies, before 200.
    pub(super) fn answer_next(&self, path: &str, status: StatusCode) {
        hold(&self.answers).entry(path.to_owned()).or_default().push_back(status);
    }

    /// The n-th arrival of a message at a path, counted from 1; waits for it.
    pub(super) async fn arrival(
        &self,
        deadline: Instant,
        path: &str,
        id: &str,
        number: usize,
    ) -> Option<Arrival> {
        self.wait_for(deadline, |arrivals| {
            let mut of_message =
                arrivals.iter().filter(|arrival| arrival.id == id && arrival.path == path);
            of_message.nth(number - 1).cloned()
        })
        .await
    }

    /// How many well-signed requests have come to a path so far.
    pub(super) fn count(&self, path: &str) -> usize {
        let arrivals = hold(&self.arrivals);
        arrivals.iter().filter(|arrival| arrival.path == path && arrival.verified).count()
    }

    /// Waits until so many have come; the latest of them, in order.
    pub(super) async fn latest(
        &self,
        deadline: Instant,
        path: &str,
        since: usize,
        count: usize,
    ) -> Option<Vec<Arrival>> {
        self.wait_for(deadline, |arrivals| {
            let of_path: Vec<&Arrival> = arrivals
                .iter()
                .filter(|arrival| arrival.path == path && arrival.verified)
                .collect();
            (of_path.len() >= since + count)
                .then(|| of_path[since..].iter().map(|arrival| (*arrival).clone()).collect())
        })
        .await
    }

    /// What an endpoint does with a request: check, remember, answer.
    fn take(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let path = request.uri().path().to_owned();
        let secret = hold(&self.secrets).get(&path).cloned();
        let Some(secret) = secret else { return shared::api::error::empty(StatusCode::NOT_FOUND) };
        let webhook = webhook::check(request, &secret, Ambient::system().now());
        let next = || hold(&self.answers).get_mut(&path).and_then(VecDeque::pop_front);
        let answered = match &webhook.verified {
            Ok(()) => next().unwrap_or(StatusCode::OK),
            Err(_) => StatusCode::UNAUTHORIZED,
        };
        let headers = request.headers();
        let content_type = headers.get("content-type").and_then(|value| value.to_str().ok());
        hold(&self.arrivals).push(Arrival {
            path,
            id: webhook.id,
            verified: webhook.verified.is_ok(),
            content_type: content_type.unwrap_or_default().to_owned(),
            families: webhook.families,
            body: request.body().clone(),
            answered,
        });
        self.arrived.notify_waiters();
        shared::api::error::empty(answered)
    }

    async fn wait_for<T>(
        &self,
        deadline: Instant,
        look: impl Fn(&[Arrival]) -> Option<T>,
    ) -> Option<T> {
        loop {
            let arrived = self.arrived.notified();
            tokio::pin!(arrived);
            // Registered before looking, so that nothing arrives unnoticed in between.
            arrived.as_mut().enable();
            if let Some(found) = look(&hold(&self.arrivals)) {
                return Some(found);
            }
            timeout_at(deadline, arrived).await.ok()?;
        }
    }
}

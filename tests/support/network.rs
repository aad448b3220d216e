//! A network that answers as the test says, and remembers what was sent.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use http::{HeaderName, HeaderValue};
use shared::sender::{Ending, Outbound, Outcome, Sender};

/// Endpoints by URL. One that nobody scripted answers 200.
#[derive(Default)]
pub(crate) struct Network {
    scripts: Mutex<HashMap<String, Script>>,
    sent: Mutex<Vec<Outbound>>,
}

#[derive(Default)]
struct Script {
    next: VecDeque<Ending>,
    then: Option<Ending>,
}

impl Network {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// What the endpoint does the next time, after what it was told before.
    pub(crate) fn next(&self, url: &str, ending: Ending) {
        self.script(url, |script| script.next.push_back(ending));
    }

    /// What the endpoint does whenever nothing else is scripted.
    pub(crate) fn always(&self, url: &str, ending: Ending) {
        self.script(url, |script| script.then = Some(ending));
    }

    /// Everything that was sent so far, in order.
    pub(crate) fn sent(&self) -> Vec<Outbound> {
        self.sent.lock().unwrap().clone()
    }

    /// What was sent to this URL so far.
    pub(crate) fn sent_to(&self, url: &str) -> Vec<Outbound> {
        self.sent().into_iter().filter(|outbound| outbound.url == url).collect()
    }

    fn script(&self, url: &str, change: impl FnOnce(&mut Script)) {
        change(self.scripts.lock().unwrap().entry(url.to_owned()).or_default());
    }
}

#[async_trait]
impl Sender for Network {
    async fn send(&self, request: Outbound) -> Outcome {
        let ending = self
            .scripts
            .lock()
            .unwrap()
            .get_mut(&request.url)
            .and_then(|script| script.next.pop_front().or_else(|| script.then.clone()))
            .unwrap_or_else(|| answer(200));
        self.sent.lock().unwrap().push(request);
        Outcome { duration_ms: 7, ending }
    }
}

/// An answer with this status and the body `ok`, with the headers that a server has at least.
pub(crate) fn answer(status: u16) -> Ending {
    let headers = [("content-type", "text/plain; charset=utf-8"), ("server", "nginx/1.29.4")];
    answer_with(status, "ok", &headers)
}

/// An answer with this status, body and headers.
pub(crate) fn answer_with(status: u16, body: &str, headers: &[(&str, &str)]) -> Ending {
    let header = |(name, value): &(&str, &str)| {
        (HeaderName::try_from(*name).expect("a name"), HeaderValue::try_from(*value).expect("text"))
    };
    let headers = headers.iter().map(header).collect();
    Ending::Answered { status, excerpt: body.as_bytes().to_vec(), retry_after: None, headers }
}

/// The value of a header of a request that was sent.
pub(crate) fn header<'a>(outbound: &'a Outbound, name: &str) -> &'a str {
    outbound
        .headers
        .iter()
        .find(|(header, _)| header == name)
        .map(|(_, value)| value.as_str())
        .unwrap_or_else(|| panic!("no header {name}"))
}

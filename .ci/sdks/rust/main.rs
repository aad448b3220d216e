//! The official Rust libraries against a platform that runs.
//!
//! usage: sdk-suite URL TOKEN
//!
//! A test for each resource. Prints a line of JSON for each: its name, `ok`, `fail` or
//! `not there`, and the reason. A test that needs what the served description does not have is
//! `not there`.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use svix::api::{Svix, SvixOptions};
use svix::models::{ApplicationIn, EndpointIn, EndpointOut, MessageIn, MessageOut};
use tokio::runtime::Builder;
use tokio::task::LocalSet;

mod receiver;
mod tests;

use receiver::Receiver;

/// What a test works with: a client, an application of its own, and places to send to.
pub struct Bench {
    pub url: String,
    pub svix: Svix,
    pub app: String,
    pub receiver: Receiver,
}

static PLACES: AtomicUsize = AtomicUsize::new(0);

impl Bench {
    async fn new(url: &str, token: &str, receiver: &Receiver) -> Self {
        let svix = client(url, token);
        let app = svix.application().create(ApplicationIn::new("SDK".into()), None).await.unwrap();
        Self { url: url.to_owned(), svix, app: app.id, receiver: receiver.clone() }
    }

    pub fn app(&self) -> String {
        self.app.clone()
    }

    pub fn place(&self, status: u16) -> String {
        let place = PLACES.fetch_add(1, Ordering::Relaxed);
        format!("{}/{place}/{status}", self.receiver.url)
    }

    pub async fn endpoint(&self, status: u16) -> EndpointOut {
        self.endpoint_with(EndpointIn::new(self.place(status))).await
    }

    pub async fn endpoint_with(&self, shape: EndpointIn) -> EndpointOut {
        self.svix.endpoint().create(self.app(), shape, None).await.unwrap()
    }

    pub async fn send(&self) -> MessageOut {
        let payload = json!({"order": "1001", "note": "ünïcödé 🎺"});
        self.send_with(MessageIn::new("order.paid".into(), payload)).await
    }

    pub async fn send_with(&self, shape: MessageIn) -> MessageOut {
        self.svix.message().create(self.app(), shape, None).await.unwrap()
    }
}

pub fn client(url: &str, token: &str) -> Svix {
    let options = SvixOptions { server_url: Some(url.to_owned()), ..SvixOptions::default() };
    Svix::new(token.to_owned(), Some(options))
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (url, token) = (arguments.next().expect("a URL"), arguments.next().expect("a token"));
    let there = served(&url);
    let receiver = Receiver::start();
    // What a failed test says goes into its line.
    std::panic::set_hook(Box::new(|_| {}));
    for (name, needs, test) in tests::all() {
        let missing = needs.iter().find(|need| !there.contains(**need));
        let (outcome, why) = match missing {
            Some(need) => ("not there", (*need).to_owned()),
            None => {
                let run = || {
                    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
                    LocalSet::new().block_on(&runtime, async {
                        test(Bench::new(&url, &token, &receiver).await).await;
                    });
                };
                match std::panic::catch_unwind(AssertUnwindSafe(run)) {
                    Ok(()) => ("ok", String::new()),
                    Err(panic) => ("fail", reason(&*panic)),
                }
            }
        };
        println!("{}", json!({"test": name, "outcome": outcome, "why": why}));
    }
}

fn reason(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("?").to_owned()
}

/// The operations and fields that the platform's description has.
fn served(url: &str) -> HashSet<String> {
    let address = url.strip_prefix("http://").expect("an http URL");
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!(
        "GET /api/v1/openapi.json HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let document: Value = serde_json::from_str(body).unwrap();
    let mut there = HashSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let plain: Vec<&str> = path
            .trim_start_matches("/api/v1")
            .split('/')
            .map(|part| if part.starts_with('{') { "{}" } else { part })
            .collect();
        for method in methods.as_object().unwrap().keys() {
            there.insert(format!("{} {}", method.to_uppercase(), plain.join("/")));
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let fields = schema["properties"].as_object().into_iter().flatten();
        there.extend(fields.map(|(field, _)| format!("{name}.{field}")));
    }
    there
}

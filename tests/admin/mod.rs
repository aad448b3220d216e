//! Everything that is asked for besides publishing: shapes, statuses, lists, and who may what.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use shared::domain::id::OrganisationId;
use shared::domain::keyring::{MAX_GRACE_S, MAX_OLD};
use shared::domain::secret::SigningSecret;
use shared::domain::signature::verify;
use shared::sender::target::TargetPolicy;

use crate::support::answers::{another_organisation, assert_error, places};
use crate::support::network::{answer, answer_with, header};
use crate::support::still::START;
use crate::support::world::{Builder, Reply, World, text};

mod access;
mod applications;
mod attempts;
mod endpoints;
mod messages;
mod operator;
mod secrets;
mod tally;

const URL: &str = "http://127.0.0.1:9/hook";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const UNKNOWN_APP: &str = "app_0ujtsYcgvSTl8PAuAdqWYSMnLOv";
const UNKNOWN_EP: &str = "ep_0ujtsYcgvSTl8PAuAdqWYSMnLOv";
const UNKNOWN_MSG: &str = "msg_0ujtsYcgvSTl8PAuAdqWYSMnLOv";
const UNKNOWN_ATTEMPT: &str = "atmpt_0ujtsYcgvSTl8PAuAdqWYSMnLOv";

async fn get(world: &World, path: &str) -> Reply {
    world.call("GET", path, Value::Null).await
}

async fn post(world: &World, path: &str, body: Value) -> Reply {
    world.call("POST", path, body).await
}

/// The ids of a page.
fn ids(reply: &Reply) -> Vec<String> {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body["data"].as_array().unwrap().iter().map(|item| text(&item["id"])).collect()
}

/// A path with one more query parameter.
fn with(path: &str, parameter: &str) -> String {
    let separator = if path.contains('?') { '&' } else { '?' };
    format!("{path}{separator}{parameter}")
}

/// Walks a whole list in pages of `limit`, there and back, and answers with all ids in order.
async fn walk(world: &World, path: &str, limit: usize) -> Vec<String> {
    let path = with(path, &format!("limit={limit}"));
    let mut pages: Vec<Vec<String>> = Vec::new();
    let mut page = get(world, &path).await;
    loop {
        let found = ids(&page);
        assert!(found.len() <= limit);
        if let Some(last) = found.last()
            && found.len() == limit
        {
            assert_eq!(page.body["iterator"], json!(last), "the last id of the page");
        }
        pages.push(found);
        if page.body["done"] == true {
            break;
        }
        let iterator = text(&page.body["iterator"]);
        page = get(world, &with(&path, &format!("iterator={iterator}"))).await;
        assert!(pages.len() < 1000, "the walk does not end");
    }
    let forth: Vec<String> = pages.concat();

    // And back again, over everything but the last page.
    let mut back: Vec<String> = pages.last().unwrap().clone();
    while let Some(iterator) = page.body["prevIterator"].as_str() {
        assert!(iterator.starts_with('-'), "{iterator}");
        page = get(world, &with(&path, &format!("iterator={iterator}"))).await;
        // Whoever turns round again meets what comes next, and nothing is left out.
        let on = match page.body["iterator"].as_str() {
            Some(iterator) => get(world, &with(&path, &format!("iterator={iterator}"))).await,
            None => get(world, &path).await,
        };
        assert!(back.starts_with(&ids(&on)), "{on:?}");
        let mut found = ids(&page);
        assert!(found.len() <= limit);
        found.append(&mut back);
        back = found;
        assert!(back.len() <= forth.len(), "the walk back does not end");
        if page.body["done"] == true {
            break;
        }
    }
    assert_eq!(back, forth, "there and back is the same list");
    forth
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

fn reversed(mut ids: Vec<String>) -> Vec<String> {
    ids.reverse();
    ids
}

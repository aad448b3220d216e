//! `posthorn event-type`: the kinds of events that there are.

use std::cmp::Ordering;

use clap::Subcommand;
use http::Method;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Page, below, delete};
use crate::matching;
use crate::output::{Output, field};
use crate::reach::Api;
use crate::table::Column;

/// Event types that are looked through for one whose name is close.
const NEIGHBOURS: usize = 250;

/// Event types: the kinds of events that customers choose from.
#[derive(Subcommand)]
pub(crate) enum EventType {
    /// List event types by name.
    #[command(after_help = "Example:\n  posthorn event-type list")]
    List(Page),
    /// Show an event type with its schema.
    #[command(after_help = "Example:\n  posthorn event-type get order.paid")]
    Get {
        /// Its name.
        name: String,
    },
    /// Make an event type.
    #[command(
        after_help = "Example:\n  posthorn event-type create order.paid --description 'An order was paid'"
    )]
    Create {
        /// Its name, as order.paid.
        name: String,
        /// What it means, for customers.
        #[arg(long, default_value = "")]
        description: String,
        /// The group that it is shown in.
        #[arg(long)]
        group: Option<String>,
    },
    /// Archive an event type: it is offered no more, and its messages still go out.
    #[command(after_help = "Example:\n  posthorn event-type delete order.paid")]
    Delete {
        /// Its name.
        name: String,
    },
}

/// Does it.
pub(crate) async fn run(api: &Api, event_type: &EventType) -> Result<Output, String> {
    let path = "/event-type";
    match event_type {
        EventType::List(Page { limit }) => {
            let mut types = api.list(path, *limit).await?;
            types.sort_by(|a, b| by_number(&field(a, "name"), &field(b, "name")));
            let state: fn(&Value) -> String = |one| match (&one["archived"], &one["deprecated"]) {
                (Value::Bool(true), _) => "archived".to_owned(),
                (_, Value::Bool(true)) => "deprecated".to_owned(),
                _ => String::new(),
            };
            Ok(Output::table(
                types,
                "there is no event type yet",
                &[
                    Column::text("NAME", |one| field(one, "name")),
                    Column::whole("STATE", state),
                    Column::text("GROUP", |one| field(one, "groupName")),
                    Column::text("DESCRIPTION", |one| field(one, "description")),
                ],
            ))
        }
        EventType::Get { name } => Ok(Output::thing(existing(api, name).await?)),
        EventType::Create { name, description, group } => {
            let body = json!({"name": name, "description": description, "groupName": group});
            Ok(Output::thing(api.call(Method::POST, path, body).await?))
        }
        EventType::Delete { name } => {
            existing(api, name).await?;
            delete(api, below(path, name), name).await
        }
    }
}

/// The event type of this name.
async fn existing(api: &Api, name: &str) -> Result<Box<RawValue>, String> {
    if let Some(found) = api.find_written(&below("/event-type", name)).await? {
        return Ok(found);
    }
    let there = api.list("/event-type", NEIGHBOURS).await?;
    let names = there.iter().filter_map(|one| one["name"].as_str());
    Err(matching::missing("event type", name, names))
}

/// `type_2` before `type_10`: digits that stand together are one number.
fn by_number(a: &str, b: &str) -> Ordering {
    let parts = |name: &str| -> Vec<(String, u128)> {
        let mut parts = vec![(String::new(), 0u128)];
        let mut in_number = false;
        for c in name.chars() {
            match c.to_digit(10) {
                None if in_number => parts.push((c.to_string(), 0)),
                None => parts.last_mut().expect("there is one").0.push(c),
                Some(digit) => {
                    let number = &mut parts.last_mut().expect("there is one").1;
                    *number = number.saturating_mul(10).saturating_add(u128::from(digit));
                }
            }
            in_number = c.is_ascii_digit();
        }
        parts
    };
    parts(a).cmp(&parts(b)).then_with(|| a.cmp(b))
}

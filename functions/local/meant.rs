//! For whom a message is: which endpoints of its application want it, and why the others do not.

use serde_json::{Value, json};

use crate::output::field;
use crate::reach::Api;

/// Most endpoints that are looked through.
const MOST: usize = 1_000;

/// Endpoints, and why a message does not go there, if it does not.
pub(crate) struct Meant {
    endpoints: Vec<(Value, Option<String>)>,
}

/// The endpoints of an application as a message finds them now: as the platform explains it, or by
/// the rules of filters where the platform is of a version that does not.
///
/// # Errors
/// When they cannot be asked for.
pub(crate) async fn of(api: &Api, app: &str, message: &Value) -> Result<Meant, String> {
    let id = field(message, "id");
    if let Some(explained) = api.find(&format!("/app/{app}/msg/{id}/explain")).await? {
        let told = explained["endpoints"].as_array().into_iter().flatten();
        return Ok(Meant { endpoints: told.map(explanation).collect() });
    }
    let endpoints = api.list(&format!("/app/{app}/endpoint"), MOST).await?;
    let judge = |endpoint: Value| {
        let why = refusal(&endpoint, message);
        (endpoint, why)
    };
    Ok(Meant { endpoints: endpoints.into_iter().map(judge).collect() })
}

/// An endpoint of an explanation, and the first rule that keeps the message from it.
fn explanation(told: &Value) -> (Value, Option<String>) {
    let against =
        told["rules"].as_array().into_iter().flatten().find(|rule| rule["holds"] == false);
    let endpoint = json!({"id": told["endpointId"], "url": told["url"]});
    (endpoint, against.map(|rule| field(rule, "says")))
}

impl Meant {
    /// As `2 of 3 endpoints`.
    pub(crate) fn summary(&self) -> String {
        let wanted = self.endpoints.iter().filter(|(_, why)| why.is_none()).count();
        let all = self.endpoints.len();
        format!("{wanted} of {all} {}", if all == 1 { "endpoint" } else { "endpoints" })
    }

    /// A line an endpoint.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        self.endpoints.iter().map(|(endpoint, why)| match why {
            None => format!("to {}  {}", field(endpoint, "url"), field(endpoint, "id")),
            Some(why) => format!("not to {}  {why}", field(endpoint, "url")),
        })
    }

    /// Whether the application has no endpoint at all.
    pub(crate) fn is_nobody_there(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// The same for programs.
    pub(crate) fn json(&self) -> Value {
        let one = |(endpoint, why): &(Value, Option<String>)| json!({"id": endpoint["id"], "url": endpoint["url"], "meant": why.is_none(), "why": why});
        self.endpoints.iter().map(one).collect()
    }
}

/// Why an endpoint does not get a message, by the rules of filters.
fn refusal(endpoint: &Value, message: &Value) -> Option<String> {
    let names = |value: &Value| -> Vec<String> {
        let names = value.as_array().into_iter().flatten();
        names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
    };
    if endpoint["disabled"] == true {
        return Some("it is disabled".to_owned());
    }
    let types = names(&endpoint["filterTypes"]);
    let kind = field(message, "eventType");
    if !types.is_empty() && !types.contains(&kind) {
        return Some(format!("it takes {} only", types.join(", ")));
    }
    let (wanted, given) = (names(&endpoint["channels"]), names(&message["channels"]));
    if !wanted.is_empty() && !wanted.iter().any(|channel| given.contains(channel)) {
        return Some(format!("it listens to the channels {} only", wanted.join(", ")));
    }
    None
}

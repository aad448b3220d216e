//! What whoever moves here from svix-server takes for granted, claim by claim, as it is seen on
//! the wire.

use serde_json::Value;

use crate::support::world::{Reply, World};

mod bodies;
mod paging;
mod queries;
mod states;

const URL: &str = "http://127.0.0.1:9/hook";

async fn get(world: &World, path: &str) -> Reply {
    world.call("GET", path, Value::Null).await
}

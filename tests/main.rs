//! Every test of the workspace, in one binary: `cargo test`.
//!
//! Names are claims. `world` is the harness: the whole platform on the embedded adapters (or
//! others), a clock that moves only when told to, and a network that a test scripts.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod admin;
mod alarms;
mod api_tokens;
mod asymmetric;
mod at_once;
mod attempted;
mod auth;
mod backlog;
mod bounded;
mod broadcast;
mod cache;
mod check;
mod circuit;
mod cli;
mod conformance;
/// What serves the connections of the local platform.
#[path = "../functions/local/connection.rs"]
mod connection;
mod contention;
mod contract;
mod cost;
mod cost_counts;
/// The counters of the local platform, which tests wrap around their ports as well.
#[path = "../functions/local/counting.rs"]
mod counting;
mod counts;
mod crash;
mod create_on_publish;
/// Whose retries the local platform puts behind those of others.
#[path = "../functions/local/crowd.rs"]
mod crowd;
mod crowds;
mod delivery;
mod delivery_model;
mod deployed;
mod dispatch;
mod doctor;
mod embedded;
mod environment;
mod event_type_settings;
mod event_types;
mod events;
mod explain;
mod expunge;
mod fuzz;
mod headers;
mod health;
/// How much the local platform reads of whom.
#[path = "../functions/local/hearing.rs"]
mod hearing;
/// What the local platform's API and endpoints listen with.
#[path = "../functions/local/http_server.rs"]
#[allow(dead_code, reason = "tests choose their limits themselves")]
mod http_server;
mod iam;
mod id;
mod idempotency;
mod import;
mod inspector;
mod intake;
mod integrations;
/// JSON as commands show it.
#[path = "../functions/local/json.rs"]
#[allow(dead_code, reason = "only the commands show it")]
mod json;
mod jwt_keys;
mod knobs;
/// Where the local platform computes what takes long.
#[path = "../functions/local/lane.rs"]
mod lane;
mod lanes;
mod layers;
mod limits;
mod lists;
/// The directory that the local platform keeps everything in.
#[path = "../functions/local/data.rs"]
#[allow(dead_code, reason = "the commands use the rest")]
mod local_data;
/// What the bill and the simulation reckon with.
#[path = "../functions/local/deployed.rs"]
#[allow(dead_code, reason = "the bill and the simulation use the rest")]
mod local_deployed;
mod logs;
mod many_attempts;
/// What a command says of names that are not there.
#[path = "../functions/local/matching.rs"]
#[allow(dead_code, reason = "only the commands say it")]
mod matching;
mod metrics;
/// What the local platform did in the last hour, minute by minute.
#[path = "../functions/local/minutes.rs"]
mod minutes;
mod minutes_told;
mod names;
/// What the local platform says of each delivery.
#[path = "../functions/local/narrator.rs"]
#[allow(dead_code, reason = "only the platform writes it down")]
mod narrator;
mod notices;
mod older_paths;
mod openapi;
mod otel;
mod outcomes;
/// How the local platform's commands answer.
#[path = "../functions/local/output.rs"]
#[allow(dead_code, unused_imports, unused_macros, reason = "the commands use the rest")]
mod output;
mod parameters;
mod parked;
mod policy;
mod portal;
mod profiles;
mod rate;
mod raw;
mod readme;
mod receive;
mod receivers;
mod record;
mod retry;
mod rights;
mod root_keys;
mod root_secret;
mod runbook;
mod schedule;
mod scheduled;
mod search;
mod secret;
mod secrets_manager;
mod sender;
mod server;
mod signature;
mod simulate;
mod simulated_account;
/// The account that the local platform simulates a load on.
#[path = "../functions/local/simulate/aws/mod.rs"]
#[allow(dead_code, reason = "the engine uses the rest")]
mod simulated_aws;
mod source_log;
mod source_state;
mod sources;
mod split;
mod spread;
mod standing;
mod stats;
/// How it is told that it is to end.
#[path = "../functions/local/stop.rs"]
mod stop;
mod stored;
mod support;
mod svix;
mod sweep;
mod systems;
/// The tables of the local platform's commands.
#[path = "../functions/local/table.rs"]
#[allow(dead_code, reason = "the commands use the rest")]
mod table;
mod target;
mod tasks;
mod template;
mod tenants;
/// What the local platform shows of strangers' text.
#[path = "../functions/local/terminal.rs"]
mod terminal;
mod throttle;
/// How the local platform's connections measure time.
#[path = "../functions/local/timer.rs"]
mod timer;
mod token;
mod token_deliveries;
/// How long the local platform waits for whoever reads an answer.
#[path = "../functions/local/unread.rs"]
mod unread;
mod upserts;
/// What of the environment the local platform does not hear.
#[path = "../functions/local/variables.rs"]
mod variables;
mod wide;
mod worst;

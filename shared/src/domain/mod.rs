//! Nouns and rules, without I/O: the present and randomness come in as arguments.

pub mod application;
pub mod attempt;
pub mod clock;
pub mod delivery;
pub mod delivery_settings;
pub mod endpoint;
pub mod event_type;
pub mod headers;
pub mod id;
pub mod inspector;
pub mod jose;
pub mod json;
pub mod keyring;
pub mod keyset;
pub mod limits;
pub mod message;
pub mod metrics;
pub mod notice;
pub mod profile;
pub mod schedule;
pub mod schema;
pub mod secret;
pub mod signature;
pub mod source;
pub mod task;
pub mod token;

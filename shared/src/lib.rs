//! The nouns of Posthorn, and its three ports.
//!
//! A publisher's event becomes a [`message`], which travels to every [`endpoint`] of its
//! [`application`] that wants it; each try is an [`attempt`]. The verbs (receive, dispatch,
//! retry, admin) are the functions of this workspace; they speak to the outside through
//! [`store`], [`queue`] and [`sender`], read the present and randomness from [`clock`], and tell
//! [`metrics`] what happened.
//!
//! Nothing here knows Lambda. AWS SDK types stop inside `store::dynamodb`, `queue::sqs` and
//! `aws`.

pub mod application;
pub mod attempt;
#[cfg(feature = "aws")]
pub mod aws;
pub mod clock;
pub mod config;
pub mod cors;
#[cfg(feature = "embedded")]
pub mod embedded;
#[cfg(feature = "aws")]
pub mod emf;
pub mod endpoint;
pub mod error;
pub mod event_type;
pub mod id;
pub mod inspector;
#[cfg(feature = "aws")]
pub mod invocation;
pub mod jose;
pub mod keyring;
pub mod keyset;
pub mod message;
pub mod metrics;
pub mod notice;
pub mod openapi;
#[cfg(feature = "otel")]
pub mod otel;
pub mod patch;
pub mod profile;
pub mod queue;
pub mod request;
pub mod rules;
pub mod schedule;
pub mod secret;
#[cfg(feature = "aws")]
pub mod secrets_manager;
pub mod sender;
pub mod signature;
pub mod source;
pub mod store;
pub mod task;
pub mod telemetry;
pub mod token;
pub mod treatment;
#[cfg(feature = "aws")]
pub mod wiring;
pub mod worker;

//! HTTP in our manner: who asks, what is asked, and how an error looks.

pub mod access;
pub mod application;
pub mod cors;
pub mod error;
pub mod message;
pub mod patch;
pub mod request;
pub mod rules;
#[cfg(feature = "description")]
pub mod schema;

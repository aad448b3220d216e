//! What only Lambda needs.

pub mod aws;
pub mod emf;
pub mod invocation;
#[cfg(feature = "otel")]
pub mod otel;
pub mod secrets_manager;
pub mod telemetry;
pub mod wiring;

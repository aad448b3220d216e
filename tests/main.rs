//! Every test of the workspace, in one binary: `cargo test`.
//!
//! Names are claims. `world` is the harness: the whole platform on the embedded adapters (or
//! others), a clock that moves only when told to, and a network that a test scripts.

mod conformance;
mod dispatch;
mod sender;
mod support;
mod target;

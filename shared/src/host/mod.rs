//! What a process is started with, wherever it runs: its knobs, its log, and what its functions
//! are put together from.

pub mod assembly;
pub mod config;
pub mod telemetry;

//! What a process is started with, wherever it runs: its knobs and its log.

pub mod config;
pub mod telemetry;

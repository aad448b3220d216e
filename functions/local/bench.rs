//! stub
use crate::cli;
pub(crate) async fn run(_o: &cli::Bench) -> Result<(), String> { Ok(()) }

//! `posthorn console`: a link to the operator's console.

use serde_json::json;

use crate::output::Output;
use crate::reach::{Api, Reach};
use crate::{cli, portal, token};

/// How long a link opens the console, in seconds: a working day.
const LINK_S: u64 = 12 * 3_600;

/// A link that lets whoever has it do everything that the organisation may do.
pub(crate) async fn run(reach: &Reach, options: &cli::Console) -> Result<Output, String> {
    let wanted = cli::Token { app: None, scope: None, expires: Some(LINK_S) };
    let (token, expires_at) = token::make(reach, &wanted).await?;
    let console = Api::open(reach).await?.url("/console");
    // In the fragment, which browsers keep to themselves.
    let url = format!("{console}#key={token}");
    if options.open {
        portal::open(&url)?;
    }
    Ok(Output::new(json!({"url": url, "expiresAt": expires_at}), url))
}

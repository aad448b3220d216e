//! `posthorn token`: a token for this platform, or for a deployed stack.

use shared::domain::clock::Ambient;
use shared::domain::id::OrganisationId;
use shared::domain::token::{APPLICATION_TOKEN_S, Access, ORGANISATION_TOKEN_S, Tokens};

use crate::stack::Stack;
use crate::{cli, data};

/// `posthorn token`.
pub(crate) fn print(options: &cli::Token) -> Result<(), String> {
    let ambient = Ambient::system();
    let (secret, organisation) = match options.of.stack() {
        Some(stack) => {
            let stack = Stack::find(&stack)?;
            (stack.root_secret()?, stack.organisation()?)
        }
        None => (data::root_secret(&options.data.directory, &ambient)?, data::organisation()),
    };
    println!("{}", issue(&Tokens::new(&secret.token_key()), organisation, options, &ambient)?);
    Ok(())
}

fn issue(
    tokens: &Tokens,
    organisation: OrganisationId,
    options: &cli::Token,
    ambient: &Ambient,
) -> Result<String, String> {
    let (access, usual_s) = match &options.app {
        None => (Access::Organisation(organisation), ORGANISATION_TOKEN_S),
        Some(app) => {
            let app = app.parse().map_err(|error| format!("--app {app}: {error}"))?;
            (Access::Application(organisation, app), APPLICATION_TOKEN_S)
        }
    };
    let (now, lifetime_s) = (ambient.now(), options.expires.unwrap_or(usual_s));
    Ok(match options.scope {
        None => tokens.issue(access, now, lifetime_s),
        Some(scope) => tokens.issue_api(access, (scope, None), now, lifetime_s),
    })
}

//! `posthorn token`: a token for this platform, for one at a URL, or for a deployed stack.

use http::Method;
use serde_json::json;
use shared::domain::clock::Ambient;
use shared::domain::id::{ApplicationId, OrganisationId};
use shared::domain::right::Scope;
use shared::domain::token::{APPLICATION_TOKEN_S, Access, ORGANISATION_TOKEN_S, Tokens, VISIT_S};

use crate::output::{Output, complain};
use crate::reach::{Api, Reach, segment, string};
use crate::{cli, data, hint};

/// `posthorn token`. What it opens and until when goes to standard error, beside the token.
pub(crate) async fn run(reach: &Reach, options: &cli::Token) -> Result<Output, String> {
    let (token, expires_at) = make(reach, options).await?;
    if !reach.json {
        complain(&describe(options, &expires_at));
    }
    Ok(Output::new(json!({"token": token, "expiresAt": expires_at}), token))
}

/// A token, and until when it opens what it opens.
pub(crate) async fn make(reach: &Reach, options: &cli::Token) -> Result<(String, String), String> {
    let ambient = Ambient::system();
    let options = &by_id(reach, options).await?;
    let (secret, organisation) = match reach.find_stack()? {
        Some(stack) => (stack.root_secret()?, stack.organisation()?),
        None if reach.is_here() => (reach.root_secret(&ambient)?, data::organisation()),
        None => return ask(reach, options).await,
    };
    let (token, lifetime_s) = issue(&Tokens::of(&secret), organisation, options, &ambient)?;
    let expires_at = ambient.now().plus_ms(lifetime_s * 1000).to_rfc3339();
    Ok((token, expires_at))
}

/// The same, with the id of the application: it may have been named by its uid.
async fn by_id(reach: &Reach, options: &cli::Token) -> Result<cli::Token, String> {
    let app = match &options.app {
        Some(app) if app.parse::<ApplicationId>().is_err() => {
            Some(Api::open(reach).await?.existing(app).await?)
        }
        app => app.clone(),
    };
    Ok(cli::Token { app, ..options.clone() })
}

/// Lets the API make it: whoever has only a token has no secret to make another one with.
async fn ask(reach: &Reach, options: &cli::Token) -> Result<(String, String), String> {
    let api = Api::open(reach).await?;
    if let (Some(app), None) = (&options.app, options.scope) {
        return customers(&api, app, options.expires).await;
    }
    let body = json!({
        "name": "posthorn token", "app": options.app, "scope": options.scope.unwrap_or_default(),
        "expiry": options.expires,
    });
    let made = api.call(Method::POST, "/operator/api-token", body).await?;
    Ok((string(&made, "token")?, string(&made, "expiresAt")?))
}

/// A customer's token, which is the one in a link to the portal.
async fn customers(api: &Api, app: &str, expires: Option<u64>) -> Result<(String, String), String> {
    let lifetime_s = expires.unwrap_or(VISIT_S);
    let until = Ambient::system().now().plus_ms(lifetime_s * 1000);
    let path = format!("/auth/app-portal-access/{}", segment(app));
    let made = api.call(Method::POST, &path, json!({"expiry": lifetime_s})).await?;
    Ok((string(&made, "token")?, until.to_rfc3339()))
}

fn describe(options: &cli::Token, expires_at: &str) -> String {
    let (opens, scope) = match options.scope {
        None => ("opens", ""),
        Some(Scope::All) => ("opens", " --scope all"),
        Some(Scope::Read) => ("reads", " --scope read"),
        Some(Scope::Publish) => ("publishes to", " --scope publish"),
        Some(Scope::Manage) => ("manages", " --scope manage"),
    };
    let what = options.app.as_deref().unwrap_or("everything of the organisation");
    let until = format!("{opens} {what} until {expires_at}");
    if options.expires.is_some() {
        return until;
    }
    // The same token: without these it would open more.
    let app = options.app.as_ref().map(|app| format!(" --app {app}")).unwrap_or_default();
    let shorter = hint::command(&format!("token{app}{scope} --expires 1h"));
    format!("{until}; for a shorter time: `{shorter}`")
}

fn issue(
    tokens: &Tokens,
    organisation: OrganisationId,
    options: &cli::Token,
    ambient: &Ambient,
) -> Result<(String, u64), String> {
    let (access, usual_s) = match &options.app {
        None => (Access::Organisation(organisation), ORGANISATION_TOKEN_S),
        Some(app) => {
            let app = app.parse().map_err(|error| format!("--app {app}: {error}"))?;
            (Access::Application(organisation, app), APPLICATION_TOKEN_S)
        }
    };
    let (now, lifetime_s) = (ambient.now(), options.expires.unwrap_or(usual_s));
    let token = match options.scope {
        None => tokens.issue(access, now, lifetime_s),
        Some(scope) => tokens.issue_api(access, (scope, None), now, lifetime_s),
    };
    Ok((token, lifetime_s))
}

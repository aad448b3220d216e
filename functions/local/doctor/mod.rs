//! `posthorn doctor --stack NAME`: looks at a deployed stack from outside, sends an event
//! through it, and says what is wrong and what to do about it.
//!
//! [`account`] asks AWS about every part; [`trip`] publishes to an inspector of the stack's own
//! and waits for it there. Nothing is changed but an application of the doctor's, which is
//! removed again, and the inspector, which expires.
//!
//! Not guaranteed: that what is found well stays so, or that nothing else is wrong.

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use shared::domain::clock::Ambient;

mod account;
mod quotas;
mod trip;

use crate::output::line;
use crate::reach::Reach;
use crate::remote::{Answer, Remote};
use crate::terminal::shown_json;
use crate::{cli, stack};

/// `posthorn doctor`.
pub(crate) async fn run(reach: &Reach, options: &cli::Doctor) -> Result<(), String> {
    let ambient = Ambient::system();
    let stack = reach.find_stack()?.ok_or("doctor examines a stack: name it with --stack")?;
    let mut report = Report { json: reach.json, ..Report::default() };
    account::examine(&stack, &mut report);
    if options.no_trip {
        return report.conclude(&stack.name);
    }

    let named = reach.url();
    let place = |output| named.as_deref().map_or_else(|| stack.output(output), Ok);
    let (api, publish) = (place("ApiUrl")?, place("PublishUrl")?);
    match stack.token(&ambient, stack::SHORT_TOKEN_S) {
        Ok(token) => {
            let api = Remote::new(api, &token)?;
            compare_keys(&stack, &api, &mut report).await;
            find_profile(&stack, &api, &mut report).await;
            trip::take(&api, publish, &ambient, &mut report).await;
        }
        Err(why) => {
            // Read, and no root secret.
            let remedy = match why.starts_with("the root secret") {
                true => "`posthorn root-secret restore --stack NAME`",
                false => "grant yourself secretsmanager:GetSecretValue",
            };
            report.wrong("root secret", &why, remedy)
        }
    }
    report.conclude(&stack.name)
}

/// Whether the functions know the root secret that Secrets Manager has.
async fn compare_keys(stack: &stack::Stack, api: &Remote, report: &mut Report) {
    let what = "root secret";
    let stored = match stack.root_secret() {
        Ok(secret) => secret.ids(),
        Err(why) => return report.wrong(what, &why, "`posthorn root-secret restore --stack NAME`"),
    };
    let asked = api.send(Method::GET, "/api/v1/operator/root-secret", Bytes::new()).await;
    let is_refused = asked.as_ref().is_ok_and(|answer| answer.status == StatusCode::UNAUTHORIZED);
    match asked.and_then(Answer::json) {
        Ok(known) if known["keys"] == json!(stored) => {
            report.well(what, &format!("the functions know its keys: {}", stored.join(", ")));
        }
        Ok(known) => {
            let known = &known["keys"];
            let found = format!("the functions know the keys {known}, it has {stored:?}");
            let remedy = "`posthorn root-secret restart --stack NAME`: they read it again";
            report.wrong(what, &found, remedy);
        }
        // No key of the functions verifies a token of the one in use.
        Err(why) if is_refused => {
            let remedy = "if it was changed by other means than `posthorn root-secret`: \
                          `posthorn root-secret restore --stack NAME`";
            report.wrong(what, &why, remedy);
        }
        Err(why) => report.wrong(what, &why, "look into the log of AdminFunction"),
    }
}

/// Whether there is the profile of applications that name none: without it nothing of theirs is
/// accepted.
async fn find_profile(stack: &stack::Stack, api: &Remote, report: &mut Report) {
    let Some(name) = stack.parameter("DefaultProfile").filter(|name| !name.is_empty()) else {
        return;
    };
    let what = "profile of applications that name none";
    match api.call(Method::GET, &format!("/api/v1/profile/{name}"), Value::Null).await {
        Ok(_) => report.well(what, name),
        Err(why) => report.wrong(what, &why, "deploy with a DefaultProfile that there is"),
    }
}

/// What was found, told as it is found.
#[derive(Default)]
pub(crate) struct Report {
    json: bool,
    well: usize,
    wrong: usize,
}

impl Report {
    /// Something is as it should be.
    pub(crate) fn well(&mut self, what: &str, found: &str) {
        self.well += 1;
        match self.json {
            true => line(&shown_json(&json!({"well": true, "what": what, "found": found}))),
            false => line(&format!("ok     {what}: {found}")),
        }
    }

    /// Something is not, and what to do.
    pub(crate) fn wrong(&mut self, what: &str, found: &str, remedy: &str) {
        self.wrong += 1;
        let told = json!({"well": false, "what": what, "found": found, "remedy": remedy});
        match self.json {
            true => line(&shown_json(&told)),
            false => line(&format!("WRONG  {what}: {found}\n       do: {remedy}")),
        }
    }

    /// Something that is worth a look, though nothing is broken.
    pub(crate) fn note(&mut self, what: &str, found: &str) {
        match self.json {
            true => line(&shown_json(
                &json!({"well": true, "note": true, "what": what, "found": found}),
            )),
            false => line(&format!("note   {what}: {found}")),
        }
    }

    /// Well if `holds`.
    pub(crate) fn check(&mut self, holds: bool, what: &str, found: &str, remedy: &str) {
        match holds {
            true => self.well(what, found),
            false => self.wrong(what, found, remedy),
        }
    }

    fn conclude(&self, stack: &str) -> Result<(), String> {
        if self.wrong > 0 {
            let all = self.well + self.wrong;
            return Err(format!("{} of {all} checks of the stack {stack} failed", self.wrong));
        }
        if !self.json {
            line(&format!("\nall {} checks of the stack {stack} are well", self.well));
        }
        Ok(())
    }
}

//! `posthorn root-secret`: changes the root secret, of this platform or of a stack, without
//! anything that stops working.
//!
//! A new key is added, which opens and verifies only; when every process knows it, it becomes the
//! one in use; everything that is stored is sealed with it; and at last the old keys are taken out,
//! which ends the tokens that were made with them. On one machine the first two are one step,
//! since there is one process.
//!
//! A stack's functions read the root secret when they start, so after each change they are made to
//! start anew, by a variable in their environment; then the wait is for processes that still work
//! on something.
//!
//! Not guaranteed: anything while two people do this at once.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use shared::domain::clock::Ambient;
use shared::domain::secret::RootSecret;

use crate::cli::{self, RootSecretStep as Step};
use crate::output::{self, complain, line};
use crate::platform::Offline;
use crate::reach::{Api, Reach};
use crate::stack::Stack;
use crate::{data, hint};

/// The functions that know the root secret, as the template names them.
const KNOWING: [&str; 3] = ["ReceiveFunction", "DispatchFunction", "AdminFunction"];
/// The variable by which they are made to start anew. Nobody reads it.
const STARTED_FOR: &str = "POSTHORN_STARTED_FOR";
/// Longest wait for a function to take a changed environment.
const PATIENCE: Duration = Duration::from_secs(120);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const RESEAL: &str = "/operator/root-secret/reseal";

/// `posthorn root-secret`.
pub(crate) async fn run(reach: &Reach, options: &cli::RootSecret) -> Result<(), String> {
    let place = match reach.find_stack()? {
        Some(stack) => Place::Stack(Box::new(stack)),
        None if reach.is_here() => Place::Directory,
        None => return Err("the root secret is a stack's or this machine's, not a URL's".into()),
    };
    let change = Change { reach, options, place, ambient: Ambient::system() };
    let current = change.read();
    // What was begun is carried to its end, whether or not anybody reads how it goes.
    drop(output::unread());
    match options.step {
        Step::Show => {}
        Step::Add => change.write(&change.one_more(&current?)?).await?,
        Step::Promote => change.write(&current?.promoted()).await?,
        Step::Rotate => change.rotate(&current?).await?,
        Step::Reseal => change.reseal(&current?).await?,
        Step::Retire => change.retire(&current?).await?,
        Step::Restore => change.restore(current).await?,
        Step::Restart => {
            // With anything else they would not start.
            current?;
            change.restart().await?;
        }
    }
    if reach.json {
        let keys = change.read()?.ids().into_iter().enumerate();
        let keys: Vec<_> = keys.map(|(n, id)| json!({"id": id, "inUse": n == 0})).collect();
        line(&json!({"keys": keys}).to_string());
    } else if ![Step::Rotate, Step::Reseal].contains(&options.step) {
        show(&change.read()?);
    }
    Ok(())
}

fn show(secret: &RootSecret) {
    for (number, id) in secret.ids().into_iter().enumerate() {
        line(&format!("{id}  {}", if number == 0 { "in use" } else { "opens and verifies" }));
    }
}

/// Where the root secret is.
enum Place {
    Stack(Box<Stack>),
    Directory,
}

struct Change<'a> {
    reach: &'a Reach,
    options: &'a cli::RootSecret,
    place: Place,
    ambient: Ambient,
}

impl Change<'_> {
    fn read(&self) -> Result<RootSecret, String> {
        match &self.place {
            Place::Stack(stack) => stack.root_secret(),
            Place::Directory => self.reach.root_secret(&self.ambient),
        }
    }

    /// Tells people how it goes.
    fn say(&self, text: &str) {
        if self.reach.json { complain(text) } else { line(text) }
    }

    /// Keeps the root secret, and sees to it that whoever knows it knows it so.
    async fn write(&self, secret: &RootSecret) -> Result<(), String> {
        match &self.place {
            Place::Stack(stack) => {
                stack.put_root_secret(secret)?;
                self.start_anew(stack).await
            }
            Place::Directory => data::replace_secret(self.reach.directory(), secret),
        }
    }

    fn one_more(&self, current: &RootSecret) -> Result<RootSecret, String> {
        current.with(&RootSecret::generate(&self.ambient))
    }

    async fn rotate(&self, current: &RootSecret) -> Result<(), String> {
        if current.ids().len() > 1 {
            return Err(
                "the root secret has more than one key: end the change that was begun, by \
                        `promote` if the last one is not in use yet, `reseal` and `retire`"
                    .to_owned(),
            );
        }
        let more = self.one_more(current)?;
        if let Place::Directory = self.place {
            self.write(&more.promoted()).await?;
            if !self.reach.json {
                show(&self.read()?);
            }
            let [reseal, retire] = ["root-secret reseal", "root-secret retire"].map(hint::command);
            self.say(&format!("\nRestart the platform; then `{reseal}`, stop it, and `{retire}`."));
            return Ok(());
        }
        self.write(&more).await?;
        self.say("added a key, which every function knows");
        self.write(&more.promoted()).await?;
        self.say("it is in use");
        self.reseal(&more.promoted()).await?;
        self.say(
            "\n`posthorn root-secret retire` takes the old key out: not before tomorrow, since \
             answers to repeated requests are kept for half a day, and not before every token has \
             been made anew that was made with it.",
        );
        Ok(())
    }

    /// Has everything sealed anew, page by page.
    async fn reseal(&self, current: &RootSecret) -> Result<(), String> {
        let api = Api::open(self.reach).await.map_err(|why| {
            format!("{why} (a platform that was started before `rotate` has to be restarted)")
        })?;
        self.reseal_by(current, async |path| api.call(Method::POST, &path, Value::Null).await).await
    }

    /// The same, page by page as `ask` answers.
    async fn reseal_by(
        &self,
        current: &RootSecret,
        ask: impl AsyncFn(String) -> Result<Value, String>,
    ) -> Result<(), String> {
        let (mut anew, mut unopened) = (0, 0);
        let mut query = String::new();
        loop {
            let page = ask(format!("{RESEAL}?limit=250{query}")).await?;
            if page["keys"] != json!(current.ids()) {
                let (keys, known) = (current.ids().join(", "), &page["keys"]);
                return Err(format!(
                    "whoever answers knows the keys {known} and not {keys}: restart it, and do \
                     this again"
                ));
            }
            anew += page["resealed"].as_u64().unwrap_or(0);
            unopened += page["unopened"].as_u64().unwrap_or(0);
            match page["iterator"].as_str() {
                Some(iterator) if page["done"] != true => query = format!("&iterator={iterator}"),
                _ => break,
            }
            self.say(&format!("sealed anew so far: {anew}"));
        }
        self.say(&format!("sealed anew: {anew}; opened by no key: {unopened}"));
        const UNOPENED: &str =
            "some secrets open with none of the keys: theirs was taken out too early";
        match (unopened, &self.place) {
            (0, _) => Ok(()),
            (_, Place::Stack(_)) => Err(format!(
                "{UNOPENED}; `{}` finds it while Secrets Manager has it",
                hint::command("root-secret restore")
            )),
            (_, Place::Directory) => {
                Err(format!("{UNOPENED}; put back a `root-secret` that had it"))
            }
        }
    }

    /// Takes every key out but the one in use, if nothing needs them.
    async fn retire(&self, current: &RootSecret) -> Result<(), String> {
        if let Place::Directory = self.place {
            // Whoever has the directory can be asked while it runs, and cannot be changed then.
            return self.retire_here(current).await;
        }
        self.reseal(current).await?;
        self.write(&current.retired()).await
    }

    async fn retire_here(&self, current: &RootSecret) -> Result<(), String> {
        let directory = self.reach.directory();
        let platform = Offline::open(directory)
            .await
            .map_err(|why| format!("{why}; after `reseal`, stop the platform for this"))?;
        self.reseal_by(current, async |path| platform.post(&path).await).await?;
        data::begin_anew(&platform.engine, &current.retired()).await?;
        data::replace_secret(directory, &current.retired())
    }

    /// Adds the keys of the version before this one: whatever has replaced them, what was sealed
    /// with them opens again. What has replaced them may be no root secret at all.
    async fn restore(&self, current: Result<RootSecret, String>) -> Result<(), String> {
        let Place::Stack(stack) = &self.place else {
            return Err("only Secrets Manager keeps the version before: --stack".to_owned());
        };
        let before = stack.previous_root_secret()?;
        let current = match current {
            Ok(current) => current,
            Err(why) => {
                self.say(&format!("{why}; the version before takes its place"));
                return self.write(&before).await;
            }
        };
        if before.ids().iter().all(|id| current.ids().contains(id)) {
            return Err("the version before has no key that this one lacks".to_owned());
        }
        // The one that everything is sealed with is the one to be in use.
        self.write(&before.joined(&current)?).await
    }

    async fn restart(&self) -> Result<(), String> {
        match &self.place {
            Place::Stack(stack) => self.start_anew(stack).await,
            Place::Directory => {
                Err("only a stack's functions are started from here: --stack".into())
            }
        }
    }

    async fn start_anew(&self, stack: &Stack) -> Result<(), String> {
        let parts = stack.parts()?;
        let name = |part: &str| parts.get(part).ok_or_else(|| format!("no {part} in the stack"));
        for part in KNOWING {
            start_function_anew(stack, name(part)?, &self.ambient)?;
        }
        for part in KNOWING {
            wait_for_update(stack, name(part)?).await?;
        }
        tokio::time::sleep(Duration::from_secs(self.options.wait)).await;
        Ok(())
    }
}

fn start_function_anew(stack: &Stack, name: &str, ambient: &Ambient) -> Result<(), String> {
    let ask = ["lambda", "get-function-configuration", "--function-name", name];
    let mut variables = stack.cli.ask(&ask)?["Environment"]["Variables"].take();
    variables[STARTED_FOR] = format!("the root secret of {}", ambient.now().to_rfc3339()).into();
    let environment = json!({ "Variables": variables }).to_string();
    let change = ["lambda", "update-function-configuration", "--function-name", name];
    stack.cli.ask(&[&change[..], &["--environment", &environment]].concat()).map(|_| ())
}

async fn wait_for_update(stack: &Stack, name: &str) -> Result<(), String> {
    let ask = ["lambda", "get-function-configuration", "--function-name", name];
    let mut waited = Duration::ZERO;
    loop {
        let found = stack.cli.ask(&ask)?;
        match found["LastUpdateStatus"].as_str() {
            Some("InProgress") if waited < PATIENCE => {
                tokio::time::sleep(LOOK_EVERY).await;
                waited += LOOK_EVERY;
            }
            Some("Successful") | None => return Ok(()),
            other => return Err(format!("the function {name} does not start anew: {other:?}")),
        }
    }
}

//! Sources: create, read, change, delete. Paths and shapes are those of Svix's ingest API.

use std::future::ready;
use std::time::Duration;

use crate::JsonSchema;
use bytes::Bytes;
#[cfg(feature = "description")]
use description::Moment;
use http::{HeaderName, Response, StatusCode};
use serde::{Deserialize, Serialize};
use shared::api::error::{self, ApiError, Later};
use shared::api::request;
use shared::api::rules::Rules;
use shared::domain::application::Metadata;
use shared::domain::id::{ApplicationId, SourceId, Uid};
use shared::domain::secret::{PUBLIC_PREFIX, PublicKey, Sealed, SigningSecret};
use shared::domain::source::{Kind, MAX_SOURCES, Rule, Scheme, Source, TOKEN_MARK, is_key_set};
use shared::store::Need;
use shared::store::change::PAUSES_MS;

use crate::application::create_or_change;
use crate::inspector::origin;
use crate::{Answer, Call, page};

/// How often a change is begun anew when others change the same source.
const CHANGES: u32 = 24;
/// The note that names the application for a library that does not know the field `app`.
const APP_NOTE: &str = "posthorn.app";
/// The note with the JSON of `verification`, for a library that does not know that field either.
const VERIFICATION_NOTE: &str = "posthorn.verification";

/// What a caller sends. `app`, `verification`, `eventType` and `eventId` are ours.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IngestSourceIn {
    #[schemars(with = "description::Name")]
    pub(crate) name: String,
    #[schemars(with = "Option<Uid>")]
    pub(crate) uid: Option<String>,
    #[serde(default)]
    pub(crate) metadata: Option<Metadata>,
    #[serde(rename = "type")]
    pub(crate) kind: Kind,
    #[serde(default, deserialize_with = "request::inner")]
    pub(crate) config: Config,
    /// Id or uid of the application that the events go to; or say it in the metadata, under
    /// `posthorn.app`.
    pub(crate) app: Option<String>,
    /// How requests are proved; needed for `generic-webhook`, fixed for the others. Or say it in
    /// the metadata, as text, under `posthorn.verification`.
    #[serde(default, deserialize_with = "request::inner_or_null")]
    pub(crate) verification: Option<Scheme>,
    pub(crate) event_type: Option<Rule>,
    pub(crate) event_id: Option<Rule>,
}

/// Never shown again.
#[derive(Clone, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "SourceConfig")]
pub(crate) struct Config {
    /// What requests are proved with; left out in a change, it stays.
    secret: Option<String>,
    /// What Meta's handshake must say.
    verify_token: Option<String>,
}

/// What a caller gets.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IngestSourceOut {
    id: SourceId,
    uid: Option<Uid>,
    name: String,
    ingest_url: String,
    metadata: Metadata,
    #[serde(rename = "type")]
    kind: Kind,
    #[schemars(with = "description::EmptyObject")]
    config: serde_json::Map<String, serde_json::Value>,
    app: ApplicationId,
    /// As it was said, with every default.
    #[schemars(with = "description::JsonObject")]
    verification: Scheme,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_type: Option<Rule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<Rule>,
    #[schemars(with = "Moment")]
    created_at: String,
    #[schemars(with = "Moment")]
    updated_at: String,
}

/// A request whose rules hold.
struct Checked {
    uid: Option<Uid>,
    app: ApplicationId,
    scheme: Scheme,
}

impl Call<'_> {
    pub(crate) async fn list_sources(&self) -> Answer {
        let walk = page::walk::<SourceId>(self.request, false)?;
        let all = self.admin.sources.list(&self.access.organisation()).await?;
        let id = |source: &Source| source.id.to_string();
        let listed = page::cut(&walk, all, id);
        let mut filling = page::Filling::new(&walk, listed);
        filling.fill(id, |source| ready(self.source_out(source).map(Some))).await?;
        Ok(filling.finish())
    }

    pub(crate) async fn create_source(&self) -> Answer {
        let input: IngestSourceIn = request::body(self.request)?;
        let checked = self.check_source(&input, None).await?;
        self.new_source(input, checked).await
    }

    pub(crate) async fn get_source(&self, source: &str) -> Answer {
        let found = self.source_named(source).await?.ok_or_else(ApiError::not_found)?;
        self.show_source(StatusCode::OK, found)
    }

    /// Changes a source, or creates one whose uid is the name in the path.
    pub(crate) async fn update_source(&self, source: &str) -> Answer {
        create_or_change(|| self.put_source(source)).await
    }

    async fn put_source(&self, source: &str) -> Answer {
        let input: IngestSourceIn = request::body(self.request)?;
        if let Some(done) = self.change_source(source, &|_| input.clone()).await? {
            return Ok(done);
        }
        let mut rules = Rules::default();
        let named = rules.uid(Some(source), SourceId::PREFIX);
        rules.check().map_err(|_| ApiError::not_found())?;
        let mut checked = self.check_source(&input, None).await?;
        checked.uid = checked.uid.or(named);
        self.new_source(input, checked).await
    }

    /// Makes a source what is wanted of it as it is; `None` if there is none of this name.
    pub(crate) async fn change_source(
        &self,
        reference: &str,
        wanted: &(dyn Fn(&Source) -> IngestSourceIn + Sync),
    ) -> Result<Option<Response<Bytes>>, ApiError> {
        for tries in 0..CHANGES {
            let Some(old) = self.source_named(reference).await? else { return Ok(None) };
            let done = self.change_as_read(&old, &wanted(&old)).await?;
            if done.is_some() {
                return Ok(done);
            }
            let (first_ms, longest_ms) = PAUSES_MS;
            let pause_ms = self.admin.ambient.pause_ms(first_ms, longest_ms, tries);
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        }
        Err(ApiError::Later(Later::Contended))
    }

    /// Makes a source what the caller says; a secret that is left out stays.
    /// `None` when it is not as it was read any more: what was checked may not hold then.
    async fn change_as_read(
        &self,
        old: &Source,
        input: &IngestSourceIn,
    ) -> Result<Option<Response<Bytes>>, ApiError> {
        let checked = self.check_source(input, Some(old)).await?;
        let now = self.admin.ambient.now();
        let (secret, verify_token) = self.seal_config(&old.id, &input.config);
        let same_scheme = old.scheme == checked.scheme;
        let edited = self.admin.sources.edit(&old.id, |source| {
            if source != old {
                return false;
            }
            source.name.clone_from(&input.name);
            source.metadata = input.metadata.clone().unwrap_or_default();
            source.kind = input.kind;
            source.app = checked.app;
            source.scheme.clone_from(&checked.scheme);
            source.event_type.clone_from(&input.event_type);
            source.event_id.clone_from(&input.event_id);
            let kept = source.secret.take().filter(|_| same_scheme);
            source.secret = secret.clone().or(kept);
            source.verify_token = verify_token.clone().or(source.verify_token.take());
            if source != old {
                source.updated_at = now;
            }
            true
        });
        let (edited, is_done) = edited.await?.ok_or_else(ApiError::not_found)?;
        is_done.then(|| self.show_source(StatusCode::OK, edited)).transpose()
    }

    pub(crate) async fn delete_source(&self, source: &str) -> Answer {
        let found = self.source_named(source).await?.ok_or_else(ApiError::not_found)?;
        self.admin.sources.delete(&found.id).await?;
        Ok(error::empty(StatusCode::NO_CONTENT))
    }

    pub(crate) async fn source_named(&self, reference: &str) -> Result<Option<Source>, ApiError> {
        let is_it = |source: &Source| {
            source.id.to_string() == reference
                || source.uid.as_ref().is_some_and(|uid| uid.as_str() == reference)
        };
        let all = self.admin.sources.list(&self.access.organisation()).await?;
        Ok(all.into_iter().find(is_it))
    }

    async fn check_source(
        &self,
        input: &IngestSourceIn,
        old: Option<&Source>,
    ) -> Result<Checked, ApiError> {
        let mut rules = Rules::default();
        rules.name(&input.name);
        let uid = rules.uid(input.uid.as_deref(), SourceId::PREFIX);
        if old.is_some_and(|old| uid.is_some() && uid != old.uid) {
            rules.broken("uid", "must stay as it is, or be left out");
        }
        input.metadata.iter().for_each(|metadata| rules.metadata(metadata));
        check_texts(&mut rules, input, old);
        let note = |key| input.metadata.as_ref().and_then(|it| it.get(key));
        let said = input.verification.clone().or_else(|| {
            let said = request::object(note(VERIFICATION_NOTE)?.as_bytes());
            said.map_err(|error| {
                let ApiError::Invalid(broken) = error else { return };
                let why: Vec<&str> = broken.iter().map(|one| one.msg.as_str()).collect();
                let rule = format!("must be the JSON of a verification: {}", why.join("; "));
                rules.broken_at(&["metadata", VERIFICATION_NOTE], rule);
            })
            .ok()
        });
        let scheme = match (input.kind.scheme(), said) {
            (Some(fixed), None) => Some(fixed),
            (Some(fixed), Some(said)) if fixed == said => Some(fixed),
            (Some(_), Some(_)) => {
                let rule = "is fixed for this type: leave it out, or use `generic-webhook`";
                rules.broken("verification", rule);
                None
            }
            (None, None) => {
                let rule = "must say how requests are proved: {\"scheme\": \"bearer\"}, for one";
                rules.broken("verification", rule);
                None
            }
            (None, Some(said)) => Some(said),
        };
        if let Some(scheme) = &scheme {
            check_scheme(&mut rules, scheme, old);
            let kept = old.is_some_and(|old| old.secret.is_some() && old.scheme == *scheme);
            check_secret(&mut rules, scheme, input.config.secret.as_deref(), kept);
        }
        let app = match (input.app.as_ref().or_else(|| note(APP_NOTE)), old) {
            (Some(app), _) => {
                let org = self.access.organisation();
                let tenant = self.admin.directory.application(&org, app, Need::Application).await?;
                if tenant.is_none() {
                    rules.broken("app", "must be the id or uid of an application");
                }
                tenant.map(|tenant| tenant.application.id)
            }
            (None, Some(old)) => Some(old.app),
            (None, None) => {
                rules.broken("app", "must name the application that the events go to");
                None
            }
        };
        rules.check()?;
        let (Some(app), Some(scheme)) = (app, scheme) else {
            return Err(ApiError::Internal("a rule without a sentence".into()));
        };
        Ok(Checked { uid, app, scheme })
    }

    async fn new_source(&self, input: IngestSourceIn, checked: Checked) -> Answer {
        let org = self.access.organisation();
        if self.admin.sources.list(&org).await?.len() >= MAX_SOURCES {
            return Err(ApiError::bad_request(
                "limit_reached",
                format!("An organisation has at most {MAX_SOURCES} sources: delete one first."),
            ));
        }
        let ambient = &self.admin.ambient;
        let now = ambient.now();
        let id = SourceId::new(ambient);
        let (secret, verify_token) = self.seal_config(&id, &input.config);
        let source = Source {
            id,
            org,
            app: checked.app,
            uid: checked.uid,
            name: input.name,
            metadata: input.metadata.unwrap_or_default(),
            kind: input.kind,
            scheme: checked.scheme,
            secret,
            verify_token,
            token: None,
            before: Vec::new(),
            event_type: input.event_type,
            event_id: input.event_id,
            created_at: now,
            updated_at: now,
        };
        match self.admin.sources.create(&source).await? {
            true => self.show_source(StatusCode::CREATED, source),
            false => Err(ApiError::conflict("A source with this uid already exists.")),
        }
    }

    fn seal_config(&self, id: &SourceId, config: &Config) -> (Option<Sealed>, Option<Sealed>) {
        let owner = id.to_string();
        let seal = |text: &String| {
            self.admin.sealer.seal_bytes(text.as_bytes(), &owner, &self.admin.ambient)
        };
        (config.secret.as_ref().map(seal), config.verify_token.as_ref().map(seal))
    }

    /// Where the other system sends its webhooks.
    pub(crate) fn ingest_url(&self, source: &Source) -> Result<String, ApiError> {
        // Where receive is reached.
        let publish_url = self.admin.settings.publish_url.clone();
        let entrance = publish_url.unwrap_or_else(|| origin(self.request));
        let id = source.id.to_string();
        let Some(sealed) = &source.token else { return Ok(format!("{entrance}/in/{id}")) };
        let token = self.admin.sealer.open_bytes(sealed, &id);
        let token = token.and_then(|token| String::from_utf8(token).ok());
        match token {
            Some(token) => Ok(format!("{entrance}/in/{id}{TOKEN_MARK}{token}")),
            None => Err(ApiError::Internal(format!("the address of {id} does not open"))),
        }
    }

    fn source_out(&self, source: Source) -> Result<IngestSourceOut, ApiError> {
        Ok(IngestSourceOut {
            ingest_url: self.ingest_url(&source)?,
            id: source.id,
            uid: source.uid,
            name: source.name,
            metadata: source.metadata,
            kind: source.kind,
            config: serde_json::Map::new(),
            app: source.app,
            verification: source.scheme,
            event_type: source.event_type,
            event_id: source.event_id,
            created_at: source.created_at.to_rfc3339(),
            updated_at: source.updated_at.to_rfc3339(),
        })
    }

    fn show_source(&self, status: StatusCode, source: Source) -> Answer {
        Ok(error::json(status, &self.source_out(source)?))
    }
}

/// Longest text of a source that says how requests are proved, in characters.
const MAX_TEXT: usize = 256;
/// Longest secret, in characters: a JSON Web Key Set of a dozen keys.
const MAX_SECRET: usize = 16 * 1024;

/// What was stored before a rule was made stays: nobody could change anything else otherwise.
fn check_texts(rules: &mut Rules, input: &IngestSourceIn, old: Option<&Source>) {
    rules.text("config.secret", input.config.secret.as_deref().unwrap_or_default(), MAX_SECRET);
    let token = input.config.verify_token.as_deref().unwrap_or_default();
    rules.text("config.verifyToken", token, MAX_TEXT);
    if input.config.verify_token.as_deref() == Some("") {
        rules.broken("config.verifyToken", "must not be empty: it would prove nothing");
    }
    let was = |of: fn(&Source) -> &Option<Rule>| old.and_then(|old| of(old).as_ref());
    for (field, rule, was) in [
        ("eventType", &input.event_type, was(|old| &old.event_type)),
        ("eventId", &input.event_id, was(|old| &old.event_id)),
    ] {
        match rule {
            Some(Rule::Header(name)) => check_header(rules, &format!("{field}.header"), name),
            Some(Rule::Pointer(pointer)) => {
                rules.text(&format!("{field}.pointer"), pointer, MAX_TEXT);
                if rule.as_ref() != was && !is_pointer(pointer) {
                    let rule = "must be a JSON Pointer, such as `/data/type`";
                    rules.broken(&format!("{field}.pointer"), rule);
                }
            }
            None => {}
        }
    }
}

/// Whether this points into a document (RFC 6901), and not to the whole of it, which is no name.
fn is_pointer(text: &str) -> bool {
    let mut escapes = text.split('~').skip(1);
    text.starts_with('/') && escapes.all(|rest| rest.starts_with(['0', '1']))
}

fn check_header(rules: &mut Rules, field: &str, name: &str) {
    if HeaderName::from_bytes(name.as_bytes()).is_err() || name.len() > MAX_TEXT {
        let rule = format!("must be the name of a header, at most {MAX_TEXT} characters long");
        rules.broken(field, rule);
    }
}

/// What is not signed proves nothing, and what is signed is hashed once.
fn check_scheme(rules: &mut Rules, scheme: &Scheme, old: Option<&Source>) {
    let hmac = match scheme {
        Scheme::Hmac(hmac) => hmac,
        Scheme::Jwt { issuer, audience } => {
            rules.text("verification.issuer", issuer.as_deref().unwrap_or_default(), MAX_TEXT);
            rules.text("verification.audience", audience.as_deref().unwrap_or_default(), MAX_TEXT);
            return;
        }
        _ => return,
    };
    if hmac.content.matches("{body}").count() != 1 {
        rules.broken("verification.content", "must have `{body}` in it, once");
    }
    let is_new = old.is_none_or(|old| old.scheme != *scheme);
    if is_new && has_other_placeholder(&hmac.content) {
        let rule = "must have no other placeholders than `{body}` and `{timestamp}`";
        rules.broken("verification.content", rule);
    }
    rules.text("verification.content", &hmac.content, MAX_TEXT);
    rules.text("verification.prefix", &hmac.prefix, MAX_TEXT);
    check_header(rules, "verification.header", &hmac.header);
    if let Some(name) = &hmac.timestamp_header {
        check_header(rules, "verification.timestampHeader", name);
    }
    if hmac.content.contains("{timestamp}") != hmac.timestamp_header.is_some() {
        let rule = "must be there if `content` has `{timestamp}` in it, and only then";
        rules.broken("verification.timestampHeader", rule);
    }
}

/// Whether there is a name in braces that stands for nothing.
fn has_other_placeholder(content: &str) -> bool {
    let names = content.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0));
    let is_name = |name: &&str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphabetic());
    names.filter(is_name).any(|name| !["body", "timestamp"].contains(&name))
}

fn check_secret(rules: &mut Rules, scheme: &Scheme, secret: Option<&str>, kept: bool) {
    let Some(secret) = secret else {
        if *scheme != Scheme::None && !kept {
            rules.broken("config.secret", "must be what the other system signs with");
        }
        return;
    };
    let rule = match scheme {
        _ if secret.is_empty() => Some("must not be empty".to_owned()),
        Scheme::StandardWebhooks if secret.starts_with(PUBLIC_PREFIX) => {
            let rule = "must be the base64 of an ed25519 public key after `whpk_`";
            PublicKey::parse(secret).is_none().then(|| rule.to_owned())
        }
        Scheme::StandardWebhooks => SigningSecret::parse_symmetric(secret).err(),
        Scheme::Basic if !secret.contains(':') => Some("must be `name:password`".to_owned()),
        Scheme::Jwt { .. } if !is_key_set(secret) => {
            Some("must be a JSON Web Key Set with a key: {\"keys\": [...]}".to_owned())
        }
        _ => None,
    };
    if let Some(rule) = rule {
        rules.broken("config.secret", rule);
    }
}

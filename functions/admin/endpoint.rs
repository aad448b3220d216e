//! Endpoints: create, read, change, delete.

use std::sync::Arc;

use http::StatusCode;
use shared::api::error::{self, ApiError, Violation};
use shared::api::patch::Field;
use shared::api::request;
use shared::api::rules::Rules;
use shared::domain::application::Application;
use shared::domain::circuit::Open;
use shared::domain::credentials;
use shared::domain::delivery_settings::{DeliverySettings, Format};
use shared::domain::endpoint::{Endpoint, FIRST_VERSION, MAX_ENDPOINTS, Stretch};
use shared::domain::health::Health;
use shared::domain::id::{ApplicationId, EndpointId, Uid};
use shared::domain::keyring::Keyring;
use shared::domain::notice::Notice;
use shared::domain::rate::is_raised;
use shared::domain::secret::SigningSecret;
use shared::domain::spread::Spread;
use shared::host::config::variable;
use shared::queue::record::Record;
use shared::queue::{Outgoing, send_one};
use shared::store::{Edited, Listed, Tenant, Walk};
use tracing::warn;
use url::Url;

use crate::application::{create_or_change, stored, uid_of_upsert};
use crate::delivery_settings::check_delivery_settings;
use crate::headers::check_headers;
use crate::inspector::origin;
use crate::limits::check_description;
use crate::profile::check_https;
use crate::{Answer, Call, page};

mod known;
mod shape;

use known::check_channels;
use shape::Extensions;
pub(crate) use shape::{EndpointIn, EndpointOut, EndpointPatch};

/// An application that has room for more is not counted again as an endpoint is stored: so many are
/// not created at once.
const CLOSE: usize = 100;
const UID_TAKEN: &str = "An endpoint with this uid already exists in this application.";
/// What is said to whoever changes an endpoint and says another secret.
const ROTATED: &str = "is replaced by rotating it: POST it as `key` to secret/rotate";

impl Call<'_> {
    pub(crate) async fn list_endpoints(&self, app: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let walk = page::walk::<EndpointId>(self.request, true)?;
        let listed = self.endpoints_of(&tenant, &walk).await?;
        let id = |endpoint: &Arc<Endpoint>| endpoint.id.to_string();
        let show = |endpoint| EndpointOut::from(Arc::unwrap_or_clone(endpoint));
        page::respond_within(&walk, listed, id, show)
    }

    /// A page of an application's endpoints. Of a wide one no more than that is read.
    pub(crate) async fn endpoints_of(
        &self,
        tenant: &Tenant,
        walk: &Walk,
    ) -> Result<Listed<Arc<Endpoint>>, ApiError> {
        let id = |endpoint: &Arc<Endpoint>| endpoint.id.to_string();
        if tenant.is_whole {
            return Ok(page::cut(walk, tenant.endpoints.clone(), id));
        }
        let from = walk.iterator.as_ref().and_then(|id| id.parse().ok());
        let is_down = walk.descending != walk.backward;
        let stretch = match is_down {
            true => Stretch { after: None, until: from },
            false => Stretch { after: from, until: None },
        };
        // The one that it comes from, and one that tells whether there are more.
        let (app, most) = (&tenant.application.id, walk.limit + 2);
        let nearest = self.admin.directory.endpoints_at(app, stretch, is_down, most).await?;
        Ok(page::cut(walk, nearest, id))
    }

    pub(crate) async fn create_endpoint(&self, app: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let (input, said) = self.endpoint_in()?;
        let uid = self.check(&input)?;
        self.check_extensions(&tenant, input.extensions(), Some(&input.url), None).await?;
        let types = (input.types_field(), input.types());
        self.check_known(&tenant, types, input.profile.value(), None).await?;
        self.create_checked(&tenant, (input, said), uid).await
    }

    /// The body, and the credentials that its URL said, which are out of it.
    fn endpoint_in(&self) -> Result<(EndpointIn, Option<String>), ApiError> {
        let mut input: EndpointIn = request::body(self.request)?;
        let said = take_credentials(&mut input.url);
        Ok((input, said))
    }

    pub(crate) async fn get_endpoint(&self, app: &str, ep: &str) -> Answer {
        let (_, endpoint) = self.endpoint(app, ep).await?;
        Ok(show(StatusCode::OK, endpoint))
    }

    /// Changes an endpoint, or creates one whose uid is the name in the path. A secret in the
    /// body is that of a new one: an old one's is rotated.
    pub(crate) async fn update_endpoint(&self, app: &str, ep: &str) -> Answer {
        create_or_change(|| self.put_endpoint(app, ep)).await
    }

    async fn put_endpoint(&self, app: &str, ep: &str) -> Answer {
        let tenant = self.tenant_with(app, ep).await?;
        let (input, said) = self.endpoint_in()?;
        let uid = self.check(&input)?;
        let old = tenant.endpoint(ep);
        self.check_extensions(&tenant, input.extensions(), Some(&input.url), old).await?;
        let types = (input.types_field(), input.types());
        self.check_known(&tenant, types, input.profile.value(), old).await?;
        let Some(endpoint) = old else {
            let named = Uid::parse(ep, EndpointId::PREFIX).map_err(|_| ApiError::not_found())?;
            return self.create_checked(&tenant, (input, said), uid.or(Some(named))).await;
        };
        check_channels(&tenant, input.channels.as_ref())?;
        self.check_secret(endpoint, input.secret.as_deref())?;
        let uid = uid_of_upsert(uid, endpoint.uid.as_ref(), ep);
        input.headers.as_ref().map_or(Ok(()), check_headers)?;
        let (by, now) = (self.access.party(), self.admin.ambient.now());
        self.edit_endpoint(&tenant.application, &endpoint.id, |endpoint| {
            endpoint.set_disabled(input.disabled, by, now);
            if let Some(headers) = &input.headers {
                self.replace_headers(endpoint, headers, said.is_some());
            }
            self.move_endpoint(endpoint, &input.url, said.as_deref());
            endpoint.uid.clone_from(&uid);
            endpoint.version = input.version.unwrap_or(endpoint.version);
            endpoint.description.clone_from(&input.description);
            endpoint.event_types = input.types().cloned();
            endpoint.channels.clone_from(&input.channels);
            endpoint.throttle_rate = input.rate();
            endpoint.metadata.clone_from(&input.metadata);
            input.extensions().apply(endpoint);
        })
        .await
    }

    pub(crate) async fn patch_endpoint(&self, app: &str, ep: &str) -> Answer {
        let (tenant, endpoint) = self.endpoint(app, ep).await?;
        let mut patch: EndpointPatch = request::body(self.request)?;
        let said = patch.url.as_mut().and_then(take_credentials);
        let mut rules = Rules::default();
        check_version(&mut rules, patch.version);
        let mut types_field = "eventTypes";
        rules.event_types("filterTypes", patch.filter_types.value().map(Vec::as_slice));
        if gives_way(&patch.event_types, &patch.filter_types) {
            patch.event_types = std::mem::take(&mut patch.filter_types);
            types_field = "filterTypes";
        } else {
            rules.event_types("eventTypes", patch.event_types.value().map(Vec::as_slice));
        }
        rules.rate("rateLimit", patch.rate_limit.value().copied());
        if gives_way(&patch.throttle_rate, &patch.rate_limit) {
            patch.throttle_rate = std::mem::take(&mut patch.rate_limit);
        } else {
            rules.rate("throttleRate", patch.throttle_rate.value().copied());
        }
        patch.description.iter().for_each(|text| check_description(&mut rules, text));
        patch.url.iter().for_each(|url| self.check_url(&mut rules, url));
        if patch.secret.is_some() {
            rules.broken("secret", ROTATED);
        }
        let uid = rules.uid(patch.uid.value().map(String::as_str), EndpointId::PREFIX);
        rules.channels(patch.channels.value().map(Vec::as_slice));
        patch.metadata.iter().for_each(|metadata| rules.metadata(metadata));
        rules.check()?;
        let (url, old) = (patch.url.as_ref(), Some(&endpoint));
        self.check_extensions(&tenant, patch.extensions(), url, old).await?;
        check_channels(&tenant, patch.channels.value())?;
        let profile = match &patch.profile {
            Field::Absent => endpoint.profile.as_ref(),
            said => said.value(),
        };
        self.check_known(&tenant, (types_field, patch.event_types.value()), profile, old).await?;
        let uid = match patch.uid {
            Field::Absent => Field::Absent,
            Field::Null => Field::Null,
            Field::Value(_) => uid.map_or(Field::Absent, Field::Value),
        };
        let (by, now) = (self.access.party(), self.admin.ambient.now());
        self.edit_endpoint(&tenant.application, &endpoint.id, |endpoint| {
            // First: of one that is disabled and moves at once it stays known that deliveries wait.
            endpoint.set_disabled(patch.disabled.unwrap_or(endpoint.disabled), by, now);
            if let Some(url) = &patch.url {
                self.move_endpoint(endpoint, url, said.as_deref());
            }
            uid.apply(&mut endpoint.uid);
            endpoint.version = patch.version.unwrap_or(endpoint.version);
            if let Some(description) = &patch.description {
                endpoint.description.clone_from(description);
            }
            patch.event_types.apply(&mut endpoint.event_types);
            patch.channels.apply(&mut endpoint.channels);
            patch.throttle_rate.apply(&mut endpoint.throttle_rate);
            if let Some(metadata) = &patch.metadata {
                endpoint.metadata.clone_from(metadata);
            }
            patch.extensions().apply(endpoint);
        })
        .await
    }

    pub(crate) async fn delete_endpoint(&self, app: &str, ep: &str) -> Answer {
        let (tenant, endpoint) = self.endpoint(app, ep).await?;
        let outbox = self.outbox_of(&tenant, "endpoint.deleted", &endpoint).await?;
        match self.admin.editor.with(outbox).delete_endpoint(&endpoint.app, &endpoint.id).await? {
            Edited::Gone => Err(ApiError::not_found()),
            Edited::Done(()) | Edited::UidTaken => Ok(error::empty(StatusCode::NO_CONTENT)),
        }
    }

    fn check(&self, input: &EndpointIn) -> Result<Option<Uid>, ApiError> {
        let mut rules = Rules::default();
        check_version(&mut rules, input.version);
        check_description(&mut rules, &input.description);
        self.check_url(&mut rules, &input.url);
        let uid = rules.uid(input.uid.as_deref(), EndpointId::PREFIX);
        rules.event_types("eventTypes", input.event_types.as_deref());
        rules.event_types("filterTypes", input.filter_types.as_deref());
        rules.channels(input.channels.as_deref());
        rules.rate("throttleRate", input.throttle_rate);
        rules.rate("rateLimit", input.rate_limit);
        rules.metadata(&input.metadata);
        match input.secret.as_deref().map(SigningSecret::parse) {
            Some(Err(rule)) => rules.broken("secret", rule),
            Some(Ok(secret)) => rules.scheme("signatureScheme", input.signature_scheme, &secret),
            None => {}
        }
        rules.check().map(|()| uid)
    }

    /// 422 if this is another secret than the endpoint has: whoever says it would believe that it
    /// signs from now on.
    fn check_secret(&self, endpoint: &Endpoint, said: Option<&str>) -> Result<(), ApiError> {
        let said = said.and_then(|said| SigningSecret::parse(said).ok());
        let own = endpoint.keyring.current(&endpoint.id.to_string(), &self.admin.sealer);
        match (said, own) {
            (Some(said), Some(own)) if said.reveal() != own.reveal() => {
                Err(Violation::body("secret", ROTATED).into())
            }
            _ => Ok(()),
        }
    }

    /// An endpoint may be anywhere but where we take events and requests ourselves: what we send
    /// would come back to us. Inspectors are there to be sent to.
    fn check_url(&self, rules: &mut Rules, url: &str) {
        rules.url(url, &self.admin.settings.policy);
        if url.contains(|c: char| c.is_control()) {
            rules.broken("url", "must not have line breaks, tabs or other control characters");
        }
        let place = |url: &str| {
            let url = Url::parse(url).ok()?;
            Some((url.host_str()?.to_owned(), url.port_or_known_default(), url.path().to_owned()))
        };
        let own =
            [origin(self.request), self.admin.settings.publish_url.clone().unwrap_or_default()];
        let Some((host, port, path)) = place(url) else { return };
        let is_own = own
            .iter()
            .filter_map(|own| place(own))
            .any(|own| (own.0, own.1) == (host.clone(), port));
        // Not only at its beginning: an API may be reached under a path, as emulated ones are.
        if is_own && !path.contains("/inspect/") {
            rules.broken("url", "must not lead back to this service: use your receiver's address");
        }
    }

    /// What the profile that will hold asks of the endpoint, and a key if it gets tokens.
    async fn check_extensions(
        &self,
        tenant: &Tenant,
        extensions: Extensions<'_>,
        url: Option<&String>,
        old: Option<&Endpoint>,
    ) -> Result<(), ApiError> {
        let profile = extensions.profile;
        self.check_profile(profile, None).await?;
        let kept = old.and_then(|endpoint| endpoint.profile.as_ref());
        // What an application must not have without being granted it, and where its events may
        // go, are its profile's rules: it does not choose itself another one.
        if *profile != Field::Absent && profile.value() != kept {
            self.require_organisation()?;
        }
        let named = match profile {
            Field::Absent => kept,
            Field::Null => None,
            Field::Value(name) => Some(name),
        };
        let effective = self.effective_profile(&tenant.application, named).await?;
        let mut rules = Rules::default();
        check_delivery_settings(&mut rules, extensions.settings);
        // Where the application's profile has changed since, the endpoint stays as it is: whoever
        // does not speak of its URL, to disable it for one, is not refused for that.
        let moves_or_chooses = url.is_some() || *profile != Field::Absent;
        let judged = url.or(old.map(|endpoint| &endpoint.url)).filter(|_| moves_or_chooses);
        if let Some(url) = judged {
            check_https(&mut rules, &effective, url, self.admin.settings.policy.allow_loopback);
        }
        rules.check()?;
        let mut own = old.map(|endpoint| endpoint.settings.clone()).unwrap_or_default();
        extensions.treat(&mut own);
        let said = own.before(&effective.delivery);
        if said.format == Some(Format::Jwt) {
            let org = tenant.application.org;
            self.admin.ensure_key(&org, said.algorithm.unwrap_or_default()).await?;
        }
        Ok(())
    }

    async fn create_checked(
        &self,
        tenant: &Tenant,
        (input, said): (EndpointIn, Option<String>),
        uid: Option<Uid>,
    ) -> Answer {
        check_channels(tenant, input.channels.as_ref())?;
        let profile = self.admin.profiles.of(&tenant.application).await?;
        let most = self.most_endpoints(profile.endpoints.most);
        self.check_room(tenant, most).await?;
        let own = input.profile.value();
        let shown_once = self.effective_profile(&tenant.application, own).await?;
        let shown_once = shown_once.endpoints.secret_shown_once;
        let ambient = &self.admin.ambient;
        let id = EndpointId::new(ambient);
        let secret = input.secret.as_deref().and_then(|text| SigningSecret::parse(text).ok());
        let scheme = input.signature_scheme.unwrap_or_default();
        let secret = secret.unwrap_or_else(|| SigningSecret::generate_for(scheme, ambient));
        let now = ambient.now();
        let mut settings = DeliverySettings::default();
        input.extensions().treat(&mut settings);
        let mut endpoint = Endpoint {
            id,
            app: tenant.application.id,
            uid,
            event_types: input.types().cloned(),
            throttle_rate: input.rate(),
            url: input.url.clone(),
            version: input.version.unwrap_or(FIRST_VERSION),
            description: input.description,
            disabled: false,
            channels: input.channels,
            metadata: input.metadata,
            profile: input.profile.value().cloned(),
            api_version: input.api_version.value().cloned(),
            verified_at: None,
            headers: self.first_headers(input.headers.as_ref(), &id.to_string())?,
            failing: None,
            circuit: None,
            health: Health::default(),
            settings,
            spread: Spread::default(),
            keyring: Keyring::new(&secret, &id.to_string(), &self.admin.sealer, ambient),
            created_at: now,
            updated_at: now,
        };
        endpoint.set_disabled(input.disabled, self.access.party(), now);
        self.move_endpoint(&mut endpoint, &input.url, said.as_deref());
        let outbox = self.outbox_of(tenant, "endpoint.created", &endpoint).await?;
        let editor = self.admin.editor.with(outbox);
        let created = match tenant.is_whole && tenant.endpoints.len() + CLOSE >= most {
            true => editor.create_endpoint_within(&endpoint, most).await?,
            false => Some(editor.create_endpoint(&endpoint).await?),
        };
        stored(created.ok_or_else(|| self.no_room(most))?, UID_TAKEN)?;
        let mut out = EndpointOut::from(endpoint);
        out.secret = shown_once.then(|| secret.reveal());
        Ok(error::json(StatusCode::CREATED, &out))
    }

    /// How many endpoints an application may have: as many as the deployment allows, or its
    /// profile if that allows fewer.
    fn most_endpoints(&self, own: Option<usize>) -> usize {
        let allowed = self.admin.settings.max_endpoints;
        own.map_or(allowed, |own| own.min(allowed))
    }

    async fn check_room(&self, tenant: &Tenant, most: usize) -> Result<(), ApiError> {
        match self.admin.directory.has_room(tenant, most).await? {
            true => Ok(()),
            false => Err(self.no_room(most)),
        }
    }

    fn no_room(&self, most: usize) -> ApiError {
        let allowed = self.admin.settings.max_endpoints;
        let knob = variable::MAX_ENDPOINTS;
        let why = match most == allowed && allowed < MAX_ENDPOINTS {
            true => format!(
                "An application has at most {most} endpoints: delete one first, or have the \
                 deployment allow more, up to {MAX_ENDPOINTS} ({knob})."
            ),
            false => format!("An application has at most {most} endpoints: delete one first."),
        };
        ApiError::bad_request("limit_reached", why)
    }

    async fn edit_endpoint(
        &self,
        application: &Application,
        ep: &EndpointId,
        change: impl Fn(&mut Endpoint),
    ) -> Answer {
        let now = self.admin.ambient.now();
        let edit = |endpoint: &mut Endpoint| {
            let before = endpoint.clone();
            change(endpoint);
            if *endpoint != before {
                endpoint.updated_at = now;
            }
            let open = before.circuit.and_then(|circuit| circuit.open);
            (open, is_raised(before.throttle_rate, endpoint.throttle_rate))
        };
        let listeners = self.admin.notices.listeners_about(application).await?;
        let tell = |old: &Endpoint, new: &Endpoint| {
            listeners.hear(Notice::of_update(application, old, new))
        };
        let editor = &self.admin.editor;
        let edited = editor.edit_endpoint_and_tell(&application.id, ep, now, edit, tell).await?;
        let (endpoint, (open, raised)) = stored(edited, UID_TAKEN)?;
        self.release_waiting(&endpoint, open).await;
        if raised {
            self.release_by_rate(endpoint.app, Some(endpoint.id)).await;
        }
        Ok(show(StatusCode::OK, endpoint))
    }

    /// What waited for an endpoint that was left alone, and is not any more, goes out. Best effort:
    /// it would come by itself, if later.
    async fn release_waiting(&self, endpoint: &Endpoint, open: Option<Open>) {
        let Some(open) = open.filter(|_| endpoint.unanswered_since().is_none()) else { return };
        let (since, now) = (open.releases_from(), self.admin.ambient.now());
        self.send_release(Record::release(endpoint.app, endpoint.id, since, now)).await;
    }

    /// What waits for moments that a rate has kept asks it anew, now that it is another one: the
    /// endpoint's, or the application's. Best effort: it comes at those moments otherwise.
    pub(crate) async fn release_by_rate(&self, app: ApplicationId, ep: Option<EndpointId>) {
        self.send_release(Record::release_by_rate(app, ep, self.admin.ambient.now())).await;
    }

    async fn send_release(&self, release: Outgoing) {
        let app = release.group.clone();
        if let Err(error) = send_one(&*self.admin.queues.retries, release).await {
            warn!(application.id = app, %error, "what waits is not released, and comes later");
        }
    }
}

/// The endpoint of this application with this id or uid.
pub(crate) fn endpoint_of<'a>(tenant: &'a Tenant, ep: &str) -> Result<&'a Endpoint, ApiError> {
    tenant.endpoint(ep).ok_or_else(ApiError::not_found)
}

fn show(status: StatusCode, endpoint: Endpoint) -> http::Response<bytes::Bytes> {
    error::json(status, &EndpointOut::from(endpoint))
}

fn check_version(rules: &mut Rules, version: Option<u16>) {
    if version == Some(0) {
        rules.broken("version", "must be at least 1");
    }
}

/// Whether what the older name of a field says counts: where the newer one says nothing, or only
/// `null`, as in a POST.
fn gives_way<T>(newer: &Field<T>, older: &Field<T>) -> bool {
    matches!((newer, older), (Field::Absent, _) | (Field::Null, Field::Value(_)))
}

/// Takes the credentials out of a URL. White space around it is of whoever copied it, and a blank
/// inside means `%20`; beyond that a URL is kept as it was typed.
fn take_credentials(url: &mut String) -> Option<String> {
    *url = url.trim().replace(' ', "%20");
    credentials::take(url)
}

//! Tokens that were taken back before they expired.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::api_tokens::ApiTokens;
use super::cache::Cache;
use super::change::{Change, change};
use super::integrations::Integrations;
use super::table::{Condition, Item, Key, Table, Write};
use super::{StoreError, doc, keys};
use crate::domain::application::Expired;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::id::{ApiTokenId, ApplicationId, IntegrationId, OrganisationId};
use crate::domain::token::{
    APPLICATION_TOKEN_S, Access, Bearer, ORGANISATION_TOKEN_S, fingerprint,
};

/// How long a process remembers that a token was good, in milliseconds.
pub const REVOCATION_TTL_MS: u64 = 30_000;
/// Most tokens that a process remembers.
const MAX_KEPT: usize = 10_000;

/// Takes tokens back, and knows which were. Clones share what they remember.
#[derive(Clone)]
pub struct Revocations {
    table: Arc<dyn Table>,
    clock: Arc<dyn Clock>,
    api_tokens: ApiTokens,
    integrations: Integrations,
    /// Whether the tokens with these fingerprints were taken back.
    recent: Cache<String, bool>,
    /// Which tokens of these organisations were taken back all at once.
    organisations: Cache<OrganisationId, Option<Expired>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Revocation {
    revoked_at: Timestamp,
    /// Which tokens of a session; one that was taken back alone says nothing here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<Expired>,
}

impl Revocations {
    /// Revocations in this table.
    pub fn new(table: Arc<dyn Table>, clock: Arc<dyn Clock>) -> Self {
        let recent = Cache::new(clock.clone(), REVOCATION_TTL_MS, MAX_KEPT);
        let organisations = Cache::new(clock.clone(), REVOCATION_TTL_MS, MAX_KEPT);
        let api_tokens = ApiTokens::new(table.clone());
        let integrations = Integrations::new(table.clone());
        Self { table, clock, api_tokens, integrations, recent, organisations }
    }

    /// The record of API tokens.
    pub fn api_tokens(&self) -> &ApiTokens {
        &self.api_tokens
    }

    /// The record of integrations.
    pub fn integrations(&self) -> &Integrations {
        &self.integrations
    }

    /// Whether this token was taken back. One read in [`REVOCATION_TTL_MS`] a token and one an
    /// organisation, another one if the token is of a session or on record, and now and then a
    /// write to note that it is used.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn is_revoked(&self, bearer: &Bearer) -> Result<bool, StoreError> {
        if let Some(revoked) = self.recent.get(&bearer.fingerprint) {
            return Ok(revoked);
        }
        let read = self.read_revoked(bearer);
        let revoked = self.recent.get_or_read(bearer.fingerprint.clone(), read).await?;
        if revoked {
            // It stays so.
            self.recent.set(bearer.fingerprint.clone(), true, bearer.expires_at);
        }
        Ok(revoked)
    }

    async fn read_revoked(&self, bearer: &Bearer) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let item = self.table.get(&keys::revocation(&bearer.fingerprint)).await?;
        if item.is_some_and(|item| !item.is_expired(now)) {
            return Ok(true);
        }
        let org = bearer.access.organisation();
        let all = self.organisation(&org).await?;
        if all.is_some_and(|expired| expired.covers(bearer.issued_at, now)) {
            return Ok(true);
        }
        if !self.is_on_record(bearer, now).await? {
            return Ok(true);
        }
        let (Access::Application(_, app), Some(session)) = (bearer.access, &bearer.session) else {
            return Ok(false);
        };
        let expired = self.session(&app, session).await?;
        Ok(expired.is_some_and(|expired| expired.covers(bearer.issued_at, now)))
    }

    /// Whether a token that has to be on record is.
    async fn is_on_record(&self, bearer: &Bearer, now: Timestamp) -> Result<bool, StoreError> {
        match (&bearer.access, &bearer.integration, &bearer.key) {
            (_, None, None) => Ok(true),
            (access, None, Some(key)) => {
                self.api_tokens.is_known(&access.organisation(), key, now).await
            }
            (Access::Application(_, app), Some(integration), Some(key)) => {
                self.integrations.holds(app, integration, key).await
            }
            // Nobody makes such.
            (_, Some(_), _) => Ok(false),
        }
    }

    /// Takes a token back for the rest of its life.
    ///
    /// # Errors
    /// When the store fails; it may or may not be taken back then.
    pub async fn revoke(&self, bearer: &Bearer) -> Result<(), StoreError> {
        let revocation = Revocation { revoked_at: self.clock.now(), session: None };
        let item = Item::new(keys::revocation(&bearer.fingerprint), doc::encode(&revocation)?)
            .until(bearer.expires_at);
        self.table.write(Write::Put(item, Condition::Always)).await?;
        self.recent.set(bearer.fingerprint.clone(), true, bearer.expires_at);
        Ok(())
    }

    /// Which tokens of a session of this application are taken back, if any.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn session(
        &self,
        app: &ApplicationId,
        session: &str,
    ) -> Result<Option<Expired>, StoreError> {
        let item = self.table.get(&session_key(app, session)).await?;
        session_of(item.as_ref(), self.clock.now())
    }

    /// Takes back all tokens of a session that there are by now, after `delay_ms` milliseconds.
    ///
    /// # Errors
    /// When the store fails, or others do the same without pause; they may or may not be taken
    /// back then.
    pub async fn revoke_session(
        &self,
        app: &ApplicationId,
        session: &str,
        delay_ms: u64,
    ) -> Result<(), StoreError> {
        // By then they have all expired.
        self.revoke_all(&session_key(app, session), delay_ms, APPLICATION_TOKEN_S).await
    }

    /// Which tokens of an organisation are taken back all at once, if any, as it was up to
    /// [`REVOCATION_TTL_MS`] ago.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn organisation(&self, org: &OrganisationId) -> Result<Option<Expired>, StoreError> {
        let read = async {
            let item = self.table.get(&organisation_key(org)).await?;
            session_of(item.as_ref(), self.clock.now())
        };
        self.organisations.get_or_read(*org, read).await
    }

    /// The first moment, `now` or a second later, at which a token of this organisation can be
    /// made that is not among those which were taken back all at once.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn first_good(
        &self,
        org: &OrganisationId,
        now: Timestamp,
    ) -> Result<Timestamp, StoreError> {
        let expired = self.organisation(org).await?;
        Ok(expired.map_or(now, |expired| expired.first_good().max(now)))
    }

    /// Takes back all tokens of an organisation that there are by now, those of its applications
    /// as well, after `delay_ms` milliseconds.
    ///
    /// # Errors
    /// As [`revoke_session`](Self::revoke_session).
    pub async fn revoke_organisation(
        &self,
        org: &OrganisationId,
        delay_ms: u64,
    ) -> Result<(), StoreError> {
        let revoked = self.revoke_all(&organisation_key(org), delay_ms, ORGANISATION_TOKEN_S).await;
        self.organisations.forget(org);
        self.forget_good();
        revoked
    }

    /// Takes back an API token; `false` if none is on record under this id.
    ///
    /// # Errors
    /// When the store fails; it may or may not be taken back then.
    pub async fn revoke_key(
        &self,
        org: &OrganisationId,
        id: &ApiTokenId,
    ) -> Result<bool, StoreError> {
        let deleted = self.api_tokens.delete(org, id).await;
        self.forget_good();
        deleted
    }

    /// Removes an integration, whose key opens nothing from then on; `false` if there is none.
    ///
    /// # Errors
    /// When the store fails; it may or may not be gone then.
    pub async fn revoke_integration(
        &self,
        app: &ApplicationId,
        id: &IntegrationId,
    ) -> Result<bool, StoreError> {
        let deleted = self.integrations.delete(app, id).await;
        self.forget_good();
        deleted
    }

    /// Forgets which tokens were good, so that what was taken back just now is at once, here.
    pub fn forget_good(&self) {
        self.recent.forget_where(|_, revoked| !revoked);
    }

    async fn revoke_all(&self, key: &Key, delay_ms: u64, longest_s: u64) -> Result<(), StoreError> {
        let now = self.clock.now();
        let changed = change(&*self.table, key, |found| {
            let expired = Expired::all(session_of(found.as_ref(), now)?, now, delay_ms);
            let condition = Condition::unchanged(found.map(|item| item.rev), now);
            let revocation = Revocation { revoked_at: now, session: Some(expired) };
            let item = Item::new(key.clone(), doc::encode(&revocation)?)
                .revision(condition.next_revision())
                .until(expired.from.plus_ms(longest_s * 1000));
            Ok(Change::Write(vec![Write::Put(item, condition)], ()))
        });
        let changed = changed.await;
        self.forget_good();
        changed.map(|_| ())
    }
}

/// Which tokens this item takes back, if it takes back more than one.
fn session_of(item: Option<&Item>, now: Timestamp) -> Result<Option<Expired>, StoreError> {
    let Some(item) = item.filter(|item| !item.is_expired(now)) else { return Ok(None) };
    Ok(doc::decode::<Revocation>(&item.doc)?.session)
}

fn organisation_key(org: &OrganisationId) -> Key {
    keys::revocation(&fingerprint(&org.to_string()))
}

fn session_key(app: &ApplicationId, session: &str) -> Key {
    // A token has dots where this has none.
    keys::revocation(&fingerprint(&format!("{app} {session}")))
}

//! Tokens that were taken back before they expired.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::cache::Cache;
use super::change::{Change, change};
use super::table::{Condition, Item, Key, Table, Write};
use super::{StoreError, doc, keys};
use crate::domain::application::Expired;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::id::ApplicationId;
use crate::domain::token::{APPLICATION_TOKEN_S, Access, Bearer, fingerprint};

/// How long a process remembers that a token was good, in milliseconds.
pub const REVOCATION_TTL_MS: u64 = 30_000;
/// Most tokens that a process remembers.
const MAX_KEPT: usize = 10_000;

/// Takes tokens back, and knows which were. Clones share what they remember.
#[derive(Clone)]
pub struct Revocations {
    table: Arc<dyn Table>,
    clock: Arc<dyn Clock>,
    /// Whether the tokens with these fingerprints were taken back.
    recent: Cache<String, bool>,
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
        Self { table, clock, recent }
    }

    /// Whether this token was taken back. One read in [`REVOCATION_TTL_MS`] a token, and another
    /// one if it is of a session.
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
        let (Access::Application(_, app), Some(session)) = (bearer.access, &bearer.session) else {
            return Ok(false);
        };
        let expired = self.session(&app, session).await?;
        Ok(expired.is_some_and(|expired| expired.covers(bearer.issued_at, now)))
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
        let key = session_key(app, session);
        let now = self.clock.now();
        let changed = change(&*self.table, &key, |found| {
            let expired = Expired::all(session_of(found.as_ref(), now)?, now, delay_ms);
            let condition = match &found {
                Some(item) => Condition::Revision(item.rev),
                None => Condition::AbsentAt(now),
            };
            let revocation = Revocation { revoked_at: now, session: Some(expired) };
            let item = Item::new(key.clone(), doc::encode(&revocation)?)
                .revision(found.map_or(0, |item| item.rev) + 1)
                // By then they have all expired.
                .until(expired.from.plus_ms(APPLICATION_TOKEN_S * 1000));
            Ok(Change::Write(vec![Write::Put(item, condition)], ()))
        });
        let changed = changed.await;
        self.recent.forget_where(|_, revoked| !revoked);
        changed.map(|_| ())
    }
}

/// Which tokens of its session this item takes back.
fn session_of(item: Option<&Item>, now: Timestamp) -> Result<Option<Expired>, StoreError> {
    let Some(item) = item.filter(|item| !item.is_expired(now)) else { return Ok(None) };
    Ok(doc::decode::<Revocation>(&item.doc)?.session)
}

fn session_key(app: &ApplicationId, session: &str) -> Key {
    // A token has dots where this has none.
    keys::revocation(&fingerprint(&format!("{app} {session}")))
}

//! Tokens that were taken back before they expired.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::table::{Condition, Item, Key, Table, Write, Written};
use super::{StoreError, doc, keys};
use crate::domain::application::Expired;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::id::ApplicationId;
use crate::domain::token::{APPLICATION_TOKEN_S, Access, Bearer, fingerprint};

/// How long a process remembers that a token was good, in milliseconds.
pub const REVOCATION_TTL_MS: u64 = 30_000;
/// Most tokens that a process remembers.
const MAX_KEPT: usize = 10_000;
/// How often a change starts over when somebody else changed the same item meanwhile.
const MAX_TRIES: u32 = 8;

/// Takes tokens back, and knows which were. Clones share what they remember.
#[derive(Clone)]
pub struct Revocations {
    table: Arc<dyn Table>,
    clock: Arc<dyn Clock>,
    kept: Arc<Mutex<HashMap<String, Remembered>>>,
}

#[derive(Clone, Copy)]
struct Remembered {
    revoked: bool,
    until: Timestamp,
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
        Self { table, clock, kept: Arc::default() }
    }

    /// Whether this token was taken back. One read in [`REVOCATION_TTL_MS`] a token, and another
    /// one if it is of a session.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn is_revoked(&self, bearer: &Bearer) -> Result<bool, StoreError> {
        let now = self.clock.now();
        if let Some(kept) = self.lock().get(&bearer.fingerprint)
            && kept.until > now
        {
            return Ok(kept.revoked);
        }
        let item = self.table.get(&keys::revocation(&bearer.fingerprint)).await?;
        let mut revoked = item.is_some_and(|item| !item.is_expired(now));
        if let (false, Access::Application(_, app), Some(session)) =
            (revoked, bearer.access, &bearer.session)
        {
            let expired = self.session(&app, session).await?;
            revoked = expired.is_some_and(|expired| expired.covers(bearer.issued_at, now));
        }
        let until = if revoked { bearer.expires_at } else { now.plus_ms(REVOCATION_TTL_MS) };
        self.remember(bearer, Remembered { revoked, until });
        Ok(revoked)
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
        self.remember(bearer, Remembered { revoked: true, until: bearer.expires_at });
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
        Ok(self.read_session(&session_key(app, session)).await?.0)
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
        for _ in 0..MAX_TRIES {
            let now = self.clock.now();
            let (earlier, rev) = self.read_session(&key).await?;
            let expired = Expired::all(earlier, now, delay_ms);
            let revocation = Revocation { revoked_at: now, session: Some(expired) };
            let item = Item::new(key.clone(), doc::encode(&revocation)?)
                .revision(rev + 1)
                // By then they have all expired.
                .until(expired.from.plus_ms(APPLICATION_TOKEN_S * 1000));
            let condition = match rev {
                0 => Condition::AbsentAt(now),
                rev => Condition::Revision(rev),
            };
            if self.table.write(Write::Put(item, condition)).await? == Written::Done {
                self.lock().clear();
                return Ok(());
            }
        }
        Err(StoreError::Unavailable(format!("changed by others {MAX_TRIES} times in a row")))
    }

    async fn read_session(&self, key: &Key) -> Result<(Option<Expired>, u64), StoreError> {
        let now = self.clock.now();
        let item = self.table.get(key).await?.filter(|item| !item.is_expired(now));
        let Some(item) = item else { return Ok((None, 0)) };
        Ok((doc::decode::<Revocation>(&item.doc)?.session, item.rev))
    }

    fn remember(&self, bearer: &Bearer, remembered: Remembered) {
        let mut kept = self.lock();
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(bearer.fingerprint.clone(), remembered);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Remembered>> {
        // The map is whole after every statement, whatever panicked in between.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn session_key(app: &ApplicationId, session: &str) -> Key {
    // A token has dots where this has none.
    keys::revocation(&fingerprint(&format!("{app} {session}")))
}

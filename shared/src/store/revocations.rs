//! Tokens that were taken back before they expired.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::table::{Condition, Item, Table, Write};
use super::{StoreError, doc, keys};
use crate::clock::{Clock, Timestamp};
use crate::token::Bearer;

/// How long a process remembers that a token was good, in milliseconds.
pub const REVOCATION_TTL_MS: u64 = 30_000;
/// Most tokens that a process remembers.
const MAX_KEPT: usize = 10_000;

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
}

impl Revocations {
    /// Revocations in this table.
    pub fn new(table: Arc<dyn Table>, clock: Arc<dyn Clock>) -> Self {
        Self { table, clock, kept: Arc::default() }
    }

    /// Whether this token was taken back. One read in [`REVOCATION_TTL_MS`] a token.
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
        let revoked = item.is_some_and(|item| !item.is_expired(now));
        let until = if revoked { bearer.expires_at } else { now.plus_ms(REVOCATION_TTL_MS) };
        self.remember(bearer, Remembered { revoked, until });
        Ok(revoked)
    }

    /// Takes a token back for the rest of its life.
    ///
    /// # Errors
    /// When the store fails; it may or may not be taken back then.
    pub async fn revoke(&self, bearer: &Bearer) -> Result<(), StoreError> {
        let item = Item {
            key: keys::revocation(&bearer.fingerprint),
            by_time: None,
            due: None,
            expires_at: Some(bearer.expires_at),
            rev: 1,
            doc: doc::encode(&Revocation { revoked_at: self.clock.now() })?,
            body: None,
        };
        self.table.write(Write::Put(item, Condition::Always)).await?;
        self.remember(bearer, Remembered { revoked: true, until: bearer.expires_at });
        Ok(())
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

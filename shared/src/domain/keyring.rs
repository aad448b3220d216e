//! The secrets of one owner over time: the current one, and those that a rotation left alive.

use serde::{Deserialize, Serialize};

use crate::domain::clock::{Ambient, Timestamp};
use crate::domain::secret::{OldSecret, Resealed, Sealed, Sealer, SigningSecret};

/// How long an old secret goes on signing after a rotation, in seconds (Svix: 24 h).
pub const DEFAULT_GRACE_S: u64 = 86_400;
/// Longest grace period, in seconds (Svix: 7 days).
pub const MAX_GRACE_S: u64 = 604_800;
/// Most old secrets that may be alive at once (Svix: 10).
pub const MAX_OLD: usize = 10;

/// An owner's sealed secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyring {
    current: Sealed,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    old: Vec<OldSecret>,
}

/// The keyring already holds [`MAX_OLD`] live old secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyOld;

impl Keyring {
    /// A keyring with one secret.
    pub fn new(secret: &SigningSecret, owner: &str, sealer: &Sealer, ambient: &Ambient) -> Self {
        Self { current: sealer.seal(secret, owner, ambient), old: Vec::new() }
    }

    /// The secret that is shown to the owner; `None` when it cannot be opened.
    pub fn current(&self, owner: &str, sealer: &Sealer) -> Option<SigningSecret> {
        sealer.open(&self.current, owner)
    }

    /// All secrets that sign at this moment, the current one first. Empty when none can be
    /// opened, which means that the root secret has changed.
    pub fn live(&self, owner: &str, sealer: &Sealer, now: Timestamp) -> Vec<SigningSecret> {
        std::iter::once(&self.current)
            .chain(self.old.iter().filter(|old| old.until > now).map(|old| &old.sealed))
            .filter_map(|sealed| sealer.open(sealed, owner))
            .collect()
    }

    /// Seals anew what was not sealed with the key in use.
    pub fn reseal(&mut self, owner: &str, sealer: &Sealer, ambient: &Ambient) -> Resealed {
        let mut resealed = sealer.reseal(&mut self.current, owner, ambient);
        for old in &mut self.old {
            resealed += sealer.reseal(&mut old.sealed, owner, ambient);
        }
        resealed
    }

    /// Puts a new secret in the first place and keeps the old one alive for `grace_s` seconds.
    ///
    /// # Errors
    /// When too many old ones would be alive. Without grace that cannot be.
    pub fn rotate(
        &mut self,
        secret: &SigningSecret,
        owner: &str,
        grace_s: u64,
        sealer: &Sealer,
        ambient: &Ambient,
    ) -> Result<(), TooManyOld> {
        let now = ambient.now();
        self.old.retain(|old| old.until > now);
        // One that is not kept is not too many.
        if grace_s > 0 && self.old.len() >= MAX_OLD {
            return Err(TooManyOld);
        }
        let replaced = std::mem::replace(&mut self.current, sealer.seal(secret, owner, ambient));
        if grace_s > 0 {
            self.old.insert(0, OldSecret { sealed: replaced, until: now.plus_ms(grace_s * 1000) });
        }
        Ok(())
    }
}

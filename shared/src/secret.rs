//! Secrets: what they look like, how they rest, and that they never show.
//!
//! [`SigningSecret`] and [`RootSecret`] have no `Debug` that tells and no `Serialize`. In the
//! store a secret is [`Sealed`]: AES-256-GCM under a key that is derived from the root secret,
//! bound to the id of its owner, so that a sealed secret moved to another item does not open.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::clock::{Ambient, Timestamp};

/// How every symmetric signing secret starts (Standard Webhooks).
pub const SECRET_PREFIX: &str = "whsec_";
/// Bytes of a generated signing secret (Standard Webhooks: 24 to 64).
pub const GENERATED_BYTES: usize = 24;
/// Fewest and most bytes of a signing secret that a caller may bring (Svix: 24 to 75).
pub const ACCEPTED_BYTES: std::ops::RangeInclusive<usize> = 24..=75;
/// Fewest bytes of the root secret.
pub const MIN_ROOT_BYTES: usize = 32;

/// A symmetric key that signs deliveries to one endpoint, or verifies published requests.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(Vec<u8>);

impl SigningSecret {
    /// A new random one.
    pub fn generate(ambient: &Ambient) -> Self {
        Self(ambient.random::<GENERATED_BYTES>().to_vec())
    }

    /// Reads `whsec_` and base64; the prefix may be missing.
    ///
    /// # Errors
    /// A sentence that says what is wrong, without the secret.
    pub fn parse(text: &str) -> Result<Self, String> {
        let encoded = text.strip_prefix(SECRET_PREFIX).unwrap_or(text);
        let key = STANDARD
            .decode(encoded)
            .map_err(|_| format!("must be base64, with or without `{SECRET_PREFIX}` before it"))?;
        if !ACCEPTED_BYTES.contains(&key.len()) {
            return Err(format!(
                "must hold {} to {} bytes",
                ACCEPTED_BYTES.start(),
                ACCEPTED_BYTES.end()
            ));
        }
        Ok(Self(key))
    }

    /// The key itself.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// `whsec_...`: for its owner's eyes only.
    pub fn reveal(&self) -> String {
        format!("{SECRET_PREFIX}{}", STANDARD.encode(&self.0))
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret")
    }
}

/// A secret at rest, in base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(String);

/// A sealed secret and the time when it stops being used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldSecret {
    /// The secret.
    pub sealed: Sealed,
    /// It signs until then.
    pub until: Timestamp,
}

/// The one secret that a deployment starts from. Keys for tokens and for sealing derive from
/// it; it is never used itself.
#[derive(Clone)]
pub struct RootSecret(Vec<u8>);

impl RootSecret {
    /// Takes the root secret as the environment or the key file has it.
    ///
    /// # Errors
    /// When it is shorter than [`MIN_ROOT_BYTES`].
    pub fn new(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.len() < MIN_ROOT_BYTES {
            return Err(format!(
                "the root secret must have at least {MIN_ROOT_BYTES} characters, this one has {}",
                text.len()
            ));
        }
        Ok(Self(text.as_bytes().to_vec()))
    }

    /// The key that signs bearer tokens.
    pub fn token_key(&self) -> [u8; 32] {
        self.derive("posthorn/token/v1")
    }

    /// What seals secrets for the store.
    pub fn sealer(&self) -> Sealer {
        let key = self.derive("posthorn/seal/v1");
        // The only way to fail is a key of the wrong length.
        let key = UnboundKey::new(&AES_256_GCM, &key).expect("a key of 32 bytes");
        Sealer { key: LessSafeKey::new(key).into() }
    }

    fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes any key length");
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for RootSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootSecret")
    }
}

/// Seals secrets for the store and opens them again.
#[derive(Clone)]
pub struct Sealer {
    key: std::sync::Arc<LessSafeKey>,
}

impl Sealer {
    /// Seals `secret` for the thing with the id `owner`.
    pub fn seal(&self, secret: &SigningSecret, owner: &str, ambient: &Ambient) -> Sealed {
        self.seal_bytes(&secret.0, owner, ambient)
    }

    /// Seals a secret of another kind.
    pub fn seal_bytes(&self, secret: &[u8], owner: &str, ambient: &Ambient) -> Sealed {
        let nonce: [u8; NONCE_LEN] = ambient.random();
        let mut sealed = secret.to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(owner.as_bytes()),
                &mut sealed,
            )
            .expect("a secret is far below the limit of AES-GCM");
        let mut out = nonce.to_vec();
        out.append(&mut sealed);
        Sealed(STANDARD.encode(out))
    }

    /// Opens what was sealed for `owner`; `None` when it was sealed for another or by another
    /// root secret.
    pub fn open(&self, sealed: &Sealed, owner: &str) -> Option<SigningSecret> {
        self.open_bytes(sealed, owner).map(SigningSecret)
    }

    /// The same for a secret of another kind.
    pub fn open_bytes(&self, sealed: &Sealed, owner: &str) -> Option<Vec<u8>> {
        let mut bytes = STANDARD.decode(&sealed.0).ok()?;
        if bytes.len() < NONCE_LEN {
            return None;
        }
        let mut ciphertext = bytes.split_off(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(&bytes).ok()?;
        let plain =
            self.key.open_in_place(nonce, Aad::from(owner.as_bytes()), &mut ciphertext).ok()?;
        Some(plain.to_vec())
    }
}

//! Secrets: what they look like, how they rest, and that they never show.
//!
//! [`SigningSecret`] and [`RootSecret`] have no `Debug` that tells and no `Serialize`. In the
//! store a secret is [`Sealed`]: AES-256-GCM under a key that is derived from the
//! [root secret](crate::domain::root_secret), bound to the id of its owner, so that a sealed secret
//! moved to another item does not open.

use std::fmt;

use crate::domain::schema::JsonSchema;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::domain::clock::{Ambient, Timestamp};
pub use crate::domain::root_secret::{MIN_ROOT_BYTES, Resealed, RootSecret, Sealed, Sealer};

/// How every symmetric signing secret starts (Standard Webhooks).
pub const SECRET_PREFIX: &str = "whsec_";
/// Bytes of a generated signing secret (Standard Webhooks: 24 to 64).
pub const GENERATED_BYTES: usize = 24;
/// Fewest and most bytes of a signing secret that a caller may bring (Svix: 24 to 75).
pub const ACCEPTED_BYTES: std::ops::RangeInclusive<usize> = 24..=75;

/// How every private ed25519 key starts (Standard Webhooks).
pub const PRIVATE_PREFIX: &str = "whsk_";
/// How every public ed25519 key starts (Standard Webhooks).
pub const PUBLIC_PREFIX: &str = "whpk_";
/// Bytes of an ed25519 seed, and of a public key.
pub const ED25519_BYTES: usize = 32;
/// How a private key at rest starts.
const ED25519_MARK: &[u8] = b"posthorn/ed25519";
/// Bytes of a private key at rest: the mark, the seed, the public key. No symmetric key is as
/// long, so it is the length that tells one kind from the other, whatever a key begins with.
const ED25519_AT_REST: usize = ED25519_MARK.len() + 2 * ED25519_BYTES;
const _: () = assert!(ED25519_AT_REST > *ACCEPTED_BYTES.end());

/// How a secret signs (names of Standard Webhooks).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignatureScheme {
    /// HMAC-SHA256: both sides hold the same key.
    #[default]
    V1,
    /// Ed25519: only we can sign, whoever has the public key can verify.
    V1a,
}

/// What signs deliveries to one endpoint, or verifies published requests.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(Kind);

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Hmac(Vec<u8>),
    Ed25519 { seed: [u8; ED25519_BYTES], public: [u8; ED25519_BYTES] },
}

impl SigningSecret {
    /// A new random one of the usual kind.
    pub fn generate(ambient: &Ambient) -> Self {
        Self(Kind::Hmac(ambient.random::<GENERATED_BYTES>().to_vec()))
    }

    /// A new random one that signs this way.
    pub fn generate_for(scheme: SignatureScheme, ambient: &Ambient) -> Self {
        match scheme {
            SignatureScheme::V1 => Self::generate(ambient),
            SignatureScheme::V1a => Self::of_seed(ambient.random()),
        }
    }

    /// Reads `whsec_` and base64, where the prefix may be missing; or `whsk_` and the base64 of
    /// an ed25519 seed, with or without its public key after it.
    ///
    /// # Errors
    /// A sentence that says what is wrong, without the secret.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(encoded) = text.strip_prefix(PRIVATE_PREFIX) {
            return Self::parse_private(encoded);
        }
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
        Ok(Self(Kind::Hmac(key)))
    }

    /// The same, of keys that both sides hold.
    ///
    /// # Errors
    /// As [`SigningSecret::parse`], and for a private key.
    pub fn parse_symmetric(text: &str) -> Result<Self, String> {
        match Self::parse(text)? {
            secret if secret.scheme() == SignatureScheme::V1 => Ok(secret),
            _ => Err(format!(
                "must start with `{SECRET_PREFIX}`: a private key stays with its owner"
            )),
        }
    }

    /// How it signs.
    pub fn scheme(&self) -> SignatureScheme {
        match self.0 {
            Kind::Hmac(_) => SignatureScheme::V1,
            Kind::Ed25519 { .. } => SignatureScheme::V1a,
        }
    }

    /// One signature of `content`, without the scheme before it.
    pub fn sign(&self, content: &[&[u8]]) -> Vec<u8> {
        match &self.0 {
            Kind::Hmac(key) => mac(key, content).finalize().into_bytes().to_vec(),
            Kind::Ed25519 { seed, public } => {
                let pair = Ed25519KeyPair::from_seed_and_public_key(seed, public)
                    .expect("a pair that was one when it was read");
                pair.sign(&content.concat()).as_ref().to_vec()
            }
        }
    }

    /// Whether one of these is its signature of `content`. In a time that tells nothing of the
    /// signature that would be right.
    pub fn verifies(
        &self,
        content: &[&[u8]],
        mut signatures: impl Iterator<Item = Vec<u8>>,
    ) -> bool {
        match &self.0 {
            Kind::Hmac(key) => {
                let expected = mac(key, content).finalize().into_bytes();
                signatures.any(|signature| expected.as_slice().ct_eq(&signature).into())
            }
            Kind::Ed25519 { public, .. } => {
                PublicKey(public.to_vec()).verifies(content, signatures)
            }
        }
    }

    /// What its owner gets to see: `whsec_...`, for nobody else's eyes; or `whpk_...`, the public
    /// half of what only we need.
    pub fn reveal(&self) -> String {
        match &self.0 {
            Kind::Hmac(key) => format!("{SECRET_PREFIX}{}", STANDARD.encode(key)),
            Kind::Ed25519 { public, .. } => format!("{PUBLIC_PREFIX}{}", STANDARD.encode(public)),
        }
    }

    fn parse_private(encoded: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "must be the base64 of an ed25519 key after `{PRIVATE_PREFIX}`: its seed of \
                 {ED25519_BYTES} bytes, and its public key behind it or nothing"
            )
        };
        let key = STANDARD.decode(encoded).map_err(|_| wrong())?;
        let (seed, public) = key.split_first_chunk::<ED25519_BYTES>().ok_or_else(wrong)?;
        let secret = Self::of_seed(*seed);
        match &secret.0 {
            Kind::Ed25519 { public: own, .. } if public.is_empty() || own == public => Ok(secret),
            _ => Err(wrong()),
        }
    }

    fn of_seed(seed: [u8; ED25519_BYTES]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("any 32 bytes are a seed");
        let public = pair.public_key().as_ref().try_into().expect("a public key of 32 bytes");
        Self(Kind::Ed25519 { seed, public })
    }

    /// As it is sealed.
    fn at_rest(&self) -> Vec<u8> {
        match &self.0 {
            Kind::Hmac(key) => key.clone(),
            Kind::Ed25519 { seed, public } => [ED25519_MARK, seed, public].concat(),
        }
    }

    fn from_rest(bytes: Vec<u8>) -> Option<Self> {
        if bytes.len() != ED25519_AT_REST {
            return Some(Self(Kind::Hmac(bytes)));
        }
        let pair = bytes.strip_prefix(ED25519_MARK)?;
        let (seed, public) = pair.split_first_chunk::<ED25519_BYTES>()?;
        Some(Self(Kind::Ed25519 { seed: *seed, public: public.try_into().ok()? }))
    }
}

/// Somebody's ed25519 key, with which signatures can be verified and not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(Vec<u8>);

impl PublicKey {
    /// Reads `whpk_` and base64; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let key = STANDARD.decode(text.strip_prefix(PUBLIC_PREFIX)?).ok()?;
        (key.len() == ED25519_BYTES).then_some(Self(key))
    }

    /// Whether one of these is the key's signature of `content`.
    pub fn verifies(
        &self,
        content: &[&[u8]],
        mut signatures: impl Iterator<Item = Vec<u8>>,
    ) -> bool {
        let (key, content) = (UnparsedPublicKey::new(&ED25519, &self.0), content.concat());
        signatures.any(|signature| key.verify(&content, &signature).is_ok())
    }
}

fn mac(key: &[u8], content: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes any key length");
    content.iter().for_each(|part| mac.update(part));
    mac
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret")
    }
}

impl Sealer {
    /// Seals `secret` for the thing with the id `owner`.
    pub fn seal(&self, secret: &SigningSecret, owner: &str, ambient: &Ambient) -> Sealed {
        self.seal_bytes(&secret.at_rest(), owner, ambient)
    }

    /// Opens what was sealed for `owner`; `None` when it was sealed for another or by another
    /// root secret.
    pub fn open(&self, sealed: &Sealed, owner: &str) -> Option<SigningSecret> {
        self.open_bytes(sealed, owner).and_then(SigningSecret::from_rest)
    }
}

/// A sealed secret and the time when it stops being used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldSecret {
    /// The secret.
    pub sealed: Sealed,
    /// It signs until then.
    pub until: Timestamp,
}

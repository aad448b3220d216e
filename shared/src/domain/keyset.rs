//! An organisation's key set: the private keys that sign security event tokens, and the public
//! ones that receivers check them with.
//!
//! The life of a key: it is *published* in the key set, and after a lead it *signs* all tokens
//! of its algorithm. When another one takes over, it stays published for an overlap, so that
//! tokens on their way still verify, and then it is gone. A receiver picks the key by its `kid`,
//! which is the key's thumbprint (RFC 7638).
//!
//! Private keys rest sealed and have neither `Debug` nor `Serialize`.

use crate::domain::schema::JsonSchema;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{
    AlgorithmParameters, CommonParameters, EllipticCurve, EllipticCurveKeyParameters,
    EllipticCurveKeyType, Jwk, JwkSet, KeyAlgorithm, OctetKeyPairParameters, OctetKeyPairType,
    PublicKeyUse, RSAKeyParameters, RSAKeyType, ThumbprintHash,
};
use jsonwebtoken::{EncodingKey, Header};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde::{Deserialize, Serialize};

use crate::domain::clock::{Ambient, Timestamp};
use crate::domain::id::OrganisationId;
use crate::domain::jose::{self, PublicKey};
use crate::domain::secret::{Resealed, Sealed, Sealer};

/// How long a new key is published before it signs, in seconds, if another one signs so far: as
/// long as the set may take to get to a receiver. One of our own processes may show it as it
/// was [`KEPT_S`] ago, and the receiver keeps what it was shown for [`CACHE_S`].
pub const DEFAULT_LEAD_S: u64 = KEPT_S + CACHE_S;
/// How long a key stays published after another one has taken over, in seconds: 24 h, as long
/// as old signing secrets live.
pub const DEFAULT_OVERLAP_S: u64 = 86_400;
/// Longest lead or overlap, in seconds: 7 days.
pub const MAX_WAIT_S: u64 = 604_800;
/// How long a receiver may keep the key set, in seconds.
pub const CACHE_S: u64 = 300;
/// How long our own processes may keep it, in seconds.
pub const KEPT_S: u64 = 60;
/// Most keys of one algorithm that may be published at once.
pub const MAX_KEYS: usize = 10;

/// What a token is signed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "JwtAlgorithm")]
pub enum Algorithm {
    /// RSA with SHA-256 (PKCS#1 v1.5).
    #[default]
    RS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// Ed25519.
    EdDSA,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::RS256, Self::ES256, Self::EdDSA];

    fn jose(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::RS256 => jsonwebtoken::Algorithm::RS256,
            Self::ES256 => jsonwebtoken::Algorithm::ES256,
            Self::EdDSA => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

/// A private key, unsealed.
pub struct PrivateKey {
    algorithm: Algorithm,
    pkcs8: Vec<u8>,
    public: PublicKey,
}

impl PrivateKey {
    /// Reads a private key in PKCS#8, the binary form.
    ///
    /// # Errors
    /// A sentence without the key, when it is not one for this algorithm.
    pub fn from_pkcs8(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, String> {
        let public = PublicKey::of(algorithm.jose(), pkcs8).map_err(|reason| {
            format!("must be a private {algorithm:?} key in PKCS#8, RSA with 2048 bits or more: {reason}")
        })?;
        Ok(Self { algorithm, pkcs8: pkcs8.to_vec(), public })
    }

    /// A new key for an elliptic curve; RSA keys are not made here (see the admin function).
    ///
    /// # Errors
    /// When asked for RSA, or when the system's random source fails.
    pub fn generate(algorithm: Algorithm, ambient: &Ambient) -> Result<Self, String> {
        match algorithm {
            Algorithm::EdDSA => {
                /// Everything of a private Ed25519 key in PKCS#8 but the 32 bytes (RFC 8410).
                const HEAD: [u8; 16] = [
                    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04,
                    0x22, 0x04, 0x20,
                ];
                let seed: [u8; 32] = ambient.random();
                Self::from_pkcs8(algorithm, &[HEAD.as_slice(), &seed].concat())
            }
            Algorithm::ES256 => {
                let random = SystemRandom::new();
                let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
                let key = key.map_err(|_| "the system's random source failed".to_owned())?;
                Self::from_pkcs8(algorithm, key.as_ref())
            }
            Algorithm::RS256 => Err("RSA keys have to be brought".to_owned()),
        }
    }

    /// The public half, with its thumbprint as `kid`.
    fn jwk(&self) -> Jwk {
        jose::install();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (key_algorithm, algorithm) = match &self.public {
            PublicKey::Rsa(n, e) => {
                let key_type = RSAKeyType::RSA;
                let parameters = RSAKeyParameters { key_type, n: text(n), e: text(e) };
                (KeyAlgorithm::RS256, AlgorithmParameters::RSA(parameters))
            }
            PublicKey::P256(x, y) => {
                let parameters = EllipticCurveKeyParameters {
                    key_type: EllipticCurveKeyType::EC,
                    curve: EllipticCurve::P256,
                    x: text(x),
                    y: text(y),
                };
                (KeyAlgorithm::ES256, AlgorithmParameters::EllipticCurve(parameters))
            }
            PublicKey::Ed25519(x) => {
                let parameters = OctetKeyPairParameters {
                    key_type: OctetKeyPairType::OctetKeyPair,
                    curve: EllipticCurve::Ed25519,
                    x: text(x),
                };
                (KeyAlgorithm::EdDSA, AlgorithmParameters::OctetKeyPair(parameters))
            }
        };
        let common = CommonParameters {
            public_key_use: Some(PublicKeyUse::Signature),
            key_algorithm: Some(key_algorithm),
            ..CommonParameters::default()
        };
        let mut jwk = Jwk { common, algorithm };
        let thumbprint = jwk.thumbprint(ThumbprintHash::SHA256);
        jwk.common.key_id = Some(thumbprint.expect("every kind of key above has one"));
        jwk
    }
}

/// A key of a set, its private half sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Key {
    /// Its name: the thumbprint of the public half.
    pub kid: String,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// The public half, as receivers read it.
    pub public: Jwk,
    private: Sealed,
    /// When it was added.
    pub created_at: Timestamp,
    /// From when on it signs.
    pub signs_from: Timestamp,
    /// When it leaves the set; none while no other one follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_at: Option<Timestamp>,
}

/// All keys of an organisation, in the order in which they were added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySet {
    keys: Vec<Key>,
}

/// The set already holds this key, or [`MAX_KEYS`] of its algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// It is in the set.
    Known,
    /// Too many.
    TooMany,
}

impl KeySet {
    /// Puts a key in, to sign after `lead_s` seconds, or at once if no other of its algorithm
    /// does; the one that signs until then leaves `overlap_s` seconds later.
    ///
    /// # Errors
    /// When it cannot go in.
    pub fn add(
        &mut self,
        org: &OrganisationId,
        key: &PrivateKey,
        [lead_s, overlap_s]: [u64; 2],
        sealer: &Sealer,
        ambient: &Ambient,
    ) -> Result<&Key, Full> {
        let now = ambient.now();
        self.keys.retain(|known| !known.is_gone(now));
        let public = key.jwk();
        let kid = public.common.key_id.clone().unwrap_or_default();
        let of_its_kind = |known: &&Key| known.algorithm == key.algorithm;
        if self.keys.iter().any(|known| known.kid == kid) {
            return Err(Full::Known);
        }
        if self.keys.iter().filter(of_its_kind).count() >= MAX_KEYS {
            return Err(Full::TooMany);
        }
        let first = self.signing(key.algorithm, now).is_none();
        let signs_from = if first { now } else { now.plus_ms(lead_s * 1000) };
        let gone_at = signs_from.plus_ms(overlap_s * 1000);
        for known in self.keys.iter_mut().filter(|known| known.algorithm == key.algorithm) {
            known.gone_at = Some(known.gone_at.map_or(gone_at, |at| at.min(gone_at)));
        }
        let private = sealer.seal_bytes(&key.pkcs8, &owner(org, &kid), ambient);
        let algorithm = key.algorithm;
        let added =
            Key { kid, algorithm, public, private, created_at: now, signs_from, gone_at: None };
        self.keys.push(added);
        Ok(self.keys.last().expect("one was pushed"))
    }

    /// Seals anew what was not sealed with the root secret's key in use.
    pub fn reseal(&mut self, org: &OrganisationId, sealer: &Sealer, ambient: &Ambient) -> Resealed {
        let mut resealed = Resealed::default();
        for key in &mut self.keys {
            resealed += sealer.reseal(&mut key.private, &owner(org, &key.kid), ambient);
        }
        resealed
    }

    /// Everything that is published at this moment.
    pub fn published(&self, now: Timestamp) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(move |key| !key.is_gone(now))
    }

    /// The key set as receivers fetch it (RFC 7517).
    pub fn jwks(&self, now: Timestamp) -> JwkSet {
        JwkSet { keys: self.published(now).map(|key| key.public.clone()).collect() }
    }

    /// The key that signs at this moment: the one that was added last of those whose turn has
    /// begun. One that another has overtaken, with a shorter lead, never signs.
    pub fn signing(&self, algorithm: Algorithm, now: Timestamp) -> Option<&Key> {
        let is_ready = |key: &&Key| key.algorithm == algorithm && key.signs_from <= now;
        self.published(now).filter(is_ready).last()
    }

    /// Whether a key's turn is still to come.
    pub fn is_next(&self, key: &Key, now: Timestamp) -> bool {
        let later = self.keys.iter().skip_while(|known| known.kid != key.kid).skip(1);
        let overtakes =
            |other: &Key| other.algorithm == key.algorithm && other.signs_from <= key.signs_from;
        key.signs_from > now && !later.into_iter().any(overtakes)
    }
}

impl Key {
    fn is_gone(&self, now: Timestamp) -> bool {
        self.gone_at.is_some_and(|at| at <= now)
    }

    /// Signs these claims; `typ` goes into the header. `None` when the private key does not
    /// open: the root secret has changed.
    pub fn sign(
        &self,
        org: &OrganisationId,
        sealer: &Sealer,
        typ: Option<&str>,
        claims: &impl Serialize,
    ) -> Option<String> {
        jose::install();
        let pkcs8 = sealer.open_bytes(&self.private, &owner(org, &self.kid))?;
        let key = match self.algorithm {
            Algorithm::RS256 => EncodingKey::from_rsa_der(&pkcs8),
            Algorithm::ES256 => EncodingKey::from_ec_der(&pkcs8),
            Algorithm::EdDSA => EncodingKey::from_ed_der(&pkcs8),
        };
        let mut header = Header::new(self.algorithm.jose());
        header.typ = typ.map(str::to_owned);
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &key).ok()
    }
}

/// What a private key is sealed for: moved to another organisation it does not open.
fn owner(org: &OrganisationId, kid: &str) -> String {
    format!("{org}/{kid}")
}

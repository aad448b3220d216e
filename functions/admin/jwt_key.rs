//! The keys that sign security event tokens: listed, added, and published for receivers.
//!
//! `/.well-known/jwks.json` needs no token: receivers are strangers. It is the key set of the
//! deployment's own organisation; any other's is at `/.well-known/{org_id}/jwks.json`.
//!
//! Not guaranteed: that a receiver which keeps the key set for longer than it may knows a new
//! key when it begins to sign.

use std::sync::Arc;

use crate::JsonSchema;
#[cfg(feature = "description")]
use description::{JsonObject, Moment};
use http::{HeaderValue, StatusCode, header};
use jsonwebtoken::jwk::Jwk;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use shared::api::error::{self, ApiError, Violation};
use shared::api::rules::Rules;
use shared::domain::clock::Timestamp;
use shared::domain::id::OrganisationId;
use shared::domain::keyset::{
    Algorithm, CACHE_S, DEFAULT_LEAD_S, DEFAULT_OVERLAP_S, Full, Key, KeySet, MAX_KEYS, MAX_WAIT_S,
    PrivateKey,
};

use crate::{Admin, Answer, Call};

/// Longest private key, in bytes of PEM: twice an RSA key with 8192 bits.
const MAX_PEM_BYTES: usize = 16 * 1024;

/// Makes RSA keys with 2048 bits, in PKCS#8. Wired to [`generate_rsa`]; a test brings one.
pub type RsaMaker = Arc<dyn Fn() -> Result<Vec<u8>, String> + Send + Sync>;

/// A new RSA key.
///
/// # Errors
/// When the system's random source fails.
pub fn generate_rsa() -> Result<Vec<u8>, String> {
    use graviola::signing::rsa::{KeySize, SigningKey};

    /// Room for a key of 2048 bits, whose length is about 1220 bytes.
    const ROOM: usize = 2048;
    let failed = |error| format!("cannot make an RSA key: {error:?}");
    let key = SigningKey::generate(KeySize::Rsa2048).map_err(failed)?;
    let mut room = [0; ROOM];
    Ok(key.to_pkcs8_der(&mut room).map_err(failed)?.to_vec())
}

/// A key to add.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "JwtKeyRotateIn")]
pub(crate) struct RotateIn {
    /// What it signs with.
    algorithm: Algorithm,
    /// A private key in PKCS#8, as PEM. Without one a key is made.
    key: Option<String>,
    /// How long it is published before it signs, unless it is the first of its algorithm.
    #[schemars(range(min = 0, max = 604_800))]
    lead_seconds: Option<u64>,
    /// How long the one before it stays published after that.
    #[schemars(range(min = 0, max = 604_800))]
    overlap_seconds: Option<u64>,
}

/// A key of the set.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "JwtKeyOut")]
pub(crate) struct KeyOut {
    /// Its thumbprint (RFC 7638).
    kid: String,
    /// What it signs with.
    algorithm: Algorithm,
    /// `next`, `signing` or `retired`.
    status: &'static str,
    /// When it was added.
    #[schemars(with = "Moment")]
    created_at: String,
    /// From when on it signs.
    #[schemars(with = "Moment")]
    signs_from: String,
    /// When it leaves the set, if another one follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Moment>")]
    gone_at: Option<String>,
    /// The public half, as receivers read it (RFC 7517).
    #[schemars(with = "JsonObject")]
    public: Jwk,
}

/// All keys that are published, in the order in which they were added.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "JwtKeyList")]
pub(crate) struct KeyList {
    data: Vec<KeyOut>,
}

impl Call<'_> {
    pub(crate) async fn list_jwt_keys(&self) -> Answer {
        let set = self.admin.key_sets.current(&self.access.organisation()).await?;
        let now = self.admin.ambient.now();
        let data = set.published(now).map(|key| KeyOut::of(key, &set, now)).collect();
        Ok(error::json(StatusCode::OK, &KeyList { data }))
    }

    /// Adds a key, which takes over from the one that signs so far.
    pub(crate) async fn rotate_jwt_key(&self) -> Answer {
        let input: RotateIn = self.optional_body()?;
        let mut rules = Rules::default();
        let wait = |field: &str, asked: Option<u64>, default: u64, rules: &mut Rules| {
            if asked.is_some_and(|seconds| seconds > MAX_WAIT_S) {
                rules.broken(field, format!("must be at most {MAX_WAIT_S} seconds"));
            }
            asked.unwrap_or(default)
        };
        let lead_s = wait("leadSeconds", input.lead_seconds, DEFAULT_LEAD_S, &mut rules);
        let overlap_s =
            wait("overlapSeconds", input.overlap_seconds, DEFAULT_OVERLAP_S, &mut rules);
        if input.key.as_ref().is_some_and(|pem| pem.len() > MAX_PEM_BYTES) {
            rules.broken("key", format!("must be at most {MAX_PEM_BYTES} bytes long"));
        }
        rules.check()?;
        let key = match &input.key {
            Some(pem) => read_pem(input.algorithm, pem)?,
            None => self.admin.make_key(input.algorithm)?,
        };
        let org = self.access.organisation();
        let set = self.admin.add_key(&org, &key, [lead_s, overlap_s]).await??;
        let now = self.admin.ambient.now();
        let added = set.published(now).last().ok_or_else(ApiError::not_found)?;
        Ok(error::json(StatusCode::CREATED, &KeyOut::of(added, &set, now)))
    }
}

impl Admin {
    /// The public keys of an organisation, for receivers.
    pub(crate) async fn jwks(&self, org: &OrganisationId) -> Answer {
        let now = self.ambient.now();
        let mut set = self.key_sets.recent(org).await?;
        // The first key signs at once, so it has to be seen at once.
        let mut max_age = CACHE_S;
        if set.published(now).next().is_none() {
            set = Arc::new(self.key_sets.current(org).await?);
            max_age = 0;
        }
        let mut answer = error::json(StatusCode::OK, &set.jwks(now));
        if let Ok(keep) = HeaderValue::from_str(&format!("public, max-age={max_age}")) {
            answer.headers_mut().insert(header::CACHE_CONTROL, keep);
        }
        Ok(answer)
    }

    /// Makes sure that tokens of this algorithm can be signed.
    ///
    /// # Errors
    /// When the store or the random source fails.
    pub(crate) async fn ensure_key(
        &self,
        org: &OrganisationId,
        algorithm: Algorithm,
    ) -> Result<(), ApiError> {
        let set = self.key_sets.recent(org).await?;
        if set.signing(algorithm, self.ambient.now()).is_some() {
            return Ok(());
        }
        let key = self.make_key(algorithm)?;
        let waits_s = [DEFAULT_LEAD_S, DEFAULT_OVERLAP_S];
        let edited = self.key_sets.edit(org, |set| {
            // Somebody else may have been faster.
            match set.signing(algorithm, self.ambient.now()) {
                Some(_) => Ok(()),
                None => set.add(org, &key, waits_s, &self.sealer, &self.ambient).map(|_| ()),
            }
        });
        edited.await?.map_err(refused)
    }

    async fn add_key(
        &self,
        org: &OrganisationId,
        key: &PrivateKey,
        waits_s: [u64; 2],
    ) -> Result<Result<KeySet, ApiError>, ApiError> {
        let edited = self.key_sets.edit(org, |set| {
            set.add(org, key, waits_s, &self.sealer, &self.ambient)?;
            Ok(set.clone())
        });
        Ok(edited.await?.map_err(refused))
    }

    fn make_key(&self, algorithm: Algorithm) -> Result<PrivateKey, ApiError> {
        let made = match algorithm {
            Algorithm::RS256 => {
                (self.rsa)().and_then(|pkcs8| PrivateKey::from_pkcs8(algorithm, &pkcs8))
            }
            _ => PrivateKey::generate(algorithm, &self.ambient),
        };
        made.map_err(ApiError::Internal)
    }
}

fn refused(full: Full) -> ApiError {
    match full {
        Full::Known => ApiError::conflict("This key is in the set already."),
        Full::TooMany => ApiError::bad_request(
            "limit_reached",
            format!("At most {MAX_KEYS} keys of an algorithm are published at once."),
        ),
    }
}

impl KeyOut {
    fn of(key: &Key, set: &KeySet, now: Timestamp) -> Self {
        let signing = set.signing(key.algorithm, now).is_some_and(|one| one.kid == key.kid);
        let status = match signing {
            true => "signing",
            false if set.is_next(key, now) => "next",
            false => "retired",
        };
        Self {
            kid: key.kid.clone(),
            algorithm: key.algorithm,
            status,
            created_at: key.created_at.to_rfc3339(),
            signs_from: key.signs_from.to_rfc3339(),
            gone_at: key.gone_at.map(Timestamp::to_rfc3339),
            public: key.public.clone(),
        }
    }
}

fn read_pem(algorithm: Algorithm, pem: &str) -> Result<PrivateKey, ApiError> {
    let broken = |rule: String| ApiError::from(Violation::body("key", rule));
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| {
        broken(
            "must be PEM that begins with `-----BEGIN PRIVATE KEY-----`; \
             `openssl pkcs8 -topk8 -nocrypt` makes it of other forms"
                .to_owned(),
        )
    })?;
    PrivateKey::from_pkcs8(algorithm, der.secret_pkcs8_der()).map_err(broken)
}

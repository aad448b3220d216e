//! The root secret: the one thing that a deployment starts from, as a list of keys over time.
//!
//! It is one text, in Secrets Manager or in a file: a single key as it stands, or a list as
//! `{"v": 2, "keys": [{"id": "1f0c2a9b", "key": "..."}]}`. The first key of the list seals what is
//! stored and signs tokens; all of them open and verify. So a root secret is changed without
//! anything that stops working: a key is added, becomes the first, everything is sealed anew, and
//! the old one is taken out.
//!
//! A key's id is part of a hash of it, so it tells keys apart and nothing else, and nobody can give
//! two keys one id. What is sealed says with which key.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::domain::clock::Ambient;

/// Fewest bytes of a key.
pub const MIN_ROOT_BYTES: usize = 32;
/// Most keys at once: the one in use, one that comes, and some that are not gone yet.
pub const MAX_ROOT_KEYS: usize = 8;
/// Random bytes of a key that is made here.
const GENERATED_BYTES: usize = 32;
/// The version of a list.
const LIST: u8 = 2;

/// The one secret that a deployment starts from. Keys for tokens and for sealing derive from
/// it; it is never used itself.
#[derive(Clone)]
pub struct RootSecret {
    /// The one in use, then the others.
    keys: Vec<RootKey>,
}

#[derive(Clone, PartialEq, Eq)]
struct RootKey(String);

/// A list of keys, as text.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    v: u8,
    keys: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    key: String,
}

impl RootSecret {
    /// Takes the root secret as Secrets Manager, the environment or the key file has it.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it, without it.
    pub fn new(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let keys = match text.starts_with('{') {
            false => vec![RootKey::new(text)?],
            true => read_list(text)?,
        };
        Ok(Self { keys })
    }

    /// A new key, as text.
    pub fn generate(ambient: &Ambient) -> String {
        hex::encode(ambient.random::<GENERATED_BYTES>())
    }

    /// As it is kept: a list, whatever it was read from.
    pub fn to_text(&self) -> String {
        let entry = |key: &RootKey| Entry { id: key.id(), key: key.0.clone() };
        let list = List { v: LIST, keys: self.keys.iter().map(entry).collect() };
        serde_json::to_string(&list).expect("strings can be written as JSON")
    }

    /// The same with one key more, which opens and verifies, and seals nothing yet.
    ///
    /// # Errors
    /// When there are too many already, or it is too short or there already.
    pub fn with(&self, key: &str) -> Result<Self, String> {
        let mut keys = self.keys.clone();
        keys.push(RootKey::new(key)?);
        check(&keys)?;
        Ok(Self { keys })
    }

    /// The same with the key that was added last in use.
    #[must_use]
    pub fn promoted(&self) -> Self {
        let mut keys = self.keys.clone();
        keys.rotate_right(1);
        Self { keys }
    }

    /// This one's keys, and those of another that it lacks.
    ///
    /// # Errors
    /// When they are too many.
    pub fn joined(&self, other: &Self) -> Result<Self, String> {
        let mut keys = self.keys.clone();
        keys.extend(other.keys.iter().filter(|key| !self.keys.contains(key)).cloned());
        check(&keys)?;
        Ok(Self { keys })
    }

    /// The same with nothing but the key in use.
    #[must_use]
    pub fn retired(&self) -> Self {
        Self { keys: self.keys[..1].to_vec() }
    }

    /// The ids of its keys, that of the one in use first.
    pub fn ids(&self) -> Vec<String> {
        self.keys.iter().map(RootKey::id).collect()
    }

    /// The key that signs bearer tokens.
    pub fn token_key(&self) -> [u8; 32] {
        self.keys[0].derive("posthorn/token/v1")
    }

    /// The keys that verify bearer tokens, the one that signs them first.
    pub fn token_keys(&self) -> Vec<[u8; 32]> {
        self.keys.iter().map(|key| key.derive("posthorn/token/v1")).collect()
    }

    /// What seals secrets for the store.
    pub fn sealer(&self) -> Sealer {
        let key = |key: &RootKey| {
            let derived = key.derive("posthorn/seal/v1");
            // The only way to fail is a key of the wrong length.
            let derived = UnboundKey::new(&AES_256_GCM, &derived).expect("a key of 32 bytes");
            (key.id(), LessSafeKey::new(derived))
        };
        Sealer { keys: self.keys.iter().map(key).collect() }
    }

    /// Tells the key in use from another, and nothing else about it.
    pub fn fingerprint(&self) -> String {
        self.keys[0].fingerprint()
    }

    /// Whether one of its keys has this fingerprint.
    pub fn has(&self, fingerprint: &str) -> bool {
        self.keys.iter().any(|key| key.fingerprint() == fingerprint)
    }
}

/// Reads a list, without the parser's words, which may quote what it read.
fn read_list(text: &str) -> Result<Vec<RootKey>, String> {
    let list: List = serde_json::from_str(text).map_err(|_| {
        "the root secret starts with `{` and is no list of keys: it must be \
         {\"v\": 2, \"keys\": [{\"id\": ..., \"key\": ...}]}, or one key as it stands"
            .to_owned()
    })?;
    if list.v != LIST {
        let (v, known) = (list.v, LIST);
        return Err(format!(
            "the root secret is a list of version {v}; this Posthorn knows {known}"
        ));
    }
    let mut keys = Vec::with_capacity(list.keys.len());
    for (entry, number) in list.keys.into_iter().zip(1..) {
        let key = RootKey::new(&entry.key).map_err(|why| format!("key {number}: {why}"))?;
        let id = key.id();
        if id != entry.id {
            return Err(format!(
                "the root secret's key {number} is called {:?} and is {id}: it was changed",
                entry.id
            ));
        }
        keys.push(key);
    }
    check(&keys)?;
    Ok(keys)
}

fn check(keys: &[RootKey]) -> Result<(), String> {
    if keys.is_empty() || keys.len() > MAX_ROOT_KEYS {
        let count = keys.len();
        return Err(format!("the root secret must have 1 to {MAX_ROOT_KEYS} keys, not {count}"));
    }
    let twice = keys.iter().enumerate().any(|(at, key)| keys[..at].contains(key));
    if twice { Err("the root secret has a key twice".to_owned()) } else { Ok(()) }
}

impl RootKey {
    fn new(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.len() < MIN_ROOT_BYTES {
            return Err(format!(
                "the root secret must have at least {MIN_ROOT_BYTES} characters, this one has {}",
                text.len()
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// Eight characters, which are in everything that it seals.
    fn id(&self) -> String {
        self.fingerprint()[..8].to_owned()
    }

    fn fingerprint(&self) -> String {
        hex::encode(&self.derive("posthorn/fingerprint/v1")[..8])
    }

    fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.0.as_bytes()).expect("HMAC takes any key length");
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for RootSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootSecret")
    }
}

/// A secret at rest: `2.{id of the key}.{base64}`, or base64 alone as it was first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(String);

/// How what is sealed starts. Base64 has no point, so the first form is told by having none.
const VERSION: &str = "2";

impl Sealed {
    /// The id of the key it was sealed with, if it says so, and what was sealed.
    fn parts(&self) -> Option<(Option<&str>, &str)> {
        let Some((version, rest)) = self.0.split_once('.') else { return Some((None, &self.0)) };
        let (id, text) = rest.split_once('.')?;
        (version == VERSION).then_some((Some(id), text))
    }
}

/// What came of sealing things anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Were sealed with another key, and are with the one in use now.
    pub anew: usize,
    /// Do not open with any key, and stay as they are.
    pub unopened: usize,
}

impl std::ops::AddAssign for Resealed {
    fn add_assign(&mut self, other: Self) {
        self.anew += other.anew;
        self.unopened += other.unopened;
    }
}

/// Seals secrets for the store and opens them again.
#[derive(Clone)]
pub struct Sealer {
    /// Each with its id; the first one seals.
    keys: Arc<[(String, LessSafeKey)]>,
}

impl Sealer {
    /// Seals bytes for the thing with the id `owner`.
    pub fn seal_bytes(&self, secret: &[u8], owner: &str, ambient: &Ambient) -> Sealed {
        let (id, key) = &self.keys[0];
        let nonce: [u8; NONCE_LEN] = ambient.random();
        let mut sealed = secret.to_vec();
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(owner.as_bytes()),
            &mut sealed,
        )
        .expect("a secret is far below the limit of AES-GCM");
        let mut out = nonce.to_vec();
        out.append(&mut sealed);
        Sealed(format!("{VERSION}.{id}.{}", STANDARD.encode(out)))
    }

    /// Opens what was sealed for `owner`; `None` when it was sealed for another or by another
    /// root secret.
    pub fn open_bytes(&self, sealed: &Sealed, owner: &str) -> Option<Vec<u8>> {
        let (id, text) = sealed.parts()?;
        let bytes = STANDARD.decode(text).ok()?;
        // What does not say it is tried with each.
        let of_it = |known: &&(String, LessSafeKey)| id.is_none_or(|id| id == known.0);
        self.keys.iter().filter(of_it).find_map(|(_, key)| open_with(key, &bytes, owner))
    }

    /// Seals anew what was sealed with another key than the one in use, or does not say it.
    pub fn reseal(&self, sealed: &mut Sealed, owner: &str, ambient: &Ambient) -> Resealed {
        let current = Some(self.keys[0].0.as_str());
        let opened = self.open_bytes(sealed, owner);
        match opened {
            None => Resealed { anew: 0, unopened: 1 },
            Some(_) if sealed.parts().is_some_and(|(id, _)| id == current) => Resealed::default(),
            Some(secret) => {
                *sealed = self.seal_bytes(&secret, owner, ambient);
                Resealed { anew: 1, unopened: 0 }
            }
        }
    }

    /// The ids of its keys, that of the one in use first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(id, _)| id.as_str())
    }
}

fn open_with(key: &LessSafeKey, bytes: &[u8], owner: &str) -> Option<Vec<u8>> {
    let (nonce, ciphertext) = bytes.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut ciphertext = ciphertext.to_vec();
    let plain = key.open_in_place(nonce, Aad::from(owner.as_bytes()), &mut ciphertext).ok()?;
    Some(plain.to_vec())
}

//! JSON Web Tokens on the cryptography that is in the binaries anyway: HMAC for our own bearer
//! tokens, `ring` (which TLS brings along) for the signatures of others.
//!
//! The library that reads and writes tokens brings a choice of whole cryptography stacks;
//! standing in for them keeps a second one out of the binaries. Only the signature itself is
//! made here, never a format.

use std::sync::Once;

use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{Error as SignatureError, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use sha2::{Digest, Sha256};

/// Makes the token library use it. Whatever reads or writes tokens calls this first.
pub fn install() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        // Fails only when something else in the process installed one first.
        let _ = PROVIDER.install_default();
    });
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| Signing::with(*algorithm, key),
    verifier_factory: |algorithm, key| Verifying::with(*algorithm, key),
    key_utils: KeyUtils {
        compute_digest: |data, _| Ok(Sha256::digest(data).to_vec()),
        ..KeyUtils::new_unimplemented()
    },
};

/// The public half of a private key in PKCS#8.
pub enum PublicKey {
    /// RSA: modulus and exponent, big-endian.
    Rsa(Vec<u8>, Vec<u8>),
    /// A point on P-256: both coordinates.
    P256(Vec<u8>, Vec<u8>),
    /// A point on Ed25519.
    Ed25519(Vec<u8>),
}

impl PublicKey {
    /// Finds it.
    ///
    /// # Errors
    /// When the key is not one for this algorithm, or weaker than RSA with 2048 bits.
    pub fn of(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, String> {
        let rejected = |rejected: ring::error::KeyRejected| rejected.to_string();
        match algorithm {
            Algorithm::RS256 => {
                let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(rejected)?;
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public());
                Ok(Self::Rsa(public.n, public.e))
            }
            Algorithm::ES256 => {
                let pair = ecdsa(pkcs8).map_err(rejected)?;
                // 0x04 and then the two coordinates (SEC 1, 2.3.3).
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                Ok(Self::P256(x.to_vec(), y.to_vec()))
            }
            Algorithm::EdDSA => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map_err(rejected)?;
                Ok(Self::Ed25519(pair.public_key().as_ref().to_vec()))
            }
            _ => Err("must be RS256, ES256 or EdDSA".to_owned()),
        }
    }
}

enum Signing {
    Hs256(Hmac<Sha256>),
    Rs256(RsaKeyPair),
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

impl Signing {
    fn with(algorithm: Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
        let bytes = key.as_bytes();
        Ok(Box::new(match algorithm {
            Algorithm::HS256 => Self::Hs256(hmac(bytes)?),
            Algorithm::RS256 => Self::Rs256(RsaKeyPair::from_pkcs8(bytes).map_err(unusable)?),
            Algorithm::ES256 => Self::Es256(ecdsa(bytes).map_err(unusable)?),
            Algorithm::EdDSA => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes).map_err(unusable)?;
                Self::EdDsa(pair)
            }
            _ => return Err(ErrorKind::InvalidAlgorithm.into()),
        }))
    }
}

impl Signer<Vec<u8>> for Signing {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        match self {
            Self::Hs256(mac) => {
                Ok(mac.clone().chain_update(message).finalize().into_bytes().to_vec())
            }
            Self::Rs256(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
                    .map_err(|_| SignatureError::new())?;
                Ok(signature)
            }
            Self::Es256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message);
                Ok(signature.map_err(|_| SignatureError::new())?.as_ref().to_vec())
            }
            Self::EdDsa(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

impl JwtSigner for Signing {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Hs256(_) => Algorithm::HS256,
            Self::Rs256(_) => Algorithm::RS256,
            Self::Es256(_) => Algorithm::ES256,
            Self::EdDsa(_) => Algorithm::EdDSA,
        }
    }
}

enum Verifying {
    Hs256(Hmac<Sha256>),
    Rs256(DecodingKeyKind),
    Es256(Vec<u8>),
    EdDsa(Vec<u8>),
}

impl Verifying {
    fn with(algorithm: Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
        Ok(Box::new(match algorithm {
            Algorithm::HS256 => Self::Hs256(hmac(key.try_get_as_bytes()?)?),
            Algorithm::RS256 => Self::Rs256(key.kind().clone()),
            Algorithm::ES256 => Self::Es256(key.try_get_as_bytes()?.to_vec()),
            Algorithm::EdDSA => Self::EdDsa(key.try_get_as_bytes()?.to_vec()),
            _ => return Err(ErrorKind::InvalidAlgorithm.into()),
        }))
    }
}

impl Verifier<Vec<u8>> for Verifying {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        let fits = match self {
            Self::Hs256(mac) => {
                return mac
                    .clone()
                    .chain_update(message)
                    .verify_slice(signature)
                    .map_err(|_| SignatureError::new());
            }
            Self::Rs256(DecodingKeyKind::RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(
                    &RSA_PKCS1_2048_8192_SHA256,
                    message,
                    signature,
                )
            }
            Self::Rs256(DecodingKeyKind::SecretOrDer(der)) => {
                UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der).verify(message, signature)
            }
            Self::Es256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Self::EdDsa(point) => {
                UnparsedPublicKey::new(&ED25519, point).verify(message, signature)
            }
        };
        fits.map_err(|_| SignatureError::new())
    }
}

impl JwtVerifier for Verifying {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Hs256(_) => Algorithm::HS256,
            Self::Rs256(_) => Algorithm::RS256,
            Self::Es256(_) => Algorithm::ES256,
            Self::EdDsa(_) => Algorithm::EdDSA,
        }
    }
}

fn hmac(key: &[u8]) -> Result<Hmac<Sha256>, Error> {
    Hmac::new_from_slice(key).map_err(|_| ErrorKind::InvalidKeyFormat.into())
}

fn ecdsa(pkcs8: &[u8]) -> Result<EcdsaKeyPair, ring::error::KeyRejected> {
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &SystemRandom::new())
}

fn unusable(_: ring::error::KeyRejected) -> Error {
    ErrorKind::InvalidKeyFormat.into()
}

//! An inspector: an endpoint of Posthorn's own that keeps what it is sent, for whoever wants to
//! see what a delivery looks like.

use serde::{Deserialize, Serialize};

use crate::domain::clock::{Ambient, Timestamp};
use crate::domain::id::OrganisationId;
use crate::domain::json::is_zero;

/// How long an inspector lives, and with it what it was sent, in milliseconds: 24 h.
pub const LIFETIME_MS: u64 = 86_400_000;
/// Bytes of a request's body that are kept.
pub const KEPT_BYTES: usize = 64 * 1024;
/// Most requests that one inspector keeps: who sends needs no token.
pub const MAX_KEPT: u32 = 1_000;
/// Random bytes of a token: nobody else can guess where to send.
const TOKEN_BYTES: usize = 16;

/// A place to send requests to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inspector {
    /// The last part of its URL. Whoever knows it can send there.
    pub token: String,
    /// Who may see what was sent.
    pub org: OrganisationId,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it stops answering.
    pub expires_at: Timestamp,
    /// How many requests were kept.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub kept: u32,
}

impl Inspector {
    /// A new one.
    pub fn new(org: OrganisationId, ambient: &Ambient) -> Self {
        let random: [u8; TOKEN_BYTES] = ambient.random();
        let created_at = ambient.now();
        Self {
            token: hex::encode(random),
            org,
            created_at,
            expires_at: created_at.plus_ms(LIFETIME_MS),
            kept: 0,
        }
    }
}

/// A request that an inspector was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inspected {
    /// When it came.
    pub at: Timestamp,
    /// HTTP method.
    pub method: String,
    /// Names and values, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The beginning of the body, as text; what is not UTF-8 becomes U+FFFD.
    pub body: String,
    /// Bytes of the whole body.
    pub bytes: usize,
    /// The status that it was answered with.
    pub answered: u16,
}

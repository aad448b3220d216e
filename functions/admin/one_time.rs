//! Links to the portal that open once: the link has a code in the place of the token, and whoever
//! exchanges it first gets the token.
//!
//! So a link that is found later, in a mailbox or a log, opens nothing.

use crate::JsonSchema;
use bytes::Bytes;
use http::{Request, StatusCode};
use serde::{Deserialize, Serialize};
use shared::api::error::{self, ApiError};
use shared::api::request;

use crate::{Admin, Answer};

/// How long a code waits to be exchanged, in milliseconds: a link is made when it is about to be
/// opened.
const CODE_MS: u64 = 15 * 60_000;
/// Random bytes of a code: nobody guesses them.
const CODE_BYTES: usize = 24;
/// Longest code that is looked for, in bytes.
const MAX_CODE: usize = 256;
/// Whose secret a sealed token is.
const OWNER: &str = "one-time-token";

/// What a caller sends.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OneTimeTokenIn {
    /// The code of a link.
    one_time_token: String,
}

/// What a caller gets, once.
#[derive(Serialize, JsonSchema)]
pub(crate) struct OneTimeTokenOut {
    token: String,
}

impl Admin {
    /// A code that is exchanged for this token once.
    pub(crate) async fn code_for(&self, token: &str) -> Result<String, ApiError> {
        let random: [u8; CODE_BYTES] = self.ambient.random();
        let code = hex::encode(random);
        let sealed = self.sealer.seal_bytes(token.as_bytes(), OWNER, &self.ambient);
        self.codes.keep(&code, sealed, self.ambient.now().plus_ms(CODE_MS)).await?;
        Ok(code)
    }

    /// The token that a code stands for. Asked for without any token.
    pub(crate) async fn exchange(&self, request: &Request<Bytes>) -> Answer {
        request::check_size(request.body().len())?;
        request::check_encoding(request.headers())?;
        let input: OneTimeTokenIn = request::body(request)?;
        let code = &input.one_time_token;
        let sealed = match code.len() <= MAX_CODE {
            true => self.codes.take(code, self.ambient.now()).await?,
            false => None,
        };
        let sealed = sealed.ok_or_else(|| {
            ApiError::unauthenticated(
                "This link was opened before, or is too old: ask for another.",
            )
        })?;
        let token = self.sealer.open_bytes(&sealed, OWNER);
        let token = token.and_then(|token| String::from_utf8(token).ok());
        let token = token.ok_or_else(|| ApiError::Internal("a token does not open".into()))?;
        Ok(error::json(StatusCode::OK, &OneTimeTokenOut { token }))
    }
}

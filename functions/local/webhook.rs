//! The other side: what a customer's endpoint does with a delivery.

use bytes::Bytes;
use http::Request;
use shared::domain::clock::Timestamp;
use shared::domain::headers::single;
use shared::domain::secret::SigningSecret;
use shared::domain::signature::{self, HEADERS, Rejection};

/// A delivery whose signature has been checked.
pub(crate) struct Webhook {
    /// `webhook-id`: the same for every attempt.
    pub(crate) id: String,
    /// Whether the signature fits, in every family of header names that is there.
    pub(crate) verified: Result<(), Rejection>,
    /// The families that are there.
    pub(crate) families: Vec<&'static str>,
}

/// Checks a delivery as its receiver would: with the headers of one family or both.
pub(crate) fn check(request: &Request<Bytes>, secret: &SigningSecret, now: Timestamp) -> Webhook {
    let mut id = String::new();
    let mut verified = Ok(());
    let mut families = Vec::new();
    for family in ["webhook-", "svix-"] {
        let [name, timestamp, signatures] =
            HEADERS.map(|header| single(request.headers(), &format!("{family}{header}")));
        if [name, timestamp, signatures] == [None; 3] {
            continue;
        }
        families.push(family);
        let result = match (name, timestamp, signatures) {
            (Some(name), Some(timestamp), Some(signatures)) => {
                name.clone_into(&mut id);
                let secrets = std::slice::from_ref(secret);
                signature::verify(secrets, name, timestamp, signatures, request.body(), now)
            }
            _ => Err(Rejection::Headers),
        };
        verified = verified.and(result);
    }
    if families.is_empty() {
        verified = Err(Rejection::Headers);
    }
    Webhook { id, verified, families }
}

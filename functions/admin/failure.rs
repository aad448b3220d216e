//! Why an attempt failed, in words, and what the endpoint's owner can do about it.
//!
//! The words are made when they are asked for, of the status and the reason on record: nothing is
//! stored, and a better sentence helps with old attempts as well.

use std::borrow::Cow;

use crate::JsonSchema;
use serde::Serialize;
use shared::domain::clock::Timestamp;

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Failure {
    /// A word for programs, the same in every language.
    pub(crate) kind: &'static str,
    /// What happened.
    pub(crate) says: Cow<'static, str>,
    /// What to do about it.
    pub(crate) advice: &'static str,
}

/// What comes before how long was waited for an answer, in milliseconds.
const NO_ANSWER: &str = "no answer within ";
/// What is on record where the connection ended before the answer did (hyper).
const CLOSED: &str = "closed before message completed";
/// What comes before the end of a certificate's life, in seconds since 1970 (rustls).
const NOT_AFTER: &str = "not valid after ";

const WITHOUT_ANSWER: Failure = Failure {
    kind: "reset",
    says: Cow::Borrowed("The connection was closed without an answer."),
    advice: "Look into the logs of the receiver and of the proxy before it: one of them takes the \
             request and ends without an answer, as in a crash or a restart.",
};

/// Reasons without an answer, by what the record says; the first that fits counts.
const UNANSWERED: [(&str, Failure); 23] = [
    (
        NO_ANSWER,
        Failure {
            kind: "timeout",
            says: Cow::Borrowed("The endpoint did not answer in time."),
            advice: "Answer first and work later: store the event, answer 2xx, then process it. \
                     Or allow more time in the endpoint's settings.",
        },
    ),
    (
        "has not answered since",
        Failure {
            kind: "circuit_open",
            says: Cow::Borrowed(
                "The endpoint was not called, because it has not answered for more than a day.",
            ),
            advice: "Start the receiver, or correct the URL. It is still tried from time to time, \
                     and once it answers everything is sent to it as before; what failed \
                     meanwhile can be recovered.",
        },
    ),
    (
        "key signs tokens",
        Failure {
            kind: "no_key",
            says: Cow::Borrowed("The event was not sent, because there is no key to sign it with."),
            advice: "An operator makes one with POST /api/v1/operator/jwt-key/rotate.",
        },
    ),
    (
        "no token can carry it",
        Failure {
            kind: "payload",
            says: Cow::Borrowed(
                "The event was not sent, because its payload is not JSON, and this endpoint gets \
                 tokens.",
            ),
            advice: "Publish payloads that are JSON.",
        },
    ),
    (
        "does not open",
        Failure {
            kind: "sender",
            says: Cow::Borrowed("The event was not sent, because the sender could not sign it."),
            advice: "An operator brings back the root secret that the signing key was made under.",
        },
    ),
    (
        "not called",
        Failure {
            kind: "blocked",
            says: Cow::Borrowed(
                "The URL was not called, because it leads where webhooks may not go.",
            ),
            advice: "Use a public address and an allowed port.",
        },
    ),
    (
        "connection refused",
        Failure {
            kind: "refused",
            says: Cow::Borrowed("Nothing listens at that address and port."),
            advice: "Start the receiver, or correct host and port of the URL.",
        },
    ),
    (
        "connection reset",
        Failure {
            kind: "reset",
            says: Cow::Borrowed("The connection was cut before an answer came."),
            advice: "Look into the logs of the receiver and of the proxy before it: a crash, a \
                     limit or a firewall ends connections like this.",
        },
    ),
    (CLOSED, WITHOUT_ANSWER),
    // As it was recorded before it was given those words.
    ("channel closed", WITHOUT_ANSWER),
    (
        "connection closed",
        Failure {
            kind: "reset",
            says: Cow::Borrowed("The connection was closed while the request was sent."),
            advice: "Look for a limit on the size of requests in the receiver or its proxy.",
        },
    ),
    (
        "unreachable",
        Failure {
            kind: "unreachable",
            says: Cow::Borrowed("There is no way to that host."),
            advice: "See whether the host is up and its firewall lets requests in.",
        },
    ),
    (
        "the name has no address",
        Failure {
            kind: "dns",
            says: Cow::Borrowed("The host's name has no address."),
            advice: "Correct the host in the URL, or its DNS record.",
        },
    ),
    (
        "dns:",
        Failure {
            kind: "dns",
            says: Cow::Borrowed("The host's name could not be looked up."),
            advice: "Correct the host in the URL, or its DNS record.",
        },
    ),
    (
        "expired",
        Failure {
            kind: "certificate_expired",
            says: Cow::Borrowed("The certificate of the host has expired."),
            advice: "Renew the certificate, and load it into the server.",
        },
    ),
    (
        "not valid for name",
        Failure {
            kind: "certificate_name",
            says: Cow::Borrowed("The certificate is for another host name."),
            advice: "Use the host that the certificate is for, or a certificate for this host.",
        },
    ),
    (
        "NotValidForName",
        Failure {
            kind: "certificate_name",
            says: Cow::Borrowed("The certificate is for another host name."),
            advice: "Use the host that the certificate is for, or a certificate for this host.",
        },
    ),
    (
        "UnknownIssuer",
        Failure {
            kind: "certificate_issuer",
            says: Cow::Borrowed(
                "The certificate is not from a known authority, or its chain is incomplete.",
            ),
            advice: "Serve the whole chain, with the intermediate certificates; a self-signed \
                     certificate is not accepted.",
        },
    ),
    (
        "CaUsedAsEndEntity",
        Failure {
            kind: "certificate_issuer",
            says: Cow::Borrowed(
                "The certificate is that of an authority, most likely self-signed.",
            ),
            advice: "Serve a certificate that a known authority has issued for this host.",
        },
    ),
    (
        "invalid peer certificate",
        Failure {
            kind: "certificate",
            says: Cow::Borrowed("The certificate of the host was not accepted."),
            advice: "See what is wrong with it, as with `openssl s_client -connect HOST:443`, and \
                     load another into the server.",
        },
    ),
    (
        "tls:",
        Failure {
            kind: "tls",
            says: Cow::Borrowed("No secure connection came about."),
            advice: "See that the server speaks TLS 1.2 or 1.3 on this port.",
        },
    ),
    (
        "too many open",
        Failure {
            kind: "sender",
            says: Cow::Borrowed("The sender was short of connections."),
            advice: "It is tried again by itself.",
        },
    ),
    (
        "",
        Failure {
            kind: "no_answer",
            says: Cow::Borrowed("The reply was not HTTP."),
            advice: "See whether the URL's scheme and port are those of an HTTP server.",
        },
    ),
];

/// Why this attempt failed: its HTTP status, 0 without an answer, and what is on record with it.
pub(crate) fn explain(status: u16, reason: &str) -> Failure {
    let (kind, says, advice) = match status {
        0 => {
            let fits = |(part, _): &&(&str, Failure)| reason.contains(part);
            let found = UNANSWERED.iter().find(fits).unwrap_or(&UNANSWERED[UNANSWERED.len() - 1]);
            return Failure { says: in_figures(found.1.says.clone(), reason), ..found.1.clone() };
        }
        200..=299 => (
            "not_success",
            "The endpoint answered, but not with what counts as success here.",
            "Answer with a status that the rules of this application take for success.",
        ),
        300..=399 => (
            "redirect",
            "The endpoint redirects. Webhooks do not follow redirects.",
            "Enter the address that it redirects to as the endpoint's URL.",
        ),
        401 | 403 => (
            "unauthorized",
            "The endpoint refused the request.",
            "If it checks signatures, compare its secret with this endpoint's; if it wants a \
             header or password, add the header in the settings.",
        ),
        404 => (
            "not_found",
            "The endpoint does not know this path.",
            "Correct the path of the URL, or add the route in the receiver.",
        ),
        405 => ("method", "The endpoint does not take POST on this path.", "Accept POST there."),
        408 => (
            "timeout",
            "The endpoint gave up waiting for the request.",
            "Look for a slow proxy in front of the receiver.",
        ),
        410 => (
            "gone",
            "The endpoint said that it is gone, and was disabled for it.",
            "Answer 410 only to be disabled. Enable the endpoint when it is back.",
        ),
        413 => (
            "too_large",
            "The event is too large for the endpoint.",
            "Raise the limit on the size of requests in the receiver or its proxy.",
        ),
        400 | 415 | 422 => (
            "rejected",
            "The endpoint did not understand the event.",
            "Compare the payload with what the receiver expects; read its answer.",
        ),
        429 => (
            "rate_limited",
            "The endpoint limits how often it is called.",
            "Set a rate limit in the endpoint's settings.",
        ),
        400..=499 => (
            "client_error",
            "The endpoint refused the request.",
            "Read the endpoint's answer and its logs.",
        ),
        502..=504 => (
            "unavailable",
            "The receiver behind the endpoint's proxy is down or too slow.",
            "Check that the receiver runs, and answers before its proxy gives up.",
        ),
        _ => (
            "server_error",
            "The receiver failed while it worked on the event.",
            "Look into the receiver's logs at this time; webhook-id or svix-id in its headers is the event's id.",
        ),
    };
    Failure { kind, says: Cow::Borrowed(says), advice }
}

/// The same with how long it was, or since when it is so, where the record tells.
fn in_figures(says: Cow<'static, str>, reason: &str) -> Cow<'static, str> {
    // What is on record is how long was waited, some milliseconds more than was allowed.
    let seconds = number_after(reason, NO_ANSWER).map_or(0, |ms| ms.saturating_add(500) / 1000);
    if seconds > 0 {
        return format!("The endpoint did not answer within {seconds} s.").into();
    }
    match number_after(reason, NOT_AFTER) {
        Some(expired) if reason.contains("expired") => {
            let at = Timestamp(expired.saturating_mul(1000)).to_rfc3339();
            let day = at.split('T').next().unwrap_or(&at);
            format!("The certificate of the host expired on {day}.").into()
        }
        _ => says,
    }
}

fn number_after(text: &str, before: &str) -> Option<u64> {
    let (_, rest) = text.split_once(before)?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

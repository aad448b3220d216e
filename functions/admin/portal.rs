//! The customer's portal: what an application's owner sees of their own endpoints, messages and
//! attempts, with the token of a link that `app-portal-access` makes.
//!
//! The files of `portal/` and nothing else: no framework, nothing from another host. All that the
//! pages show they get from the API with the visitor's token, so they can show nothing that the
//! token does not open. The token is in the link's fragment, which no server and no log sees.
//!
//! Not guaranteed: that a page which stays open for days still has what its script expects.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, header};

/// Own scripts and styles, own API: what a stranger's payload or answer says is shown, never run.
/// Who may frame it comes after this: a stranger's page would make visitors click what they do not
/// see.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors ";
/// A few minutes, so that a new version is soon seen.
const CACHE: &str = "public, max-age=300";
const PAGE: &str = include_str!("portal/index.html");
const SCRIPT: &str = "text/javascript; charset=utf-8";
/// What the page loads, with its media type.
const FILES: [(&str, &str, &str); 7] = [
    ("portal.css", "text/css; charset=utf-8", include_str!("portal/portal.css")),
    ("portal.js", SCRIPT, include_str!("portal/portal.js")),
    ("api.js", SCRIPT, include_str!("portal/api.js")),
    ("dom.js", SCRIPT, include_str!("portal/dom.js")),
    ("endpoints.js", SCRIPT, include_str!("portal/endpoints.js")),
    ("messages.js", SCRIPT, include_str!("portal/messages.js")),
    ("events.js", SCRIPT, include_str!("portal/events.js")),
];

/// The page or a file of it, if the request is for one of them. Pages of `frames` may show it.
pub(crate) fn serve(method: &Method, segments: &[&str], frames: &str) -> Option<Response<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        return None;
    }
    let (media, body) = match segments {
        ["portal"] => ("text/html; charset=utf-8", PAGE),
        ["portal", name] => {
            let (_, media, body) = FILES.iter().find(|(file, ..)| file == name)?;
            (*media, *body)
        }
        _ => return None,
    };
    let mut response = Response::new(Bytes::from_static(body.as_bytes()));
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, media),
        (header::CACHE_CONTROL, CACHE),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let policy = HeaderValue::from_str(&format!("{POLICY}{frames}"));
    let nobody = HeaderValue::from_static("frame-ancestors 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy.unwrap_or(nobody));
    Some(response)
}

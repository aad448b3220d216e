//! The pages: the customer's portal, and the operator's console.
//!
//! One page and one script, which `build.rs` makes of the files of `portal/`; the console and other
//! languages are scripts that it asks for when they are needed. All that the pages
//! show they get from the API with the visitor's token, so they can show nothing that the token
//! does not open. The token is in the link's fragment, which no server and no log sees.
//!
//! The script has a hash of its contents in its name, so browsers keep it for good and a new
//! version is seen at once. It is held compressed, and unpacked for the few that cannot.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use miniz_oxide::inflate::decompress_to_vec_with_limit;

use crate::Admin;

/// Own scripts and styles, own API: what a stranger's payload or answer says is shown, never run.
/// Pictures may be in the settings. Who may frame it comes after this: a stranger's page would
/// make visitors click what they do not see.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors ";
/// The page names the script, so it is asked for each time; it is small.
const PAGE_CACHE: &str = "public, no-cache";
/// The script never changes: another one has another name.
const SCRIPT_CACHE: &str = "public, max-age=31536000, immutable";
const PAGE: &str = include_str!(concat!(env!("OUT_DIR"), "/page.html"));
/// Scripts by name, as gzip has them: the page's own, and what it asks for when it is needed.
const SCRIPTS: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/scripts.rs"));
/// Longest that the script may be unpacked, in bytes.
const LONGEST_SCRIPT: usize = 1024 * 1024;

impl Admin {
    /// A page or the script, if the request is for one of them.
    pub(crate) async fn portal(
        &self,
        request: &Request<Bytes>,
        segments: &[&str],
    ) -> Option<Response<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return None;
        }
        match segments {
            ["portal" | "console"] => {
                let frames = self.frames(segments[0] == "console").await;
                Some(page(&frames))
            }
            ["portal", name] => {
                let (_, packed) = SCRIPTS.iter().find(|(script, _)| script == name)?;
                Some(script(request, packed))
            }
            _ => None,
        }
    }

    /// Whose pages may show this one in a frame. Nobody's the console: it can do everything.
    async fn frames(&self, is_console: bool) -> String {
        if is_console {
            return "'none'".to_owned();
        }
        let mut frames = self.settings.portal_frames.clone();
        // A store that fails makes the page no less safe.
        if let Ok(settings) = self.portals.of(&self.settings.operator).await {
            for origin in &settings.frame_ancestors {
                frames.push(' ');
                frames.push_str(origin);
            }
        }
        frames
    }
}

fn page(frames: &str) -> Response<Bytes> {
    let mut response =
        file("text/html; charset=utf-8", PAGE_CACHE, Bytes::from_static(PAGE.as_bytes()));
    let policy = HeaderValue::from_str(&format!("{POLICY}{frames}"));
    let nobody = HeaderValue::from_static("frame-ancestors 'none'");
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy.unwrap_or(nobody));
    response
}

fn script(request: &Request<Bytes>, packed: &'static [u8]) -> Response<Bytes> {
    let media = "text/javascript; charset=utf-8";
    let accepts = request.headers().get(header::ACCEPT_ENCODING);
    let takes_gzip = accepts
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.split(',').any(|one| one.trim().starts_with("gzip")));
    let mut response = match takes_gzip {
        true => {
            let mut response = file(media, SCRIPT_CACHE, Bytes::from_static(packed));
            let gzip = HeaderValue::from_static("gzip");
            response.headers_mut().insert(header::CONTENT_ENCODING, gzip);
            response
        }
        false => file(media, SCRIPT_CACHE, unpacked(packed)),
    };
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    response
}

/// The script as it was before gzip.
fn unpacked(packed: &[u8]) -> Bytes {
    /// Bytes of gzip's header and of its end.
    const AROUND: (usize, usize) = (10, 8);
    let deflated = packed.get(AROUND.0..packed.len() - AROUND.1).unwrap_or_default();
    decompress_to_vec_with_limit(deflated, LONGEST_SCRIPT).unwrap_or_default().into()
}

fn file(media: &'static str, cache: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    for (name, value) in [
        (header::CONTENT_TYPE, media),
        (header::CACHE_CONTROL, cache),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

//! Text as HTML.

use std::fmt::Write;

use serde_json::Value;

/// How the pages look.
pub(super) const STYLE: &str = ":root{color-scheme:light dark;--line:#8884}\
    body{font:16px/1.5 system-ui,sans-serif;margin:0;display:grid;\
    grid-template-columns:minmax(12rem,16rem) minmax(0,52rem);gap:2rem;padding:1rem}\
    nav{position:sticky;top:0;align-self:start;max-height:100vh;overflow:auto;font-size:.9rem}\
    nav a{display:block;padding:.15rem 0}\
    code,pre{font:14px ui-monospace,monospace;overflow-wrap:anywhere}\
    pre{overflow:auto;padding:.6rem;background:#8881;border-radius:4px}\
    h3{margin-top:2.5rem;border-top:1px solid var(--line);padding-top:1rem}h3 code{font-size:1rem}\
    table{border-collapse:collapse}td{padding:.1rem .8rem .1rem 0;vertical-align:top}\
    input,button{font:inherit;padding:.3rem .5rem;max-width:100%}summary{cursor:pointer}\
    @media(max-width:48rem){body{display:block}nav{position:static;max-height:none}}";

/// Writes to a page; writing to a string cannot fail.
pub(super) fn put(page: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = page.write_fmt(text);
}

/// A text with code between backticks.
pub(super) fn prose(text: &Value) -> String {
    let text = escape(text.as_str().unwrap_or_default());
    let mut parts = text.split('`');
    let mut html = parts.next().unwrap_or_default().to_owned();
    for (position, part) in parts.enumerate() {
        html += if position % 2 == 0 { "<code>" } else { "</code>" };
        html += part;
    }
    html
}

/// Nothing of it is markup any more.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&#39;")
}

/// The fields of an object, if it is one.
pub(super) fn object(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

//! How deep the brackets of a TOML file go, looked at before its reader does.
//!
//! That reader calls itself for each bracket, and counts how often, but what it makes of a file that
//! is no TOML throws its count off: a few thousand brackets in the wrong places end the process. So
//! what comes to it is balanced, and not deep.

use std::ops::Range;

/// Deepest list or table within others. A list of events with their schemas is no deeper than this.
const MAX_DEPTH: usize = 64;

/// A rule that was broken, and where.
type Broken = (Range<usize>, String);

/// Checks that every bracket outside of strings and comments is closed by its like, and that no more
/// than [`MAX_DEPTH`] are open at a time. Linear. What is a word, a string or a comment is what the
/// reader takes for one, in what is no TOML as well.
///
/// # Errors
/// The first that is not.
pub(super) fn check(text: &str) -> Result<(), Broken> {
    let bytes = text.as_bytes();
    let mut open: Vec<(u8, usize)> = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'#' => at = before_any(bytes, at, b"\r\n"),
            b'"' | b'\'' => at = string_end(bytes, at).ok_or_else(|| unclosed("string", at))?,
            b'[' | b'{' if open.len() == MAX_DEPTH => {
                let rule = format!("must be nested at most {MAX_DEPTH} levels deep");
                return Err((at..at + 1, rule));
            }
            b'[' => open.push((b']', at)),
            b'{' => open.push((b'}', at)),
            b']' | b'}' => match open.pop() {
                Some((closing, _)) if closing == *byte => {}
                _ => return Err((at..at + 1, "this bracket closes none".to_owned())),
            },
            b'.' | b'=' | b',' | b' ' | b'\t' | b'\r' | b'\n' => {}
            // A quote within a word begins no string.
            _ => at = before_any(bytes, at, b".=,[]{} \t#\r\n"),
        }
        at += 1;
    }
    open.pop().map_or(Ok(()), |(_, at)| Err(unclosed("bracket", at)))
}

fn unclosed(what: &str, at: usize) -> Broken {
    (at..at + 1, format!("this {what} is not closed"))
}

/// The place before the next of these bytes, or that of the end.
fn before_any(bytes: &[u8], from: usize, ends: &[u8]) -> usize {
    let length = bytes[from + 1..].iter().position(|byte| ends.contains(byte));
    length.map_or(bytes.len(), |length| from + length)
}

/// The place of the last quote of the string that begins here; none if it has no end.
fn string_end(bytes: &[u8], from: usize) -> Option<usize> {
    let quote = bytes[from];
    let is_long = bytes[from..].starts_with(&[quote; 3]);
    let mut at = from + if is_long { 3 } else { 1 };
    loop {
        match *bytes.get(at)? {
            b'\\' if quote == b'"' && matches!(bytes.get(at + 1), Some(b'"' | b'\\')) => at += 1,
            b'\n' if !is_long => return None,
            byte if byte == quote && !is_long => return Some(at),
            byte if byte == quote && bytes[at..].starts_with(&[quote; 3]) => {
                // Up to two quotes before the last three are part of the string.
                let more = bytes[at + 3..].iter().take(2).take_while(|byte| **byte == quote);
                return Some(at + 2 + more.count());
            }
            _ => {}
        }
        at += 1;
    }
}

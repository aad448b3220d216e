//! JSON as it was written. What reads it into values loses digits of large numbers, the order of
//! fields, and what not every reader takes.

/// JSON in one line, without the white space between its parts.
pub(crate) fn compact(json: &str) -> String {
    parts(json).collect()
}

/// JSON as people read it: a field or an item a line.
pub(crate) fn pretty(json: &str) -> String {
    let mut text = String::with_capacity(2 * json.len());
    let (mut depth, mut opened) = (0_usize, false);
    for part in parts(json) {
        let closes = ["}", "]"].contains(&part);
        depth = depth.saturating_sub(closes.into());
        // What has nothing in it stays in one line.
        if opened != closes {
            new_line(&mut text, depth);
        }
        text += part;
        opened = ["{", "["].contains(&part);
        depth += usize::from(opened);
        match part {
            ":" => text.push(' '),
            "," => new_line(&mut text, depth),
            _ => {}
        }
    }
    text
}

fn new_line(text: &mut String, depth: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n("  ", depth));
}

/// What JSON is made of: each bracket, comma and colon, and each text, number and word.
fn parts(json: &str) -> impl Iterator<Item = &str> {
    let mut rest = json.trim_ascii_start();
    std::iter::from_fn(move || {
        let first = *rest.as_bytes().first()?;
        let length = match first {
            b'{' | b'}' | b'[' | b']' | b',' | b':' => 1,
            b'"' => end_of_text(rest),
            _ => rest.find(is_between).unwrap_or(rest.len()),
        };
        let (part, after) = rest.split_at(length);
        rest = after.trim_ascii_start();
        Some(part)
    })
}

fn is_between(c: char) -> bool {
    "{}[],:\"".contains(c) || c.is_ascii_whitespace()
}

/// Where a text ends that begins here.
fn end_of_text(json: &str) -> usize {
    let mut is_escaped = false;
    let end = json.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    });
    end.map_or(json.len(), |end| end + 2)
}

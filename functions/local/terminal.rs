//! Text of strangers, fit for a terminal.

/// The text with every character written out that would do something to a terminal instead of
/// showing: what a sender chose must not move the cursor, change the title or hide a line.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => shown.push(c),
            c if c.is_control() || turns_text_round(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

/// The same where it stands in a line: there is no other line that it could begin.
pub(crate) fn shown_in_line(text: &str) -> String {
    shown(&text.replace(['\n', '\r', '\t'], " "))
}

/// JSON as programs read it, and as harmless when somebody looks at it: what would do something to a
/// terminal is escaped. It stands in texts only, where either spelling means the same: between them
/// there is to be no white space.
pub(crate) fn shown_json(value: &impl std::fmt::Display) -> String {
    let json = value.to_string();
    let harms = |c: char| c.is_control() || turns_text_round(c);
    if !json.contains(harms) {
        return json;
    }
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        match harms(c) {
            true => shown += &format!("\\u{:04x}", u32::from(c)),
            false => shown.push(c),
        }
    }
    shown
}

/// Marks that change the order in which the rest of a line is shown.
fn turns_text_round(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

//! Spans of time, as people write them.

use shared::domain::token::ORGANISATION_TOKEN_S;

/// A span of time in seconds, from 90s, 90m, 12h or 30d.
///
/// # Errors
/// The rule that it breaks.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    let rule = || "must be a number and one of s, m, h and d, as in 90m".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(rule)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(rule()),
    };
    let number: u64 = number.parse().map_err(|_| rule())?;
    let span = number.checked_mul(unit).filter(|span| (1..=ORGANISATION_TOKEN_S).contains(span));
    span.ok_or_else(|| "must be a second to ten years".to_owned())
}

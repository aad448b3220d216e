//! Limits of what callers may store, beside those of `shared`.

use shared::api::rules::{MAX_DESCRIPTION, Rules};

/// Most feature flags of an event type.
pub(crate) const MAX_FLAGS: usize = 100;

/// What something is for, in the caller's words.
pub(crate) fn check_description(rules: &mut Rules, description: &str) {
    if description.chars().nth(MAX_DESCRIPTION).is_some() {
        rules.broken("description", format!("must be at most {MAX_DESCRIPTION} characters long"));
    }
}

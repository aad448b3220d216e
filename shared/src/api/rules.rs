//! Rules for what callers may store, each with a sentence that says how to keep it.

use std::collections::HashSet;

use crate::api::error::{ApiError, Violation};
use crate::domain::application::{MAX_METADATA_BYTES, Metadata};
use crate::domain::endpoint::{
    MAX_CHANNEL, MAX_ENDPOINT_CHANNELS, MAX_ENDPOINT_EVENT_TYPES, MAX_EVENT_TYPE,
};
use crate::domain::id::{Uid, is_name, name_rule};
use crate::domain::secret::{SignatureScheme, SigningSecret};
use crate::sender::target::{TargetPolicy, check_url};

/// Most broken rules that a caller is told of at once.
pub const MAX_BROKEN: usize = 20;
/// Longest name of something for people, in characters.
pub const MAX_NAME: usize = 256;
/// Longest description, in characters.
pub const MAX_DESCRIPTION: usize = 4_096;

/// Collects broken rules, so that a caller learns of all of them at once, up to [`MAX_BROKEN`].
#[derive(Default)]
pub struct Rules {
    broken: Vec<Violation>,
    within: Option<String>,
}

impl Rules {
    /// Rules for what is in a field of the body.
    pub fn within(field: impl Into<String>) -> Self {
        Self { broken: Vec::new(), within: Some(field.into()) }
    }

    /// From now on, rules for what is in this field of the body instead.
    pub fn go_within(&mut self, field: impl Into<String>) {
        self.within = Some(field.into());
    }

    /// Whether nothing more is told, whatever is broken.
    pub fn is_full(&self) -> bool {
        self.broken.len() >= MAX_BROKEN
    }

    /// Tells what is wrong with the body of a field, as if that field were the whole body.
    ///
    /// # Errors
    /// What is no broken rule.
    pub fn adopt(&mut self, field: &str, error: ApiError) -> Result<(), ApiError> {
        let ApiError::Invalid(violations) = error else { return Err(error) };
        for violation in violations.into_iter().take(MAX_BROKEN - self.broken.len()) {
            let inner = violation.loc.into_iter().skip(1);
            let path = field.split('.').map(str::to_owned).chain(inner);
            self.broken.push(Violation::body_at(path, violation.msg));
        }
        Ok(())
    }

    /// Whether all were kept.
    ///
    /// # Errors
    /// 422 if anything was broken.
    pub fn check(self) -> Result<(), ApiError> {
        if self.broken.is_empty() { Ok(()) } else { Err(ApiError::Invalid(self.broken)) }
    }

    /// 422 with what was broken, which must be something.
    pub fn into_error(self) -> ApiError {
        ApiError::Invalid(self.broken)
    }

    /// What people call something.
    pub fn name(&mut self, name: &str) {
        if name.is_empty() {
            self.broken("name", "must not be empty");
        }
        self.text("name", name, MAX_NAME);
    }

    /// Some text, of so many characters at most.
    pub fn text(&mut self, field: &str, text: &str, max_chars: usize) {
        // Looked at only as far as it may be too long.
        if text.chars().nth(max_chars).is_some() {
            self.broken(field, format!("must be at most {max_chars} characters long"));
        }
    }

    /// The caller's own name for something whose ids start with `prefix`.
    pub fn uid(&mut self, uid: Option<&str>, prefix: &str) -> Option<Uid> {
        self.named("uid", uid, prefix)
    }

    /// The same in another field.
    pub fn named(&mut self, field: &str, name: Option<&str>, prefix: &str) -> Option<Uid> {
        let parsed = Uid::parse(name?, prefix);
        parsed.map_err(|error| self.broken(field, error.0)).ok()
    }

    /// The caller's notes.
    pub fn metadata(&mut self, metadata: &Metadata) {
        let bytes = serde_json::to_string(metadata).map_or(0, |json| json.len());
        if bytes > MAX_METADATA_BYTES {
            self.broken("metadata", format!("must be at most {MAX_METADATA_BYTES} bytes of JSON"));
        }
    }

    /// Deliveries per second, in this field.
    pub fn rate(&mut self, field: &str, rate: Option<u16>) {
        if rate == Some(0) {
            self.broken(field, "must be at least 1 a second, or null for no limit");
        }
    }

    /// Where webhooks go.
    pub fn url(&mut self, url: &str, policy: &TargetPolicy) {
        if let Err(reason) = check_url(url, policy) {
            self.broken("url", reason);
        }
    }

    /// The event types that an endpoint wants, in this field.
    pub fn event_types(&mut self, field: &str, types: Option<&[String]>) {
        self.names(field, types, MAX_EVENT_TYPE, MAX_ENDPOINT_EVENT_TYPES);
    }

    /// The channels that an endpoint listens to.
    pub fn channels(&mut self, channels: Option<&[String]>) {
        self.names("channels", channels, MAX_CHANNEL, MAX_ENDPOINT_CHANNELS);
    }

    /// Some names, all different: at least one, or null.
    pub fn names(&mut self, field: &str, names: Option<&[String]>, max_chars: usize, max: usize) {
        let Some(names) = names else { return };
        if names.is_empty() {
            self.broken(field, "must name at least one, or be null for all");
        }
        // What is beyond the limit is not looked at.
        if names.len() > max {
            return self.broken(field, format!("must name at most {max}"));
        }
        let mut seen = HashSet::with_capacity(names.len());
        for (position, name) in names.iter().enumerate() {
            if !is_name(name, max_chars) {
                self.broken(&format!("{field}.{position}"), name_rule(max_chars));
            } else if !seen.insert(name) {
                self.broken(field, format!("must not repeat `{name}`"));
            }
        }
    }

    /// A scheme that is named beside a secret has to be that secret's.
    pub fn scheme(&mut self, field: &str, named: Option<SignatureScheme>, secret: &SigningSecret) {
        if named.is_some_and(|named| named != secret.scheme()) {
            self.broken(field, "must be left out, or fit the secret: `v1a` for `whsk_`, else `v1`");
        }
    }

    /// A rule that was broken: the field and a sentence. `channels.0` is the first of the channels.
    pub fn broken(&mut self, field: &str, rule: impl Into<String>) {
        let path: Vec<_> = field.split('.').collect();
        self.broken_at(&path, rule);
    }

    /// The same for a field whose path has names in it that callers chose, and that may have full
    /// stops.
    pub fn broken_at(&mut self, path: &[&str], rule: impl Into<String>) {
        if self.is_full() {
            return;
        }
        let outer = self.within.iter().flat_map(|outer| outer.split('.'));
        let path = outer.chain(path.iter().copied()).map(str::to_owned);
        self.broken.push(Violation::body_at(path, rule));
    }
}

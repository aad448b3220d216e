//! Profiles in files: TOML, checked whole before anything of it is used.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::catalogue::CatalogueEvent;
use super::envelope::Envelope;
use super::split::Split;
use super::{Deprecation, EndpointRules, HeaderFamily, MAX_NAME, Profile, TokenRules, nesting};
use crate::domain::clock::Timestamp;
use crate::domain::delivery_settings::DeliverySettings;
use crate::domain::endpoint::MAX_EVENT_TYPE;
use crate::domain::id::{is_name, name_rule};

/// A profile with its events.
#[derive(Clone, Debug)]
pub struct ProfileFile {
    /// Its rules.
    pub profile: Profile,
    /// Its events.
    pub events: Vec<CatalogueEvent>,
}

/// Every `*.toml` of a directory, by file name.
///
/// # Errors
/// What is wrong with the first file that is wrong: file, line and what to do.
pub fn read_directory(directory: &Path) -> Result<Vec<ProfileFile>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", directory.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml")) {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(format!("{}: has no profile: put a file NAME.toml there", directory.display()));
    }
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let name = path.display().to_string();
        let wrong = |error| format!("{name}: {error}");
        // Reading a pipe would wait for somebody to write.
        if !std::fs::metadata(&path).map_err(wrong)?.is_file() {
            return Err(format!("{name}: must be a file"));
        }
        let text = std::fs::read_to_string(&path).map_err(wrong)?;
        let file = parse(&name, &text)?;
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if stem != file.profile.name {
            let is_name = |line: &str| line.trim_start().starts_with("name");
            let line = 1 + text.lines().position(is_name).unwrap_or_default();
            return Err(format!(
                "{name}:{line}: the profile is called `{}`: give it the name of its file, \
                 `{stem}`, or rename the file",
                file.profile.name
            ));
        }
        files.push(file);
    }
    Ok(files)
}

/// Reads one profile; `source` is what messages call it.
///
/// # Errors
/// `source:line:` and what to do.
pub fn parse(source: &str, text: &str) -> Result<ProfileFile, String> {
    let at = |span: Range<usize>, what: &str| {
        let before = &text[..span.start.min(text.len())];
        format!("{source}:{}: {what}", 1 + before.matches('\n').count())
    };
    nesting::check(text).map_err(|(span, what)| at(span, &what))?;
    check_names(text).map_err(|(span, what)| at(span, &what))?;
    let file: File =
        toml::from_str(text).map_err(|error| at(error.span().unwrap_or(0..0), error.message()))?;
    file.check(text).map_err(|(span, what)| at(span, &what))?;
    Ok(file.into())
}

/// The fields of each table. What is stored may have been written by a newer Posthorn and is
/// read leniently; in a file an unknown name is a slip.
const FIELDS: [(&str, &[&str]); 7] = [
    (
        "",
        &[
            "name",
            "title",
            "note",
            "inferred",
            "delivery",
            "envelope",
            "signature_headers",
            "api_version",
            "endpoints",
            "split",
            "jwt",
            "opt_in",
            "deprecated",
            "event",
        ],
    ),
    ("delivery", &["schedule_s", "timeout_ms", "success", "retry_on", "format"]),
    ("endpoints", &["most", "secret_shown_once", "https_only", "verified_first"]),
    ("split", &["path", "most", "types"]),
    ("jwt", &["issuer", "typ", "urns", "inferred_urns"]),
    ("deprecated", &["notice", "ends"]),
    ("event", &["type", "description", "inferred", "schema", "example"]),
];

/// Refuses names that no table has.
fn check_names(text: &str) -> Result<(), Broken> {
    let refused =
        |error: toml::de::Error| (error.span().unwrap_or(0..0), error.message().to_owned());
    let file = DeTable::parse(text).map_err(refused)?;
    check_table("", file.get_ref())?;
    for (name, value) in file.get_ref() {
        let name: &str = name.get_ref();
        match value.get_ref() {
            DeValue::Table(table) => check_table(name, table)?,
            DeValue::Array(tables) => {
                for table in tables.iter().filter_map(|value| value.get_ref().as_table()) {
                    check_table(name, table)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_table(name: &str, table: &DeTable<'_>) -> Result<(), Broken> {
    let Some((_, fields)) = FIELDS.iter().find(|(known, _)| *known == name) else { return Ok(()) };
    let unknown = table.keys().find(|key| !fields.contains(&key.get_ref().as_ref()));
    unknown.map_or(Ok(()), |key| {
        let (unknown, expected) = (key.get_ref(), fields.join(", "));
        Err((key.span(), format!("unknown field `{unknown}`, expected one of {expected}")))
    })
}

/// A rule that was broken, and where.
type Broken = (Range<usize>, String);

/// The file as it is written, with the places of what is checked across fields.
#[derive(Deserialize)]
struct File {
    name: Spanned<String>,
    title: String,
    note: Option<String>,
    #[serde(default)]
    inferred: Vec<String>,
    delivery: Option<Spanned<DeliverySettings>>,
    envelope: Option<Envelope>,
    signature_headers: Option<Spanned<Vec<HeaderFamily>>>,
    api_version: Option<String>,
    endpoints: Option<Spanned<EndpointRules>>,
    split: Option<Spanned<Split>>,
    jwt: Option<Spanned<TokenRules>>,
    #[serde(default)]
    opt_in: Vec<Spanned<String>>,
    deprecated: Option<Spanned<Deprecation>>,
    #[serde(default)]
    event: Vec<Spanned<CatalogueEvent>>,
}

impl File {
    fn check(&self, text: &str) -> Result<(), Broken> {
        let name = self.name.get_ref();
        if !is_name(name, MAX_NAME) {
            return Err((self.name.span(), format!("name: {}", name_rule(MAX_NAME))));
        }
        if let Some(delivery) = &self.delivery
            && let Some((field, rule)) = delivery.get_ref().broken_rules().into_iter().next()
        {
            let field = in_file(field);
            let table = delivery.span().start;
            let start = text[table..].find(&field).map_or(table, |offset| table + offset);
            return Err((start..start, format!("delivery.{field}: {rule}")));
        }
        if let Some(families) = &self.signature_headers
            && families.get_ref().is_empty()
        {
            let rule = "signature_headers: name `webhook-`, `svix-` or both: every delivery is \
                        signed";
            return Err((families.span(), rule.to_owned()));
        }
        if let Some(families) = &self.signature_headers
            && let [first, rest @ ..] = families.get_ref().as_slice()
            && rest.contains(first)
        {
            let rule = "signature_headers: name each once: a header that is there twice is read \
                        as one that says both";
            return Err((families.span(), rule.to_owned()));
        }
        if let Some(endpoints) = &self.endpoints
            && endpoints.get_ref().most == Some(0)
        {
            let rule = "endpoints.most: must be at least 1, or left out for no limit of its own";
            return Err((endpoints.span(), rule.to_owned()));
        }
        if let Some(deprecated) = &self.deprecated
            && let Some(ends) = &deprecated.get_ref().ends
            && !is_date(ends)
        {
            let rule = format!("deprecated.ends: `{ends}` is not a date: write one as 2027-01-31");
            return Err((deprecated.span(), rule));
        }
        let mut types = BTreeSet::new();
        for event in &self.event {
            let name = event.get_ref().event_type.as_str();
            if !is_name(name, MAX_EVENT_TYPE) {
                let rule = format!("event.type: `{name}` is not a name of an event type");
                return Err((event.span(), rule));
            }
            if !types.insert(name) {
                let rule = format!("event.type: `{name}` is there twice: remove one");
                return Err((event.span(), rule));
            }
        }
        let known = |name: &str| types.contains(name);
        if let Some(unknown) = self.opt_in.iter().find(|name| !known(name.get_ref())) {
            return Err((unknown.span(), unlisted("opt_in", unknown.get_ref())));
        }
        if let Some(split) = &self.split
            && let Some(unknown) = split.get_ref().types.iter().find(|name| !known(name))
        {
            return Err((split.span(), unlisted("split.types", unknown)));
        }
        if let Some(jwt) = &self.jwt
            && let Some(unknown) = jwt.get_ref().event_types().find(|name| !known(name))
        {
            return Err((jwt.span(), unlisted("jwt", unknown)));
        }
        Ok(())
    }
}

/// Whether a text is a day of the calendar, written as `2027-01-31`.
fn is_date(text: &str) -> bool {
    text.len() == 10 && Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z")).is_some()
}

/// What a field that is `likeThis` in JSON is called in a file.
fn in_file(field: &str) -> String {
    let mut name = String::new();
    for letter in field.chars() {
        if letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

fn unlisted(field: &str, name: &str) -> String {
    format!("{field}: `{name}` is not an event of this file: add an [[event]] for it or correct it")
}

impl From<File> for ProfileFile {
    fn from(file: File) -> Self {
        let profile = Profile {
            name: file.name.into_inner(),
            title: file.title,
            note: file.note,
            inferred: file.inferred,
            delivery: file.delivery.map(Spanned::into_inner).unwrap_or_default(),
            envelope: file.envelope,
            signature_headers: file.signature_headers.map(Spanned::into_inner),
            api_version: file.api_version,
            endpoints: file.endpoints.map(Spanned::into_inner).unwrap_or_default(),
            split: file.split.map(Spanned::into_inner),
            jwt: file.jwt.map(Spanned::into_inner),
            opt_in: file.opt_in.into_iter().map(Spanned::into_inner).collect(),
            deprecated: file.deprecated.map(Spanned::into_inner),
        };
        let events = file.event.into_iter().map(Spanned::into_inner).collect();
        Self { profile, events }
    }
}

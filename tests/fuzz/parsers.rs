//! Readers alone.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use serde_json::value::RawValue;
use shared::domain::clock::Timestamp;
use shared::domain::json::{Verbatim, at, is_deeper_than, name_of};
use shared::domain::profile::file;
use shared::domain::profile::split::{MAX_PARTS, MAX_PARTS_BYTES, Split};
use shared::domain::secret::SigningSecret;
use shared::domain::signature::{MAX_SIGNATURES, sign, verify};
use shared::domain::source::{self, Scheme};
use shared::domain::token::{Access, Tokens};
use shared::queue::record::{Record, redriven};
use shared::sender::target::{MAX_URL_BYTES, TargetPolicy, check_url};

use super::{claim, fuzz, made};
use crate::support::world::organisation;

/// Longest sentence about a wrong input, in bytes.
const SENTENCE: usize = 4_096;

#[test]
fn a_record_of_a_queue_reads_back_or_is_refused_in_a_sentence() {
    fuzz("queue record", include_str!("corpus/records"), |input| match Record::parse(input) {
        Err(unread) => {
            let said = unread.reason().len();
            claim(said < SENTENCE, || format!("says {said} bytes"))?;
            made(unread.reason())
        }
        Ok(record) => {
            let written = record.outgoing(0).body;
            claim(Record::parse(&written).as_ref() == Ok(&record), || {
                format!("is another one when it is read back: {written}")
            })?;
            // What may be worked on twice comes back saying so, and as itself otherwise.
            let (again, _) = redriven(input, 0).map_err(|it| format!("does not go back: {it}"))?;
            let again = Record::parse(&again.body).map_err(|it| format!("comes back as {it}"))?;
            claim(again.app() == record.app(), || "belongs to somebody else".to_owned())?;
            made(format!("{:?}", std::mem::discriminant(&record)))
        }
    });
}

#[test]
fn a_signature_is_believed_only_if_it_is_among_the_first_of_its_header() {
    let secret =
        || SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
    let (at, body) = (1_614_265_330, br#"{"test": 2432232314}"#);
    let right = sign(&[secret()], "msg", at, body);
    let now = Timestamp(at * 1_000);
    let corpus = include_str!("corpus/signatures").replace("RIGHT", &right);
    fuzz("signature header", &corpus, |input| {
        let is_there = input.split(' ').take(MAX_SIGNATURES).any(|one| one == right);
        let said = verify(&[secret()], "msg", &at.to_string(), input, body, now);
        claim(said.is_ok() == is_there, || format!("{said:?}, though there: {is_there}"))?;
        let other = verify(&[secret()], "msg", &at.to_string(), input, b"{}", now);
        claim(other.is_err(), || "is believed of another body".to_owned())?;
        // The same text as everything else that it could be.
        let mut headers = HeaderMap::new();
        for name in ["stripe-signature", "authorization", "webhook-signature"] {
            if let Ok(value) = HeaderValue::from_str(input) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        for scheme in [Scheme::Stripe, Scheme::StandardWebhooks, Scheme::Basic, Scheme::Bearer] {
            let body = bytes::Bytes::from_static(b"{}");
            let said = source::verify(&scheme, Some(b"not:in-the-corpus"), &headers, &body, now);
            claim(said.is_err(), || format!("{} believes it", scheme.name()))?;
        }
        made(format!("{said:?}"))
    });
}

#[test]
fn a_token_opens_what_it_was_made_for_or_nothing() {
    let tokens = Tokens::new(&[7; 32]);
    let now = Timestamp(1_800_000_000_000);
    let access = Access::Organisation(organisation());
    let right = tokens.issue(access, now, 600);
    let parts: Vec<&str> = right.split('.').collect();
    let corpus = include_str!("corpus/tokens")
        .replace("RIGHT", &right)
        .replace("HEADER", parts[0])
        .replace("CLAIMS", parts[1])
        .replace("SIGNATURE", parts[2]);
    let keys = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let scheme = Scheme::Jwt { issuer: None, audience: None };
    fuzz("token", &corpus, |input| {
        if let Ok(bearer) = tokens.open_bearer(input, now) {
            claim(bearer.access == access, || format!("opens {:?}", bearer.access))?;
            claim(input.starts_with(&format!("{}.{}.", parts[0], parts[1])), || {
                "opens with other claims".to_owned()
            })?;
        }
        let later = tokens.open_bearer(input, now.plus_ms(700_000));
        claim(later.is_err(), || "opens when it is over".to_owned())?;
        let body = bytes::Bytes::copy_from_slice(input.as_bytes());
        let said = source::verify(&scheme, Some(keys), &HeaderMap::new(), &body, now);
        claim(said.is_err(), || "is believed of a key that nobody has".to_owned())?;
        made(format!("{said:?} {:?}", later.err()))
    });
}

#[test]
fn a_url_that_is_taken_stays_the_same_and_is_on_the_public_internet() {
    let policy = TargetPolicy::default();
    fuzz("url", include_str!("corpus/urls"), |input| match check_url(input, &policy) {
        Err(reason) => {
            claim(reason.len() < SENTENCE, || format!("says {} bytes", reason.len()))?;
            made(reason)
        }
        Ok(url) => {
            claim(input.len() <= MAX_URL_BYTES, || "is too long".to_owned())?;
            claim(url.scheme() == "https", || format!("has the scheme {}", url.scheme()))?;
            claim(url.username().is_empty() && url.password().is_none(), || {
                "has credentials".to_owned()
            })?;
            let again = check_url(url.as_str(), &policy);
            claim(url.as_str().len() > MAX_URL_BYTES || again.as_ref() == Ok(&url), || {
                format!("is another one when it is read again: {again:?}")
            })?;
            let bare = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
            let inside = bare.parse().ok().and_then(|address| policy.refusal(address));
            claim(inside.is_none(), || format!("is {inside:?}"))?;
            let name = format!(".{}", bare.trim_end_matches('.'));
            claim(!name.ends_with(".localhost"), || "is local".to_owned())?;
            made("taken")
        }
    });
}

#[test]
fn a_profile_reads_the_same_twice_or_is_refused_with_its_line() {
    fuzz("profile file", include_str!("corpus/profiles"), |input| match file::parse("f", input) {
        Err(reason) => {
            claim(reason.len() < SENTENCE + input.len(), || format!("{} bytes", reason.len()))?;
            let line = reason.strip_prefix("f:").and_then(|rest| rest.split_once(':'));
            let line = line.and_then(|(line, _)| line.parse::<usize>().ok());
            let lines = 1 + input.matches('\n').count();
            claim(line.is_some_and(|line| line <= lines), || format!("names no line: {reason}"))?;
            made(reason)
        }
        Ok(read) => {
            // As it is stored.
            let written = serde_json::to_string(&read.profile).map_err(|it| it.to_string())?;
            let again: Result<shared::domain::profile::Profile, _> = serde_json::from_str(&written);
            claim(again.is_ok_and(|again| again == read.profile), || {
                format!("is another one when it is read from the store: {written}")
            })?;
            let types = read.events.iter().all(|event| !event.event_type.is_empty());
            claim(types, || "has an event without a type".to_owned())?;
            made(format!("{} events", read.events.len()))
        }
    });
}

/// Whether some JSON means the same to every reader: no name twice, no number that one of them
/// cannot hold.
fn is_plain(text: &str, value: &Value) -> bool {
    let compact = Verbatim::from(RawValue::from_string(text.trim().to_owned()).expect("JSON"));
    let again = value.to_string();
    compact.as_str() == again
}

#[test]
fn what_is_at_a_place_of_some_json_is_what_other_readers_find_there() {
    fuzz("json", include_str!("corpus/json"), |input| {
        let pointers = ["", "/a", "/a/b", "/a/0", "/0", "/1/c", "/a~1b", "/~0", "/a/b/c/d", "//"];
        let Ok(value) = serde_json::from_str::<Value>(input) else {
            // It may be looked into all the same; nothing is made of it.
            pointers.iter().for_each(|pointer| drop(at(input, pointer).and_then(name_of)));
            return made(if is_deeper_than(input, 64) { "no JSON, deep" } else { "no JSON" });
        };
        if !is_plain(input, &value) {
            return made("not plain");
        }
        let mut found_at = String::new();
        for pointer in pointers {
            let found = at(input, pointer).map(|it| serde_json::from_str::<Value>(it).ok());
            let expected = value.pointer(pointer).map(|it| Some(it.clone()));
            claim(found == expected, || format!("{pointer}: {found:?} for {expected:?}"))?;
            found_at.push(if found.is_some() { '+' } else { '-' });
        }
        let depth = depth(&value);
        claim(!is_deeper_than(input, depth), || format!("deeper than {depth}"))?;
        claim(depth == 0 || is_deeper_than(input, depth - 1), || format!("less than {depth}"))?;
        made("I".repeat(depth) + &found_at)
    });
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

#[test]
fn what_is_cut_of_an_event_is_all_of_it_in_its_order_and_spelling() {
    let split = |path: &str, most: usize| Split {
        path: path.to_owned().try_into().expect("a path"),
        most: most.try_into().expect("a number"),
        types: vec!["t".to_owned()],
    };
    let cuts = [split("items", 3), split("groups[].items", 2)];
    fuzz("events that are cut", include_str!("corpus/events"), |input| {
        let mut kind = String::new();
        for cut in &cuts {
            let parts = match cut.parts("t", input.as_bytes()) {
                Ok(Some(parts)) => parts,
                Ok(None) => {
                    kind += " whole";
                    continue;
                }
                Err(reason) => {
                    kind += &format!(" {reason:?}");
                    continue;
                }
            };
            kind += &format!(" {}", "I".repeat(parts.len().min(9)));
            let bytes: usize = parts.iter().map(bytes::Bytes::len).sum();
            claim((2..=MAX_PARTS).contains(&parts.len()), || format!("{} parts", parts.len()))?;
            claim(bytes <= MAX_PARTS_BYTES, || format!("{bytes} bytes"))?;
            let path = String::from(cut.path.clone());
            let mut cut_up = Vec::new();
            for part in &parts {
                let part = std::str::from_utf8(part).map_err(|it| it.to_string())?;
                cut_up.extend(items(part, &path).ok_or_else(|| format!("no items in {part}"))?);
            }
            let whole = items(input, &path).unwrap_or_default();
            claim(cut_up == whole, || format!("{cut_up:?} of {whole:?}"))?;
        }
        made(kind)
    });
}

/// The items that an event has at this path, as they are written.
fn items<'a>(event: &'a str, path: &str) -> Option<Vec<&'a str>> {
    let list = |json: &'a str, name: &str| -> Option<Vec<&'a RawValue>> {
        serde_json::from_str(at(json, &format!("/{name}"))?).ok()
    };
    let Some((groups, items)) = path.split_once("[].") else {
        return Some(list(event, path)?.into_iter().map(RawValue::get).collect());
    };
    let mut all = Vec::new();
    for group in list(event, groups)? {
        // A group without an array has nothing that could be lost.
        let found = list(group.get(), items).unwrap_or_default();
        all.extend(found.into_iter().map(RawValue::get));
    }
    Some(all)
}

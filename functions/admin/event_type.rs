//! Event types: create, read, change, archive, delete.

use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::JsonSchema;
#[cfg(feature = "description")]
use description::{Delays, JsonObject, Moment, TimeoutSeconds};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::api::error::{self, ApiError};
use shared::api::patch::{Field, not_null};
use shared::api::request::{self, query_flag};
use shared::api::rules::Rules;
use shared::domain::endpoint::MAX_EVENT_TYPE;
use shared::domain::event_type::{EventType, MAX_BYTES, MAX_NAME, Schemas};
use shared::domain::id::{is_name, name_rule};
use shared::domain::json::is_deeper_than;
use shared::store::Listeners;

use crate::delivery_settings::{
    DeliverySettingsIn, apply_delivery_settings, check_delivery_settings,
};
use crate::json::Json;
use crate::limits::{MAX_FLAGS, check_description};
use crate::{Answer, Call, meta_schema, page};

/// Most levels of nesting of a schema: what common readers of JSON take.
const MAX_LEVELS: usize = 128;

// It is read in two steps, since what is flattened is not read as it was written.
#[cfg(feature = "description")]
/// What a caller sends. `featureFlag` is the name of older SDKs.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only described")]
pub(crate) struct EventTypeIn {
    #[schemars(with = "description::EventType")]
    name: String,
    #[serde(flatten)]
    rest: EventTypeUpdate,
}

/// The name of a new one.
#[derive(Deserialize)]
pub(crate) struct Named {
    pub(crate) name: String,
}

/// What a caller sends about an event type whose name is in the path.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventTypeUpdate {
    #[schemars(with = "description::Words")]
    description: String,
    #[serde(default)]
    archived: bool,
    #[serde(default)]
    deprecated: bool,
    #[schemars(with = "Option<std::collections::BTreeMap<String, JsonObject>>")]
    schemas: Option<Schemas>,
    #[schemars(with = "Option<description::EventType>")]
    feature_flag: Option<String>,
    #[schemars(with = "Option<Vec<description::EventType>>")]
    feature_flags: Option<Vec<String>>,
    #[schemars(with = "Option<description::EventType>")]
    group_name: Option<String>,
    /// Delays before the retries, in seconds. None at all means a single attempt.
    #[serde(default)]
    #[schemars(with = "Option<Delays>")]
    retry_schedule: Field<Vec<u64>>,
    /// Longest exchange, in seconds.
    #[serde(default)]
    #[schemars(with = "Option<TimeoutSeconds>")]
    timeout_seconds: Field<u64>,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EventTypePatch {
    #[serde(deserialize_with = "not_null")]
    #[schemars(with = "description::Words")]
    description: Option<String>,
    #[serde(deserialize_with = "not_null")]
    #[schemars(with = "bool")]
    archived: Option<bool>,
    #[serde(deserialize_with = "not_null")]
    #[schemars(with = "bool")]
    deprecated: Option<bool>,
    #[schemars(with = "Option<std::collections::BTreeMap<String, JsonObject>>")]
    schemas: Field<Schemas>,
    #[schemars(with = "Option<description::EventType>")]
    feature_flag: Field<String>,
    #[schemars(with = "Option<Vec<description::EventType>>")]
    feature_flags: Field<Vec<String>>,
    #[schemars(with = "Option<description::EventType>")]
    group_name: Field<String>,
    #[schemars(with = "Option<Delays>")]
    retry_schedule: Field<Vec<u64>>,
    #[schemars(with = "Option<TimeoutSeconds>")]
    timeout_seconds: Field<u64>,
}

/// What a caller gets.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventTypeOut {
    #[schemars(with = "description::EventType")]
    name: String,
    description: String,
    archived: bool,
    deprecated: bool,
    #[schemars(with = "Option<std::collections::BTreeMap<String, JsonObject>>")]
    schemas: Option<Schemas>,
    #[schemars(with = "Option<description::EventType>")]
    feature_flag: Option<String>,
    feature_flags: Option<Vec<String>>,
    group_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_schedule: Option<Vec<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_seconds: Option<u64>,
    #[schemars(with = "Moment")]
    created_at: String,
    #[schemars(with = "Moment")]
    updated_at: String,
}

impl From<EventType> for EventTypeOut {
    fn from(event_type: EventType) -> Self {
        Self {
            name: event_type.name,
            description: event_type.description,
            archived: event_type.archived,
            deprecated: event_type.deprecated,
            schemas: event_type.schemas,
            feature_flag: event_type.feature_flags.first().cloned(),
            feature_flags: Some(event_type.feature_flags).filter(|flags| !flags.is_empty()),
            group_name: event_type.group_name,
            retry_schedule: event_type.settings.schedule_s,
            timeout_seconds: event_type.settings.timeout_ms.map(|ms| ms / 1000),
            created_at: event_type.created_at.to_rfc3339(),
            updated_at: event_type.updated_at.to_rfc3339(),
        }
    }
}

impl EventTypeUpdate {
    fn flags(&self) -> Vec<String> {
        let one = || self.feature_flag.iter().cloned().collect();
        self.feature_flags.clone().unwrap_or_else(one)
    }

    /// Whether it says anything of how messages of this type are delivered.
    pub(crate) fn is_about_delivery(&self) -> bool {
        self.retry_schedule.value().is_some() || self.timeout_seconds.value().is_some()
    }

    pub(crate) fn settings(&self) -> DeliverySettingsIn<'_> {
        (&self.retry_schedule, &self.timeout_seconds)
    }

    pub(crate) fn check(&self, rules: &mut Rules) {
        check_description(rules, &self.description);
        check_schemas(rules, self.schemas.as_ref());
        check_flags(rules, self.feature_flags.as_deref().unwrap_or_default());
        check_flag(rules, "featureFlag", self.feature_flag.as_ref());
        check_group(rules, self.group_name.as_deref());
        check_delivery_settings(rules, self.settings());
    }

    fn apply(&self, event_type: &mut EventType) {
        event_type.description.clone_from(&self.description);
        event_type.archived = self.archived;
        event_type.deprecated = self.deprecated;
        event_type.schemas.clone_from(&self.schemas);
        event_type.feature_flags = self.flags();
        event_type.group_name.clone_from(&self.group_name);
        apply_delivery_settings(&mut event_type.settings, self.settings());
    }
}

impl Call<'_> {
    pub(crate) async fn list_event_types(&self) -> Answer {
        let walk = page::walk::<Name>(self.request, false)?;
        let archived = query_flag(self.request, "include_archived", false)?;
        let with_content = query_flag(self.request, "with_content", false)?;
        let keep = |event_type: &EventType| {
            (archived || !event_type.archived) && event_type.is_for(self.flags())
        };
        let org = self.access.organisation();
        let listed = self.admin.catalogue.page(&org, &walk, with_content, keep).await?;
        let name = |event_type: &EventType| event_type.name.clone();
        page::respond_within(&walk, listed, name, EventTypeOut::from)
    }

    /// Creates an event type, or brings one back that was archived.
    pub(crate) async fn create_event_type(&self) -> Answer {
        let Named { name } = request::body(self.request)?;
        let input: EventTypeUpdate = request::body(self.request)?;
        let mut rules = Rules::default();
        if !is_name(&name, MAX_EVENT_TYPE) {
            rules.broken("name", name_rule(MAX_EVENT_TYPE));
        }
        input.check(&mut rules);
        rules.check()?;
        let listeners = self.listeners_if(input.deprecated).await?;
        let created = self
            .change_event_type(&name, StatusCode::CREATED, &listeners, |old| match old {
                Some(old) if !old.archived => Err(ApiError::event_type_exists(&name)),
                old => {
                    let mut new = self.event_type(&name, old.as_ref());
                    input.apply(&mut new);
                    Ok(Some(new))
                }
            })
            .await?;
        self.announce(input.settings()).await?;
        Ok(created)
    }

    pub(crate) async fn get_event_type(&self, name: &str) -> Answer {
        let found = self.admin.catalogue.find(&self.access.organisation(), name).await?;
        let found = found.filter(|event_type| event_type.is_for(self.flags()));
        Ok(show(StatusCode::OK, found.ok_or_else(ApiError::not_found)?))
    }

    /// Changes an event type, or creates it.
    pub(crate) async fn update_event_type(&self, name: &str) -> Answer {
        let input: EventTypeUpdate = request::body(self.request)?;
        let mut rules = Rules::default();
        input.check(&mut rules);
        rules.check()?;
        if !is_name(name, MAX_EVENT_TYPE) {
            return Err(ApiError::not_found());
        }
        let changed = self.put_event_type(name, &input).await?;
        self.announce(input.settings()).await?;
        Ok(changed)
    }

    /// Makes an event type what the caller says. Of several who bring a new one along at once, one has
    /// created it.
    pub(crate) async fn put_event_type(&self, name: &str, said: &EventTypeUpdate) -> Answer {
        let is_new = AtomicBool::new(false);
        let listeners = self.listeners_if(said.deprecated).await?;
        let put = self.change_event_type(name, StatusCode::OK, &listeners, |old| {
            is_new.store(old.is_none(), Ordering::Relaxed);
            let mut new = self.event_type(name, old.as_ref());
            said.apply(&mut new);
            Ok(Some(new))
        });
        let mut put = put.await?;
        if is_new.load(Ordering::Relaxed) {
            *put.status_mut() = StatusCode::CREATED;
        }
        Ok(put)
    }

    pub(crate) async fn patch_event_type(&self, name: &str) -> Answer {
        let mut patch: EventTypePatch = request::body(self.request)?;
        let mut rules = Rules::default();
        check_flag(&mut rules, "featureFlag", patch.feature_flag.value());
        check_flags(&mut rules, patch.feature_flags.value().map_or(&[], Vec::as_slice));
        if patch.feature_flags == Field::Absent {
            patch.feature_flags = match std::mem::take(&mut patch.feature_flag) {
                Field::Absent => Field::Absent,
                Field::Null => Field::Null,
                Field::Value(flag) => Field::Value(vec![flag]),
            };
        }
        patch.description.iter().for_each(|text| check_description(&mut rules, text));
        check_schemas(&mut rules, patch.schemas.value());
        check_group(&mut rules, patch.group_name.value().map(String::as_str));
        let settings = (&patch.retry_schedule, &patch.timeout_seconds);
        check_delivery_settings(&mut rules, settings);
        rules.check()?;
        let listeners = self.listeners_if(patch.deprecated == Some(true)).await?;
        let changed = self
            .change_event_type(name, StatusCode::OK, &listeners, |old| {
                let mut new = old.ok_or_else(ApiError::not_found)?;
                if let Some(description) = &patch.description {
                    new.description.clone_from(description);
                }
                new.archived = patch.archived.unwrap_or(new.archived);
                new.deprecated = patch.deprecated.unwrap_or(new.deprecated);
                patch.schemas.apply(&mut new.schemas);
                match &patch.feature_flags {
                    Field::Absent => {}
                    Field::Null => new.feature_flags.clear(),
                    Field::Value(flags) => new.feature_flags.clone_from(flags),
                }
                patch.group_name.apply(&mut new.group_name);
                apply_delivery_settings(&mut new.settings, settings);
                new.updated_at = self.admin.ambient.now();
                Ok(Some(new))
            })
            .await?;
        self.announce(settings).await?;
        Ok(changed)
    }

    /// Archives an event type, or removes it altogether.
    pub(crate) async fn delete_event_type(&self, name: &str) -> Answer {
        let expunge = query_flag(self.request, "expunge", false)?;
        let nobody = self.admin.notices.nobody();
        self.change_event_type(name, StatusCode::NO_CONTENT, &nobody, |old| {
            let mut old = old.ok_or_else(ApiError::not_found)?;
            old.archived = true;
            old.updated_at = self.admin.ambient.now();
            Ok((!expunge).then_some(old))
        })
        .await
    }

    pub(crate) async fn change_event_type(
        &self,
        name: &str,
        status: StatusCode,
        listeners: &Listeners,
        change: impl Fn(Option<EventType>) -> Result<Option<EventType>, ApiError>,
    ) -> Answer {
        let org = self.access.organisation();
        let now = self.admin.ambient.now();
        let change = |old: Option<EventType>| Ok::<_, ApiError>(or_same(change(old.clone())?, old));
        match self.admin.catalogue.edit(&org, name, now, listeners, change).await?? {
            Some(event_type) if status != StatusCode::NO_CONTENT => Ok(show(status, event_type)),
            _ => Ok(error::empty(StatusCode::NO_CONTENT)),
        }
    }

    /// What stays of an event type when everything that callers say about it is new.
    pub(crate) fn event_type(&self, name: &str, old: Option<&EventType>) -> EventType {
        let now = self.admin.ambient.now();
        EventType {
            settings: old.map(|old| old.settings.clone()).unwrap_or_default(),
            created_at: old.map_or(now, |old| old.created_at),
            ..EventType::new(self.access.organisation(), name, now)
        }
    }
}

/// What an event type becomes: what it was, if nothing is new but the time of the change.
pub(crate) fn or_same(new: Option<EventType>, old: Option<EventType>) -> Option<EventType> {
    match (new, old) {
        (Some(new), Some(old)) => {
            let same = EventType { updated_at: old.updated_at, ..new.clone() } == old;
            Some(if same { old } else { new })
        }
        (new, _) => new,
    }
}

/// A name as an iterator of the list.
struct Name;

impl FromStr for Name {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        is_name(text, MAX_EVENT_TYPE).then_some(Self).ok_or(())
    }
}

fn show(status: StatusCode, event_type: EventType) -> http::Response<bytes::Bytes> {
    error::json(status, &EventTypeOut::from(event_type))
}

fn check_schemas(rules: &mut Rules, schemas: Option<&Schemas>) {
    let Some(schemas) = schemas else { return };
    for (version, schema) in schemas {
        let field = || format!("schemas.{version}");
        if !schema.is_object() {
            rules.broken(&field(), "must be a JSON Schema, an object");
        } else if is_deeper_than(schema.as_str(), MAX_LEVELS) {
            rules.broken(&field(), format!("must have at most {MAX_LEVELS} levels"));
        } else if let Some(json) = Json::parse_within(schema.as_str(), MAX_LEVELS)
            && let Err(wrong) = meta_schema::check(&json)
        {
            let path = wrong.path.iter().fold(field(), |path, step| format!("{path}.{step}"));
            rules.broken(&path, wrong.rule);
        }
    }
    if serde_json::to_string(schemas).map_or(0, |json| json.len()) > MAX_BYTES {
        rules.broken("schemas", format!("must be at most {MAX_BYTES} bytes of JSON"));
    }
}

/// Why an event type that is described elsewhere cannot be stored, if so.
pub(crate) fn refusal(description: &str, schemas: Option<&Schemas>) -> Option<String> {
    let mut rules = Rules::default();
    check_description(&mut rules, description);
    check_schemas(&mut rules, schemas);
    let Err(ApiError::Invalid(broken)) = rules.check() else { return None };
    broken.first().map(|first| format!("{}: {}", first.loc[1..].join("."), first.msg))
}

fn check_flags(rules: &mut Rules, flags: &[String]) {
    if flags.len() > MAX_FLAGS {
        return rules.broken("featureFlags", format!("must name at most {MAX_FLAGS}"));
    }
    for (position, flag) in flags.iter().enumerate() {
        check_flag(rules, &format!("featureFlags.{position}"), Some(flag));
    }
}

fn check_flag(rules: &mut Rules, field: &str, flag: Option<&String>) {
    if flag.is_some_and(|flag| !is_name(flag, MAX_NAME)) {
        rules.broken(field, name_rule(MAX_NAME));
    }
}

fn check_group(rules: &mut Rules, group: Option<&str>) {
    if group.is_some_and(|group| !is_name(group, MAX_NAME)) {
        rules.broken("groupName", name_rule(MAX_NAME));
    }
}

//! What an organisation set up as one document: its event types, and how its portal looks. What is
//! exported in one place is imported in another (Svix's `environment`).
//!
//! An import adds and changes, and takes nothing away. All of it is checked before any of it is
//! stored. Svix's own settings have no counterpart and are left alone, and connectors are refused:
//! there are none.

use std::collections::HashSet;

use crate::JsonSchema;
#[cfg(feature = "description")]
use description::Moment;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::api::error::{self, ApiError, Violation};
use shared::api::request;
use shared::api::rules::Rules;
use shared::domain::endpoint::MAX_EVENT_TYPE;
use shared::domain::id::{is_name, name_rule};
use shared::domain::portal::PortalSettings;

use crate::event_type::{EventTypeOut, EventTypeUpdate, Named};
use crate::import::check_answer;
use crate::portal_settings::{self, PortalSettingsIn, PortalSettingsOut};
use crate::webhooks::MAX_IMPORTED;
use crate::{Answer, Call};

/// What shape an environment has.
const VERSION: u64 = 1;

/// What a caller sends; what it leaves out stays as it is.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EnvironmentIn {
    /// Event types, created or changed.
    #[schemars(with = "Option<Vec<crate::event_type::EventTypeIn>>", length(max = MAX_IMPORTED))]
    event_types: Option<Vec<Box<RawValue>>>,
    #[serde(deserialize_with = "request::inner_or_null")]
    settings: Option<SettingsIn>,
    /// There are none: empty, or left out.
    #[schemars(with = "Option<Vec<description::JsonObject>>", length(max = 0))]
    connectors: Option<Vec<serde::de::IgnoredAny>>,
}

/// Settings; what is not known here is left alone.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(default)]
#[schemars(rename = "EnvironmentSettingsIn")]
struct SettingsIn {
    /// How the portal looks.
    #[serde(deserialize_with = "request::inner_or_null")]
    portal: Option<PortalSettingsIn>,
}

/// What a caller gets, and can import elsewhere.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EnvironmentOut {
    /// Of the shape of the document.
    version: u64,
    /// When it was made.
    #[schemars(with = "Moment")]
    created_at: String,
    /// All of them, archived ones too, with their schemas.
    event_types: Vec<EventTypeOut>,
    settings: SettingsOut,
    /// Always empty.
    #[schemars(with = "Vec<description::JsonObject>")]
    connectors: [(); 0],
}

/// Settings.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EnvironmentSettingsOut")]
struct SettingsOut {
    /// How the portal looks.
    portal: PortalSettingsOut,
}

impl Call<'_> {
    pub(crate) async fn export_environment(&self) -> Answer {
        let org = self.access.organisation();
        let known = self.admin.catalogue.all(&org).await?;
        let portal = PortalSettingsOut::from(&*self.admin.portals.of(&org).await?);
        check_answer(error::json(
            StatusCode::OK,
            &EnvironmentOut {
                version: VERSION,
                created_at: self.admin.ambient.now().to_rfc3339(),
                event_types: known.into_iter().map(EventTypeOut::from).collect(),
                settings: SettingsOut { portal },
                connectors: [],
            },
        ))
    }

    pub(crate) async fn import_environment(&self) -> Answer {
        let input: EnvironmentIn = request::body(self.request)?;
        let event_types = event_types(input.event_types.as_deref().unwrap_or_default())?;
        let portal = input.settings.and_then(|settings| settings.portal);
        let portal = portal.map(PortalSettings::from);
        if let Some(portal) = &portal {
            portal_settings::check(Rules::within("settings.portal"), portal)?;
        }
        if input.connectors.is_some_and(|connectors| !connectors.is_empty()) {
            let rule = "must be empty or left out: there are no connectors here";
            return Err(Violation::body("connectors", rule).into());
        }
        for (name, said) in &event_types {
            self.put_event_type(name, said).await?;
        }
        if let Some(said) = event_types.iter().find(|(_, said)| said.is_about_delivery()) {
            self.announce(said.1.settings()).await?;
        }
        if let Some(portal) = &portal {
            self.admin.portals.put(&self.access.organisation(), portal).await?;
        }
        Ok(error::empty(StatusCode::NO_CONTENT))
    }
}

/// Reads event types, each under its name.
fn event_types(items: &[Box<RawValue>]) -> Result<Vec<(String, EventTypeUpdate)>, ApiError> {
    let mut rules = Rules::default();
    if items.len() > MAX_IMPORTED {
        rules.broken("eventTypes", format!("must be at most {MAX_IMPORTED}: import them in parts"));
        return Err(rules.into_error());
    }
    let (mut read, mut names) = (Vec::with_capacity(items.len()), HashSet::new());
    for (position, item) in items.iter().enumerate() {
        if rules.is_full() {
            break;
        }
        let place = format!("eventTypes.{position}");
        let one = request::object::<Named>(item.get().as_bytes())
            .and_then(|named| Ok((named.name, request::object(item.get().as_bytes())?)));
        let (name, said): (String, EventTypeUpdate) = match one {
            Ok(one) => one,
            Err(error) => {
                rules.adopt(&place, error)?;
                continue;
            }
        };
        rules.go_within(place);
        if !is_name(&name, MAX_EVENT_TYPE) {
            rules.broken("name", name_rule(MAX_EVENT_TYPE));
        } else if !names.insert(name.clone()) {
            rules.broken("name", "must not be there twice");
        }
        said.check(&mut rules);
        read.push((name, said));
    }
    rules.check()?;
    Ok(read)
}

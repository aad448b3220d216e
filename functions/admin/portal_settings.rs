//! How the portal looks: `operator/portal`, and what of it an application's visitors see.

use crate::JsonSchema;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::api::error;
use shared::api::request;
use shared::api::rules::Rules;
use shared::domain::portal::{PortalSettings, Theme, contrast};
use shared::domain::profile::Deprecation;

use crate::{Answer, Call};

/// Longest logo, in bytes of its `data:` URL.
const MAX_LOGO: usize = 32 * 1024;
/// Longest list of fonts, in characters.
const MAX_FONT: usize = 200;
/// Most origins that may frame the portal.
const MAX_FRAMES: usize = 20;
/// Longest URL, in bytes.
const MAX_URL: usize = 2_048;
/// What text needs at the least (WCAG 2, AA).
const READABLE: f64 = 4.5;

/// What an organisation says about its portal; what it leaves out is as Posthorn has it.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PortalSettingsIn {
    theme: Option<Theme>,
    /// The colour of what matters, as `#2450c0`; it has to be readable under white text.
    accent: Option<String>,
    /// Names of fonts that visitors have, with commas between them.
    font: Option<String>,
    /// A picture as a `data:` URL of at most 32 KiB.
    logo: Option<String>,
    /// Where visitors find help.
    support_url: Option<String>,
    /// Where visitors come from: shown when their link has expired.
    back_url: Option<String>,
    /// Origins whose pages may show the portal in a frame, as `https://app.example.com`.
    frame_ancestors: Option<Vec<String>>,
}

/// How a portal looks.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PortalSettingsOut {
    theme: Theme,
    accent: Option<String>,
    font: Option<String>,
    logo: Option<String>,
    support_url: Option<String>,
    back_url: Option<String>,
    frame_ancestors: Vec<String>,
}

/// The portal of an application, as its visitors see it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApplicationPortalOut {
    #[serde(flatten)]
    look: PortalSettingsOut,
    /// The application's name.
    name: String,
    /// Set when the format of its profile is on the way out: to be shown to the customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    deprecation: Option<Deprecation>,
}

impl From<PortalSettingsIn> for PortalSettings {
    fn from(said: PortalSettingsIn) -> Self {
        Self {
            theme: said.theme.unwrap_or_default(),
            accent: said.accent,
            font: said.font,
            logo: said.logo,
            support_url: said.support_url,
            back_url: said.back_url,
            frame_ancestors: said.frame_ancestors.unwrap_or_default(),
        }
    }
}

impl From<&PortalSettings> for PortalSettingsOut {
    fn from(stored: &PortalSettings) -> Self {
        let PortalSettings { theme, accent, font, logo, support_url, back_url, frame_ancestors } =
            stored.clone();
        Self { theme, accent, font, logo, support_url, back_url, frame_ancestors }
    }
}

impl Call<'_> {
    pub(crate) async fn get_portal_settings(&self) -> Answer {
        let settings = self.admin.portals.of(&self.access.organisation()).await?;
        Ok(error::json(StatusCode::OK, &PortalSettingsOut::from(&*settings)))
    }

    pub(crate) async fn put_portal_settings(&self) -> Answer {
        let said: PortalSettingsIn = request::body(self.request)?;
        let settings = PortalSettings::from(said);
        check(Rules::default(), &settings)?;
        self.admin.portals.put(&self.access.organisation(), &settings).await?;
        Ok(error::json(StatusCode::OK, &PortalSettingsOut::from(&settings)))
    }

    /// What visitors of an application see: whose portal it is, and all but who may frame it.
    pub(crate) async fn application_portal(&self, app: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let application = &tenant.application;
        let settings = self.admin.portals.of(&application.org).await?;
        let seen = PortalSettings { frame_ancestors: Vec::new(), ..(*settings).clone() };
        let out = ApplicationPortalOut {
            look: PortalSettingsOut::from(&seen),
            name: application.name.clone(),
            deprecation: self.admin.profiles.of(application).await?.deprecated.clone(),
        };
        Ok(error::json(StatusCode::OK, &out))
    }
}

/// Refuses what a portal cannot look like.
pub(crate) fn check(mut rules: Rules, settings: &PortalSettings) -> Result<(), error::ApiError> {
    if let Some(accent) = &settings.accent {
        match contrast(accent, "#ffffff") {
            None => rules.broken("accent", "must be a colour like #2450c0"),
            Some(found) if found < READABLE => {
                let rule = format!(
                    "must be readable under white text: its contrast is {found:.1}, and at least \
                     {READABLE} are needed"
                );
                rules.broken("accent", rule);
            }
            Some(_) => {}
        }
    }
    if settings.font.as_ref().is_some_and(|font| !is_font(font)) {
        let rule = "must be names of fonts: letters, digits, spaces and hyphens, with commas";
        rules.broken("font", rule);
    }
    if let Some(logo) = &settings.logo {
        let is_picture = ["png", "jpeg", "webp", "svg+xml"].iter().any(|kind| {
            logo.strip_prefix("data:image/")
                .and_then(|rest| rest.strip_prefix(kind))
                .is_some_and(|rest| rest.starts_with(";base64,"))
        });
        if !is_picture || logo.len() > MAX_LOGO {
            let rule = format!(
                "must be a data: URL in base64 of a png, jpeg, webp or svg picture, of at most \
                 {MAX_LOGO} bytes"
            );
            rules.broken("logo", rule);
        }
    }
    for (field, url) in [("supportUrl", &settings.support_url), ("backUrl", &settings.back_url)] {
        if url.as_ref().is_some_and(|url| !is_link(url)) {
            rules.broken(field, "must be a URL that begins with https:// or mailto:");
        }
    }
    if settings.frame_ancestors.len() > MAX_FRAMES {
        rules.broken("frameAncestors", format!("must be at most {MAX_FRAMES}"));
    }
    for (position, origin) in settings.frame_ancestors.iter().take(MAX_FRAMES).enumerate() {
        if !is_origin(origin) {
            let rule = "must be an origin like https://app.example.com, without a path";
            rules.broken(&format!("frameAncestors.{position}"), rule);
        }
    }
    rules.check()
}

fn is_font(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || " ,-".contains(c);
    (1..=MAX_FONT).contains(&text.len()) && text.chars().all(allowed)
}

fn is_link(text: &str) -> bool {
    let begins = ["https://", "http://localhost", "mailto:"];
    text.len() <= MAX_URL
        && begins.iter().any(|begin| text.starts_with(begin))
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether this is an origin: it goes into a header, where a semicolon would begin another rule.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://localhost:"));
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".-:*".contains(c);
    host.is_some_and(|host| (1..=255).contains(&host.len()) && host.chars().all(allowed))
}

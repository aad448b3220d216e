//! Sealing what is stored with the root secret's key in use, after that has changed: a page of
//! applications with their endpoints at a time, and with the last page what belongs to the
//! organisation itself, operational webhooks among it.
//!
//! Whoever asks goes on with the iterator until all is done, so it is known how far it is, and
//! nothing has to know the root secret that does not know it anyway. Doing it twice does nothing.
//!
//! Left out: kept answers to requests and links that open once, which are gone soon; and what belongs to other
//! organisations than the operator's, of which there is no list.

use crate::JsonSchema;
use http::StatusCode;
use serde::Serialize;
use shared::api::error::{self, ApiError};
use shared::domain::endpoint::Endpoint;
use shared::domain::id::{ApplicationId, EndpointId};
use shared::domain::notice;
use shared::domain::secret::Resealed;
use shared::store::{Need, StoreError};

use crate::{Answer, Call, page};

/// The root secret's keys.
#[derive(Serialize, JsonSchema)]
pub(crate) struct KeysOut {
    /// Their ids, that of the one in use first.
    keys: Vec<String>,
}

/// What came of a page.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ResealedOut {
    /// The root secret's keys as this process knows them, by their ids; the one in use first.
    keys: Vec<String>,
    /// Secrets that were sealed with another key than the one in use.
    resealed: usize,
    /// Secrets that no key opens: their key was taken away too early.
    unopened: usize,
    /// Where to go on, with the query parameter of this name.
    iterator: Option<String>,
    /// There is no more.
    done: bool,
}

impl Call<'_> {
    /// Which keys this process knows.
    pub(crate) async fn root_secret(&self) -> Answer {
        self.require_operator()?;
        Ok(error::json(StatusCode::OK, &KeysOut { keys: self.keys() }))
    }

    fn keys(&self) -> Vec<String> {
        self.admin.sealer.ids().map(str::to_owned).collect()
    }

    /// Seals a page of what is stored anew.
    pub(crate) async fn reseal(&self) -> Answer {
        self.require_operator()?;
        let walk = page::walk::<ApplicationId>(self.request, false)?;
        let org = self.access.organisation();
        let listed = self.admin.history.applications(&org, &walk).await?;
        let work = listed.items.iter().map(|found| self.reseal_application(found.id));
        let mut all = Resealed::default();
        page::side_by_side(page::FEW, work).await?.into_iter().for_each(|one| all += one);
        if listed.done {
            all += self.reseal_organisation().await?;
        }
        Ok(error::json(
            StatusCode::OK,
            &ResealedOut {
                keys: self.keys(),
                resealed: all.anew,
                unopened: all.unopened,
                iterator: listed.iterator,
                done: listed.done,
            },
        ))
    }

    async fn reseal_application(&self, app: ApplicationId) -> Result<Resealed, ApiError> {
        let (admin, now) = (self.admin, self.admin.ambient.now());
        let (sealer, ambient) = (&admin.sealer, &admin.ambient);
        let Some(tenant) = admin.directory.tenant(&app, Need::All).await? else {
            return Ok(Resealed::default());
        };
        let mut all = Resealed::default();
        let edited = admin.editor.edit_application(&app, now, |application| {
            let owner = application.id.to_string();
            application.integration_key.reseal(&owner, sealer, ambient)
        });
        if let Some((_, resealed)) = edited.await?.done() {
            all += resealed;
        }
        let work = tenant.endpoints.iter().map(|endpoint| self.reseal_endpoint(app, endpoint.id));
        page::side_by_side(page::FEW, work).await?.into_iter().for_each(|one| all += one);
        Ok(all)
    }

    async fn reseal_endpoint(
        &self,
        app: ApplicationId,
        ep: EndpointId,
    ) -> Result<Resealed, ApiError> {
        let (admin, now) = (self.admin, self.admin.ambient.now());
        let reseal = |endpoint: &mut Endpoint| endpoint.reseal(&admin.sealer, &admin.ambient);
        let edited = admin.editor.edit_endpoint(&app, &ep, now, reseal).await?.done();
        Ok(edited.map(|(_, resealed)| resealed).unwrap_or_default())
    }

    async fn reseal_organisation(&self) -> Result<Resealed, ApiError> {
        let (admin, org) = (self.admin, self.access.organisation());
        let (sealer, ambient) = (&admin.sealer, &admin.ambient);
        let edited = admin.key_sets.edit(&org, |set| Ok(set.reseal(&org, sealer, ambient)));
        let mut all: Resealed = edited.await?.map_err(|error: StoreError| ApiError::from(error))?;
        // Its application is in no list.
        all += self.reseal_application(notice::application_id(&org)).await?;
        for source in admin.sources.list(&org).await? {
            let edited = admin.sources.edit(&source.id, |source| source.reseal(sealer, ambient));
            if let Some((_, resealed)) = edited.await? {
                all += resealed;
            }
        }
        Ok(all)
    }
}

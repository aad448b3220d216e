//! What every function is put together from, wherever it runs. Each function's `new` takes it and
//! what that function alone needs; who calls it chooses the adapters.

use std::sync::Arc;

use crate::domain::clock::Ambient;
use crate::domain::metrics::Metrics;
use crate::domain::secret::{RootSecret, Sealer};
use crate::domain::token::Tokens;
use crate::store::table::Table;
use crate::store::{Backpressure, Profiles, StoreSettings, Stores};
use crate::work::{InFlight, Intake};

/// What all functions have. Clones share what is kept in memory.
#[derive(Clone)]
pub struct Base {
    /// The stores, on the process's table.
    pub stores: Stores,
    /// What this process is sending without a lease, if it is the one that does all the
    /// dispatching.
    pub in_flight: Option<InFlight>,
    /// Where the stores and the deliveries queue are in one file.
    pub intake: Option<Arc<dyn Intake>>,
    /// What the table would not take; nothing, unless its adapter tells.
    pub backpressure: Backpressure,
    /// Hears what happened.
    pub metrics: Arc<dyn Metrics>,
    /// Time and randomness.
    pub ambient: Ambient,
}

impl Base {
    /// The base of a process that is one of several.
    pub fn new(
        table: Arc<dyn Table>,
        settings: StoreSettings,
        metrics: Arc<dyn Metrics>,
        ambient: Ambient,
    ) -> Self {
        let stores = Stores::new(table, &ambient, settings);
        let backpressure = Backpressure::default();
        Self { stores, in_flight: None, intake: None, backpressure, metrics, ambient }
    }
}

/// What the functions have besides that deal with tenants' secrets and ways: all but retry.
#[derive(Clone)]
pub struct Tenancy {
    /// Checks bearer tokens and makes them.
    pub tokens: Tokens,
    /// Seals and opens secrets.
    pub sealer: Sealer,
    /// The systems' ways, also those that organisations stored.
    pub profiles: Profiles,
}

impl Tenancy {
    /// What follows from the root secret, and these profiles with the stored ones.
    pub fn new(base: &Base, secret: &RootSecret, profiles: Profiles) -> Self {
        let (store, clock) = (base.stores.profiles.clone(), base.ambient.clock.clone());
        Self {
            tokens: Tokens::of(secret),
            sealer: secret.sealer(),
            profiles: profiles.stored_in(store, clock),
        }
    }
}

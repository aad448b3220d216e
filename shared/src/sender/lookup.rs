//! Look-ups of names: one at a time for each name, and slow ones out of the others' way.
//!
//! The system's resolver takes a thread for each look-up, keeps it for as long as some name
//! server far away likes, and cannot be stopped. Endpoints are chosen by strangers. So a look-up
//! that takes long gives up its place among the quick ones, its name and, where there are many
//! such names, its whole zone wait in a lane of their own from then on, and when it fails, the
//! failure is remembered for a while. And no application has more than its share of them under way,
//! however many zones its names are in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout};

use super::target::Resolver;
use crate::domain::id::ApplicationId;
use crate::domain::sync::hold;

/// How many look-ups there may be, and which count as slow.
#[derive(Clone, Copy, Debug)]
pub struct LookupLimits {
    /// Most look-ups at once of names that are not known to be slow.
    pub quick: usize,
    /// Most look-ups at once of names that are.
    pub slow: usize,
    /// Most look-ups at once of the names of one application's endpoints.
    pub of_an_application: usize,
    /// After this time a look-up is slow, in milliseconds.
    pub slow_after_ms: u64,
    /// How long the failure of a slow look-up is remembered, in milliseconds.
    pub failure_ms: u64,
    /// How long a name is known to be slow, in milliseconds.
    pub slow_ms: u64,
}

impl Default for LookupLimits {
    /// Together they take half of the 512 threads that there are for such work.
    fn default() -> Self {
        Self {
            quick: 128,
            slow: 128,
            of_an_application: 32,
            slow_after_ms: 1_000,
            failure_ms: 5_000,
            slow_ms: 600_000,
        }
    }
}

/// A resolver that shares look-ups and limits them. Clones share both.
#[derive(Clone)]
pub struct Lookups {
    resolver: Arc<dyn Resolver>,
    limits: LookupLimits,
    quick: Arc<Semaphore>,
    slow: Arc<Semaphore>,
    shares: Arc<Mutex<HashMap<ApplicationId, Arc<Semaphore>>>>,
    names: Arc<Mutex<Names>>,
}

type Answer = Result<Vec<IpAddr>, String>;

#[derive(Default)]
struct Names {
    /// The look-ups under way.
    flying: HashMap<String, watch::Receiver<Option<Answer>>>,
    /// What is known to be slow, by zone and name.
    slow: HashMap<String, HashMap<String, Slow>>,
}

struct Slow {
    until: Instant,
    failed: Option<(String, Instant)>,
}

/// So many slow names make their zone slow.
const MANY_OF_A_ZONE: usize = 8;
/// Most zones that are remembered.
const MOST_ZONES: usize = 4_096;

impl Lookups {
    /// Looks up through `resolver`.
    pub fn new(resolver: Arc<dyn Resolver>, limits: LookupLimits) -> Self {
        let lane = |places| Arc::new(Semaphore::new(places));
        let (quick, slow) = (lane(limits.quick), lane(limits.slow));
        Self { resolver, limits, quick, slow, shares: Arc::default(), names: Arc::default() }
    }

    /// The answer that the look-up under way will have, or that is remembered.
    fn known(&self, host: &str) -> Option<watch::Receiver<Option<Answer>>> {
        hold(&self.names).known(host)
    }

    /// One of the places of this application, for as long as the look-up takes.
    async fn share_of(&self, owner: ApplicationId) -> Option<OwnedSemaphorePermit> {
        let share = {
            let mut shares = hold(&self.shares);
            if shares.len() > MOST_ZONES {
                shares.retain(|_, share| Arc::strong_count(share) > 1);
            }
            let new = || Arc::new(Semaphore::new(self.limits.of_an_application));
            shares.entry(owner).or_insert_with(new).clone()
        };
        share.acquire_owned().await.ok()
    }

    /// Begins a look-up if there is none under way; the answer that it will have.
    fn join(
        &self,
        host: &str,
        share: Option<OwnedSemaphorePermit>,
    ) -> watch::Receiver<Option<Answer>> {
        let mut names = hold(&self.names);
        if let Some(answer) = names.known(host) {
            return answer;
        }
        let (tell, answer) = watch::channel(None);
        names.flying.insert(host.to_owned(), answer.clone());
        let flight = Flight { lookups: self.clone(), host: host.to_owned() };
        tokio::spawn(async move {
            let answer = flight.look_up().await;
            drop((flight, share));
            let _ = tell.send(Some(answer));
        });
        answer
    }
}

#[async_trait]
impl Resolver for Lookups {
    async fn resolve(&self, host: &str) -> Answer {
        self.resolve_for(host, None).await
    }

    async fn resolve_for(&self, host: &str, owner: Option<ApplicationId>) -> Answer {
        let mut answer = match (self.known(host), owner) {
            (Some(answer), _) => answer,
            (None, None) => self.join(host, None),
            (None, Some(owner)) => {
                let share = self.share_of(owner).await;
                self.join(host, share)
            }
        };
        match answer.wait_for(Option::is_some).await {
            Ok(answer) => answer.clone().unwrap_or_else(|| Err(UNANSWERED.to_owned())),
            Err(_) => Err(UNANSWERED.to_owned()),
        }
    }
}

const UNANSWERED: &str = "the look-up ended without an answer";

/// A look-up under way. It goes on when those who waited for it have given up, because the
/// system's does.
struct Flight {
    lookups: Lookups,
    host: String,
}

impl Flight {
    async fn look_up(&self) -> Answer {
        let Lookups { resolver, limits, quick, slow, .. } = &self.lookups;
        let known = hold(&self.lookups.names).is_slow(&self.host, Instant::now());
        let lane = if known { slow } else { quick };
        let Ok(mut place) = lane.clone().acquire_owned().await else {
            return Err(UNANSWERED.to_owned());
        };
        let mut asked = resolver.resolve(&self.host);
        if let Ok(answer) = timeout(Duration::from_millis(limits.slow_after_ms), &mut asked).await {
            return answer;
        }
        self.note_slow(None);
        if !known && let Ok(other) = slow.clone().try_acquire_owned() {
            place = other;
        }
        let answer = asked.await;
        self.note_slow(answer.as_ref().err());
        drop(place);
        answer
    }

    fn note_slow(&self, failure: Option<&String>) {
        let limits = &self.lookups.limits;
        let now = Instant::now();
        let after = |ms| now + Duration::from_millis(ms);
        let failed = failure.map(|reason| (reason.clone(), after(limits.failure_ms)));
        let slow = Slow { until: after(limits.slow_ms), failed };
        hold(&self.lookups.names).remember(&self.host, slow, now);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        hold(&self.lookups.names).flying.remove(&self.host);
    }
}

impl Names {
    fn known(&self, host: &str) -> Option<watch::Receiver<Option<Answer>>> {
        let failure = || self.failure(host, Instant::now());
        let remembered = || failure().map(|reason| watch::channel(Some(Err(reason))).1);
        self.flying.get(host).cloned().or_else(remembered)
    }

    fn failure(&self, host: &str, now: Instant) -> Option<String> {
        let (reason, until) = self.slow.get(zone(host))?.get(host)?.failed.as_ref()?;
        (*until > now).then(|| reason.clone())
    }

    fn is_slow(&self, host: &str, now: Instant) -> bool {
        let Some(zone) = self.slow.get(zone(host)) else { return false };
        let many = zone.values().filter(|slow| slow.until > now).count() >= MANY_OF_A_ZONE;
        many || zone.get(host).is_some_and(|slow| slow.until > now)
    }

    fn remember(&mut self, host: &str, slow: Slow, now: Instant) {
        if self.slow.len() >= MOST_ZONES {
            self.slow.retain(|_, zone| zone.values().any(|slow| slow.until > now));
        }
        // Where this many are slow, one more makes no difference.
        if self.slow.len() < MOST_ZONES || self.slow.contains_key(zone(host)) {
            let names = self.slow.entry(zone(host).to_owned()).or_default();
            names.retain(|_, slow| slow.until > now);
            if names.len() < MOST_ZONES || names.contains_key(host) {
                names.insert(host.to_owned(), slow);
            }
        }
    }
}

/// What a name stands in: everything after its first label, unless that is a top-level domain.
fn zone(host: &str) -> &str {
    match host.split_once('.') {
        Some((_, zone)) if zone.contains('.') => zone,
        _ => host,
    }
}

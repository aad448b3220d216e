//! The books of a run: what was accepted, what every endpoint saw, what is on record. It hears of
//! each change of the table and of each request to an endpoint, and asks nobody.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use shared::domain::clock::{Clock, Timestamp};
use shared::domain::id::MessageId;
use shared::domain::sync::hold;
use shared::queue::record::Record;
use shared::store::keys::{ATTEMPT_PREFIX, DELIVERY_PREFIX, MESSAGE_SK, PARKED_PK, SCHEDULED_SK};
use shared::store::table::Item;

use super::aws::table::Watch;

/// How the key of a message's partition starts.
const MESSAGE_PK: &str = "MSG#";
/// Longest time that is told apart, in milliseconds: four days.
const LONGEST_MS: u64 = 4 * 86_400_000;

/// The books.
pub(crate) struct Ledger {
    clock: Arc<dyn Clock>,
    books: Mutex<Books>,
}

/// Times in milliseconds, of everybody and of those who are in no trouble.
pub(crate) struct Times {
    /// Of everybody.
    pub(crate) all: Histogram<u64>,
    /// Of the others.
    pub(crate) innocent: Histogram<u64>,
}

impl Default for Times {
    fn default() -> Self {
        let new =
            || Histogram::new_with_bounds(1, LONGEST_MS, 3).expect("bounds that fit three digits");
        Self { all: new(), innocent: new() }
    }
}

impl Times {
    fn add(&mut self, ms: u64, innocent: bool) {
        self.all.saturating_record(ms);
        if innocent {
            self.innocent.saturating_record(ms);
        }
    }
}

/// What was counted and measured.
#[derive(Default)]
pub(crate) struct Books {
    /// Messages that a publisher was told of with 202, or that were there at first.
    pub(crate) accepted: u64,
    /// Deliveries that these ask for.
    pub(crate) deliveries: u64,
    /// Deliveries that their endpoint took.
    pub(crate) delivered: u64,
    /// Deliveries that an endpoint took more than once.
    pub(crate) delivered_again: u64,
    /// Requests to endpoints.
    pub(crate) posts: u64,
    /// Attempts on record.
    pub(crate) recorded: u64,
    /// Records that were parked.
    pub(crate) parked: u64,
    /// From acceptance to the first request.
    pub(crate) first: Times,
    /// From acceptance to the answer that took it.
    pub(crate) end_to_end: Times,
    /// How late later attempts are, against their plan.
    pub(crate) late: Times,
    /// When the last first attempt was made, after its message was due.
    pub(crate) last_first_ms: u64,
    /// From when on times count.
    warm_from: Timestamp,
    /// Accepted deliveries that are neither delivered nor given up.
    pub(crate) open: i64,
    endpoints: HashMap<String, u32>,
    applications: HashMap<String, Application>,
    messages: HashMap<Box<str>, u32>,
    stored: Vec<Stored>,
    slots: Vec<Slot>,
}

struct Application {
    first_endpoint: u32,
    endpoints: u32,
    innocent: bool,
}

struct Stored {
    due: Timestamp,
    first_slot: u32,
    first_endpoint: u32,
    endpoints: u32,
    innocent: bool,
    accepted: bool,
    attempted_before: bool,
    queued: bool,
    /// Its time has not come, or the sweep has not found it yet.
    waits: bool,
}

/// One delivery.
#[derive(Clone, Copy, Default)]
struct Slot {
    posts: u16,
    planned: Option<Timestamp>,
    delivered: bool,
    ended: bool,
    pending: bool,
}

/// What became of the deliveries that were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fates {
    /// Taken by their endpoint.
    pub(crate) delivered: u64,
    /// Given up or canceled, on record.
    pub(crate) ended: u64,
    /// On record as pending, or as waiting for its time.
    pub(crate) pending: u64,
    /// Only in a queue.
    pub(crate) queued: u64,
    /// Nowhere.
    pub(crate) lost: u64,
    /// Never attempted, of those that are not over.
    pub(crate) unattempted: u64,
}

/// What the books need of a stored delivery.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Progress {
    progress: String,
    next_at: Timestamp,
}

impl Ledger {
    /// Empty books.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { clock, books: Mutex::default() })
    }

    /// An application and its endpoints.
    pub(crate) fn register(&self, app: &str, endpoints: &[String], innocent: bool) {
        let mut books = self.lock();
        let first = u32::try_from(books.endpoints.len()).unwrap_or(u32::MAX);
        let application = Application {
            first_endpoint: first,
            endpoints: u32::try_from(endpoints.len()).unwrap_or(u32::MAX),
            innocent,
        };
        for (at, ep) in (0u32..).zip(endpoints) {
            books.endpoints.insert(ep.clone(), first + at);
        }
        books.applications.insert(app.to_owned(), application);
    }

    /// Times count for what is accepted from this moment on.
    pub(crate) fn warm_from(&self, at: Timestamp) {
        self.lock().warm_from = at;
    }

    /// A publisher was told that this message is accepted.
    pub(crate) fn accepted(&self, message: &str) {
        let Ok(id) = message.parse::<MessageId>() else { return };
        let mut books = self.lock();
        let Some(at) = books.messages.get(id.key().to_string().as_str()).copied() else { return };
        books.accept(at);
    }

    /// This message was accepted before the run, and attempted once.
    pub(crate) fn accepted_before(&self, message: &str) {
        self.accepted(message);
        let Ok(id) = message.parse::<MessageId>() else { return };
        let mut books = self.lock();
        if let Some(at) = books.messages.get(id.key().to_string().as_str()).copied() {
            books.stored[at as usize].attempted_before = true;
        }
    }

    /// A request to an endpoint begins: how many there were of its delivery, this one included.
    pub(crate) fn posted(&self, endpoint: u32, message: &str) -> u16 {
        let now = self.clock.now();
        let mut books = self.lock();
        books.posts += 1;
        let Some((at, slot)) = books.slot(endpoint, message) else { return 1 };
        let Stored { due, innocent, attempted_before, .. } = books.stored[at];
        let (nth, planned) = {
            let slot = &mut books.slots[slot];
            slot.posts = slot.posts.saturating_add(1);
            (slot.posts, slot.planned)
        };
        if nth == 1 && !attempted_before && due >= books.warm_from {
            books.first.add(now.since(due), innocent);
            books.last_first_ms = books.last_first_ms.max(now.since(due));
        }
        if let Some(planned) = planned {
            books.late.add(now.since(planned), innocent);
        }
        nth
    }

    /// An endpoint took a message.
    pub(crate) fn took(&self, endpoint: u32, message: &str) {
        let now = self.clock.now();
        let mut books = self.lock();
        let Some((at, slot)) = books.slot(endpoint, message) else { return };
        if books.slots[slot].delivered {
            books.delivered_again += 1;
            return;
        }
        let Stored { due, innocent, accepted, .. } = books.stored[at];
        books.slots[slot].delivered = true;
        books.delivered += 1;
        if due >= books.warm_from {
            books.end_to_end.add(now.since(due), innocent);
        }
        if accepted && !books.slots[slot].ended {
            books.open -= 1;
        }
    }

    /// These records are in a queue at the end.
    pub(crate) fn queued(&self, bodies: &[Arc<str>]) {
        let mut books = self.lock();
        for body in bodies {
            let id = match Record::parse(body) {
                Ok(
                    Record::Accepted { message, .. }
                    | Record::Share { message, .. }
                    | Record::Outcome { message, .. },
                ) => message.id,
                Ok(Record::Retry { msg, .. } | Record::Resend { msg, .. }) => msg,
                // What waits for the endpoint has its own.
                Ok(Record::Release { .. }) | Err(_) => continue,
            };
            let key = id.key().to_string();
            if let Some(at) = books.messages.get(key.as_str()).copied() {
                books.stored[at as usize].queued = true;
            }
        }
    }

    /// What became of everything that was accepted.
    pub(crate) fn fates(&self) -> Fates {
        let books = self.lock();
        let mut fates = Fates::default();
        for stored in books.stored.iter().filter(|stored| stored.accepted) {
            let first = stored.first_slot as usize;
            for slot in &books.slots[first..first + stored.endpoints as usize] {
                let over = slot.delivered || slot.ended;
                fates.unattempted += u64::from(slot.posts == 0 && !over);
                match slot {
                    Slot { delivered: true, .. } => fates.delivered += 1,
                    Slot { ended: true, .. } => fates.ended += 1,
                    Slot { pending: true, .. } => fates.pending += 1,
                    _ if stored.waits => fates.pending += 1,
                    _ if stored.queued => fates.queued += 1,
                    _ => fates.lost += 1,
                }
            }
        }
        fates
    }

    /// How many endpoints there are.
    pub(crate) fn endpoints(&self) -> usize {
        self.lock().endpoints.len()
    }

    /// The books, to read.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Books> {
        hold(&self.books)
    }

    fn message_stored(&self, item: &Item) {
        let mut books = self.lock();
        let Some(place) = &item.by_time else { return };
        let Some(app) = place.pk.split('#').nth(1) else { return };
        let Some(of) = books.applications.get(app) else { return };
        let (first_endpoint, endpoints, innocent) = (of.first_endpoint, of.endpoints, of.innocent);
        let Some(key) = item.key.pk.strip_prefix(MESSAGE_PK) else { return };
        let (at, first_slot) = (books.stored.len(), books.slots.len());
        books.messages.insert(key.into(), u32::try_from(at).unwrap_or(u32::MAX));
        let slots = first_slot + endpoints as usize;
        books.slots.resize(slots, Slot::default());
        books.stored.push(Stored {
            due: due(item).unwrap_or_else(|| self.clock.now()),
            first_slot: u32::try_from(first_slot).unwrap_or(u32::MAX),
            first_endpoint,
            endpoints,
            innocent,
            accepted: false,
            attempted_before: false,
            queued: false,
            waits: false,
        });
    }

    /// What makes a message wait, stored after the message itself: it is due while it waits.
    fn scheduled_stored(&self, item: &Item) {
        let mut books = self.lock();
        let Some(key) = item.key.pk.strip_prefix(MESSAGE_PK) else { return };
        let Some(at) = books.messages.get(key).copied() else { return };
        books.stored[at as usize].waits = item.due.is_some();
    }

    fn delivery_stored(&self, item: &Item, ep: &str) {
        let Ok(Progress { progress, next_at }) = serde_json::from_str(&item.doc) else { return };
        let mut books = self.lock();
        let Some((at, slot)) = books.slot_of(&item.key.pk, ep) else { return };
        let accepted = books.stored[at].accepted;
        let pending = progress == "pending";
        let slot = &mut books.slots[slot];
        slot.pending = pending;
        slot.planned = pending.then_some(next_at);
        let ended = matches!(progress.as_str(), "failed" | "canceled");
        let over_now = ended && !slot.ended && !slot.delivered;
        slot.ended |= ended;
        if over_now && accepted {
            books.open -= 1;
        }
    }

    fn attempt_stored(&self, item: &Item, ep: &str) {
        let mut books = self.lock();
        books.recorded += u64::from(books.slot_of(&item.key.pk, ep).is_some());
    }
}

impl Books {
    fn accept(&mut self, at: u32) {
        let stored = &mut self.stored[at as usize];
        if std::mem::replace(&mut stored.accepted, true) {
            return;
        }
        let (first, endpoints) = (stored.first_slot as usize, stored.endpoints as usize);
        let is_over = |slot: &&Slot| slot.delivered || slot.ended;
        let over = self.slots[first..first + endpoints].iter().filter(is_over).count();
        self.accepted += 1;
        self.deliveries += endpoints as u64;
        self.open += i64::try_from(endpoints - over).unwrap_or(0);
    }

    /// The message and the delivery of a request, by the endpoint's number and the message's id.
    fn slot(&self, endpoint: u32, message: &str) -> Option<(usize, usize)> {
        let key = message.parse::<MessageId>().ok()?.key().to_string();
        self.slot_at(&key, endpoint)
    }

    fn slot_of(&self, pk: &str, ep: &str) -> Option<(usize, usize)> {
        let endpoint = *self.endpoints.get(ep)?;
        self.slot_at(pk.strip_prefix(MESSAGE_PK)?, endpoint)
    }

    fn slot_at(&self, key: &str, endpoint: u32) -> Option<(usize, usize)> {
        let at = *self.messages.get(key)? as usize;
        let stored = &self.stored[at];
        let nth = endpoint.checked_sub(stored.first_endpoint).filter(|n| *n < stored.endpoints)?;
        Some((at, (stored.first_slot + nth) as usize))
    }
}

impl Watch for Ledger {
    fn stored(&self, item: &Item, old: Option<&Item>) {
        let sk = item.key.sk.as_str();
        if let Some(rest) = sk.strip_prefix(DELIVERY_PREFIX) {
            self.delivery_stored(item, rest);
        } else if sk == SCHEDULED_SK {
            self.scheduled_stored(item);
        } else if old.is_some() {
            // A change of what is there already.
        } else if let Some(rest) = sk.strip_prefix(ATTEMPT_PREFIX) {
            self.attempt_stored(item, rest.split('#').next().unwrap_or_default());
        } else if sk == MESSAGE_SK {
            self.message_stored(item);
        } else if item.key.pk.starts_with(PARKED_PK) {
            self.lock().parked += 1;
        }
    }
}

/// When a scheduled message is due.
fn due(item: &Item) -> Option<Timestamp> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct When {
        deliver_at: Option<Timestamp>,
    }
    if !item.doc.contains("deliverAt") {
        return None;
    }
    serde_json::from_str::<When>(&item.doc).ok()?.deliver_at
}

//! What the dispatchers of this process are sending without a lease, and the replays that met
//! them: where one process does all the dispatching. Of an attempt by hand, which never has a lease,
//! two records may be received together after a crash: the second one waits until the first is done.
//!
//! The first attempt of a fresh record leaves no trace in the store before it is recorded. So a
//! replay that asks the store alone takes a message which is being sent, or is about to be, for
//! one that was never sent. Here both sides leave a note before they look for the other's, so
//! at least one of them finds out.
//!
//! Not guaranteed: anything about dispatchers of other processes. Without this memory a replay
//! waits for a lease's length instead.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use crate::domain::clock::Timestamp;
use crate::domain::delivery::LEASE_MS;
use crate::domain::id::{AttemptId, EndpointId, MessageId};
use crate::domain::sync::hold;

/// So many replays are remembered without a look at which are over.
const FEW: usize = 1_024;

type Pair = (MessageId, EndpointId);

/// What is being sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Sent {
    /// The first attempt of a delivery.
    First(Pair),
    /// An attempt that somebody asked for.
    ByHand(AttemptId),
}

/// The memory. Clones share it.
#[derive(Clone, Default)]
pub struct InFlight(Arc<Mutex<Notes>>);

#[derive(Default)]
struct Notes {
    /// What is being sent without a lease.
    sending: HashSet<Sent>,
    /// What a replay opened, and until when a dispatcher that looked earlier may still be about to
    /// send it.
    opened: HashMap<Pair, Timestamp>,
    /// With so many of those the ones that are over are taken out.
    full: usize,
}

/// Who was faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// A replay has opened the delivery: the attempt needs its lease.
    Replay,
    /// A copy of the record is being sent at this moment, and stays in the queue until that is
    /// on record.
    Copy,
}

/// An attempt that is being made without a lease: over when this is dropped.
pub struct Sending {
    in_flight: InFlight,
    sent: Sent,
}

impl InFlight {
    /// Notes that a first attempt is about to be made without a lease, unless it must not be.
    ///
    /// # Errors
    /// Who is there already.
    pub fn begin(&self, msg: MessageId, ep: EndpointId) -> Result<Sending, Met> {
        let mut notes = hold(&self.0);
        if notes.opened.contains_key(&(msg, ep)) {
            return Err(Met::Replay);
        }
        let sent = Sent::First((msg, ep));
        if !notes.sending.insert(sent) {
            return Err(Met::Copy);
        }
        drop(notes);
        Ok(Sending { in_flight: self.clone(), sent })
    }

    /// Notes that an attempt by hand is about to be looked for and made. `None`: somebody is at it.
    pub fn begin_by_hand(&self, attempt: AttemptId) -> Option<Sending> {
        let sent = Sent::ByHand(attempt);
        hold(&self.0).sending.insert(sent).then(|| Sending { in_flight: self.clone(), sent })
    }

    /// Notes that a replay is about to open the delivery of a message that could be sent from
    /// `released_at` on. Whether it may: nobody is sending it.
    pub fn open(
        &self,
        msg: MessageId,
        ep: EndpointId,
        released_at: Timestamp,
        now: Timestamp,
    ) -> bool {
        let mut notes = hold(&self.0);
        if notes.sending.contains(&Sent::First((msg, ep))) {
            return false;
        }
        // A record older than a lease is looked up first; that look-up may end before this delivery is
        // stored.
        if notes.opened.len() >= notes.full {
            notes.opened.retain(|_, until| *until >= now);
            notes.full = (2 * notes.opened.len()).max(FEW);
        }
        notes.opened.insert((msg, ep), released_at.max(now).plus_ms(LEASE_MS));
        true
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        hold(&self.in_flight.0).sending.remove(&self.sent);
    }
}

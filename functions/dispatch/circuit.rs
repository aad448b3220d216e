//! Endpoints that do not answer are left alone: what
//! [`circuit`](shared::domain::circuit) decides, loaded and stored.
//!
//! The state comes with the endpoint, which is read for each batch anyway. It is written when it
//! changes, best effort: what is lost costs another request that nobody answers.

use shared::domain::circuit::{self, Circuit, Passage, Progress};
use shared::domain::clock::Timestamp;
use shared::domain::delivery::Delivery;
use shared::domain::endpoint::Endpoint;
use shared::domain::id::MessageId;
use shared::store::Edited;
use tracing::{error, info, warn};

use crate::awaited;
use crate::job::Job;

/// What an attempt to bring this message to the endpoint may do now. [`Passage::Probe`]: it has taken
/// the probe, and is the only one. Its delivery is `found` if it is on record.
pub(crate) async fn passage(
    job: &Job,
    seen: &Endpoint,
    msg: MessageId,
    found: Option<&Delivery>,
) -> Passage {
    let Some(circuit) = asked(job, seen) else { return Passage::Go };
    let progress = progress(circuit, found);
    let (now, random) = (job.now(), u64::from_be_bytes(job.context.parts.ambient.random()));
    match circuit::passage(Some(circuit), progress, now, random) {
        Passage::Probe if takes_probe(job, seen, msg, now).await => Passage::Probe,
        Passage::Probe => circuit::instead_of_probe(Some(circuit), progress, now, random),
        passage => passage,
    }
}

/// Until when the endpoint is left alone for sure. Whether a probe is made of what may go is
/// decided when everything else is clear.
pub(crate) fn left_alone(job: &Job, seen: &Endpoint, found: &Delivery) -> Option<Timestamp> {
    let circuit = asked(job, seen)?;
    let random = u64::from_be_bytes(job.context.parts.ambient.random());
    match circuit::passage(Some(circuit), progress(circuit, Some(found)), job.now(), random) {
        Passage::Wait { until } => Some(until),
        Passage::Go | Passage::Probe | Passage::Shut { .. } => None,
    }
}

/// How far a delivery is. Only what [is found](awaited::is_found) may wait to be released.
fn progress(circuit: &Circuit, found: Option<&Delivery>) -> Progress {
    let Some(delivery) = found else { return Progress::New };
    let is_found = circuit.open.is_some_and(|open| awaited::is_found(delivery, &open));
    if is_found { Progress::Waiting } else { Progress::Attempted }
}

/// The circuit of an endpoint that did not answer lately, unless circuits are taken out.
fn asked<'a>(job: &Job, seen: &'a Endpoint) -> Option<&'a Circuit> {
    seen.circuit.as_ref().filter(|_| !job.context.parts.settings.without.circuits)
}

/// Whether this message's delivery makes the probe. Then another one asks at the next probe,
/// whatever becomes of this one.
async fn takes_probe(job: &Job, seen: &Endpoint, msg: MessageId, now: Timestamp) -> bool {
    let Some(open) = seen.circuit.and_then(|circuit| circuit.open) else { return false };
    // A crowd that waits asks the store once; again, if that was in vain, a little later.
    if !job.context.notes.is_new((seen.id, "probe", Some(open.probe_at)), now) {
        return false;
    }
    let take = |endpoint: &mut Endpoint| {
        let next = circuit::probing(endpoint.circuit.as_ref(), now);
        if next.is_some() {
            endpoint.circuit = next;
        }
        next.and_then(|circuit| circuit.open)
    };
    match job.context.parts.editor.edit_endpoint(&seen.app, &seen.id, now, take).await {
        Ok(Edited::Done((_, Some(next)))) => {
            awaited::appoint(job, seen, &next, msg).await;
            true
        }
        Ok(Edited::Done((_, None))) => false,
        Ok(Edited::Gone | Edited::UidTaken) => false,
        Err(error) => {
            warn!(endpoint.id = %seen.id, %error, "no probe: its time cannot be moved on");
            false
        }
    }
}

/// Takes note of whether the endpoint answered a request, and sees to what waits for it.
pub(crate) async fn note(job: &Job, seen: &Endpoint, url: &str, answered: bool) {
    if seen.url != url || answered && seen.circuit.is_none() {
        return;
    }
    let now = job.now();
    let open_of = |endpoint: &Endpoint| endpoint.circuit.and_then(|circuit| circuit.open);
    // How it was open just before, and is now.
    let change = |endpoint: &mut Endpoint| {
        let before = open_of(endpoint);
        if endpoint.url == url {
            let old = endpoint.circuit;
            endpoint.circuit = (!answered).then(|| circuit::silent(old.as_ref(), now));
        }
        (before, open_of(endpoint))
    };
    match job.context.parts.editor.edit_endpoint(&seen.app, &seen.id, now, change).await {
        Ok(Edited::Done((_, (None, Some(_))))) => {
            warn!(endpoint.id = %seen.id, "its circuit is open: it does not answer");
        }
        Ok(Edited::Done((_, (Some(open), None)))) => {
            info!(endpoint.id = %seen.id, "its circuit is closed: it answers again");
            awaited::announce(job, seen, &open).await;
        }
        Ok(_) => {}
        Err(error) => error!(endpoint.id = %seen.id, %error, "what it answered is not noted"),
    }
}

//! An attempt as it is stored. Of what came with an answer no more is kept than the attempt pays
//! for anyway.

use super::table::{Condition, Item, WRITE_UNIT_BYTES, Write};
use super::{StoreError, doc, keys};
use crate::domain::attempt::Attempt;
use crate::domain::message::Message;

/// What the field of the headers takes when it is empty, in bytes: `,"headers":[]`.
const FIELD_BYTES: usize = 13;

/// Puts an attempt on record, unless there is one in its place.
pub(super) fn put(attempt: &Attempt, message: &Message) -> Result<Write, StoreError> {
    let item = match attempt.headers.is_empty() {
        true => item(attempt, message)?,
        false => item(&fitting(attempt, message)?, message)?,
    };
    Ok(Write::Put(item, Condition::AbsentAt(attempt.at)))
}

fn item(attempt: &Attempt, message: &Message) -> Result<Item, StoreError> {
    let key = keys::attempt(&attempt.msg.key(), &attempt.ep, attempt.trigger);
    let by_time = keys::attempt_time(&attempt.ep, attempt.spread, &attempt.id);
    Ok(Item::new(key, doc::encode(attempt)?).listed(by_time).until(message.expires_at))
}

/// The same with those of its headers that cost no further unit.
fn fitting(attempt: &Attempt, message: &Message) -> Result<Attempt, StoreError> {
    let mut fitting = Attempt { headers: Vec::new(), ..attempt.clone() };
    let bare = item(&fitting, message)?.size();
    let mut room = (bare.next_multiple_of(WRITE_UNIT_BYTES) - bare).saturating_sub(FIELD_BYTES);
    for header in &attempt.headers {
        let json = serde_json::to_string(header);
        let json = json.map_err(|error| StoreError::Invalid(error.to_string()))?;
        // With a comma.
        if let Some(left) = room.checked_sub(json.len() + 1) {
            room = left;
            fitting.headers.push(header.clone());
        }
    }
    Ok(fitting)
}

//! What threads share.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the mutex guards, to oneself for as long as the guard lives. A panic of somebody who held it
/// is no reason to stop: what is guarded is whole after every statement, whatever panics in between.
pub fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

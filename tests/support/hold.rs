//! A writer that has to wait.

use std::sync::mpsc::{Sender, channel};

use shared::embedded::Engine;

/// Holds the writer until it is dropped, so that all that is sent meanwhile goes together.
pub(crate) fn hold(engine: &Engine) -> Sender<()> {
    let (release, held) = channel::<()>();
    let hold = move |_: &_| {
        // Ends when the other side is gone. The second time as well.
        let _ = held.recv();
        Ok(())
    };
    engine.submit(0, hold, |_| {}).unwrap();
    release
}

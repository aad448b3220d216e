//! An orderly stop: nothing new is begun, and what is under way comes to its end.

use tokio::sync::watch;

/// Whoever may ask for the stop.
pub(crate) struct Stopper(watch::Sender<bool>);

/// Whoever is to hear of it. Clones hear of the same.
#[derive(Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

/// Both ends.
pub(crate) fn stop() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Asks for it.
    pub(crate) fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// One that nobody asks for.
    pub(crate) fn never() -> Self {
        stop().1
    }

    /// Whether it has been asked for.
    pub(crate) fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is asked for.
    pub(crate) async fn asked(&self) {
        if self.0.clone().wait_for(|asked| *asked).await.is_err() {
            // Nobody is left who could.
            std::future::pending::<()>().await;
        }
    }
}

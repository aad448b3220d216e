//! What asks a process to end.

use crate::output;

/// Waits for Ctrl-C, Ctrl-\\, `kill`, the end of the terminal or of whoever reads, from now on.
///
/// # Errors
/// When the system does not let us hear of them.
pub(crate) fn ended() -> Result<impl Future<Output = ()>, String> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let hear = |kind| signal(kind).map_err(|error| format!("cannot hear of signals: {error}"));
        let mut interrupt = hear(SignalKind::interrupt())?;
        let mut terminate = hear(SignalKind::terminate())?;
        let mut hang_up = hear(SignalKind::hangup())?;
        let mut quit = hear(SignalKind::quit())?;
        let unread = output::unread();
        Ok(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hang_up.recv() => {}
                _ = quit.recv() => {}
                () = unread => {}
            }
        })
    }
    #[cfg(not(unix))]
    {
        let unread = output::unread();
        Ok(async {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                () = unread => {}
            }
        })
    }
}

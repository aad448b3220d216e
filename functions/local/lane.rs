//! A second lane for what takes long to compute: long bodies, long lists, and whatever else is no
//! small event; and for what comes in crowds: retries of one application, and the sweeps. It has
//! threads of its own, which stand back behind those of the first lane where both want a processor,
//! and leave half of the processors to it where it does not want them yet; its writes go behind
//! those of the first. So those who publish and get small events do not wait behind what others do.
//!
//! Not guaranteed, where the system knows no priorities of threads (all but Linux): anything but
//! the threads themselves and the order of writes.

use std::future::Future;

use shared::embedded;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinSet;

/// Bytes of a body that make it long: what is computed for one that is shorter takes less than a
/// few hundred microseconds.
pub(crate) const LONG: usize = 32 * 1024;
/// How far the second lane stands back (`nice`): it gets about a tenth of a processor that both
/// want.
pub(crate) const BEHIND: i32 = 10;

/// The second lane, until it is dropped.
pub(crate) struct Lane {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Lane {
    /// Starts its threads, which stand back so far: one for every two processors. A thread that
    /// computes is interrupted for one of the first lane only after some milliseconds, so that one
    /// is to find another processor.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub(crate) fn start(nice: i32) -> Result<Self, String> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = Builder::new_multi_thread()
            .worker_threads(processors.div_ceil(2))
            .thread_name("second-lane")
            .on_thread_start(move || stand_back(nice))
            .enable_all()
            .build()
            .map_err(|error| format!("cannot start a second lane: {error}"))?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// Where to spawn.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Whoever drops this must not be kept waiting.
            runtime.shutdown_background();
        }
    }
}

/// Runs this in that lane, as long as somebody waits for it. `None` when the lane is closed.
pub(crate) async fn run<T, F>(lane: &Handle, work: F) -> Option<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    // A set ends what is in it when it is dropped: who hung up is not answered.
    let mut alone = JoinSet::new();
    alone.spawn_on(work, lane);
    match alone.join_next().await? {
        Ok(done) => Some(done),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The platform is going down.
        Err(_) => None,
    }
}

#[cfg_attr(not(target_os = "linux"), expect(unused_variables, reason = "it is for all threads"))]
fn stand_back(nice: i32) {
    embedded::stand_back();
    // Of this thread alone, on Linux. Where it is refused both lanes get as much of a processor.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, nice);
}

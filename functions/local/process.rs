//! What this process has used, as Linux tells it.

use serde::{Deserialize, Serialize};

/// Clock ticks a second in `/proc`: 100 on every Linux.
const TICKS_PER_S: f64 = 100.0;

/// CPU time and memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Used {
    /// CPU seconds, user and system.
    pub(crate) cpu_s: f64,
    /// Largest resident size so far, in bytes.
    pub(crate) peak_bytes: u64,
}

/// What this process has used so far; zeros where there is no `/proc`.
pub(crate) fn used() -> Used {
    let cpu_s = std::fs::read_to_string("/proc/self/stat")
        .ok()
        .and_then(|stat| {
            // The name in the second field may hold anything but its closing bracket.
            let (_, fields) = stat.rsplit_once(')')?;
            let mut fields = fields.split_whitespace().skip(11);
            let user: f64 = fields.next()?.parse().ok()?;
            let system: f64 = fields.next()?.parse().ok()?;
            Some((user + system) / TICKS_PER_S)
        })
        .unwrap_or_default();
    let peak_bytes = std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        })
        .map_or(0, |kib| kib * 1024);
    Used { cpu_s, peak_bytes }
}

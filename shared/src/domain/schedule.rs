//! When to try again.

use crate::domain::clock::Timestamp;

/// Delays between attempts: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h, in seconds
/// (Svix's schedule: 8 attempts over 27.6 h).
pub const DEFAULT_DELAYS_S: [u64; 7] = [5, 300, 1800, 7200, 18_000, 36_000, 36_000];
/// How far jitter moves a delay either way, in percent (Svix: 20).
pub const JITTER_PERCENT: u64 = 20;

/// How often and after how long a failed delivery is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    delays_s: Vec<u64>,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { delays_s: DEFAULT_DELAYS_S.to_vec() }
    }
}

impl Schedule {
    /// A schedule of these delays, in seconds. An empty one means a single attempt.
    pub fn new(delays_s: Vec<u64>) -> Self {
        Self { delays_s }
    }

    /// Attempts that a delivery gets, the first included.
    pub fn attempts(&self) -> u32 {
        u32::try_from(self.delays_s.len() + 1).unwrap_or(u32::MAX)
    }

    /// When to try again after attempt `failed` (counted from 1) ended at `now`; `None` when
    /// that was the last one.
    ///
    /// `random` moves the delay by up to [`JITTER_PERCENT`] either way. An endpoint's
    /// `Retry-After` is obeyed, but kept between the delay and twice the delay: it can slow us
    /// down, and it can neither hurry us nor stall us for good.
    pub fn next(
        &self,
        failed: u32,
        now: Timestamp,
        retry_after: Option<&str>,
        random: u64,
    ) -> Option<Timestamp> {
        let position = usize::try_from(failed.checked_sub(1)?).ok()?;
        let delay_ms = self.delays_s.get(position)?.saturating_mul(1000);
        // Delays are whole seconds, so dividing first loses nothing.
        let spread_ms = delay_ms / 100 * JITTER_PERCENT;
        let jittered_ms = (delay_ms - spread_ms).saturating_add(random % (2 * spread_ms + 1));
        let wait_ms = match retry_after.and_then(|value| retry_after_ms(value, now)) {
            Some(asked_ms) => asked_ms.clamp(delay_ms, delay_ms.saturating_mul(2)).max(jittered_ms),
            None => jittered_ms,
        };
        Some(now.plus_ms(wait_ms))
    }
}

/// Reads a `Retry-After` header: seconds or an HTTP date. `None` when it is neither.
fn retry_after_ms(value: &str, now: Timestamp) -> Option<u64> {
    if let Ok(seconds) = value.trim().parse::<u64>() {
        return Some(seconds.saturating_mul(1000));
    }
    let date = httpdate::parse_http_date(value.trim()).ok()?;
    let since_epoch = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    let at = Timestamp(u64::try_from(since_epoch.as_millis()).ok()?);
    Some(at.since(now))
}

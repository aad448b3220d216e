//! What the platform says of each delivery while it runs: a coloured line at a terminal, a line of
//! JSON to whatever else reads.
//!
//! A thread of its own writes. Whoever reads slowly, or not at all, misses lines, is told how many,
//! and holds up nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use dispatch::{Next, Observer};
use serde_json::{Value, json};
use shared::domain::attempt::{Attempt, Trigger};

use crate::output::{Paint, field, line};
use crate::terminal::{shown_in_line, shown_json};

/// Lines that wait for whoever reads them.
const WAITING: usize = 4_096;

/// Tells of attempts.
pub(crate) struct Narrator {
    lines: SyncSender<Value>,
    missed: Arc<AtomicU64>,
}

impl Narrator {
    /// Begins to tell, in JSON or to a person.
    pub(crate) fn start(as_json: bool) -> Self {
        let (lines, waiting) = sync_channel(WAITING);
        let missed = Arc::<AtomicU64>::default();
        let counted = missed.clone();
        let paint = Paint::of_stdout();
        std::thread::spawn(move || write(&waiting, &counted, as_json, paint));
        Self { lines, missed }
    }
}

impl Observer for Narrator {
    fn attempted(&self, attempt: &Attempt, next: Next<'_>) {
        if self.lines.try_send(told(attempt, next)).is_err() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// An attempt for programs.
pub(crate) fn told(attempt: &Attempt, next: Next<'_>) -> Value {
    let (again_at, given_up) = match next {
        Next::Nothing => (None, None),
        Next::Retry(at) => (Some(at), None),
        Next::GivenUp(why) => (None, Some(why)),
    };
    let number = match attempt.trigger {
        Trigger::Scheduled(number) => Some(number),
        Trigger::Manual(_) => None,
    };
    let ended = attempt.at.plus_ms(attempt.ms);
    json!({
        "event": "attempt", "at": attempt.at.to_rfc3339(), "eventType": attempt.event_type,
        "app": attempt.app.to_string(), "message": attempt.msg.to_string(),
        "endpoint": attempt.ep.to_string(), "url": attempt.url, "ok": attempt.ok,
        "status": attempt.status, "ms": attempt.ms, "attempt": number,
        "againInSeconds": again_at.map(|at| at.since(ended).div_ceil(1_000)),
        "givenUp": given_up,
        "why": (attempt.status == 0).then_some(&attempt.response),
    })
}

fn write(waiting: &Receiver<Value>, missed: &AtomicU64, as_json: bool, paint: Paint) {
    while let Ok(told) = waiting.recv() {
        line(&match as_json {
            true => shown_json(&told),
            false => sentence(&told, paint),
        });
        let count = missed.swap(0, Ordering::Relaxed);
        if count > 0 {
            line(&match as_json {
                true => json!({"event": "missed", "attempts": count}).to_string(),
                false => paint.faint(&format!("... and {count} more that came too fast to tell")),
            });
        }
    }
}

/// An attempt for people, as `20:57:02  order.paid  -> https://...  500  1 ms  again in 5 s`.
pub(crate) fn sentence(told: &Value, paint: Paint) -> String {
    let status = match told["status"].as_u64() {
        None | Some(0) => format!("no answer ({})", shown_in_line(&field(told, "why"))),
        Some(status) => status.to_string(),
    };
    let status = if told["ok"] == true { paint.good(&status) } else { paint.bad(&status) };
    let next = match (told["againInSeconds"].as_u64(), told["givenUp"].as_str()) {
        (Some(seconds), _) => format!("  again in {}", span(seconds)),
        (None, Some(why)) => format!("  {}", paint.bad(&format!("given up: {why}"))),
        (None, None) => String::new(),
    };
    format!(
        "{}  {}  -> {}  {status}  {} ms{next}",
        paint.faint(field(told, "at").get(11..19).unwrap_or_default()),
        shown_in_line(&field(told, "eventType")),
        shown_in_line(&field(told, "url")),
        told["ms"],
    )
}

/// Seconds as people say them.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3_600),
    }
}

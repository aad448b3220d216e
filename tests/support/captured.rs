//! Everything that is logged while a test runs on its thread, and a search through it that finds
//! a text however it is written.

use std::io;
use std::sync::{Arc, LazyLock, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use tracing::Dispatch;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;

/// What was logged, as lines of JSON.
#[derive(Clone, Default)]
pub(crate) struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    /// Captures everything at all levels until the guard is dropped.
    pub(crate) fn everything() -> (Self, DefaultGuard) {
        Self::with(Targets::new().with_default(LevelFilter::TRACE))
    }

    /// Captures what passes this filter until the guard is dropped.
    pub(crate) fn with(filter: Targets) -> (Self, DefaultGuard) {
        let captured = Self::default();
        let layer =
            fmt::layer().json().with_span_events(FmtSpan::FULL).with_writer(captured.clone());
        let subscriber = tracing_subscriber::registry().with(filter).with(layer);
        (captured, listen(subscriber))
    }

    /// The lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).expect("text");
        text.lines().map(str::to_owned).collect()
    }

    /// The first line that has this text in it, in whatever spelling.
    pub(crate) fn leak(&self, text: &str) -> Option<String> {
        let spellings = spellings(text.as_bytes());
        self.lines().into_iter().find(|line| spellings.iter().any(|it| line.contains(it)))
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self::Writer {
        self.clone()
    }
}

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lets this subscriber hear what happens on this thread until the guard is dropped.
///
/// As long as a process has one subscriber only, `tracing` asks none but the thread that comes to
/// a line first whether anybody listens, and takes its answer for good. Other tests' threads have
/// no subscriber, so there is always a second one, which hears nothing.
pub(crate) fn listen(subscriber: impl Into<Dispatch>) -> DefaultGuard {
    static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::default()));
    LazyLock::force(&SECOND);
    tracing::dispatcher::set_default(&subscriber.into())
}

/// How bytes may be written in a log: as they are, in hex, as a list of numbers, and in base64
/// wherever in the encoded text they begin.
fn spellings(bytes: &[u8]) -> Vec<String> {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
    let mut spellings = vec![hex.to_uppercase(), hex, numbers.join(", "), numbers.join(",")];
    spellings.extend(String::from_utf8(bytes.to_vec()));
    for skipped in 0..3 {
        // Whole groups of three bytes; what stands around them changes nothing.
        let whole = &bytes[skipped..];
        let whole = &whole[..whole.len() / 3 * 3];
        let text = STANDARD_NO_PAD.encode(whole);
        spellings.push(text.replace('+', "-").replace('/', "_"));
        spellings.push(text);
    }
    spellings
}

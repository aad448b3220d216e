//! What a command answers: JSON for programs, text for people.

use std::collections::BTreeMap;
use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use shared::host::config;
use tokio::sync::Notify;

use crate::json::compact;
use crate::table::{Column, Table};
use crate::terminal::{shown, shown_json};

/// An answer in both forms.
pub(crate) struct Output {
    /// For programs.
    json: String,
    /// For people.
    pub(crate) text: String,
    /// For people as well, instead of the text.
    table: Option<Table>,
}

impl Output {
    /// Both forms of an answer.
    pub(crate) fn new(json: impl Serialize, text: impl Into<String>) -> Self {
        let json = serde_json::to_string(&json).expect("an answer can be written");
        Self { json: compact(&json), text: text.into(), table: None }
    }

    /// A thing with its fields, one a line, each as it was written.
    pub(crate) fn thing(json: impl Serialize) -> Self {
        let thing = Self::new(json, "");
        let fields: BTreeMap<String, &RawValue> =
            serde_json::from_str(&thing.json).unwrap_or_default();
        let fields: Vec<_> =
            fields.iter().filter(|(_, value)| !NOTHING.contains(&value.get())).collect();
        let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let line = |(name, value): &(&String, &&RawValue)| {
            format!("{name:<width$}  {}", as_written(value))
        };
        let text = fields.iter().map(line).collect::<Vec<_>>().join("\n");
        Self { text, ..thing }
    }

    /// A list as a table: columns by title and by what they show of an item.
    pub(crate) fn table(items: Vec<Value>, none: &str, columns: &[Column]) -> Self {
        let table = (!items.is_empty()).then(|| Table::new(&items, columns));
        Self { table, ..Self::new(items, none) }
    }

    /// Prints it. What was read from elsewhere does nothing to the terminal.
    pub(crate) fn print(&self, as_json: bool) {
        if as_json {
            line(&shown_json(&self.json));
        } else if let Some(table) = &self.table {
            line(&table.within(width()));
        } else if !self.text.is_empty() {
            line(&shown(&self.text));
        }
    }
}

/// How many characters of a line somebody sees, if standard output is a terminal.
fn width() -> Option<usize> {
    let (width, _) = terminal_size::terminal_size_of(std::io::stdout())?;
    Some(width.0.into())
}

/// What shells call the end of a program by SIGPIPE, which ends most of those that print to a pipe
/// without a reader.
const OF_A_CLOSED_PIPE: u8 = 141;

/// Whether nobody reads any more.
static IS_UNREAD: AtomicBool = AtomicBool::new(false);
/// Whether what was printed could not be written.
static IS_REFUSED: AtomicBool = AtomicBool::new(false);
/// Whether somebody ends the program when nobody reads any more.
static IS_HEARD: AtomicBool = AtomicBool::new(false);
static UNREAD: Notify = Notify::const_new();
/// Whether the program goes on whether anybody reads or not.
static GOES_ON: AtomicBool = AtomicBool::new(false);

/// Prints a line. When nobody reads any more that ends the program without a word, as `head`
/// expects, and with one when there is no room for it; at once, unless somebody [listens for
/// it](unread).
pub(crate) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let Err(error) = writeln!(out, "{text}").and_then(|()| out.flush()) else { return };
    if GOES_ON.load(Ordering::Relaxed) {
        return;
    }
    let is_known = IS_UNREAD.swap(true, Ordering::Relaxed);
    if error.kind() != ErrorKind::BrokenPipe && !is_known {
        IS_REFUSED.store(true, Ordering::Relaxed);
        complain(&format!("posthorn: cannot print: {error}"));
    }
    match IS_HEARD.load(Ordering::Relaxed) {
        // Once: what is ended in order is not to be ended at once.
        true if is_known => {}
        true => UNREAD.notify_one(),
        false => std::process::exit(unread_code().into()),
    }
}

/// Prints a line as `println!` does, which panics where nobody reads.
macro_rules! tell {
    () => { $crate::output::line("") };
    ($($said:tt)*) => { $crate::output::line(&format!($($said)*)) };
}
pub(crate) use tell;

/// Prints a line to standard error, if anybody reads that.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Waits until nobody reads any more. From this call on that ends the program no more: whoever
/// calls does, after what is to be done before.
pub(crate) fn unread() -> impl Future<Output = ()> {
    IS_HEARD.store(true, Ordering::Relaxed);
    UNREAD.notified()
}

/// From this call on what is printed may be lost: for a server, which serves others than those who
/// read what it says.
pub(crate) fn go_on_unread() {
    GOES_ON.store(true, Ordering::Relaxed);
}

/// Whether nobody reads any more.
pub(crate) fn is_unread() -> bool {
    IS_UNREAD.load(Ordering::Relaxed)
}

/// What the program ends with when nobody reads any more.
pub(crate) fn unread_code() -> u8 {
    if IS_REFUSED.load(Ordering::Relaxed) { 1 } else { OF_A_CLOSED_PIPE }
}

/// A field as people read it.
pub(crate) fn field(item: &Value, name: &str) -> String {
    plain(&item[name])
}

/// A moment to the second, as `2026-11-26 03:00:04Z`.
pub(crate) fn moment(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    match (text.get(..10), text.get(11..19)) {
        (Some(day), Some(time)) => format!("{day} {time}Z"),
        _ => String::new(),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().map(plain).collect::<Vec<_>>().join(", ")
        }
        value => value.to_string(),
    }
}

/// What says nothing about a thing.
const NOTHING: [&str; 4] = ["null", "\"\"", "[]", "{}"];

/// A text, or texts, as people read them, and all else as it was written.
fn as_written(json: &RawValue) -> String {
    let text = serde_json::from_str::<String>(json.get());
    let texts = || serde_json::from_str::<Vec<String>>(json.get()).map(|texts| texts.join(", "));
    text.or_else(|_| texts()).unwrap_or_else(|_| json.to_string())
}

/// How lines are coloured, where anybody looks at them.
#[derive(Clone, Copy)]
pub(crate) struct Paint(bool);

impl Paint {
    /// For standard output: colours at a terminal only, and not where `NO_COLOR` is set.
    pub(crate) fn of_stdout() -> Self {
        let refused = config::from_process("NO_COLOR").is_some_and(|set| !set.is_empty());
        Self::new(std::io::stdout().is_terminal() && !refused)
    }

    /// Colours if so.
    pub(crate) fn new(colours: bool) -> Self {
        Self(colours)
    }

    /// What went well.
    pub(crate) fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    /// What did not.
    pub(crate) fn bad(self, text: &str) -> String {
        self.with("31", text)
    }

    /// What matters less.
    pub(crate) fn faint(self, text: &str) -> String {
        self.with("2", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        match self.0 {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }
}

//! Mutated input for everything that reads what strangers send, with a claim about each beyond
//! that nothing panics.
//!
//! The input is made of the files of `corpus` and of a seed, so a run can be repeated:
//! `.ci/fuzz --parsers [--seconds N] [--seed N]`. `cargo test` runs a few hundred inputs of a fixed
//! seed for each claim. Nothing leaves the process: no sockets, no names that are looked up.
//!
//! Each claim says what was made of an input. One of which something new was made is mutated further
//! itself, so the longer a run is the deeper it comes. Claims about whole requests have
//! [`REQUESTS`] times the time of a reader alone, because each of their inputs takes as much longer.

use std::collections::HashSet;
use std::time::{Duration, Instant};

mod mutate;
mod parsers;
mod requests;

use mutate::Mutator;

/// Inputs for each claim where no time is given.
const INPUTS: u64 = 300;
/// The seed where none is given.
const SEED: u64 = 20_261_126;

/// How many times as long claims about whole requests are tried; `.ci/fuzz` reckons with it.
const REQUESTS: u64 = 5;
/// Most kinds of answers that are told apart.
const KINDS: usize = 2_000;

/// What was made of an input, in words.
struct Made(String);

/// What was made of an input, by the sentence that its reader says: numbers and what is quoted
/// there are the input's, not the reader's.
fn made(sentence: impl AsRef<str>) -> Result<Made, String> {
    let mut quoted = false;
    let kind = sentence.as_ref().chars().filter(|c| {
        quoted ^= "`\"".contains(*c);
        !quoted && !c.is_ascii_digit()
    });
    Ok(Made(kind.take(200).collect()))
}

/// A claim about a reader alone: what makes one input and what holds of it; the text says what does
/// not.
fn fuzz(name: &str, corpus: &str, holds: impl FnMut(&str) -> Result<Made, String>) {
    fuzz_for(1, name, corpus, holds);
}

/// A claim about whole requests.
fn fuzz_requests(name: &str, corpus: &str, holds: impl FnMut(&str) -> Result<Made, String>) {
    fuzz_for(REQUESTS, name, corpus, holds);
}

fn fuzz_for(
    share: u64,
    name: &str,
    corpus: &str,
    mut holds: impl FnMut(&str) -> Result<Made, String>,
) {
    let (seed, time) = (number("POSTHORN_FUZZ_SEED").unwrap_or(SEED), number("POSTHORN_FUZZ_MS"));
    let mut mutator = Mutator::new(seed, corpus);
    let (begun, mut inputs) = (Instant::now(), 0);
    let mut kinds = HashSet::new();
    for input in mutator.corpus() {
        kinds.insert(check(name, seed, &input, &mut holds));
        inputs += 1;
    }
    let goes_on = |inputs| match time {
        Some(ms) => begun.elapsed() < Duration::from_millis(ms * share),
        None => inputs < INPUTS,
    };
    while goes_on(inputs) {
        let input = mutator.next();
        let kind = check(name, seed, &input, &mut holds);
        inputs += 1;
        if kinds.len() < KINDS && kinds.insert(kind) {
            mutator.keep(input);
        }
    }
    let kinds = kinds.len();
    println!("fuzz {name}: {inputs} inputs, {kinds} kinds of answers, seed {seed}, nothing found");
}

fn check(
    name: &str,
    seed: u64,
    input: &str,
    holds: &mut impl FnMut(&str) -> Result<Made, String>,
) -> String {
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| holds(input)));
    let problem = match found {
        Ok(Ok(Made(kind))) => return kind,
        Ok(Err(problem)) => problem,
        Err(_) => "a panic, see above".to_owned(),
    };
    let shown: String = input.chars().take(4_000).collect();
    panic!("fuzz {name}, seed {seed}: {problem}\ninput ({} bytes): {shown:?}", input.len());
}

#[expect(clippy::disallowed_methods, reason = "how long and from where is for whoever starts it")]
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// For a claim that holds or not.
fn claim(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

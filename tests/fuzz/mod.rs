//! Mutated input for everything that reads what strangers send, with a claim about each beyond
//! that nothing panics.
//!
//! The input is made of the files of `corpus` and of a seed, so a run can be repeated:
//! `.ci/fuzz --parsers [--seconds N] [--seed N]`. `cargo test` runs a few hundred inputs of a fixed
//! seed for each claim. Nothing leaves the process: no sockets, no names that are looked up.

use std::time::{Duration, Instant};

mod mutate;
mod parsers;
mod requests;

use mutate::Mutator;

/// Inputs for each claim where no time is given.
const INPUTS: u64 = 300;
/// The seed where none is given.
const SEED: u64 = 20_261_126;

/// What makes one input and what holds of it; the text says what does not.
fn fuzz(name: &str, corpus: &str, mut holds: impl FnMut(&str) -> Result<(), String>) {
    let (seed, time) = (number("POSTHORN_FUZZ_SEED").unwrap_or(SEED), number("POSTHORN_FUZZ_MS"));
    let mut mutator = Mutator::new(seed, corpus);
    let (begun, mut inputs) = (Instant::now(), 0);
    for input in mutator.corpus() {
        check(name, seed, &input, &mut holds);
        inputs += 1;
    }
    let goes_on = |inputs| match time {
        Some(ms) => begun.elapsed() < Duration::from_millis(ms),
        None => inputs < INPUTS,
    };
    while goes_on(inputs) {
        let input = mutator.next();
        check(name, seed, &input, &mut holds);
        inputs += 1;
    }
    println!("fuzz {name}: {inputs} inputs, seed {seed}, nothing found");
}

fn check(name: &str, seed: u64, input: &str, holds: &mut impl FnMut(&str) -> Result<(), String>) {
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| holds(input)));
    let problem = match found {
        Ok(Ok(())) => return,
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

//! What README and its kin say: short, leading somewhere, and run by somebody.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Most lines of the first page.
const MOST_LINES: usize = 150;

#[test]
fn the_first_page_is_short() {
    let lines = read("README.md").lines().count();
    assert!(
        lines <= MOST_LINES,
        "README.md has {lines} lines: move what is deeper beside its code"
    );
}

#[test]
fn every_link_leads_to_something_that_is_there() {
    let mut links = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for (start, _) in text.match_indices("](") {
            let target = text[start + 2..].split([')', '#']).next().unwrap();
            if target.is_empty() || target.contains("://") || target.contains('\n') {
                continue;
            }
            links += 1;
            let path = page.parent().unwrap().join(target);
            assert!(path.exists(), "{}: {target} is not there", page.display());
        }
    }
    assert!(links > 40, "{links} links");
}

#[test]
fn every_check_that_a_page_names_is_there() {
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for word in text.split(|c: char| c.is_whitespace() || "`()*,:".contains(c)) {
            let is_path = [".ci/", "tests/", "shared/src/", "functions/"]
                .iter()
                .any(|start| word.starts_with(start) && word.len() > start.len());
            let word = word.trim_end_matches(['.', ';', '/']);
            if is_path && !word.contains(['{', '[', '$']) {
                let there = Path::new(env!("CARGO_MANIFEST_DIR")).join(word).exists();
                assert!(there, "{}: {word} is not there", page.display());
            }
        }
    }
}

/// `.ci/readme` runs what README says: each command stands in its list, and each in its list stands
/// in README.
#[test]
fn every_command_of_the_first_page_is_run_by_ci() {
    let script = read(".ci/readme");
    let list = script.split("COMMANDS = {").nth(1).unwrap().split("\n}").next().unwrap();
    let run: BTreeSet<&str> = list
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"'))
        .filter_map(|line| line.split("\": ").next())
        .collect();
    let text = read("README.md").replace('"', "\\\"");
    let told: BTreeSet<&str> = commands(&text).collect();
    assert_eq!(told, run);
    assert!(read(".ci/run").contains(".ci/readme target/debug/posthorn"));
    assert!(read(".ci/run").contains(".ci/newcomer target/debug/posthorn"));
}

/// What is typed: indented lines that begin with a program's name, without what they say of it.
fn commands(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with("cargo ") || line.starts_with("sam "))
        .map(|line| line.split("  #").next().unwrap().trim_end())
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Every page of this repository.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let is_ours = !name.starts_with('.') || name == ".github";
            if path.is_dir() && is_ours && !["target", "node_modules"].contains(&name.as_str()) {
                waiting.push(path);
            } else if name.ends_with(".md") {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 5, "{found:?}");
    found
}

#[test]
fn the_first_page_says_what_the_cost_command_reckons() {
    let block = read("functions/README.md");
    let all = block.lines().find(|line| line.starts_with("all of it")).unwrap();
    let dollars = format!("${}", all.split_whitespace().last().unwrap());
    assert!(read("README.md").contains(&dollars), "README.md does not say {dollars}");
}

//! Imports go down only, and nowhere in a circle: read from the sources themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The floors of `shared`, lowest first. What stands on one floor may import what stands on a
/// lower one; [`BELOW`] has the few that may import a neighbour.
const FLOORS: [&[&str]; 5] = [
    &["domain"],
    &["store", "queue", "sender", "embedded", "aws"],
    &["work"],
    &["api", "host"],
    &["lambda"],
];
/// Neighbours on one floor of which the second is the lower.
const BELOW: [(&str, &str); 4] =
    [("store", "embedded"), ("queue", "embedded"), ("store", "aws"), ("queue", "aws")];

/// Who imports whom, with the file that says so.
type Arrows = BTreeMap<String, BTreeMap<String, PathBuf>>;

#[test]
fn every_import_in_shared_goes_down() {
    let mut wrong = Vec::new();
    for (from, targets) in arrows(Path::new("shared/src"), 1) {
        for (to, file) in targets {
            let neighbours = BELOW.contains(&(from.as_str(), to.as_str()));
            if !neighbours && floor(&to) >= floor(&from) {
                wrong.push(format!("{from} -> {to} in {}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that do not go down:\n{}", wrong.join("\n"));
}

#[test]
fn no_modules_of_shared_import_each_other_in_a_circle() {
    for folder in ["domain", "store", "queue", "sender", "work", "api", "host", "lambda"] {
        refuse_circles(&format!("shared/src/{folder}"));
    }
}

#[test]
fn no_modules_of_a_function_import_each_other_in_a_circle() {
    for function in ["receive", "dispatch", "retry", "admin", "local"] {
        refuse_circles(&format!("functions/{function}"));
    }
}

#[test]
fn functions_do_not_import_each_other_except_for_the_local_platform() {
    let functions = ["receive", "dispatch", "retry", "admin"];
    for function in functions {
        for path in sources(&Path::new("functions").join(function)) {
            for other in functions.iter().filter(|other| **other != function) {
                let code = code(&path);
                let used = code.contains(&format!("use {other}::"));
                assert!(!used, "{} imports {other}", path.display());
            }
        }
    }
}

#[test]
fn a_circle_is_found_and_named() {
    let arrow = |to: &str| BTreeMap::from([(to.to_owned(), PathBuf::from("x.rs"))]);
    let circle = Arrows::from([
        ("a".to_owned(), arrow("b")),
        ("b".to_owned(), arrow("c")),
        ("c".to_owned(), arrow("a")),
        ("d".to_owned(), arrow("a")),
    ]);
    assert_eq!(find_circle(&circle).unwrap(), ["a", "b", "c", "a"]);
    let line = Arrows::from([("a".to_owned(), arrow("b")), ("b".to_owned(), arrow("c"))]);
    assert_eq!(find_circle(&line), None);
}

#[test]
fn imports_are_read_however_they_are_written() {
    let found = |code: &str| targets(code).collect::<BTreeSet<_>>();
    let set = |paths: &[&str]| paths.iter().map(|path| path.to_string()).collect::<BTreeSet<_>>();
    assert_eq!(found("use crate::store::table::Item;"), set(&["store::table::Item"]));
    assert_eq!(found("use crate::{a, b::c};"), set(&["a", "b::c"]));
    assert_eq!(found("use crate::{Answer, d::{e, f}};"), set(&["Answer", "d::e", "d::f"]));
    assert_eq!(found("fn f() -> crate::domain::id::Uid {}"), set(&["domain::id::Uid"]));
    assert_eq!(found("// use crate::nothing;"), set(&[]));
}

fn floor(module: &str) -> usize {
    let found = FLOORS.iter().position(|modules| modules.contains(&module));
    found.unwrap_or_else(|| panic!("`{module}` stands on no floor: say where in tests/layers.rs"))
}

fn refuse_circles(folder: &str) {
    let inside = folder.strip_prefix("shared/src/");
    let depth = if inside.is_some() { 2 } else { 1 };
    let root = if inside.is_some() { "shared/src" } else { folder };
    let mut arrows = arrows(Path::new(root), depth);
    if let Some(inside) = inside {
        arrows.retain(|from, _| from.starts_with(&format!("{inside}/")));
    }
    let circle = find_circle(&arrows);
    assert!(circle.is_none(), "a circle in {folder}: {}", circle.unwrap_or_default().join(" -> "));
}

/// The arrows between the modules below `root`, named by at most `depth` steps of their paths.
/// What a module says to its own children, or to the root of its crate, is no arrow.
fn arrows(root: &Path, depth: usize) -> Arrows {
    let files = sources(root);
    let modules: BTreeSet<String> =
        files.iter().map(|path| named(&module(root, path), depth)).collect();
    let mut arrows = Arrows::new();
    for path in &files {
        let whole = module(root, path);
        if whole.is_empty() || whole == ["main"] {
            continue;
        }
        let from = named(&whole, depth);
        for target in targets(&code(path)) {
            let steps: Vec<String> = target.split("::").map(str::to_owned).collect();
            let to = named(&steps, depth);
            // A name of the parent module itself, like `store::StoreError`, is no module.
            if to != from && modules.contains(&to) {
                arrows.entry(from.clone()).or_default().entry(to).or_insert(path.clone());
            }
        }
        for target in beside(&code(path), &whole) {
            let to = named(&target, depth);
            if to != from && modules.contains(&to) {
                arrows.entry(from.clone()).or_default().entry(to).or_insert(path.clone());
            }
        }
    }
    arrows
}

/// What `super::` leads to, seen from this module.
fn beside(code: &str, module: &[String]) -> Vec<Vec<String>> {
    let parent = &module[..module.len() - 1];
    let own: Vec<String> = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| expand(line, "super::"))
        .collect();
    own.into_iter()
        .map(|path| {
            let steps = path.split("::").map(str::to_owned);
            parent.iter().cloned().chain(steps).collect()
        })
        .collect()
}

fn named(steps: &[String], depth: usize) -> String {
    steps[..depth.min(steps.len())].join("/")
}

fn module(root: &Path, path: &Path) -> Vec<String> {
    let inside = path.strip_prefix(root).unwrap().with_extension("");
    let mut steps: Vec<String> =
        inside.iter().map(|step| step.to_string_lossy().into_owned()).collect();
    if steps.last().is_some_and(|last| last == "mod" || last == "lib") {
        steps.pop();
    }
    steps
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|_| panic!("no {}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.append(&mut sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A source on few lines: a `use` that was broken over several is one line again.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let mut code = String::new();
    let mut open = false;
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        open = open || line.trim_start().trim_start_matches("pub ").starts_with("use ");
        code.push_str(if open { line.trim() } else { line });
        open = open && !line.contains(';');
        if !open {
            code.push('\n');
        }
    }
    code
}

fn targets(code: &str) -> impl Iterator<Item = String> {
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| expand(line, "crate::"))
        .collect::<Vec<_>>()
        .into_iter()
}

/// Every path of a line behind this prefix, groups in braces taken apart.
fn expand(line: &str, prefix: &str) -> Vec<String> {
    line.match_indices(prefix)
        .filter(|(at, _)| {
            !line[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
        })
        .flat_map(|(at, _)| paths(&line[at + prefix.len()..]))
        .collect()
}

/// The paths that a text begins with.
fn paths(text: &str) -> Vec<String> {
    let Some(group) = text.strip_prefix('{') else {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
        let path = &text[..end.unwrap_or(text.len())];
        return match path.strip_suffix("::") {
            Some(outer) if text[path.len()..].starts_with('{') => {
                let inner = paths(&text[path.len()..]);
                inner.into_iter().map(|inner| format!("{outer}::{inner}")).collect()
            }
            Some(outer) => vec![outer.to_owned()],
            None => vec![path.to_owned()],
        };
    };
    let mut found = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                let part = group[start..at].trim();
                if !part.is_empty() {
                    found.extend(paths(part));
                }
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found
}

/// A way from a module back to itself.
fn find_circle(arrows: &Arrows) -> Option<Vec<String>> {
    fn walk(at: &str, arrows: &Arrows, way: &mut Vec<String>, done: &mut BTreeSet<String>) -> bool {
        if let Some(start) = way.iter().position(|step| step == at) {
            way.drain(..start);
            way.push(at.to_owned());
            return true;
        }
        if !done.insert(at.to_owned()) {
            return false;
        }
        way.push(at.to_owned());
        for to in arrows.get(at).into_iter().flat_map(BTreeMap::keys) {
            if walk(to, arrows, way, done) {
                return true;
            }
        }
        way.pop();
        false
    }
    let mut done = BTreeSet::new();
    arrows.keys().find_map(|from| {
        let mut way = Vec::new();
        walk(from, arrows, &mut way, &mut done).then_some(way)
    })
}

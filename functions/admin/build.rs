//! Makes one script of the files of `portal/`, and compresses it: two requests bring the pages.
//!
//! The files are ES modules that import each other by relative paths, so that they can be read,
//! checked and tested one by one. Here each becomes a function that answers what it exports, in
//! the order in which they need each other. Comments and indentation are left out. There is
//! nothing to install for it.
//!
//! What a file asks for with `import("./name.js")`, when it is needed, is a script of its own. It
//! takes the modules of the first one as an argument, so that neither has to know the other's
//! name, which its contents make.

use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use miniz_oxide::deflate::compress_to_vec;
use sha2::{Digest, Sha256};

/// Where the pages are.
const FILES: &str = "portal";
/// The file that imports all others.
const MAIN: &str = "main.js";
/// Files that are asked for when they are needed.
const LAZY: [&str; 8] = [
    "console.js",
    "de.js",
    "endpoint_settings.js",
    "form.js",
    "shape.js",
    "trial.js",
    "unlinked.js",
    "verify.js",
];
/// A file with code for visitors to copy, of which the indentation is a part.
const CODE: &str = "samples.js";
/// Hex digits of the hash in the script's name.
const DIGITS: usize = 16;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={FILES}");
    println!("cargo::rerun-if-changed=build.rs");
    let out = out_directory()?;
    let mut scripts = String::new();
    let mut store = |script: &str| -> Result<String, Box<dyn Error>> {
        let hash = Sha256::digest(script.as_bytes());
        let name = format!("{}.js", &hex::encode(hash)[..DIGITS]);
        fs::write(out.join(&name), gzip(script.as_bytes()))?;
        scripts += &format!("({name:?}, include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}\"))),");
        Ok(format!("/portal/{name}"))
    };
    let mut bundle = Bundle::default();
    bundle.add(MAIN)?;
    for lazy in LAZY {
        let mut later = Bundle { numbers: bundle.numbers.clone(), ..Bundle::default() };
        later.add(lazy)?;
        refuse_unknown(&later.script)?;
        let known: Vec<String> =
            bundle.numbers.values().map(|number| format!("${number}")).collect();
        let (known, made) = (known.join(","), later.numbers[lazy]);
        let script = format!("export default({{{known}}})=>{{{}return ${made};}}", later.script);
        let name = store(&script)?;
        let asked = format!("import(\"./{lazy}\")");
        let answer = format!("import(\"{name}\").then((m)=>m.default($m))");
        bundle.script = bundle.script.replace(&asked, &answer);
    }
    refuse_unknown(&bundle.script)?;
    let page = read("index.html")?.replace("{script}", &store(&bundle.script)?);
    fs::write(out.join("page.html"), page)?;
    fs::write(out.join("scripts.rs"), format!("&[{scripts}]"))?;
    Ok(())
}

/// An error if a script asks for a file when it is needed that is not known here: only the first
/// script can, and only for those in [`LAZY`].
fn refuse_unknown(script: &str) -> Result<(), String> {
    let Some((_, name)) = script.split_once("import(\"./") else { return Ok(()) };
    let name = name.split('"').next().unwrap_or_default();
    Err(format!("{name} is asked for when it is needed: by the first script, and in LAZY?"))
}

/// Where Cargo wants what is made.
#[expect(clippy::disallowed_methods, reason = "Cargo tells build scripts in the environment")]
fn out_directory() -> Result<PathBuf, env::VarError> {
    env::var("OUT_DIR").map(PathBuf::from)
}

/// The script so far.
#[derive(Default)]
struct Bundle {
    script: String,
    /// Numbers of the modules that are in it, by name.
    numbers: HashMap<String, usize>,
}

impl Bundle {
    /// Adds a module after those that it imports.
    fn add(&mut self, name: &str) -> Result<(), Box<dyn Error>> {
        if self.numbers.contains_key(name) {
            return Ok(());
        }
        let text = read(name)?;
        if name.ends_with(".css") {
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            let css = format!("const css={:?};", lines.join("\n"));
            self.wrap(name, &css, &["css".to_owned()]);
            return Ok(());
        }
        let (imports, body) = split_imports(&text).map_err(|why| format!("{name}: {why}"))?;
        let mut code = String::new();
        for (names, from) in imports {
            self.add(&from)?;
            let number = self.numbers.get(&from).ok_or("a module that imports itself")?;
            code += &format!("const{{{}}}=${number};", names.replace(" as ", ":"));
        }
        let (body, exports) = exported(&body);
        let is_kept = name.starts_with("vendor/") || name == CODE;
        code += &if is_kept { body } else { compact(&body) };
        if name == MAIN {
            let all = (0..self.numbers.len()).map(|number| format!("${number}"));
            self.script += &format!("const $m={{{}}};", all.collect::<Vec<_>>().join(","));
            self.script += &code;
        } else {
            self.wrap(name, &code, &exports);
        }
        Ok(())
    }

    fn wrap(&mut self, name: &str, code: &str, exports: &[String]) {
        let number = self.numbers.len();
        self.numbers.insert(name.to_owned(), number);
        let exports = exports.join(",");
        self.script += &format!("const ${number}=(()=>{{{code}\nreturn{{{exports}}};}})();\n");
    }
}

/// The imports of a module, as names and where they are from, and the rest of it.
fn split_imports(text: &str) -> Result<(Vec<(String, String)>, String), String> {
    let (mut imports, mut body, mut open) = (Vec::new(), String::new(), String::new());
    let starts =
        |line: &str, c: &str| if c.is_empty() { line.is_empty() } else { line.starts_with(c) };
    let mut is_code = false;
    for line in text.lines() {
        // What looks like one further down is text.
        is_code |= open.is_empty() && !["", "//", "import "].iter().any(|c| starts(line, c));
        if open.is_empty() && (is_code || !line.starts_with("import ")) {
            body.push_str(line);
            body.push('\n');
            continue;
        }
        open.push_str(line.trim());
        if !line.ends_with(';') {
            open.push(' ');
            continue;
        }
        let parts = open.strip_prefix("import {").and_then(|rest| rest.split_once("} from \"./"));
        let (names, from) = parts.ok_or_else(|| format!("an import that is not ours: {open}"))?;
        imports.push((names.trim().to_owned(), from.trim_end_matches("\";").to_owned()));
        open.clear();
    }
    Ok((imports, body))
}

/// A module without the word `export`, and what it exported.
fn exported(body: &str) -> (String, Vec<String>) {
    // As minifiers write it, at the end: `export{a as h,b as render};`.
    if let Some((code, list)) = body.rsplit_once("export{") {
        let list = list.split('}').next().unwrap_or_default();
        let pairs = list.split(',').map(|pair| match pair.split_once(" as ") {
            Some((own, name)) => format!("{name}:{own}"),
            None => pair.to_owned(),
        });
        return (code.to_owned(), pairs.collect());
    }
    let (mut code, mut names) = (String::new(), Vec::new());
    for line in body.lines() {
        let declared = line.strip_prefix("export ");
        let words = declared.map(|line| line.trim_start_matches("async "));
        let name = words.and_then(|line| {
            let rest = ["function ", "const ", "class "].iter().find_map(|w| line.strip_prefix(w));
            rest.map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next())
        });
        names.extend(name.flatten().map(str::to_owned));
        code.push_str(declared.unwrap_or(line));
        code.push('\n');
    }
    (code, names)
}

/// Without indentation, empty lines, and comments that have their lines to themselves.
fn compact(text: &str) -> String {
    let is_comment =
        |line: &&str| ["//", "/*", "* ", "*/"].iter().any(|c| line.starts_with(c)) || *line == "*";
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !is_comment(line));
    lines.collect::<Vec<_>>().join("\n")
}

fn read(name: &str) -> Result<String, String> {
    let path = Path::new(FILES).join(name);
    fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The bytes as gzip has them (RFC 1952).
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut made = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255];
    made.extend(compress_to_vec(bytes, 10));
    made.extend(crc32(bytes).to_le_bytes());
    made.extend((bytes.len() as u32).to_le_bytes());
    made
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

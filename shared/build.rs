//! Turns `profiles/*.toml` into JSON: the rules, which every function carries, apart from the
//! catalogues of events, which only some do.

use std::path::Path;
use std::{env, fs};

use serde_json::{Map, Value};

fn main() {
    println!("cargo::rerun-if-changed=profiles");
    let (mut rules, mut events) = (Map::new(), Map::new());
    let mut paths: Vec<_> = fs::read_dir("profiles")
        .expect("the directory shared/profiles")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    paths.sort();
    for path in paths {
        let text = fs::read_to_string(&path).expect("a readable profile");
        let mut profile: Map<String, Value> =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
        let of_profile = profile.remove("event").unwrap_or_else(|| Value::Array(Vec::new()));
        events.insert(name.clone(), of_profile);
        rules.insert(name, Value::Object(profile));
    }
    write("profile-rules.json", rules);
    write("profile-events.json", events);
}

#[expect(clippy::disallowed_methods, reason = "this is how cargo says where its output goes")]
fn write(name: &str, json: Map<String, Value>) {
    let directory = env::var("OUT_DIR").expect("a build script's output directory");
    fs::write(Path::new(&directory).join(name), Value::Object(json).to_string())
        .expect("room for the profiles");
}

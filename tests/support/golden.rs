//! Golden files: what is generated must be what is committed.

use std::path::{Path, PathBuf};

use serde::Serialize;

/// Compares with the file at this path of the repository, or writes it anew when the environment
/// says `UPDATE_GOLDEN`. `otherwise` is what to say of a difference.
pub(crate) fn check(path: &str, value: &impl Serialize, otherwise: &str) {
    let generated = serde_json::to_string_pretty(value).unwrap() + "\n";
    if is_updated() {
        std::fs::write(file(path), &generated).unwrap();
    }
    let golden = read(path);
    let differs = golden.lines().zip(generated.lines()).find(|(old, new)| old != new);
    assert!(golden == generated, "{path}: {otherwise}, first in {differs:?}");
}

/// Whether golden files are to be written anew.
#[expect(clippy::disallowed_methods, reason = "an order to the tests, not to the platform")]
pub(crate) fn is_updated() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}

/// What is committed.
pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(file(path)).unwrap()
}

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

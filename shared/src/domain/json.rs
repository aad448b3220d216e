//! JSON that does not read.

/// What is wrong with some JSON and where, without quoting it as the error itself may do.
pub fn place_in_json(error: &serde_json::Error) -> String {
    use serde_json::error::Category;

    let what = match error.classify() {
        Category::Io => "it cannot be read",
        Category::Syntax => "it is no JSON",
        Category::Data => "a value is missing or of a wrong type",
        Category::Eof => "it ends early",
    };
    // What was read from a value has no place.
    match error.line() {
        0 => what.to_owned(),
        line => format!("{what} (line {line}, column {})", error.column()),
    }
}

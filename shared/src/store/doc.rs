//! Stored documents: JSON with the format version in `v`.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;
use super::keys::FORMAT;
use crate::domain::json::place_in_json;

/// The stored form of `value`, which must be a struct.
pub(super) fn encode<T: Serialize>(value: &T) -> Result<String, StoreError> {
    let json =
        serde_json::to_string(value).map_err(|error| StoreError::Invalid(error.to_string()))?;
    let fields = json
        .strip_prefix('{')
        .ok_or_else(|| StoreError::Invalid("only structs are stored".into()))?;
    let comma = if fields == "}" { "" } else { "," };
    Ok(format!("{{\"v\":{FORMAT}{comma}{fields}"))
}

/// Reads a stored document of this or an earlier format.
pub(super) fn decode<T: DeserializeOwned>(doc: &str) -> Result<T, StoreError> {
    #[derive(serde::Deserialize)]
    struct Version {
        v: u8,
    }
    let corrupt = |error: serde_json::Error| StoreError::Corrupt(place_in_json(&error));
    let version: Version = serde_json::from_str(doc).map_err(corrupt)?;
    if version.v > FORMAT {
        return Err(StoreError::Corrupt(format!(
            "format {} was written by a newer Posthorn than this one, which knows {FORMAT}",
            version.v
        )));
    }
    serde_json::from_str(doc).map_err(corrupt)
}

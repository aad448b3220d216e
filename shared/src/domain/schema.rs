//! How types are described: by JSON Schema where the API's description is made (the feature
//! `description`), not at all in what runs.

#[cfg(feature = "description")]
pub use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
#[cfg(not(feature = "description"))]
pub use undescribed::JsonSchema;

//! What answers of the API must look like.

use shared::domain::id::{Ksuid, OrganisationId, RANDOM_BYTES};

use super::still::START;
use super::world::{Reply, text};

/// An organisation that is not the default one.
pub(crate) fn another_organisation() -> OrganisationId {
    OrganisationId::from_ksuid(Ksuid::from_parts(START, [9; RANDOM_BYTES]))
}

/// An error that is not about fields.
pub(crate) fn assert_error(reply: &Reply, status: u16, code: &str) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(reply.body["code"], code, "{reply:?}");
    assert!(reply.body["detail"].is_string(), "{reply:?}");
    assert_eq!(reply.body.as_object().unwrap().len(), 2, "{reply:?}");
}

/// The places of the broken rules.
pub(crate) fn places(reply: &Reply) -> Vec<String> {
    assert_eq!(reply.status, 422, "{reply:?}");
    let violations = reply.body["detail"].as_array().unwrap();
    violations
        .iter()
        .map(|violation| {
            assert!(!violation["msg"].as_str().unwrap().is_empty());
            assert!(violation["type"].as_str().unwrap().starts_with("value_error"));
            assert_eq!(violation.as_object().unwrap().len(), 3);
            let loc = violation["loc"].as_array().unwrap();
            loc.iter().map(text).collect::<Vec<_>>().join("/")
        })
        .collect()
}

//! Rights: what an operation asks for, and what the holder of a token was given.
//!
//! Every operation asks for one [`Right`]. A visitor of the portal holds [`Capability`]s, a
//! backend a [`Scope`]; [`Grant::allows`] is the one place where the two meet.

use serde::{Deserialize, Serialize};

use crate::domain::schema::JsonSchema;

/// What an operation asks its caller for. The API's description calls it as it is called here, which is
/// as Svix does where Svix has such a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// Nothing but a token in force.
    Token,
    /// To look at an application and what it was sent, secrets excepted.
    ViewBase,
    /// To see an endpoint's signing secret.
    ViewEndpointSecret,
    /// To replace it.
    ManageEndpointSecret,
    /// To change how an endpoint's payloads are transformed.
    ManageTransformations,
    /// To have something sent: again, or to try an endpoint out.
    CreateAttempts,
    /// To create, change and delete endpoints.
    ManageEndpoint,
    /// To publish events to an application.
    Publish,
    /// To publish events to all applications at once.
    Broadcast,
    /// To look at what belongs to the organisation.
    Read,
    /// To change it.
    Manage,
    /// To hand out what opens or publishes: API tokens and integration keys.
    Keys,
    /// To operate the deployment.
    Operate,
}

impl Right {
    /// Whether it is about the organisation as a whole, so that no token which is confined to an
    /// application has it, whatever its scope.
    pub fn is_of_organisation(self) -> bool {
        matches!(self, Self::Broadcast | Self::Read | Self::Manage | Self::Keys | Self::Operate)
    }
}

/// What a visitor of an application may do (the names are Svix's).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Capability {
    /// Look at everything but secrets. Needed for each of the others.
    ViewBase,
    /// See an endpoint's signing secret.
    ViewEndpointSecret,
    /// See it and replace it.
    ManageEndpointSecret,
    /// Change how an endpoint's payloads are transformed.
    ManageTransformations,
    /// Send again, recover, replay, send examples, check an endpoint.
    CreateAttempts,
    /// Create, change and delete endpoints, their secrets included.
    ManageEndpoint,
}

impl Capability {
    /// All of them: what a visitor gets of whom nothing else is said.
    pub const ALL: [Self; 6] = [
        Self::ViewBase,
        Self::ViewEndpointSecret,
        Self::ManageEndpointSecret,
        Self::ManageTransformations,
        Self::CreateAttempts,
        Self::ManageEndpoint,
    ];

    fn allows(self, right: Right) -> bool {
        match self {
            Self::ViewBase => right == Right::ViewBase,
            Self::ViewEndpointSecret => right == Right::ViewEndpointSecret,
            Self::ManageEndpointSecret => {
                matches!(right, Right::ViewEndpointSecret | Right::ManageEndpointSecret)
            }
            Self::ManageTransformations => right == Right::ManageTransformations,
            Self::CreateAttempts => right == Right::CreateAttempts,
            Self::ManageEndpoint => matches!(
                right,
                Right::ViewEndpointSecret | Right::ManageEndpointSecret | Right::ManageEndpoint
            ),
        }
    }
}

/// What a backend's token is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Looks, and sees no secret but the addresses of sources: one without a proof believes whoever
    /// knows its address.
    Read,
    /// Publishes, and does nothing else: an application has to be there.
    Publish,
    /// Looks and changes, and neither publishes nor hands out API tokens and integration keys. The
    /// links to portals that it hands out outlive it: an application's `expire-all` ends them. What
    /// comes in at a source that it makes is published.
    Manage,
    /// Everything.
    #[default]
    All,
}

impl Scope {
    fn allows(self, right: Right) -> bool {
        match self {
            Self::Read => matches!(right, Right::ViewBase | Right::Read),
            Self::Publish => matches!(right, Right::Publish | Right::Broadcast),
            Self::Manage => {
                !matches!(right, Right::Publish | Right::Broadcast | Right::Keys | Right::Operate)
            }
            Self::All => true,
        }
    }
}

/// What the holder of a token was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// A visitor of the portal, on behalf of a customer.
    Visitor(Vec<Capability>),
    /// A program of the organisation.
    Backend(Scope),
}

impl Grant {
    /// Whether it is enough for an operation that asks for this. `confined`: its token is
    /// confined to an application.
    pub fn allows(&self, right: Right, confined: bool) -> bool {
        if right == Right::Token {
            return true;
        }
        if confined && right.is_of_organisation() {
            return false;
        }
        match self {
            Self::Visitor(capabilities) => capabilities.iter().any(|one| one.allows(right)),
            Self::Backend(scope) => scope.allows(right),
        }
    }
}

//! The nouns of Posthorn, its three ports, and what its functions share.
//!
//! A publisher's event becomes a [`message`](domain::message), which travels to every
//! [`endpoint`](domain::endpoint) of its [`application`](domain::application) that wants it; each
//! try is an [`attempt`](domain::attempt). The verbs (receive, dispatch, retry, admin) are the
//! functions of this workspace.
//!
//! Five floors. What stands on one may import what stands below it, and nothing else
//! (`tests/layers.rs` reads the imports and names the arrow that breaks this rule):
//!
//! | floor | modules | what lives there |
//! |---|---|---|
//! | 5 | [`lambda`] | what only Lambda needs: the AWS connector, metrics and logs as Lambda takes them |
//! | 4 | [`api`], [`host`] | HTTP in our manner; what a process is started with, and its functions are put together from |
//! | 3 | [`work`] | background tasks that admin begins and retry carries on |
//! | 2 | [`store`], [`queue`], [`sender`] | the ports, each with its adapters; `aws` and [`embedded`] are what two adapters of a kind share |
//! | 1 | [`domain`] | nouns and rules; no I/O, and `now` comes in as an argument |
//!
//! AWS SDK types stop inside `store::dynamodb`, `queue::sqs` and `lambda`.

pub mod api;
#[cfg(feature = "aws")]
mod aws;
pub mod domain;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod host;
#[cfg(feature = "aws")]
pub mod lambda;
pub mod queue;
pub mod sender;
pub mod store;
pub mod work;

//! What the two AWS adapters share: how long a call may take, and how a failed one reads.

use std::fmt;
use std::time::Duration;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_types::timeout::TimeoutConfig;

/// Longest wait for a connection. Within a region it takes milliseconds.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest wait for the answer to one try. Both services answer in tens of milliseconds.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1_500);
/// Longest wait for a call with all its tries: what dispatch keeps for the end of an invocation.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(4);

/// The timeouts of a call that the service may hold open for `held` (a long poll).
pub(crate) fn timeouts(held: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(held + ATTEMPT_TIMEOUT)
        .operation_timeout(held + OPERATION_TIMEOUT)
        .build()
}

/// The timeouts of a call for somebody who can ask again. Both services answer within tens of
/// milliseconds; what takes a second takes longer.
pub(crate) fn brief_timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(Duration::from_secs(1))
        .operation_timeout(Duration::from_secs(3))
        .build()
}

/// A failed call in one line: the service's code and message, or what kept it from answering.
/// Unlike the SDK's own long form it never shows a request or an answer.
pub(crate) fn describe<E, R>(operation: &str, error: &SdkError<E, R>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: fmt::Debug + 'static,
{
    match error.code() {
        Some(code) => format!("{operation}: {code}: {}", error.message().unwrap_or_default()),
        None => format!("{operation}: {}", chain(error)),
    }
}

/// An error and its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

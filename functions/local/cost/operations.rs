//! What ten messages take of DynamoDB and SQS, counted with the real handlers at the ports.
//!
//! `tests/cost_counts.rs` counts again and fails when a figure here is not what it finds.

/// Operations as AWS bills them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Counts {
    /// DynamoDB write request units.
    pub(crate) write_units: f64,
    /// DynamoDB read request units.
    pub(crate) read_units: f64,
    /// SQS requests: sends, and the receives and deletes of whole batches.
    pub(crate) sqs_requests: f64,
}

/// Ten messages with payloads of one size, to one endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Measured {
    /// Bytes of each payload.
    pub(crate) payload: usize,
    /// Accepting them.
    pub(crate) accepted: Counts,
    /// Delivering them at once.
    pub(crate) delivered: Counts,
    /// Delivering them when the endpoint refuses each once.
    pub(crate) second_attempt: Counts,
    /// Trying one of them, alone, by the usual schedule, when the endpoint never takes it.
    pub(crate) exhausted: Counts,
}

/// Messages that each figure is for: a full batch.
pub(crate) const MESSAGES: usize = 10;

/// Bytes of a line of log: of what an invocation writes down of its metrics, on average over ten
/// receives and the dispatch of their batch, with the 26 that CloudWatch adds to each.
pub(crate) const LINE_BYTES: u32 = 230;

/// The figures, by size of payload.
pub(crate) const MEASURED: [Measured; 3] = [
    Measured {
        payload: 1024,
        accepted: counts(20.0, 0.0, 10.0),
        delivered: counts(20.0, 1.0, 2.0),
        second_attempt: counts(150.0, 22.0, 14.0),
        exhausted: counts(94.0, 26.0, 23.0),
    },
    Measured {
        payload: 10240,
        accepted: counts(40.0, 0.0, 10.0),
        delivered: counts(20.0, 1.0, 3.0),
        second_attempt: counts(150.0, 22.0, 15.0),
        exhausted: counts(94.0, 26.0, 23.0),
    },
    Measured {
        payload: 65536,
        accepted: counts(130.0, 0.0, 20.0),
        delivered: counts(20.0, 1.0, 12.0),
        second_attempt: counts(150.0, 42.0, 24.0),
        exhausted: counts(94.0, 40.0, 24.0),
    },
];

/// The endpoints of [`FAN_OUT`].
pub(crate) const ENDPOINTS: [usize; 3] = [1, 10, 100];

/// Delivering ten messages of a KiB at once to so many endpoints each.
pub(crate) const FAN_OUT: [Counts; 3] =
    [counts(20.0, 1.0, 2.0), counts(200.0, 1.0, 2.0), counts(2000.0, 9.0, 2.0)];

const fn counts(write_units: f64, read_units: f64, sqs_requests: f64) -> Counts {
    Counts { write_units, read_units, sqs_requests }
}

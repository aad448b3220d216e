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

/// Bytes that an item is billed for while it is kept: its own and the 100 that DynamoDB adds, in
/// the table and in its indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// In the table.
    pub(crate) table: usize,
    /// In its indexes.
    pub(crate) index: usize,
}

/// An attempt by schedule, without its answer.
pub(crate) const ATTEMPT: Stored = Stored { table: 586, index: 586 };
/// What decides how many units writing it takes, without its answer.
pub(crate) const ATTEMPT_BYTES: usize = 486;
/// A delivery that failed at first.
pub(crate) const DELIVERY: Stored = Stored { table: 405, index: 0 };

/// Queues that Lambda polls for dispatch (`template.yaml`).
pub(crate) const POLLED_QUEUES: u32 = 2;

/// Ten messages with payloads of one size, to one endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Measured {
    /// Bytes of each payload.
    pub(crate) payload: usize,
    /// What is kept of one of them.
    pub(crate) message: Stored,
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
pub(crate) const LINE_BYTES: u32 = 240;

/// Metrics that the stack's alarms watch, which is what alarms are billed by (`template.yaml`).
pub(crate) const ALARM_METRICS: u32 = 17;
/// And so many more where each function has a URL of its own.
pub(crate) const URL_ALARM_METRICS: u32 = 2;

/// The figures, by size of payload.
pub(crate) const MEASURED: [Measured; 3] = [
    Measured {
        payload: 1024,
        message: Stored { table: 705, index: 400 },
        accepted: counts(20.0, 0.0, 10.0),
        delivered: counts(20.0, 1.0, 2.0),
        second_attempt: counts(150.0, 22.0, 14.0),
        exhausted: counts(94.0, 26.0, 23.0),
    },
    Measured {
        payload: 10240,
        message: Stored { table: 2_233, index: 400 },
        accepted: counts(40.0, 0.0, 10.0),
        delivered: counts(20.0, 1.0, 3.0),
        second_attempt: counts(150.0, 22.0, 15.0),
        exhausted: counts(94.0, 26.0, 23.0),
    },
    Measured {
        payload: 65536,
        message: Stored { table: 11_381, index: 400 },
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

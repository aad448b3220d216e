//! What AWS and others ask, in US dollars.
//!
//! AWS: us-east-1, on demand, without free tiers, from the pricing pages of the services
//! (aws.amazon.com/api-gateway/pricing, /lambda/pricing, /sqs/pricing,
//! /dynamodb/pricing/on-demand, /cloudwatch/pricing, /ec2/pricing/on-demand for data transfer,
//! /secrets-manager/pricing, /eventbridge/pricing, /sns/pricing).

/// When the prices of AWS were looked up.
pub(crate) const AS_OF: &str = "November 2026";

/// HTTP API, a million requests of up to 512 KB: of the first 300 million of a month, and of those
/// beyond.
const API_REQUESTS: [f64; 2] = [1.00, 0.90];
const API_FIRST_REQUESTS: f64 = 300.0 * MILLION;
/// Bytes of one billed request of an HTTP API.
pub(crate) const API_REQUEST_BYTES: usize = 512 * 1024;
/// A million invocations.
pub(crate) const LAMBDA_REQUESTS: f64 = 0.20;
/// A GB-second on arm64.
pub(crate) const LAMBDA_GB_S: f64 = 0.000_013_333_4;
/// A million requests to a standard queue, of up to 64 KB, with a message group (fair queues:
/// 0.40 and 0.10 for the group).
pub(crate) const SQS_REQUESTS: f64 = 0.50;
/// The same without one.
pub(crate) const SQS_REQUESTS_WITHOUT_GROUP: f64 = 0.40;
/// A million invocations by EventBridge Scheduler.
pub(crate) const SCHEDULED: f64 = 1.00;
/// A million empty receives.
pub(crate) const SQS_EMPTY_RECEIVES: f64 = 0.40;
/// A million write request units.
pub(crate) const WRITE_UNITS: f64 = 0.625;
/// A million read request units.
pub(crate) const READ_UNITS: f64 = 0.125;
/// A GB stored in DynamoDB for a month.
pub(crate) const STORED_GB: f64 = 0.25;
/// A GB of point-in-time recovery for a month: of the table, its indexes are free.
pub(crate) const RECOVERY_GB: f64 = 0.20;
/// A month of a metric of one's own, of an alarm, of a dashboard.
pub(crate) const METRIC: f64 = 0.30;
pub(crate) const ALARM: f64 = 0.10;
pub(crate) const DASHBOARD: f64 = 3.00;
/// A GB of logs taken in.
pub(crate) const LOGS_GB: f64 = 0.50;
/// A GB sent to the internet.
pub(crate) const EGRESS_GB: f64 = 0.09;
/// A secret for a month.
pub(crate) const SECRET: f64 = 0.40;

/// Dollars for so many requests to an HTTP API in a month.
pub(crate) fn api(requests: f64) -> f64 {
    let beyond = (requests - API_FIRST_REQUESTS).max(0.0);
    ((requests - beyond) * API_REQUESTS[0] + beyond * API_REQUESTS[1]) / MILLION
}

/// Somebody else's price for the same month.
pub(crate) struct Other {
    /// Who.
    pub(crate) name: &'static str,
    /// When the price was looked up.
    pub(crate) as_of: &'static str,
    /// What it lacks, in a few words.
    pub(crate) lacks: &'static str,
    /// Dollars for a month of so many messages of so many bytes, and so many deliveries.
    pub(crate) month: fn(f64, usize, f64) -> f64,
}

/// Those who do something alike.
pub(crate) const OTHERS: [Other; 4] = [
    Other {
        name: "Svix Cloud, Pro",
        as_of: "May 2026",
        lacks: "your own account",
        // 490 with 50,000 messages, 0.0001 for each above (svix.com/pricing).
        month: |messages, _, _| 490.0 + 0.0001 * (messages - 50_000.0).max(0.0),
    },
    Other {
        name: "Outpost, managed",
        as_of: "November 2026",
        lacks: "your own account",
        // "From" 10 per million events (hookdeck.com/outpost).
        month: |messages, _, _| 10.0 * messages / MILLION,
    },
    Other {
        name: "EventBridge API destinations",
        as_of: "August 2026",
        lacks: "signatures, a record, more than 5 s",
        // 1.00 per million events of 64 KB, 0.20 per million invocations.
        month: |messages, payload, deliveries| {
            let events = messages * chunks(payload, 64 * 1024);
            (events + 0.20 * deliveries) / MILLION
        },
    },
    Other {
        name: "SNS to HTTPS",
        as_of: "August 2026",
        lacks: "your envelope, a record, a symmetric signature",
        // 0.50 per million publishes of 64 KB, 0.60 per million deliveries.
        month: |messages, payload, deliveries| {
            let chunks = chunks(payload, 64 * 1024);
            chunks * (0.50 * messages + 0.60 * deliveries) / MILLION
        },
    },
];

pub(crate) const MILLION: f64 = 1e6;
/// Bytes of a GB on the bill.
pub(crate) const GB: f64 = 1024.0 * 1024.0 * 1024.0;

/// Billed pieces of something of this size.
pub(crate) fn chunks(bytes: usize, of: usize) -> f64 {
    bytes.div_ceil(of).max(1) as f64
}

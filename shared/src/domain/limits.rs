//! What the services below us allow, where more than one floor has to know it.

/// Longest delay that a queue's record can be sent with, in seconds (SQS limit).
pub const MAX_QUEUE_DELAY_S: u32 = 900;
/// Most bytes of all bodies in one batch call to a queue (SQS limit since 2025: 1 MiB).
pub const MAX_BATCH_BYTES: usize = 1024 * 1024;

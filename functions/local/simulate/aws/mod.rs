//! An AWS account in memory, in virtual time: DynamoDB and SQS behind the ports, with the limits
//! of the real ones, and the clock and randomness that everything in a simulation goes by.
//!
//! Nothing here waits for real: the runtime's clock is paused and jumps to the next timer.
//! Everything random comes from one seed, so a run repeats itself byte for byte.
//!
//! Not guaranteed: that a figure which AWS does not publish is right. Each constant says where it
//! comes from; "est." is an estimate of our own.

pub(crate) mod bucket;
pub(crate) mod capacity;
pub(crate) mod dice;
pub(crate) mod groups;
pub(crate) mod items;
pub(crate) mod queue;
pub(crate) mod table;
pub(crate) mod virtual_clock;
pub(crate) mod weather;

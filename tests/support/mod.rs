//! What the tests stand on.

pub(crate) mod answers;
pub(crate) mod audit;
pub(crate) mod awake;
pub(crate) mod captured;
pub(crate) mod deliveries;
pub(crate) mod directory;
pub(crate) mod dynoxide;
pub(crate) mod faults;
pub(crate) mod gauge;
pub(crate) mod golden;
pub(crate) mod hold;
pub(crate) mod interleaved;
pub(crate) mod keys;
pub(crate) mod kinds;
pub(crate) mod network;
pub(crate) mod stage;
pub(crate) mod still;
pub(crate) mod stingy;
pub(crate) mod world;

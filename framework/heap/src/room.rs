//! What only the machine allocates, in bytes: who has them asserts that they are no more.

/// Of what comes before the manifest is read and of what is the same for every deployment, on
/// the board that takes the most.
pub const BASE: usize = 208 << 10;
/// The stack that another core starts on, with its guard page and what it begins with.
pub const CORE: usize = 10 * crate::PAGE;
/// A vCPU, its stack and the guard page below.
pub const VCPU: usize = 5 * crate::PAGE;
/// The state of a vCPU while it is not on the core that it shares.
pub const SAVED: usize = 2048;
/// A VM while it is put together.
pub const PLACED: usize = 896;
/// A VM that runs.
pub const HELD: usize = 2560;
/// The state of a vCPU in a checkpoint.
pub const ASIDE: usize = 2048;
/// What must be free for a checkpoint to be made.
pub const CHECKPOINT: usize = 128 << 10;
/// One of the vCPUs of a core that is shared.
pub const MEMBER: usize = 128;
/// The lists of what a VM has, each of up to eight parts.
pub const SMALL: usize = 1024;

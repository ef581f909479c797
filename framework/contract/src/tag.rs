//! Tags that the kernel itself uses when it notifies an object.
//!
//! An object's own tags (lines of an interrupt controller, ports of a console)
//! lie below [`FIRST`].

/// The lowest tag that the kernel keeps for itself.
pub const FIRST: u32 = 0xffff_0000;
/// A deadline passed. The value is the count at which it was seen.
///
/// It also comes where none was due: before the object's VM stops, so that what
/// was put off happens, and after a state was restored, so that the object asks
/// for its deadline, and tells its lines, again. It must do no harm at any time.
pub const DEADLINE: u32 = FIRST;
/// Bytes from a console: [`Context::bytes`](crate::Context::bytes).
pub const CONSOLE_INPUT: u32 = FIRST + 1;
/// A console can take no more: send nothing until [`CONSOLE_READY`].
pub const CONSOLE_FULL: u32 = FIRST + 2;
/// A console can take output again.
pub const CONSOLE_READY: u32 = FIRST + 3;
/// The interrupt of the host device that the object drives.
pub const HOST_INTERRUPT: u32 = FIRST + 4;
/// To an interrupt controller: the vCPU in the context is about to go on, and
/// something may have become pending for it since it was last here; or one of the
/// values below. It comes on the vCPU's own core.
pub const REFRESH: u32 = FIRST + 5;
/// A value of [`REFRESH`]: the vCPU starts anew. Its CPU interface is as after a
/// reset, and its private physical interrupts have been deactivated.
pub const STARTS: u64 = 1;
/// A value of [`REFRESH`]: the vCPU does not go on but leaves: it goes off, or its
/// VM is about to be saved. What its core holds of its interrupts goes back to the
/// controller, and what is shared goes to others.
pub const LEAVES: u64 = 2;
/// To an interrupt controller: the maintenance interrupt of this core's virtual
/// interface (IHI 0048B.b §5.3.4) fired.
pub const MAINTENANCE: u32 = FIRST + 6;
/// A store did what was asked through a [`BlockPort`](crate::BlockPort): the value is a
/// [`BlockDone`](crate::BlockDone).
pub const BLOCK_DONE: u32 = FIRST + 7;
/// The other end of the object's channel rang, or its VM stops: see
/// [`ChannelEnd`](crate::ChannelEnd).
pub const RUNG: u32 = FIRST + 8;
/// The VM of one end of the object's channel was rolled back: what is in the channel is of
/// no life that goes on, and a new one of it begins. It comes before a vCPU of that VM runs.
pub const BEGINS: u32 = FIRST + 9;

//! EL2's own addresses.
//!
//! One level-1 table covers 39 bits. The image is linked at a fixed address; the
//! rest are places that the kernel maps what it needs to: the translation is
//! EL2's alone, so none of this has to be where the board has it.

/// How many bits an EL2 address, and a guest-physical one, has.
pub const ADDRESS_BITS: u64 = 39;

/// Where the image is linked. Its linker script says the same, and checks.
pub const IMAGE: u64 = 0x40_0000_0000;

/// The CPU interface of a physical GICv2 (GICC). A constant, so that the exit of
/// an interrupt has it in one instruction.
pub const GICC: u64 = 0x41_0000_0000;
/// The distributor (GICD), whichever the version.
pub const GICD: u64 = 0x41_0010_0000;
/// The virtual interface control registers (GICH).
pub const GICH: u64 = 0x41_0018_0000;
/// The redistributors of a GICv3, region by region.
pub const GICR: u64 = 0x41_8000_0000;
/// Registers of other devices that eVisor drives, each at the next free page.
pub const DEVICES: u64 = 0x41_1000_0000;

/// The bundle, read-only.
pub const BUNDLE: u64 = 0x43_0000_0000;
/// The guest memory that is being filled, a [`SLICE`] at a time, and one for each core.
pub const SLICE_AT: u64 = 0x44_0100_0000;
/// How much guest memory is mapped at once.
pub const SLICE: u64 = 2 << 20;
/// The page of guest memory that a core reads an instruction from, one a core.
pub const INSTRUCTION: u64 = 0x44_0020_0000;

/// The page that has the word that a parked core watches.
pub const RELEASE: u64 = 0x44_0030_0000;

/// The board's device tree, read-only, at the offset it has in its 2 MiB block.
pub const BOARD_TREE: u64 = 0x44_0040_0000;

/// Memory that components were granted, each at the next free 2 MiB.
pub const BACKING: u64 = 0x45_0000_0000;

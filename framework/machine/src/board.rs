//! What a board crate says of its machine.

use alloc::boxed::Box;
use alloc::vec::Vec;
use evisor_contract::{HostDisk, HostGpio, HostMailbox, HostSerial};
use evisor_fdt::Tree;
use evisor_manifest::GicVersion;
use evisor_sd::SdError;

/// The boards in this image, found by the root `compatible` of the tree that the
/// firmware passes.
#[linkme::distributed_slice]
pub static BOARDS: [Board];

/// A card that can be waited for while eVisor starts, and need not be after that.
pub trait CardDisk: HostDisk + evisor_sd::Disk {}

impl<D: HostDisk + evisor_sd::Disk> CardDisk for D {}

/// The board's card, and its INTID.
pub type Disk = (Box<dyn CardDisk>, u32);

/// How a board brings up its card.
pub type BringUpDisk = fn(&Tree<'_>) -> Result<Disk, SdError>;

/// How a board brings up its pins. `None`: its tree does not have them.
pub type BringUpGpio = fn(&Tree<'_>) -> Option<&'static dyn HostGpio>;

/// One kind of machine.
pub struct Board {
    /// Its name: what `--board` calls it.
    pub name: &'static str,
    /// The root `compatible` strings that it answers to.
    pub compatible: &'static [&'static str],
    /// Brings up what eVisor itself drives: maps the interrupt controller and the
    /// serial line. Called once. The error says what the tree lacks.
    pub bring_up: fn(&Tree<'_>) -> Result<Hardware, &'static str>,
    /// Writes a byte to the serial line, waiting for room: for eVisor's own
    /// messages, a fault's among them. Does nothing before `bring_up`.
    pub put: fn(u8),
    /// Whether all that was written to the serial line is on it.
    pub is_drained: fn() -> bool,
    /// Has the core with this affinity start at a physical address, at EL2 and as
    /// the first one was: MMU and data cache off. False if it cannot be done.
    pub start_core: fn(affinity: u64, entry: u64) -> bool,
    /// Brings up the card that eVisor reads guests' files from and gives out blocks of:
    /// called once, and only where the manifest wants one. Interrupts are on; until
    /// the INTID is enabled nobody sees them. `None`: the board has no place for one.
    pub disk: Option<BringUpDisk>,
    /// Brings up the pins that VMs can be given: called once, and only where the manifest
    /// gives some. `None`: the board has none.
    pub gpio: Option<BringUpGpio>,
    /// Turns the machine off. Comes back only if that is not possible.
    pub power_off: fn(),
    /// Resets the machine. Comes back only if that is not possible.
    pub reset: fn(),
}

/// What a board has, once it is up.
pub struct Hardware {
    /// The affinities of its cores; first of the one that was booted.
    pub cores: Vec<u64>,
    /// The interrupt controller that it can virtualize.
    pub gic: Option<GicVersion>,
    /// The INTID of its maintenance interrupt, for list registers.
    pub maintenance: Option<u32>,
    /// The serial line for consoles and its INTID.
    pub serial: Option<(Box<dyn HostSerial>, u32)>,
    /// The property mailbox of its firmware.
    pub mailbox: Option<&'static dyn HostMailbox>,
    /// Seconds since 1970 when it was brought up; 0 if it does not know.
    pub unix_seconds: u64,
    /// The rate of the clock of the device at a path of the board's tree, in hertz,
    /// where the tree does not say it and the board knows it.
    pub clock_of: fn(path: &str) -> Option<u32>,
}

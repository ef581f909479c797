//! What a manifest is read against.

use crate::host_device::HostDevices;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use evisor_contract::Declaration;

/// The version of the GIC that a board can virtualize.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GicVersion {
    /// GICv2, or GIC-400: IHI 0048B.
    V2,
    /// GICv3: IHI 0069.
    V3,
}

impl fmt::Display for GicVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V2 => "GICv2",
            Self::V3 => "GICv3",
        })
    }
}

/// What a board has for VMs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoardFacts {
    /// Its name, for messages.
    pub name: String,
    /// The interrupt controller that it can virtualize.
    pub gic: Option<GicVersion>,
    /// The memory that is left for VMs: address and size.
    pub memory: Vec<(u64, u64)>,
    /// How many vCPUs a VM may have on it.
    pub cores: usize,
}

/// The files of a bundle.
pub trait Files {
    /// A file's bytes; `None` if it is missing.
    fn bytes_of(&self, name: &str) -> Option<&[u8]>;
}

/// A Cargo feature that was not built in, and the `compatible` strings that its
/// component would answer.
pub type LeftOut<'a> = (&'a str, &'a [&'a str]);

/// Everything that a manifest is read against.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The components that are there.
    pub registry: &'static [Declaration],
    /// Those that could have been.
    pub left_out: &'a [LeftOut<'a>],
    /// The board.
    pub board: &'a BoardFacts,
    /// The board's devices; `None` where its tree is not at hand.
    pub devices: Option<&'a dyn HostDevices>,
    /// The files.
    pub files: &'a dyn Files,
    /// The paths of VMs that cannot be had for want of a file on the card, which was
    /// told: they are left out.
    pub lost: &'a [String],
}

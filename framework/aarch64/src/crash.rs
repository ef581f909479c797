//! Why a guest cannot go on, and where it was.

use aarch64_cpu::registers::{ELR_EL2, ESR_EL2, FAR_EL2, HPFAR_EL2, SPSR_EL2};
use core::fmt;
use tock_registers::interfaces::Readable;

/// How a guest came to EL2: the registers of EL2 that say so.
#[derive(Clone, Copy, Debug)]
pub struct Trap {
    /// ELR_EL2: the instruction, guest-virtual.
    pub elr: u64,
    /// SPSR_EL2: PSTATE there.
    pub spsr: u64,
    /// ESR_EL2.
    pub esr: u64,
    /// FAR_EL2; of an abort, the address, guest-virtual.
    pub far: u64,
    /// HPFAR_EL2; of a translation fault at stage 2, the page, guest-physical.
    pub hpfar: u64,
}

impl Trap {
    pub(crate) fn now() -> Self {
        Self {
            elr: ELR_EL2.get(),
            spsr: SPSR_EL2.get(),
            esr: ESR_EL2.get(),
            far: FAR_EL2.get(),
            hpfar: HPFAR_EL2.get(),
        }
    }
}

/// Why a guest cannot go on.
#[derive(Clone, Copy, Debug)]
pub enum Crash {
    /// It took a physical SError.
    SError {
        /// ESR_EL2.
        esr: u64,
    },
    /// Its own vector cannot be fetched: it would abort for ever.
    VectorUnmapped {
        /// Where the vector is, guest-virtual.
        vector: u64,
    },
    /// A load, store or fetch was refused, and the manifest has that end it.
    Access {
        /// Where, guest-physical, if that is known.
        ipa: Option<u64>,
    },
    /// An instruction that nobody answers, and the manifest has that end it.
    Instruction,
}

impl Crash {
    /// Why, without where.
    pub fn what(&self) -> &'static str {
        match self {
            Self::SError { .. } => "SError",
            Self::VectorUnmapped { .. } => "no memory at its vectors",
            Self::Access { .. } => "an access was refused",
            Self::Instruction => "an instruction was refused",
        }
    }

    /// Where, if an address is what it is about.
    pub fn address(&self) -> Option<u64> {
        match self {
            Self::VectorUnmapped { vector } => Some(*vector),
            Self::Access { ipa } => *ipa,
            _ => None,
        }
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SError { esr } => write!(f, "SError, ESR {esr:#x}"),
            Self::VectorUnmapped { vector } => write!(f, "no memory at its vectors, {vector:#x}"),
            Self::Access { ipa: Some(ipa) } => write!(f, "an access to {ipa:#x} was refused"),
            Self::Access { ipa: None } => f.write_str("an access was refused"),
            Self::Instruction => f.write_str("an instruction was refused"),
        }
    }
}

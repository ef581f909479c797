//! The last exits of a vCPU: a ring that `vectors.s` writes, one entry an exit, in
//! five instructions.

use core::fmt;

/// How many are kept.
pub const EXITS: usize = 64;

/// What an exit was: ESR_EL2, 0 for an interrupt; and ELR_EL2, the guest's instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Exit {
    esr: u64,
    pc: u64,
}

/// What an exit was, as people count them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitKind {
    /// An interrupt of the board, whoever it is for.
    Interrupt,
    /// A load from where stage 2 maps nothing.
    Load,
    /// A store there, or to what may not be written.
    Store,
    /// A fetch from there.
    Fetch,
    /// HVC.
    Call,
    /// SMC.
    SecureCall,
    /// MRS.
    ReadRegister,
    /// MSR, or a system instruction.
    WriteRegister,
    /// WFI or WFE.
    Wait,
    /// A physical SError.
    SError,
    /// Another trapped instruction; its exception class (DDI 0487, ESR_EL2.EC).
    Other(u8),
}

/// Set in the entry of an SError: ESR_EL2 alone does not tell that from a synchronous
/// exception. The bit is RES0 there (DDI 0487, ESR_EL2).
pub(crate) const SERROR: u64 = 1 << 63;

impl Exit {
    /// What it was.
    pub fn kind(&self) -> ExitKind {
        let (class, bit) = (self.esr >> 26 & 0x3f, |n: u32| self.esr >> n & 1 != 0);
        match class {
            _ if self.esr & SERROR != 0 => ExitKind::SError,
            _ if self.esr == 0 => ExitKind::Interrupt,
            0x01 => ExitKind::Wait,
            0x16 => ExitKind::Call,
            0x17 => ExitKind::SecureCall,
            0x18 if bit(0) => ExitKind::ReadRegister,
            0x18 => ExitKind::WriteRegister,
            0x20 => ExitKind::Fetch,
            0x24 if bit(6) => ExitKind::Store,
            0x24 => ExitKind::Load,
            class => ExitKind::Other(class as u8),
        }
    }

    /// The guest's instruction, guest-virtual.
    pub fn pc(&self) -> u64 {
        self.pc
    }

    /// ESR_EL2; 0 of an interrupt.
    pub fn esr(&self) -> u64 {
        self.esr & !SERROR
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:#x}", self.kind(), self.pc)
    }
}

impl ExitKind {
    /// What it is called, if it has a name.
    pub fn name(&self) -> Option<&'static str> {
        Some(match self {
            Self::Interrupt => "interrupt",
            Self::Load => "load",
            Self::Store => "store",
            Self::Fetch => "fetch",
            Self::Call => "HVC",
            Self::SecureCall => "SMC",
            Self::ReadRegister => "MRS",
            Self::WriteRegister => "MSR",
            Self::Wait => "WFI",
            Self::SError => "SError",
            Self::Other(_) => return None,
        })
    }
}

impl fmt::Display for ExitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.name()) {
            (_, Some(name)) => f.write_str(name),
            (Self::Other(class), None) => write!(f, "class {class:#x}"),
            (_, None) => Ok(()),
        }
    }
}

/// Aligned to twice its size, so that to clear one bit of an address behind its end
/// gives its start.
#[repr(C, align(2048))]
pub(crate) struct Ring([Exit; EXITS]);

/// The address of the entry that is written next.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Cursor(u64);

const SIZE: u64 = size_of::<[Exit; EXITS]>() as u64;
const ENTRY: u64 = size_of::<Exit>() as u64;
/// What is kept of the cursor when it has moved on.
pub(crate) const WRAP: u64 = !SIZE;
const _: () = assert!(align_of::<Ring>() as u64 == 2 * SIZE);

/// What `vectors.s` compares the syndrome of a data abort with: its low half is the
/// mask, the high half what has to be left. See there.
pub(crate) const PLAIN_ACCESS: u64 = 0x9300_0004 << 32 | 0xff20_27bc;

impl Cursor {
    /// At the start of the ring at `address`.
    pub fn at(address: u64) -> Self {
        Self(address)
    }
}

impl Ring {
    pub const EMPTY: Self = Self([Exit { esr: 0, pc: 0 }; EXITS]);

    /// Those there were, the oldest first: an entry that was never written has no PC.
    pub fn exits(&self, cursor: Cursor) -> impl Iterator<Item = Exit> {
        let oldest = (cursor.0 % SIZE / ENTRY) as usize;
        let (newer, older) = self.0.split_at(oldest % EXITS);
        older.iter().chain(newer).copied().filter(|exit| exit.pc != 0 || exit.esr != 0)
    }
}

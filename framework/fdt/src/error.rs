//! Why bytes were refused.

use core::fmt;

/// Why some bytes are not a device tree that can be read. None of them can be
/// mended by the caller, except [`Unaligned`](Self::Unaligned): copy the bytes
/// to [`Aligned`](crate::Aligned).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FdtError {
    /// The bytes do not start at a multiple of four.
    Unaligned,
    /// There are fewer bytes than the header speaks of, or not even a header.
    Truncated {
        /// How many it takes.
        need: usize,
        /// How many there are.
        have: usize,
    },
    /// The first word is another one.
    NotADeviceTree,
    /// A format version that is not known here.
    UnknownVersion(u32),
    /// A block of the tree is not where a block can be.
    Misplaced(&'static str),
    /// The memory reservations do not end, or one of them wraps.
    BadReservation,
    /// The structure is broken at this offset from the start of the tree.
    Broken {
        /// Where.
        offset: usize,
        /// What.
        problem: &'static str,
    },
}

impl fmt::Display for FdtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unaligned => write!(f, "does not start at a multiple of four bytes"),
            Self::Truncated { need, have } => {
                write!(f, "is truncated: {have} bytes of {need}")
            }
            Self::NotADeviceTree => write!(f, "is not a flattened device tree"),
            Self::UnknownVersion(version) => {
                write!(f, "has format version {version}, and only 17 is known here")
            }
            Self::Misplaced(block) => write!(f, "has its {block} block outside of itself"),
            Self::BadReservation => write!(f, "has a memory reservation that is out of bounds"),
            Self::Broken { offset, problem } => write!(f, "is broken at {offset:#x}: {problem}"),
        }
    }
}

impl core::error::Error for FdtError {}

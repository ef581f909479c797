//! What Linux's `iproc-rng200.c` knows of it, mainline's and the Raspberry Pi's: no data
//! sheet is public. Registers are words, and these are their numbers.

/// RNG_CTRL.
pub const CTRL: usize = 0;
/// RNG_SOFT_RESET and RBG_SOFT_RESET: it stands while bit 0 of either is set.
pub const RESETS: [usize; 2] = [1, 2];
/// RNG_TOTAL_BIT_COUNT.
pub const BIT_COUNT: usize = 3;
/// RNG_TOTAL_BIT_COUNT_THRESHOLD: the bits that are thrown away at the start.
pub const THRESHOLD: usize = 4;
/// RNG_FIFO_DATA.
pub const FIFO_DATA: usize = 8;
/// RNG_FIFO_COUNT: the words in the FIFO, in bits 7:0.
pub const FIFO_COUNT: usize = 9;
/// RNG_CTRL: it runs if any of these is set.
pub const RBGEN: u32 = 0x1fff;
/// What a register keeps of what is written; 6 and 7 are RNG_INT_STATUS and RNG_INT_ENABLE.
pub const WRITABLE: [u32; 10] = [0x1f_ffff, 1, 1, 0, u32::MAX, 0, 0, 0x8002_0021, 0, 0xff00];

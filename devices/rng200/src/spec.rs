//! What Linux's `iproc-rng200.c` knows of it, mainline's and the Raspberry Pi's: no data
//! sheet is public. Registers are words, in order of their offsets.

/// What a register keeps of what is written; 6 and 7 are RNG_INT_STATUS and RNG_INT_ENABLE.
pub const WRITABLE: [u32; 10] = [0x1f_ffff, 1, 1, 0, u32::MAX, 0, 0, 0x8002_0021, 0, 0xff00];

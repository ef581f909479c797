//! What the data sheets say: Common Flash Interface, JESD68.01 ("JESD"); Intel
//! StrataFlash Memory (J3), order number 290667 ("J3"); and which chips QEMU's
//! virt machine has: two of 16 bits, side by side on a bus of 32.

use tock_registers::register_bitfields;

/// What the low byte of a store means (J3, Command Definitions).
pub mod command {
    /// Word program, as older chips have it.
    pub const PROGRAM_ALTERNATE: u8 = 0x10;
    /// Block erase: [`CONFIRM`] follows.
    pub const ERASE: u8 = 0x20;
    /// Word program: the word follows.
    pub const PROGRAM: u8 = 0x40;
    /// Clear status register.
    pub const CLEAR_STATUS: u8 = 0x50;
    /// Lock bits: [`LOCK`] or [`CONFIRM`] follows.
    pub const LOCK_SETUP: u8 = 0x60;
    /// Read status register.
    pub const READ_STATUS: u8 = 0x70;
    /// Read identifier codes.
    pub const READ_IDENTIFIER: u8 = 0x90;
    /// Read query.
    pub const READ_QUERY: u8 = 0x98;
    /// Write to buffer: the count less one, the words and [`CONFIRM`] follow.
    pub const WRITE_TO_BUFFER: u8 = 0xe8;
    /// Read array.
    pub const READ_ARRAY: u8 = 0xff;

    /// Second cycle: do it; of lock bits, clear them.
    pub const CONFIRM: u8 = 0xd0;
    /// Second cycle: set a block's lock bit.
    pub const LOCK: u8 = 0x01;
}

register_bitfields![u8,
    /// J3, Status Register Definitions.
    pub STATUS [
        /// Programming failed.
        PROGRAM 4,
        /// Erasing, or changing lock bits, failed. With the other: the sequence of
        /// commands was wrong.
        ERASE 5,
        /// Ready.
        READY 7
    ]
];

/// How many bytes are erased at once: 128 KiB of each chip.
pub const SECTOR: u64 = 256 << 10;

/// How many bytes go through the buffer at once: 2 KiB of each chip.
pub const BUFFER: u64 = 4096;

/// How many words that is, of one chip: a larger count is refused.
pub const BUFFER_WORDS: u64 = 1024;

/// The bus carries as many bytes.
pub const BUS: u64 = 4;

/// The manufacturer's code, Intel, and the device's (J3, Identifier Codes).
pub const IDENTIFIER: [u8; 2] = [0x89, 0x18];

/// Byte `index` of the query structure (JESD §2, and the vendor's part behind it)
/// of one chip of a bank of `size` bytes.
pub fn query(index: u64, size: u64) -> u8 {
    let blocks = size / SECTOR - 1;
    match index {
        // A chip has half of the bank: two to this power.
        0x27 => (size / 2).trailing_zeros().to_le_bytes()[0],
        // So many blocks and one more, of 0x200 times 256 bytes.
        0x2d => blocks.to_le_bytes()[0],
        0x2e => blocks.to_le_bytes()[1],
        _ => {
            let at = index.checked_sub(0x10).and_then(|at| usize::try_from(at).ok());
            at.and_then(|at| QUERY.get(at)).copied().unwrap_or(0)
        }
    }
}

/// The query structure from 0x10 on, without what depends on the size.
const QUERY: [u8; 0x30] = [
    b'Q', b'R', b'Y', // 0x10: identification string
    0x01, 0x00, // 0x13: Intel's extended command set
    0x31, 0x00, // 0x15: where its own table is
    0x00, 0x00, 0x00, 0x00, // 0x17: no alternate command set
    0x45, 0x55, 0x00, 0x00, // 0x1b: 4.5 V to 5.5 V, no programming voltage
    0x07, 0x07, 0x0a, 0x00, // 0x1f: typical: 128 µs a word, 128 µs a buffer, 1 s a block
    0x04, 0x04, 0x04, 0x00, // 0x23: at most 16 times as much
    0x00, // 0x27: size
    0x02, 0x00, // 0x28: 8 and 16 bits wide
    0x0b, 0x00, // 0x2a: 2 KiB of buffer
    0x01, // 0x2c: all blocks are of one size
    0x00, 0x00, 0x00, 0x02, // 0x2d: how many, how large
    b'P', b'R', b'I', b'1', b'0', // 0x31: Intel's table, version 1.0
    0x00, 0x00, 0x00, 0x00, // 0x36: none of the optional features: no suspension
    0x00, 0x00, 0x00, // 0x3a: nothing while suspended, no lock registers
    0x00, 0x00, // 0x3d: voltages
    0x01, // 0x3f: one protection field
];

//! What the controller's specification says: SD Specifications Part A2, SD Host
//! Controller Simplified Specification, version 3.00. Section numbers are its.

use tock_registers::register_bitfields;

/// Offsets of the registers (§2.1, Table 2-1). Those of 8 and 16 bits share words.
pub mod offset {
    /// SDMA system address, or the argument of Auto CMD23 (§2.2.1).
    pub const ARGUMENT2: u64 = 0x00;
    /// Block size (§2.2.2).
    pub const BLOCK_SIZE: u64 = 0x04;
    /// Block count (§2.2.3).
    pub const BLOCK_COUNT: u64 = 0x06;
    /// Argument 1 (§2.2.4).
    pub const ARGUMENT: u64 = 0x08;
    /// Transfer mode (§2.2.5).
    pub const TRANSFER_MODE: u64 = 0x0c;
    /// Command (§2.2.6): its upper byte sends it.
    pub const COMMAND: u64 = 0x0e;
    /// Response, four words (§2.2.7).
    pub const RESPONSE: u64 = 0x10;
    /// Buffer data port (§2.2.8).
    pub const BUFFER: u64 = 0x20;
    /// Present state (§2.2.9).
    pub const PRESENT_STATE: u64 = 0x24;
    /// Host control 1 and power control (§2.2.10, §2.2.11).
    pub const HOST_CONTROL: u64 = 0x28;
    /// Block gap control and wakeup control (§2.2.12, §2.2.13).
    pub const BLOCK_GAP: u64 = 0x2a;
    /// Clock control (§2.2.14).
    pub const CLOCK: u64 = 0x2c;
    /// Timeout control and software reset (§2.2.15, §2.2.16).
    pub const TIMEOUT: u64 = 0x2e;
    /// Normal interrupt status (§2.2.17).
    pub const STATUS: u64 = 0x30;
    /// Error interrupt status (§2.2.18).
    pub const ERRORS: u64 = 0x32;
    /// Normal interrupt status enable (§2.2.19).
    pub const STATUS_ENABLE: u64 = 0x34;
    /// Error interrupt status enable (§2.2.20).
    pub const ERRORS_ENABLE: u64 = 0x36;
    /// Normal interrupt signal enable (§2.2.21).
    pub const STATUS_SIGNAL: u64 = 0x38;
    /// Error interrupt signal enable (§2.2.22).
    pub const ERRORS_SIGNAL: u64 = 0x3a;
    /// Auto CMD error status (§2.2.23).
    pub const AUTO_ERRORS: u64 = 0x3c;
    /// Host control 2 (§2.2.24).
    pub const HOST_CONTROL2: u64 = 0x3e;
    /// Capabilities, two words (§2.2.25).
    pub const CAPABILITIES: u64 = 0x40;
    /// Force event for Auto CMD error status (§2.2.27).
    pub const FORCE_AUTO_ERRORS: u64 = 0x50;
    /// Force event for error interrupt status (§2.2.28).
    pub const FORCE_ERRORS: u64 = 0x52;
    /// ADMA error status (§2.2.29).
    pub const ADMA_ERROR: u64 = 0x54;
    /// ADMA system address, of which 32 bits are there (§2.2.30).
    pub const ADMA_ADDRESS: u64 = 0x58;
    /// Preset values, four words (§2.2.31).
    pub const PRESET: u64 = 0x60;
    /// Slot interrupt status and host controller version (§2.2.33, §2.2.34).
    pub const SLOT_STATUS: u64 = 0xfc;
}

/// The bits of each register that hold what is written.
pub mod writable {
    /// SDMA buffer boundary and transfer block size.
    pub const BLOCK_SIZE: u16 = 0x7fff;
    /// DMA to multi/single.
    pub const TRANSFER_MODE: u16 = 0x003f;
    /// All but bits 2, 14 and 15.
    pub const COMMAND: u16 = 0x3ffb;
    /// SD bus power and voltage.
    pub const POWER: u16 = 0x0f00;
    /// Host control 1: all.
    pub const HOST_CONTROL: u16 = 0x00ff;
    /// Stop at block gap request, read wait, interrupt at block gap; the continue
    /// request clears itself.
    pub const BLOCK_GAP: u16 = 0x000d;
    /// The three events.
    pub const WAKEUP: u16 = 0x0700;
    /// All but "stable" and what is reserved.
    pub const CLOCK: u16 = 0xffe5;
    /// Data timeout counter value; nothing follows from it.
    pub const TIMEOUT: u16 = 0x000f;
    /// Normal interrupts: bit 15 is the sum of the errors.
    pub const STATUS: u16 = 0x1fff;
    /// Error interrupts.
    pub const ERRORS: u16 = 0xf7ff;
    /// Auto CMD errors.
    pub const AUTO_ERRORS: u16 = 0x009f;
    /// UHS mode, driver strength, preset values, asynchronous interrupt; neither
    /// 1.8 V nor tuning, which are not there.
    pub const HOST_CONTROL2: u16 = 0xc037;
}

register_bitfields![u16,
    /// §2.2.2.
    pub BLOCK_SIZE [
        /// An SDMA transfer stops at each multiple of 4 KiB, two to this.
        BOUNDARY OFFSET(12) NUMBITS(3),
        /// Bytes of a block.
        SIZE OFFSET(0) NUMBITS(12)
    ],
    /// §2.2.5.
    pub TRANSFER_MODE [
        /// By DMA.
        DMA OFFSET(0) NUMBITS(1) [],
        /// The block count counts.
        COUNT OFFSET(1) NUMBITS(1) [],
        /// Which command is sent by itself.
        AUTO OFFSET(2) NUMBITS(2) [
            Cmd12 = 1,
            Cmd23 = 2
        ],
        /// From the card to the host.
        READ OFFSET(4) NUMBITS(1) [],
        /// More than one block.
        MULTIPLE OFFSET(5) NUMBITS(1) []
    ],
    /// §2.2.6.
    pub COMMAND [
        /// Its number.
        INDEX OFFSET(8) NUMBITS(6) [],
        /// Suspend, resume, abort.
        TYPE OFFSET(6) NUMBITS(2) [
            Abort = 3
        ],
        /// Data follow.
        DATA OFFSET(5) NUMBITS(1) [],
        /// What is answered.
        RESPONSE OFFSET(0) NUMBITS(2) [
            Nothing = 0,
            Long = 1,
            Short = 2,
            Busy = 3
        ]
    ],
    /// §2.2.10 in the low byte, §2.2.11 in the high one.
    pub HOST_CONTROL [
        /// SD bus power.
        POWER OFFSET(8) NUMBITS(1) [],
        /// What DMA is.
        DMA OFFSET(3) NUMBITS(2) [
            Sdma = 0,
            Adma2 = 2
        ]
    ],
    /// §2.2.12.
    pub BLOCK_GAP [
        /// Stop at block gap request.
        STOP 0,
        /// Continue request.
        CONTINUE 1
    ],
    /// §2.2.14.
    pub CLOCK [
        /// SD clock enable.
        CARD 2,
        /// Internal clock stable.
        STABLE 1,
        /// Internal clock enable.
        INTERNAL 0
    ],
    /// §2.2.16, in the high byte.
    pub RESET [
        /// For the DAT lines.
        DAT 10,
        /// For the CMD line.
        CMD 9,
        /// For all.
        ALL 8
    ],
    /// §2.2.17.
    pub STATUS [
        /// Some error.
        ERROR 15,
        /// Buffer read ready.
        READ_READY 5,
        /// Buffer write ready.
        WRITE_READY 4,
        /// DMA interrupt.
        DMA 3,
        /// Block gap event.
        BLOCK_GAP 2,
        /// Transfer complete.
        TRANSFER 1,
        /// Command complete.
        COMMAND 0
    ],
    /// §2.2.18.
    pub ERRORS [
        /// ADMA.
        ADMA 9,
        /// Auto CMD.
        AUTO 8,
        /// Data CRC.
        DATA_CRC 5,
        /// Data timeout.
        DATA_TIMEOUT 4,
        /// Command timeout.
        COMMAND_TIMEOUT 0
    ],
    /// §2.2.23.
    pub AUTO_ERRORS [
        /// A command was not sent since the automatic one failed.
        NOT_ISSUED 7,
        /// Timeout.
        TIMEOUT 1
    ]
];

register_bitfields![u32,
    /// §2.2.9.
    pub PRESENT_STATE [
        /// CMD line level.
        CMD_LEVEL OFFSET(24) NUMBITS(1),
        /// DAT\[3:1\] levels.
        DAT_LEVELS OFFSET(21) NUMBITS(3),
        /// DAT\[0\] level: low while the card is busy.
        DAT0_LEVEL OFFSET(20) NUMBITS(1),
        /// Write protect switch: writing is allowed.
        WRITE_ENABLED OFFSET(19) NUMBITS(1),
        /// Card detect pin.
        CARD_DETECT OFFSET(18) NUMBITS(1),
        /// Card state stable.
        STABLE OFFSET(17) NUMBITS(1),
        /// Card inserted.
        INSERTED OFFSET(16) NUMBITS(1),
        /// Buffer read enable.
        READ_READY OFFSET(11) NUMBITS(1),
        /// Buffer write enable.
        WRITE_READY OFFSET(10) NUMBITS(1),
        /// Read transfer active.
        READING OFFSET(9) NUMBITS(1),
        /// Write transfer active.
        WRITING OFFSET(8) NUMBITS(1),
        /// DAT line active.
        DAT_ACTIVE OFFSET(2) NUMBITS(1),
        /// Command inhibit (DAT).
        DAT_INHIBIT OFFSET(1) NUMBITS(1)
    ]
];

/// Capabilities (§2.2.25): 3.3 V, SDMA, high speed, ADMA2; blocks of 512 bytes; a
/// base clock of 100 MHz; a timeout clock of 50 MHz. Nothing of the second word.
pub const CAPABILITIES: u32 =
    1 << 24 | 1 << 22 | 1 << 21 | 1 << 19 | (CLOCK_HZ / 1_000_000) << 8 | 1 << 7 | 50;

/// The base clock.
pub const CLOCK_HZ: u32 = 100_000_000;

/// Preset values (§2.2.31), two a word: 400 kHz for initialization, 25 MHz, 50 MHz
/// for high speed, and what is not there.
pub const PRESET: [u32; 4] = [0x0002_007d, 0x0000_0001, 0, 0];

/// The host controller version (§2.2.34): 3.00.
pub const VERSION: u32 = 0x0002;

/// Bytes of the buffer, and of a block at most,
pub const BUFFER: usize = 512;
/// and words.
pub const WORDS: usize = BUFFER / 4;

/// ADMA2 descriptors (§1.13.4, 32-bit addresses).
pub mod descriptor {
    /// Bytes of one.
    pub const SIZE: usize = 8;
    /// The line is valid.
    pub const VALID: u64 = 1 << 0;
    /// It is the last one.
    pub const END: u64 = 1 << 1;
    /// A DMA interrupt comes when it is done.
    pub const INTERRUPT: u64 = 1 << 2;
    /// What it does.
    pub const ACT: u64 = 3 << 4;
    /// It moves data.
    pub const TRANSFER: u64 = 2 << 4;
    /// It says where the next one is.
    pub const LINK: u64 = 3 << 4;
}

/// ADMA error status (§2.2.29).
pub mod adma_error {
    /// The descriptors end before the data.
    pub const LENGTH: u32 = 1 << 2;
    /// It happened while a descriptor was fetched: the address is its own.
    pub const FETCH: u32 = 1;
    /// It happened while data moved: the address is the next descriptor's.
    pub const MOVE: u32 = 3;
}

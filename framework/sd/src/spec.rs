//! What the specifications say.
//!
//! The controller's part: SD Specifications Part A2, SD Host Controller Simplified
//! Specification, version 3.00 (and 4.20 where it says more). The card's: Part 1,
//! Physical Layer Simplified Specification, version 6.00. Sections named `HC` are of
//! the first, those named `PL` of the second.

use tock_registers::register_bitfields;

/// Bytes of a block (PL §4.3.2: the only length of a high capacity card).
pub const BLOCK: usize = 512;
/// Words of a block, as the buffer data port has them.
pub const BLOCK_WORDS: usize = BLOCK / 4;

/// Offsets of the registers, as the words that 32-bit accesses reach (HC §2.1.1).
pub mod offset {
    /// Block Size, and in the upper half Block Count.
    pub const BLOCK: usize = 0x04;
    /// Argument 1.
    pub const ARGUMENT: usize = 0x08;
    /// Transfer Mode, and in the upper half Command: writing it sends the command.
    pub const COMMAND: usize = 0x0c;
    /// Response, the first of four words.
    pub const RESPONSE: usize = 0x10;
    /// Buffer Data Port.
    pub const DATA: usize = 0x20;
    /// Present State.
    pub const PRESENT: usize = 0x24;
    /// Host Control 1, Power Control, Block Gap Control, Wakeup Control.
    pub const HOST: usize = 0x28;
    /// Clock Control, Timeout Control, Software Reset.
    pub const CLOCK: usize = 0x2c;
    /// Normal Interrupt Status, and in the upper half Error Interrupt Status.
    pub const STATUS: usize = 0x30;
    /// Which of them are set at all.
    pub const STATUS_ENABLE: usize = 0x34;
    /// Which of them interrupt.
    pub const SIGNAL_ENABLE: usize = 0x38;
    /// Capabilities, the lower word.
    pub const CAPABILITIES: usize = 0x40;
    /// ADMA System Address, the lower word.
    pub const ADMA_ADDRESS: usize = 0x58;
    /// Slot Interrupt Status, and in the upper half Host Controller Version.
    pub const VERSION: usize = 0xfc;
}

register_bitfields![u32,
    /// HC §2.2.2, §2.2.3.
    pub BLOCKS [
        /// Block Count for Current Transfer.
        COUNT OFFSET(16) NUMBITS(16) [],
        /// Transfer Block Size.
        SIZE OFFSET(0) NUMBITS(12) []
    ],
    /// HC §2.2.5, §2.2.6.
    pub COMMAND [
        /// Command Index.
        INDEX OFFSET(24) NUMBITS(6) [],
        /// Command Type.
        TYPE OFFSET(22) NUMBITS(2) [ Normal = 0, Abort = 3 ],
        /// Data Present Select.
        DATA OFFSET(21) NUMBITS(1) [],
        /// Command Index Check Enable.
        INDEX_CHECK OFFSET(20) NUMBITS(1) [],
        /// Command CRC Check Enable.
        CRC_CHECK OFFSET(19) NUMBITS(1) [],
        /// Response Type Select.
        RESPONSE OFFSET(16) NUMBITS(2) [ None = 0, Long = 1, Short = 2, ShortBusy = 3 ],
        /// Multi / Single Block Select.
        MULTIPLE OFFSET(5) NUMBITS(1) [],
        /// Data Transfer Direction Select: from the card.
        READ OFFSET(4) NUMBITS(1) [],
        /// Auto CMD Enable.
        AUTO OFFSET(2) NUMBITS(2) [ None = 0, Cmd12 = 1 ],
        /// Block Count Enable.
        COUNT OFFSET(1) NUMBITS(1) [],
        /// DMA Enable.
        DMA OFFSET(0) NUMBITS(1) []
    ],
    /// HC §2.2.9.
    pub PRESENT [
        /// Card Inserted.
        INSERTED 16,
        /// Card State Stable.
        STABLE 17,
        /// Command Inhibit (DAT).
        DAT_INHIBIT 1,
        /// Command Inhibit (CMD).
        CMD_INHIBIT 0
    ],
    /// HC §2.2.10 to §2.2.13.
    pub HOST [
        /// SD Bus Voltage Select.
        VOLTAGE OFFSET(9) NUMBITS(3) [ V3_3 = 7 ],
        /// SD Bus Power.
        POWER OFFSET(8) NUMBITS(1) [],
        /// DMA Select.
        DMA OFFSET(3) NUMBITS(2) [ Adma2 = 2 ],
        /// High Speed Enable.
        HIGH_SPEED OFFSET(2) NUMBITS(1) [],
        /// Data Transfer Width: 4 bits.
        WIDTH_4 OFFSET(1) NUMBITS(1) []
    ],
    /// HC §2.2.14 to §2.2.16.
    pub CLOCK [
        /// Software Reset For DAT Line.
        RESET_DAT OFFSET(26) NUMBITS(1) [],
        /// Software Reset For CMD Line.
        RESET_CMD OFFSET(25) NUMBITS(1) [],
        /// Software Reset For All.
        RESET_ALL OFFSET(24) NUMBITS(1) [],
        /// Data Timeout Counter Value: 2 to the 13th and this, of TMCLK.
        TIMEOUT OFFSET(16) NUMBITS(4) [ Longest = 14 ],
        /// SDCLK Frequency Select.
        DIVISOR OFFSET(8) NUMBITS(8) [],
        /// Upper Bits of SDCLK Frequency Select, from version 3.00 on.
        DIVISOR_UPPER OFFSET(6) NUMBITS(2) [],
        /// SD Clock Enable.
        SD_ENABLE OFFSET(2) NUMBITS(1) [],
        /// Internal Clock Stable.
        STABLE OFFSET(1) NUMBITS(1) [],
        /// Internal Clock Enable.
        ENABLE OFFSET(0) NUMBITS(1) []
    ],
    /// HC §2.2.17 and §2.2.18; the enables have the same layout (§2.2.19 to §2.2.22).
    pub STATUS [
        /// ADMA Error.
        ADMA_ERROR 25,
        /// Auto CMD Error.
        AUTO_ERROR 24,
        /// Current Limit Error.
        CURRENT_LIMIT 23,
        /// Data End Bit Error.
        DATA_END 22,
        /// Data CRC Error.
        DATA_CRC 21,
        /// Data Timeout Error.
        DATA_TIMEOUT 20,
        /// Command Index Error.
        COMMAND_INDEX 19,
        /// Command End Bit Error.
        COMMAND_END 18,
        /// Command CRC Error.
        COMMAND_CRC 17,
        /// Command Timeout Error.
        COMMAND_TIMEOUT 16,
        /// Error Interrupt: one of the upper half is set.
        ERROR 15,
        /// Buffer Read Ready.
        READ_READY 5,
        /// Buffer Write Ready.
        WRITE_READY 4,
        /// Transfer Complete.
        TRANSFER 1,
        /// Command Complete.
        COMMAND 0
    ],
    /// HC §2.2.25.
    pub CAPABILITIES [
        /// Voltage Support 3.3V.
        V3_3 OFFSET(24) NUMBITS(1) [],
        /// High Speed Support.
        HIGH_SPEED OFFSET(21) NUMBITS(1) [],
        /// ADMA2 Support.
        ADMA2 OFFSET(19) NUMBITS(1) [],
        /// Base Clock Frequency For SD Clock, in MHz; six bits before version 3.00.
        BASE_CLOCK OFFSET(8) NUMBITS(8) []
    ],
    /// HC §2.2.34.
    pub VERSION [
        /// Specification Version Number.
        SPECIFICATION OFFSET(16) NUMBITS(8) [ V3_00 = 2 ]
    ],
    /// A descriptor's first word (HC §1.13).
    pub DESCRIPTOR [
        /// Bytes; 0 stands for 65,536.
        LENGTH OFFSET(16) NUMBITS(16) [],
        /// What it stands for.
        ACT OFFSET(4) NUMBITS(2) [ Transfer = 2 ],
        /// The last one.
        END OFFSET(1) NUMBITS(1) [],
        /// It means something.
        VALID OFFSET(0) NUMBITS(1) []
    ],
    /// The card's status, as in R1 (PL §4.10.1).
    pub CARD [
        /// The argument lies outside of the card.
        OUT_OF_RANGE OFFSET(31) NUMBITS(1) [],
        /// The address does not fit the block length.
        ADDRESS_ERROR OFFSET(30) NUMBITS(1) [],
        /// The block length is not allowed.
        BLOCK_LEN_ERROR OFFSET(29) NUMBITS(1) [],
        /// A write to what is protected.
        WP_VIOLATION OFFSET(26) NUMBITS(1) [],
        /// The card is locked.
        IS_LOCKED OFFSET(25) NUMBITS(1) [],
        /// The CRC of the command before was wrong.
        COM_CRC_ERROR OFFSET(23) NUMBITS(1) [],
        /// The command before was not legal.
        ILLEGAL_COMMAND OFFSET(22) NUMBITS(1) [],
        /// The card's error correction could not mend what it read.
        ECC_FAILED OFFSET(21) NUMBITS(1) [],
        /// An error of the card's own controller.
        CC_ERROR OFFSET(20) NUMBITS(1) [],
        /// Any other error.
        ERROR OFFSET(19) NUMBITS(1) [],
        /// Its state when the command came.
        STATE OFFSET(9) NUMBITS(4) [ Transfer = 4 ],
        /// Its buffer is empty.
        READY_FOR_DATA OFFSET(8) NUMBITS(1) []
    ],
    /// The operation conditions, as in R3 and ACMD41's argument (PL §5.1, §4.2.3.1).
    pub OCR [
        /// Power up is finished.
        READY OFFSET(31) NUMBITS(1) [],
        /// CCS: the card is addressed by blocks; in an argument HCS, the host can do that.
        HIGH_CAPACITY OFFSET(30) NUMBITS(1) [],
        /// 3.2 V to 3.4 V.
        V3_3 OFFSET(20) NUMBITS(2) [ Both = 3 ]
    ],
    /// CMD6's argument (PL §4.3.10), with all groups but the first unchanged.
    pub SWITCH [
        /// Do it; otherwise only say whether it could be done.
        SET OFFSET(31) NUMBITS(1) [],
        /// Groups 6 to 2: no influence.
        OTHERS OFFSET(4) NUMBITS(20) [ Unchanged = 0xfffff ],
        /// Group 1, the access mode.
        ACCESS OFFSET(0) NUMBITS(4) [ HighSpeed = 1 ]
    ]
];

/// What is wrong with a command, by the controller.
pub const COMMAND_ERRORS: u32 = 0x000f_0000;
/// All errors that are looked at: tuning and vendors' are not.
pub const ERRORS: u32 = 0x03ff_0000;
/// The normal interrupts that are used.
pub const EVENTS: u32 = 0x33;

/// What says in R1 that a command was not carried out, or not well.
pub const CARD_ERRORS: u32 = 0xfff9_0000;

/// Times, in microseconds.
pub mod time {
    /// Software Reset For All, and of a line; the specification has no bound.
    pub const RESET: u64 = 100_000;
    /// Internal Clock Stable (HC §3.2.1: 150 ms).
    pub const CLOCK_STABLE: u64 = 150_000;
    /// Card State Stable, while contacts bounce.
    pub const CARD_STABLE: u64 = 100_000;
    /// The supply rises (PL §6.4.1: up to 35 ms), and 74 clocks of 400 kHz go by.
    pub const POWER_UP: u64 = 36_000;
    /// Card's clocks before the first command (PL §6.4.1: 1 ms and 74 clocks).
    pub const FIRST_CLOCKS: u64 = 1_200;
    /// A response takes 64 clocks to begin (PL §4.12, NCR) and 136 to end: half a
    /// millisecond at 400 kHz.
    pub const RESPONSE: u64 = 10_000;
    /// The card's initialisation (PL §4.2.3: 1 s).
    pub const INITIALISATION: u64 = 1_000_000;
    /// Between two questions whether it has ended (PL §4.2.3: at most 50 ms).
    pub const INITIALISATION_STEP: u64 = 1_000;
    /// A block is read within 100 ms, written within 250 ms, or 500 ms in an SDXC
    /// card (PL §4.6.2); twice the longest.
    pub const DATA: u64 = 1_000_000;
    /// All that is done after an error.
    pub const RECOVERY: u64 = 1_000_000;
}

/// Frequencies of the card's clock, in Hz.
pub mod frequency {
    /// While the card is identified (PL §4.2.1, fOD).
    pub const IDENTIFICATION: u32 = 400_000;
    /// Default speed (PL §4.3.10.1).
    pub const DEFAULT: u32 = 25_000_000;
    /// High speed.
    pub const HIGH_SPEED: u32 = 50_000_000;
}

/// What a command answers (PL §4.9), as the Command register wants it (HC §2.2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response {
    /// Nothing.
    None,
    /// R1, R6, R7: 48 bits with CRC and index.
    R1,
    /// R1 with busy.
    R1b,
    /// R2: 136 bits.
    R2,
    /// R3: 48 bits without CRC and index.
    R3,
}

/// A command (PL §4.7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its number.
    pub index: u8,
    /// What it answers.
    pub response: Response,
}

/// The commands used, by the specification's abbreviations.
pub mod command {
    use super::Command;
    use super::Response::{None, R1, R1b, R2, R3};

    const fn command(index: u8, response: super::Response) -> Command {
        Command { index, response }
    }

    /// To the idle state.
    pub const GO_IDLE_STATE: Command = command(0, None);
    /// All cards say their CID.
    pub const ALL_SEND_CID: Command = command(2, R2);
    /// The card makes an address for itself.
    pub const SEND_RELATIVE_ADDR: Command = command(3, R1);
    /// Switch functions.
    pub const SWITCH_FUNC: Command = command(6, R1);
    /// To the transfer state.
    pub const SELECT_CARD: Command = command(7, R1b);
    /// Voltage, and a pattern to echo; cards from version 2.00 on know it.
    pub const SEND_IF_COND: Command = command(8, R1);
    /// The card-specific data.
    pub const SEND_CSD: Command = command(9, R2);
    /// Ends a transfer of several blocks.
    pub const STOP_TRANSMISSION: Command = command(12, R1b);
    /// The card's status.
    pub const SEND_STATUS: Command = command(13, R1);
    /// The block length of a standard capacity card.
    pub const SET_BLOCKLEN: Command = command(16, R1);
    /// One block from the card.
    pub const READ_SINGLE_BLOCK: Command = command(17, R1);
    /// Blocks from the card, until it is stopped.
    pub const READ_MULTIPLE_BLOCK: Command = command(18, R1);
    /// One block to the card.
    pub const WRITE_BLOCK: Command = command(24, R1);
    /// Blocks to the card, until it is stopped.
    pub const WRITE_MULTIPLE_BLOCK: Command = command(25, R1);
    /// The next command is an application command.
    pub const APP_CMD: Command = command(55, R1);
    /// ACMD6.
    pub const SET_BUS_WIDTH: Command = command(6, R1);
    /// ACMD41.
    pub const SD_SEND_OP_COND: Command = command(41, R3);
    /// ACMD51.
    pub const SEND_SCR: Command = command(51, R1);
}

/// CMD8's argument: 2.7 V to 3.6 V, and the pattern that is recommended (PL §4.3.13).
pub const IF_COND: u32 = 0x1aa;
/// What of it comes back.
pub const IF_COND_ECHO: u32 = 0xfff;
/// ACMD6's argument for four lines (PL §4.7.4).
pub const BUS_WIDTH_4: u32 = 2;

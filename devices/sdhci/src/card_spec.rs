//! What the card's specification says: SD Specifications Part 1, Physical Layer
//! Simplified Specification, version 4.10. Section numbers are its.

/// Commands (§4.7.4).
pub mod command {
    /// GO_IDLE_STATE.
    pub const GO_IDLE: u8 = 0;
    /// ALL_SEND_CID.
    pub const ALL_SEND_CID: u8 = 2;
    /// SEND_RELATIVE_ADDR.
    pub const SEND_RELATIVE_ADDRESS: u8 = 3;
    /// SWITCH_FUNC.
    pub const SWITCH: u8 = 6;
    /// SELECT/DESELECT_CARD.
    pub const SELECT: u8 = 7;
    /// SEND_IF_COND.
    pub const SEND_INTERFACE_CONDITION: u8 = 8;
    /// SEND_CSD.
    pub const SEND_CSD: u8 = 9;
    /// SEND_CID.
    pub const SEND_CID: u8 = 10;
    /// STOP_TRANSMISSION.
    pub const STOP: u8 = 12;
    /// SEND_STATUS.
    pub const SEND_STATUS: u8 = 13;
    /// GO_INACTIVE_STATE.
    pub const GO_INACTIVE: u8 = 15;
    /// SET_BLOCKLEN.
    pub const SET_BLOCK_LENGTH: u8 = 16;
    /// READ_SINGLE_BLOCK.
    pub const READ_SINGLE: u8 = 17;
    /// READ_MULTIPLE_BLOCK.
    pub const READ_MULTIPLE: u8 = 18;
    /// SET_BLOCK_COUNT.
    pub const SET_BLOCK_COUNT: u8 = 23;
    /// WRITE_BLOCK.
    pub const WRITE_SINGLE: u8 = 24;
    /// WRITE_MULTIPLE_BLOCK.
    pub const WRITE_MULTIPLE: u8 = 25;
    /// ERASE_WR_BLK_START.
    pub const ERASE_START: u8 = 32;
    /// ERASE_WR_BLK_END.
    pub const ERASE_END: u8 = 33;
    /// ERASE.
    pub const ERASE: u8 = 38;
    /// APP_CMD.
    pub const APPLICATION: u8 = 55;
}

/// Application-specific commands, after [`command::APPLICATION`] (Table 4-32).
pub mod application {
    /// SET_BUS_WIDTH.
    pub const SET_BUS_WIDTH: u8 = 6;
    /// SD_STATUS.
    pub const SD_STATUS: u8 = 13;
    /// SEND_NUM_WR_BLOCKS.
    pub const SEND_WRITTEN: u8 = 22;
    /// SET_WR_BLK_ERASE_COUNT.
    pub const SET_ERASE_COUNT: u8 = 23;
    /// SD_SEND_OP_COND.
    pub const SEND_OPERATING_CONDITION: u8 = 41;
    /// SET_CLR_CARD_DETECT.
    pub const SET_CARD_DETECT: u8 = 42;
    /// SEND_SCR.
    pub const SEND_SCR: u8 = 51;
}

/// The card status (§4.10.1, Table 4-42).
pub mod status {
    /// The argument was out of the card's range.
    pub const OUT_OF_RANGE: u32 = 1 << 31;
    /// That block length is not allowed.
    pub const BLOCK_LENGTH_ERROR: u32 = 1 << 29;
    /// Erase commands came in a wrong order.
    pub const ERASE_SEQUENCE_ERROR: u32 = 1 << 28;
    /// What was selected to be erased makes no sense.
    pub const ERASE_PARAMETER: u32 = 1 << 27;
    /// A write to a card that is write protected.
    pub const WRITE_PROTECTED: u32 = 1 << 26;
    /// Not legal in the card's state.
    pub const ILLEGAL_COMMAND: u32 = 1 << 22;
    /// The medium could not be read.
    pub const ECC_FAILED: u32 = 1 << 21;
    /// Another error.
    pub const ERROR: u32 = 1 << 19;
    /// An erase sequence was cleared by another command.
    pub const ERASE_RESET: u32 = 1 << 13;
    /// Where the state is.
    pub const STATE: u32 = 9;
    /// The card's buffer is empty.
    pub const READY_FOR_DATA: u32 = 1 << 8;
    /// The next command is, or this one was, application-specific.
    pub const APPLICATION: u32 = 1 << 5;
    /// The bits that say what went wrong: cleared when they are reported.
    pub const REPORTED: u32 = 0xfdf9_a000;
}

/// The operation conditions register (§5.1).
pub mod ocr {
    /// 2.7 V to 3.6 V.
    pub const VOLTAGES: u32 = 0x00ff_8000;
    /// High capacity: addresses are block numbers. In the host's argument: it can
    /// deal with that.
    pub const HIGH_CAPACITY: u32 = 1 << 30;
    /// Power-up has finished.
    pub const READY: u32 = 1 << 31;
}

/// CMD8's argument (§4.3.13): the voltage, 2.7 V to 3.6 V, and the check pattern.
pub mod interface_condition {
    /// What is echoed.
    pub const ECHO: u32 = 0xfff;
    /// The voltage's field.
    pub const VOLTAGE: u32 = 0xf00;
    /// 2.7 V to 3.6 V.
    pub const HIGH_VOLTAGE: u32 = 0x100;
}

/// A capacity is a multiple of so many blocks (C_SIZE, §5.3.3),
pub const UNIT: u64 = 1024;
/// and C_SIZE has 22 bits.
pub const MOST_UNITS: u64 = 1 << 22;
/// Bytes of a block of a card of high capacity, whatever CMD16 says (§4.3.2).
pub const BLOCK: u32 = 512;

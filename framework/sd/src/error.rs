//! What can go wrong with a card.

use crate::spec::{CARD, STATUS};
use core::fmt;
use tock_registers::LocalRegisterCopy;

/// Why the card cannot be used, or a transfer failed. `Display` says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SdError {
    /// There is none, or it does not answer. Without one the rest can go on.
    NoCard,
    /// The controller does not do what it must: a fault of the board, or of its
    /// description.
    Controller(&'static str),
    /// The card can do what is asked only in a way that is not known here.
    Unsupported(&'static str),
    /// A command failed while the card was made ready.
    Command {
        /// Its number; of an application command, what follows CMD55.
        index: u8,
        /// Why.
        cause: Cause,
    },
    /// A transfer failed and was given up. Blocks before `block` were transferred;
    /// of a write, those from `block` on may have been. The next transfer may work.
    Transfer {
        /// Which command: 17, 18 read, 24, 25 write.
        index: u8,
        /// The first block that is not known to be transferred.
        block: u64,
        /// Why.
        cause: Cause,
    },
    /// A transfer that no card could do: no block, blocks that the card does not
    /// have, or a buffer that does not hold them. A mistake of the caller.
    OutOfRange {
        /// Where it starts.
        block: u64,
        /// How many blocks.
        count: u32,
    },
}

/// What a command or a transfer failed of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Neither success nor an error within the time that it may take. With Present
    /// State (HC §2.2.9).
    TimedOut(u32),
    /// The controller says so: Error Interrupt Status in the upper half, as in the
    /// word at 0x30 (HC §2.2.18).
    Controller(u32),
    /// The card says so: its status, as in R1 (PL §4.10.1).
    Card(u32),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TimedOut(present) => {
                write!(f, "nothing came back in time (present state {present:#010x})")
            }
            Self::Controller(status) => {
                write!(f, "{} (interrupt status {status:#010x})", of_controller(status))
            }
            Self::Card(status) => {
                write!(f, "the card refused: {} (card status {status:#010x})", of_card(status))
            }
        }
    }
}

fn of_controller(status: u32) -> &'static str {
    let status: LocalRegisterCopy<u32, STATUS::Register> = LocalRegisterCopy::new(status);
    [
        (STATUS::COMMAND_TIMEOUT, "the card did not answer"),
        (STATUS::COMMAND_CRC, "the answer was garbled"),
        (STATUS::COMMAND_END, "the answer was garbled"),
        (STATUS::COMMAND_INDEX, "the answer was to another command"),
        (STATUS::DATA_TIMEOUT, "the card stopped in the middle of the data"),
        (STATUS::DATA_CRC, "the data was garbled on its way"),
        (STATUS::DATA_END, "the data was garbled on its way"),
        (STATUS::CURRENT_LIMIT, "the card takes too much current"),
        (STATUS::AUTO_ERROR, "the card did not stop at the end"),
        (STATUS::ADMA_ERROR, "the controller could not reach memory"),
    ]
    .into_iter()
    .find_map(|(bit, text)| status.is_set(bit).then_some(text))
    .unwrap_or("the controller reports an error")
}

fn of_card(status: u32) -> &'static str {
    let status: LocalRegisterCopy<u32, CARD::Register> = LocalRegisterCopy::new(status);
    [
        (CARD::OUT_OF_RANGE, "the block is beyond its end"),
        (CARD::ADDRESS_ERROR, "the address is wrong"),
        (CARD::BLOCK_LEN_ERROR, "the block length is wrong"),
        (CARD::WP_VIOLATION, "it is write-protected"),
        (CARD::IS_LOCKED, "it is locked with a password"),
        (CARD::COM_CRC_ERROR, "the command was garbled"),
        (CARD::ILLEGAL_COMMAND, "it does not know the command"),
        (CARD::ECC_FAILED, "the block is worn out"),
        (CARD::CC_ERROR, "its own controller failed"),
    ]
    .into_iter()
    .find_map(|(bit, text)| status.is_set(bit).then_some(text))
    .unwrap_or("it reports an error")
}

impl fmt::Display for SdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCard => write!(f, "no SD card answers: put one in, and start again"),
            Self::Controller(what) => {
                write!(f, "the SD controller fails: {what}; check the board's device tree")
            }
            Self::Unsupported(what) => {
                write!(f, "the SD card cannot be used: {what}; use an SD, SDHC or SDXC card")
            }
            Self::Command { index, cause } => {
                write!(f, "the SD card does not start: CMD{index}: {cause}; try another card")
            }
            Self::Transfer { index, block, cause } => {
                let what = if *index < 24 { "read from" } else { "written to" };
                write!(f, "block {block} cannot be {what} the SD card: CMD{index}: {cause}; ")?;
                write!(f, "try again, then another card")
            }
            Self::OutOfRange { block, count } => {
                write!(f, "{count} blocks from {block} on are not on the SD card: ")?;
                write!(f, "ask for fewer, or use a larger card")
            }
        }
    }
}

impl core::error::Error for SdError {}

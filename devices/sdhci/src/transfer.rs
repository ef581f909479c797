//! Moving data between the card and the guest, a piece at a time.

mod reading;
mod writing;

use crate::card::Follows;
use crate::card_spec::command;
use crate::dma::{Dma, Place};
use crate::identity::LONGEST;
use crate::spec::{
    BLOCK_GAP, BLOCK_SIZE, BUFFER, ERRORS, HOST_CONTROL, STATUS, TRANSFER_MODE, adma_error,
};
use crate::store::Want;
use crate::{Sdhci, WORDS};
use evisor_contract::{BLOCKS, BlockDone, Context};
use tock_registers::fields::FieldValue;

/// Which way data go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    None,
    Read,
    Write,
}

/// Who moves them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The guest, through the data port.
    Port,
    Sdma,
    Adma2,
    /// What is reserved.
    Unknown,
}

/// The host's side of a transfer. There is a piece of it in the store's buffer, or
/// on its way there.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    pub kind: Kind,
    pub way: Way,
    /// Blocks that did not pass yet; `None` if it goes on until it is stopped.
    pub blocks: Option<u32>,
    /// Auto CMD12 ends it.
    pub stops: bool,
    /// It stands at a block gap.
    pub paused: bool,
    /// What the card sends is in the FIFO, and is no block.
    pub short: bool,
    /// How many bytes of the piece have gone to the guest.
    pub at: usize,
    /// How many bytes of the piece are there: read, or gathered to be written.
    pub have: usize,
    pub dma: Dma,
}

impl Transfer {
    pub const NONE: Self = Self {
        kind: Kind::None,
        way: Way::Port,
        blocks: None,
        stops: false,
        paused: false,
        short: false,
        at: 0,
        have: 0,
        dma: Dma::NONE,
    };

    /// Data move.
    pub fn is_active(&self) -> bool {
        self.kind != Kind::None && !self.paused
    }

    /// Whole blocks that wait to be written.
    pub fn gathered(&self) -> u32 {
        match self.kind {
            Kind::Write => u32::try_from(self.have / BUFFER).unwrap_or(0),
            _ => 0,
        }
    }

    /// How many blocks the next piece has, if the card has `left`.
    fn piece(&self, left: u64) -> u32 {
        let most = (BLOCKS as u64).min(left).min(self.blocks.map_or(u64::MAX, u64::from));
        u32::try_from(most).unwrap_or(0)
    }

    /// Whether bytes are still to come behind the first `done` of this piece.
    fn has_more(&self, done: usize) -> bool {
        if self.short {
            return done < self.have;
        }
        self.blocks.is_none_or(|blocks| u64::from(blocks) * BUFFER as u64 != done as u64)
    }
}

/// From the command to the last block.
impl Sdhci {
    /// A command with data was answered: they begin.
    pub fn begin(&mut self, follows: Follows) {
        let mode = self.registers.transfer_mode;
        let read = mode.is_set(TRANSFER_MODE::READ);
        let size = usize::from(self.registers.block_size.read(BLOCK_SIZE::SIZE));
        let (sends, length) = match follows {
            Follows::Bytes(_, length) => (true, length),
            Follows::Read => (true, BUFFER),
            Follows::Write => (false, BUFFER),
            // The card sends nothing, and waits for nothing.
            _ => return self.break_off(ERRORS::DATA_TIMEOUT::SET),
        };
        if sends != read {
            return self.break_off(ERRORS::DATA_TIMEOUT::SET);
        }
        if size != length {
            return self.break_off(ERRORS::DATA_CRC::SET);
        }
        let multiple = mode.is_set(TRANSFER_MODE::MULTIPLE);
        self.transfer = Transfer {
            kind: if read { Kind::Read } else { Kind::Write },
            way: self.way(),
            blocks: match (multiple, mode.is_set(TRANSFER_MODE::COUNT)) {
                (false, _) => Some(1),
                (true, true) => Some(u32::from(self.registers.block_count)),
                (true, false) => None,
            },
            stops: multiple && mode.matches_all(TRANSFER_MODE::AUTO::Cmd12),
            ..Transfer::NONE
        };
        self.registers.adma_error = 0;
        if let Follows::Bytes(bytes, length) = follows {
            self.begin_short(&bytes, length);
        }
        if self.transfer.blocks == Some(0) {
            self.complete();
        }
    }

    fn way(&self) -> Way {
        if !self.registers.transfer_mode.is_set(TRANSFER_MODE::DMA) {
            return Way::Port;
        }
        match self.registers.host_control.read_as_enum(HOST_CONTROL::DMA) {
            Some(HOST_CONTROL::DMA::Value::Sdma) => Way::Sdma,
            Some(HOST_CONTROL::DMA::Value::Adma2) => Way::Adma2,
            None => Way::Unknown,
        }
    }

    /// The card's answer to a command is in the FIFO.
    fn begin_short(&mut self, bytes: &[u8; LONGEST], length: usize) {
        let (words, _) = bytes.as_chunks::<4>();
        self.fifo.open(length, |fifo| {
            fifo.iter_mut().zip(words).for_each(|(to, word)| *to = u32::from_le_bytes(*word));
        });
        self.transfer.short = true;
        self.transfer.have = length;
        self.transfer.blocks = Some(1);
        if self.transfer.way == Way::Port {
            self.registers.happen(STATUS::READ_READY::SET);
        } else {
            self.fifo.close();
        }
    }

    /// An error ends the transfer.
    fn break_off(&mut self, error: FieldValue<u16, ERRORS::Register>) {
        self.transfer = Transfer::NONE;
        self.fifo.close();
        self.card.abandon();
        self.registers.fail(error);
        self.program();
    }

    /// What the card has received stays, before it is busy no more.
    fn program(&mut self) {
        if self.card.programs() && !self.erases && self.store.want == Want::Nothing {
            self.store.want = Want::Flush;
        }
    }

    /// The host has moved all of it.
    fn complete(&mut self) {
        let stops = self.transfer.stops;
        self.transfer = Transfer::NONE;
        self.fifo.close();
        if stops {
            self.send_automatically(command::STOP);
        }
        self.program();
        self.wait_for_card();
    }

    /// `count` blocks have passed between the card and the guest.
    fn pass(&mut self, count: u32) {
        self.card.pass(u64::from(count));
        let Some(blocks) = &mut self.transfer.blocks else { return };
        *blocks = blocks.saturating_sub(count);
        if self.registers.transfer_mode.is_set(TRANSFER_MODE::COUNT) {
            let passed = u16::try_from(count).unwrap_or(u16::MAX);
            self.registers.block_count = self.registers.block_count.saturating_sub(passed);
        }
    }

    /// Between two blocks: the end, or a gap if the guest asked for one (§2.2.12).
    /// Whether it goes on.
    fn between(&mut self) -> bool {
        if self.transfer.blocks == Some(0) {
            self.complete();
            return false;
        }
        if self.registers.block_gap.is_set(BLOCK_GAP::STOP) {
            self.transfer.paused = true;
            self.registers.happen(STATUS::BLOCK_GAP::SET);
            self.registers.happen(STATUS::TRANSFER::SET);
            return false;
        }
        true
    }

    /// Does what can be done without the store and without the guest, but no more
    /// than one piece of it.
    pub fn proceed(&mut self, cx: &mut Context) {
        let again = self.advance();
        self.settle(again, cx);
    }

    /// Whether there is more to do at once.
    fn advance(&mut self) -> bool {
        if self.transfer.short {
            return self.transfer.way != Way::Port && self.read_by_dma();
        }
        if !self.store.is_idle() || self.transfer.paused {
            return false;
        }
        match self.transfer.kind {
            Kind::Read => self.read_on(),
            Kind::Write => self.write_on(),
            Kind::None if self.erases => self.erase_on(),
            Kind::None => {
                self.program();
                false
            }
        }
    }

    /// The store is done with a piece.
    pub fn answered(&mut self, value: u64, cx: &mut Context) {
        let again = match self.store.answered() {
            None if self.stands => return,
            // Something may have waited for the answer that nobody wanted.
            None => self.advance(),
            Some(want) => self.ended(want, BlockDone::decode(value) == BlockDone::Done),
        };
        self.settle(again, cx);
    }

    /// What was asked of the store has ended, well if it was `done`. Whether there is more to
    /// do at once.
    pub fn ended(&mut self, want: Want, done: bool) -> bool {
        match want {
            Want::Read(_, count) => self.was_read(count, done),
            Want::Write(_, count) => self.was_written(count, done),
            Want::Erase(_, count) => self.was_erased(count, done),
            Want::Flush => self.was_flushed(done),
            Want::Nothing => false,
        }
    }
}

/// DMA.
impl Sdhci {
    /// Where the next bytes go or come from, and how many of at most `most`; `None`
    /// if they do not now, or not at all: then the transfer was ended.
    fn next_place(&mut self, most: usize, budget: &mut u32) -> Option<(u32, usize)> {
        let Transfer { way, dma, .. } = &mut self.transfer;
        let place = match way {
            Way::Sdma if dma.stopped => return None,
            Way::Sdma => Dma::simple(&self.registers),
            Way::Adma2 => dma.described(budget, &mut self.registers, self.ends.memory),
            Way::Port | Way::Unknown => Place::Wrong,
        };
        match place {
            Place::At(address, room) => Some((address, most.min(room as usize))),
            Place::Later => None,
            Place::Wrong => {
                self.break_off(ERRORS::ADMA::SET);
                None
            }
        }
    }

    /// Whether nothing was moved since enough descriptors were looked at.
    fn is_cut_short(&self, budget: u32) -> bool {
        self.transfer.kind != Kind::None && self.transfer.way == Way::Adma2 && budget == 0
    }

    /// `count` bytes were moved, and `done` of the piece.
    fn moved(&mut self, count: usize, done: usize) {
        let more = self.transfer.has_more(done);
        let count = u32::try_from(count).unwrap_or(0);
        let Transfer { way, dma, .. } = &mut self.transfer;
        match way {
            Way::Sdma => dma.pass_simple(count, more, &mut self.registers),
            _ => dma.pass_described(count, &mut self.registers),
        }
    }

    /// The guest has no memory where data were to go or come from. SDMA has no error
    /// for it: the data stop.
    fn memory_fault(&mut self) {
        if self.transfer.way == Way::Adma2 {
            self.registers.adma_error = adma_error::MOVE;
            return self.break_off(ERRORS::ADMA::SET);
        }
        self.break_off(ERRORS::DATA_TIMEOUT::SET);
    }
}

const _: () = assert!(WORDS * 4 == BUFFER && BUFFER == evisor_contract::BLOCK);

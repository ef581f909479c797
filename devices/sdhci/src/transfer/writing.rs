//! From the guest to the card, and erasing.

use super::{Kind, Way};
use crate::Sdhci;
use crate::dma::DESCRIPTORS;
use crate::spec::{BUFFER, ERRORS, STATUS};
use crate::store::Want;
use evisor_contract::{BLOCKS, Context, Width};

impl Sdhci {
    pub(super) fn write_on(&mut self) -> bool {
        let (_, left) = self.card.place();
        let goal = self.transfer.piece(left) as usize * BUFFER;
        if goal == 0 {
            self.card.overrun();
            self.break_off(ERRORS::DATA_TIMEOUT::SET);
            return false;
        }
        if self.transfer.way != Way::Port {
            return self.write_by_dma(goal);
        }
        if !self.fifo.is_ready() {
            self.fifo.open(BUFFER, |_| {});
            self.registers.happen(STATUS::WRITE_READY::SET);
        }
        false
    }

    fn write_by_dma(&mut self, goal: usize) -> bool {
        let mut budget = DESCRIPTORS;
        while self.transfer.have < goal {
            let have = self.transfer.have;
            let Some((address, count)) = self.next_place(goal - have, &mut budget) else {
                return self.is_cut_short(budget);
            };
            let memory = self.ends.memory;
            let copy = |bytes: &mut [u8]| memory.read(u64::from(address), bytes).is_ok();
            if !self.store.with(have, have + count, copy).unwrap_or(false) {
                self.memory_fault();
                return false;
            }
            self.transfer.have = have + count;
            self.moved(count, have + count);
        }
        self.send_gathered();
        false
    }

    fn send_gathered(&mut self) {
        let (next, _) = self.card.place();
        self.store.want = Want::Write(next, self.transfer.gathered());
    }

    /// A store to the data port that is not quick.
    pub fn write_port(&mut self, width: Width, value: u32, cx: &mut Context) {
        if self.transfer.kind != Kind::Write || !self.fifo.is_ready() {
            return;
        }
        if self.fifo.put(width, value) {
            self.filled();
        }
        self.settle(false, cx);
    }

    /// The guest has filled the FIFO: the block is gathered.
    fn filled(&mut self) {
        self.fifo.close();
        let fifo = &self.fifo;
        self.store.with_block(self.transfer.have, |block| *block = *fifo.words());
        self.transfer.have += BUFFER;
        let (_, left) = self.card.place();
        if self.transfer.gathered() >= self.transfer.piece(left) {
            self.send_gathered();
        } else if self.between() {
            self.write_on();
        }
    }

    /// A piece is in the store, if it is `done`.
    pub fn was_written(&mut self, count: u32, done: bool) -> bool {
        self.transfer.have = 0;
        if !done {
            self.card.medium_failed(true);
            match self.transfer.kind {
                Kind::None => self.finish(false),
                _ => self.break_off(ERRORS::DATA_TIMEOUT::SET),
            }
            return false;
        }
        self.pass(count);
        if self.transfer.kind != Kind::None {
            return self.between();
        }
        // Stopped meanwhile.
        self.program();
        false
    }

    pub(super) fn was_flushed(&mut self, done: bool) -> bool {
        if !done {
            self.card.medium_failed(true);
        }
        self.finish(done);
        false
    }

    /// The card is busy no more.
    fn finish(&mut self, well: bool) {
        self.card.programmed();
        if !core::mem::take(&mut self.waits) {
            return;
        }
        if well {
            self.registers.happen(STATUS::TRANSFER::SET);
        } else {
            self.registers.fail(ERRORS::DATA_TIMEOUT::SET);
        }
    }

    pub(super) fn erase_on(&mut self) -> bool {
        let (next, left) = self.card.place();
        self.store.want = match u32::try_from(left.min(BLOCKS as u64)).unwrap_or(0) {
            0 => {
                self.erases = false;
                Want::Flush
            }
            count => Want::Erase(next, count),
        };
        false
    }

    pub(super) fn was_erased(&mut self, count: u32, done: bool) -> bool {
        if !done {
            self.erases = false;
            self.card.medium_failed(true);
            self.finish(false);
            return false;
        }
        self.card.pass(u64::from(count));
        true
    }
}

//! From the card to the guest.

use super::{Transfer, Way};
use crate::Sdhci;
use crate::dma::DESCRIPTORS;
use crate::identity::LONGEST;
use crate::spec::{BUFFER, ERRORS, STATUS};
use crate::store::Want;
use crate::transfer::Kind;
use evisor_contract::{Context, Width};

impl Sdhci {
    pub(super) fn read_on(&mut self) -> bool {
        let Transfer { at, have, way, .. } = self.transfer;
        if at >= have {
            return self.want_piece();
        }
        if way != Way::Port {
            return self.read_by_dma();
        }
        if !self.fifo.is_ready() {
            let store = &self.store;
            self.fifo.open(BUFFER, |fifo| store.with_block(at, |block| *fifo = *block));
            self.registers.happen(STATUS::READ_READY::SET);
        }
        false
    }

    fn want_piece(&mut self) -> bool {
        let (next, left) = self.card.place();
        let count = self.transfer.piece(left);
        if count == 0 {
            self.card.overrun();
            self.break_off(ERRORS::DATA_TIMEOUT::SET);
        } else {
            self.transfer.at = 0;
            self.transfer.have = 0;
            self.store.want = Want::Read(next, count);
        }
        false
    }

    /// A piece came, if it is `done`.
    pub fn was_read(&mut self, count: u32, done: bool) -> bool {
        if !done {
            self.card.medium_failed(false);
            self.break_off(ERRORS::DATA_TIMEOUT::SET);
            return false;
        }
        self.transfer.have = count as usize * BUFFER;
        self.read_on()
    }

    pub(super) fn read_by_dma(&mut self) -> bool {
        let mut budget = DESCRIPTORS;
        while self.transfer.at < self.transfer.have {
            let Transfer { at, have, .. } = self.transfer;
            let Some((address, count)) = self.next_place(have - at, &mut budget) else {
                return self.is_cut_short(budget);
            };
            if !self.give(address, at, at + count) {
                self.memory_fault();
                return false;
            }
            self.transfer.at = at + count;
            self.moved(count, at + count);
        }
        if self.transfer.short {
            self.complete();
            return false;
        }
        let count = u32::try_from(self.transfer.have / BUFFER).unwrap_or(0);
        self.transfer.at = 0;
        self.transfer.have = 0;
        self.pass(count);
        self.between()
    }

    /// Copies a part of what was read to the guest; whether it has memory there.
    fn give(&self, address: u32, from: usize, to: usize) -> bool {
        let memory = self.ends.memory;
        if !self.transfer.short {
            let copy = |bytes: &mut [u8]| memory.write(u64::from(address), bytes).is_ok();
            return self.store.with(from, to, copy).unwrap_or(false);
        }
        let mut bytes = [0; LONGEST];
        let (words, _) = bytes.as_chunks_mut::<4>();
        words.iter_mut().zip(self.fifo.words()).for_each(|(to, word)| *to = word.to_le_bytes());
        bytes.get(from..to).is_some_and(|bytes| memory.write(u64::from(address), bytes).is_ok())
    }

    /// A load from the data port that is not quick.
    pub fn read_port(&mut self, width: Width, cx: &mut Context) -> u32 {
        if self.transfer.kind != Kind::Read || !self.fifo.is_ready() {
            return 0;
        }
        let (value, last) = self.fifo.take(width);
        if last {
            self.drained();
        }
        let again = last && self.advance();
        self.settle(again, cx);
        value
    }

    /// The guest has read the FIFO to its end.
    fn drained(&mut self) {
        self.fifo.close();
        if self.transfer.short {
            return self.complete();
        }
        self.transfer.at += BUFFER;
        self.pass(1);
        self.between();
    }
}

//! The commands that a transfer goes in.

use super::{Phase, Progress, Sd, Step};
use crate::dma::{self, DmaMemory};
use crate::error::SdError;
use crate::registers::{Clock, Registers};
use crate::spec::{BLOCK, BLOCKS, COMMAND, command, offset, time};

/// The most blocks of a command: Block Count has 16 bits.
const LONGEST: u32 = 0xffff;

impl<R: Registers, C: Clock, D: DmaMemory> Sd<R, C, D> {
    /// Sends the command of the next piece.
    pub(super) fn send(&mut self, buffer: &mut [u32]) -> Step {
        let job = &self.job;
        let enough = job.words(buffer, job.first, job.end).is_some();
        match job.error {
            Some(error) if job.failed => return Step::End(Progress::Failed(error)),
            _ if !enough => {
                let (block, count) = (job.first, (job.end - job.first) as u32);
                return Step::End(Progress::Failed(SdError::OutOfRange { block, count }));
            }
            _ => {}
        }
        if !self.host.is_free(true) {
            return Step::Wait;
        }
        let count = self.next_piece();
        if self.job.by_dma {
            self.prepare_memory(buffer, count);
        }
        self.set_deadline(time::DATA);
        self.send_piece(count);
        self.phase = Phase::Sent;
        Step::Again
    }

    /// Decides what the next command transfers: how many blocks.
    fn next_piece(&mut self) -> u32 {
        let job = &mut self.job;
        let dma = self.capacity.min(self.bounds.copied);
        job.by_dma = dma > 0;
        let most = if job.by_dma { dma } else { LONGEST };
        let most = if job.block < job.careful { 1 } else { u64::from(most) };
        let count = most.min(job.end - job.block);
        job.piece = (job.block, job.block + count);
        job.command = match (job.write, count) {
            (false, 1) => command::READ_SINGLE_BLOCK,
            (false, _) => command::READ_MULTIPLE_BLOCK,
            (true, 1) => command::WRITE_BLOCK,
            (true, _) => command::WRITE_MULTIPLE_BLOCK,
        };
        count as u32
    }

    fn prepare_memory(&mut self, buffer: &mut [u32], count: u32) {
        let (from, to) = self.job.piece;
        let words = self.job.words(buffer, from, to).filter(|_| self.job.write);
        if let Some(memory) = &mut self.memory {
            let table = dma::prepare(memory, count, words.map(|words| &*words));
            self.host.write(offset::ADMA_ADDRESS, table);
        }
    }

    /// HC §3.7.2: block size and count, argument, then mode and command at once.
    fn send_piece(&mut self, count: u32) {
        let blocks = BLOCKS::SIZE.val(BLOCK as u32) + BLOCKS::COUNT.val(count);
        let mut mode = COMMAND::DATA::SET;
        if !self.job.write {
            mode += COMMAND::READ::SET;
        }
        if count > 1 {
            mode += COMMAND::MULTIPLE::SET + COMMAND::COUNT::SET + COMMAND::AUTO::Cmd12;
        }
        if self.job.by_dma {
            mode += COMMAND::DMA::SET;
        }
        let block = self.job.block as u32;
        // PL §4.3.14: bytes in a standard capacity card.
        let argument = if self.card.high_capacity { block } else { block << 9 };
        self.host.write(offset::BLOCK, blocks.value);
        self.host.send(self.job.command, argument, mode);
    }

    pub(super) fn take_memory(&mut self, buffer: &mut [u32]) {
        let (from, to) = self.job.piece;
        if let Some(words) = self.job.words(buffer, from, to).filter(|_| !self.job.write)
            && let Some(memory) = &mut self.memory
        {
            dma::take(memory, (to - from) as u32, words);
        }
    }
}

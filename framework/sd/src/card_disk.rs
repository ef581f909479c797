//! A card as the board's disk: at start-up waited for, and while guests run in steps
//! that never wait.

use crate::disk::Disk;
use crate::dma::{DmaMemory, NoDma};
use crate::error::SdError;
use crate::partitions::{Partition, TableError, partitions};
use crate::registers::{Clock, Registers};
use crate::transfer::{Progress, Sd, Transfer};
use evisor_contract::{DiskProgress, HostDisk};
use log::warn;

/// A card that is ready, and its partition table as it was then.
pub struct CardDisk<R, C, D = NoDma> {
    sd: Sd<R, C, D>,
    partitions: [Option<Partition>; 4],
    /// It failed last time, which was logged: a guest that tries again and again is not
    /// to hold its core with lines.
    failed: bool,
}

impl<R: Registers, C: Clock, D: DmaMemory> CardDisk<R, C, D> {
    /// Reads the table. That it cannot be used is logged; then there are no partitions,
    /// but the card as a whole.
    pub fn new(mut sd: Sd<R, C, D>) -> Self {
        let partitions = partitions(&mut sd).unwrap_or_else(|error| {
            if error != TableError::Missing {
                warn!("{error}");
            }
            [None; 4]
        });
        Self { sd, partitions, failed: false }
    }
}

impl<R: Registers, C: Clock, D: DmaMemory> Disk for CardDisk<R, C, D> {
    fn blocks(&self) -> u64 {
        Disk::blocks(&self.sd)
    }

    fn read(&mut self, block: u64, words: &mut [u32]) -> Result<(), SdError> {
        self.sd.read_blocks(block, words)
    }
}

impl<R: Registers + Send, C: Clock + Send, D: DmaMemory + Send> HostDisk for CardDisk<R, C, D> {
    fn blocks(&self) -> u64 {
        Disk::blocks(self)
    }

    fn partitions(&self) -> [Option<(u64, u64)>; 4] {
        self.partitions.map(|partition| partition.map(|part| (part.first, part.count)))
    }

    fn start(&mut self, write: bool, block: u64, count: u32) {
        self.sd.set_interrupts(true);
        self.sd.start(Transfer { write, block, count });
    }

    fn advance(&mut self, words: &mut [u32]) -> DiskProgress {
        let progress = self.sd.advance(words);
        if progress != Progress::Busy {
            self.sd.set_interrupts(false);
        }
        match progress {
            Progress::Busy => DiskProgress::Busy,
            Progress::Done => {
                self.failed = false;
                DiskProgress::Done
            }
            Progress::Failed(error) => {
                if !core::mem::replace(&mut self.failed, true) {
                    warn!("{error}");
                }
                DiskProgress::Failed
            }
        }
    }
}

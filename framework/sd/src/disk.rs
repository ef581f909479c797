//! Transfers that are waited for: for start-up.

use crate::dma::DmaMemory;
use crate::error::SdError;
use crate::registers::{Clock, Registers};
use crate::spec::BLOCK_WORDS;
use crate::transfer::{Bounds, Progress, Sd, Transfer};

/// What has 512-byte blocks that can be read.
pub trait Disk {
    /// How many.
    fn blocks(&self) -> u64;

    /// Fills `words`, a multiple of 128, from this block on, and waits for it.
    ///
    /// # Errors
    /// It cannot be read; what `words` holds then is not said.
    fn read(&mut self, block: u64, words: &mut [u32]) -> Result<(), SdError>;
}

impl<D: Disk + ?Sized> Disk for &mut D {
    fn blocks(&self) -> u64 {
        (**self).blocks()
    }

    fn read(&mut self, block: u64, words: &mut [u32]) -> Result<(), SdError> {
        (**self).read(block, words)
    }
}

impl<R: Registers, C: Clock, D: DmaMemory> Disk for Sd<R, C, D> {
    fn blocks(&self) -> u64 {
        self.card().blocks
    }

    fn read(&mut self, block: u64, words: &mut [u32]) -> Result<(), SdError> {
        self.read_blocks(block, words)
    }
}

impl<R: Registers, C: Clock, D: DmaMemory> Sd<R, C, D> {
    /// Fills `words`, a multiple of 128, from this block on, and waits for it.
    ///
    /// # Errors
    /// It failed. How long that may take is bounded: a second for each block that does
    /// not come, and for each of at most four attempts to go on after an error.
    pub fn read_blocks(&mut self, block: u64, words: &mut [u32]) -> Result<(), SdError> {
        self.transfer(false, block, words)
    }

    /// Writes `words`, a multiple of 128 that is left as it is, from this block on, and
    /// waits for it.
    ///
    /// # Errors
    /// As [`read_blocks`](Self::read_blocks).
    pub fn write_blocks(&mut self, block: u64, words: &mut [u32]) -> Result<(), SdError> {
        self.transfer(true, block, words)
    }

    fn transfer(&mut self, write: bool, block: u64, words: &mut [u32]) -> Result<(), SdError> {
        let count = u32::try_from(words.len() / BLOCK_WORDS).unwrap_or(u32::MAX);
        let bounds = self.bounds();
        self.set_bounds(Bounds::NONE);
        self.start(Transfer { write, block, count });
        let result = loop {
            match self.advance(words) {
                Progress::Busy => core::hint::spin_loop(),
                Progress::Done => break Ok(()),
                Progress::Failed(error) => break Err(error),
            }
        };
        self.set_bounds(bounds);
        result
    }
}

//! What the ends of the channel share, as the stream sees it.

use evisor_contract::Memory;
use evisor_contract::ring::Area;

/// The memory of the channel. Its copies are complete when they return, in the order in
/// which they were asked for: that is more than acquire and release.
#[derive(Clone, Copy)]
pub struct Shared(pub &'static dyn Memory);

impl Area for Shared {
    fn load(&self, offset: usize) -> u32 {
        let mut word = [0; 4];
        // The stream asks for nothing that is not there.
        let _ = self.0.read(offset as u64, &mut word);
        u32::from_le_bytes(word)
    }

    fn store(&self, offset: usize, word: u32) {
        let _ = self.0.write(offset as u64, &word.to_le_bytes());
    }

    fn read(&self, offset: usize, to: &mut [u8]) {
        let _ = self.0.read(offset as u64, to);
    }

    fn write(&self, offset: usize, from: &[u8]) {
        let _ = self.0.write(offset as u64, from);
    }
}

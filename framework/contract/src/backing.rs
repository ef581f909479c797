//! Memory of the machine that stands behind a component's window.

use crate::access::Width;

/// Memory behind one of the node's windows: a leaf.
///
/// While it is shown, the guest's loads and instruction fetches in the window go
/// straight to it, and only stores come to the component. While it is hidden,
/// loads come to the component too, and a fetch is an external abort. It is hidden
/// at first.
///
/// What the manifest's node names as its image is there, and 0xff behind it, once
/// the VM runs; nothing else changes it, a reset of the VM neither. Offsets count
/// from the start of the window. What is not in it reads as zero and is not
/// written.
pub trait Backing: Sync {
    /// The naturally aligned value at `offset`.
    fn read(&self, offset: u64, width: Width) -> u64;
    /// Puts the low bits of `value` at `offset`, naturally aligned. A guest that
    /// is shown the memory sees it when it is shown next, at the latest.
    fn write(&self, offset: u64, width: Width, value: u64);
    /// Puts `words` at `offset`, a multiple of 8, as [`write`](Self::write) does one:
    /// for many at once.
    fn write_words(&self, offset: u64, words: &[u64]);
    /// Clears the bits that are clear in `words`, from `offset` on, a multiple of 8.
    fn clear_bits(&self, offset: u64, words: &[u64]);
    /// Whether the guest's loads are answered by the memory from now on. To say
    /// again what was said last costs nothing.
    fn show(&self, on: bool);
}

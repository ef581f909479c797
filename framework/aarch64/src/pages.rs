//! Pages of a VM's stage 2 that are taken away while it runs, and given back: registers of a
//! device of the board.
//!
//! They come and go by the valid bit of each last-level descriptor, which nobody else
//! writes: no descriptor is ever replaced by another valid one (break-before-make, DDI 0487
//! D8.16.1). Any core may do it, whichever VM it runs: what TLBs hold is forgotten by the
//! VMID in VTTBR_EL2, which is the other VM's for as long as that takes.

#![allow(unsafe_code, reason = "TLB maintenance")]

use crate::map::Tables;
use crate::stage2::{Root, Stage2};
use aarch64_cpu::registers::{TCR_EL1, VTTBR_EL2};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};
use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};

/// What a descriptor with this bit clear leads to is nothing (D8.3).
const VALID: u64 = 1;
/// Beside that, in level 1 and 2: it leads to a table.
const TABLE: u64 = 0b11;
const OUTPUT: u64 = 0x0000_ffff_ffff_f000;

/// Those of one VM.
#[derive(Debug)]
pub struct Pages {
    root: Root,
    entries: Box<[&'static AtomicU64]>,
}

impl Stage2 {
    /// What is mapped in these ranges, each guest-physical address and size, for good: as it
    /// is now it is shown. Nothing else is to be in the same blocks.
    pub fn pages(&self, ranges: &[(u64, u64)]) -> Pages {
        let mut entries = Vec::new();
        for &(ipa, bytes) in ranges {
            let mut at = ipa;
            while at < ipa + bytes {
                let (entry, covers) = self.leaf(at);
                entries.push(entry);
                at += covers - at % covers;
            }
        }
        Pages { root: self.root(), entries: entries.into() }
    }

    /// The last descriptor on the walk from `ipa`, and how many bytes it covers.
    fn leaf(&self, ipa: u64) -> (&'static AtomicU64, u64) {
        let mut table = self.root().table();
        for shift in [30, 21] {
            // SAFETY: 1. the root is a table and stays, as do those that it leads to.
            let entry = unsafe { Tables::descriptor(table, ipa >> shift) };
            let value = entry.load(Ordering::Relaxed);
            if value & TABLE != TABLE {
                return (entry, 1 << shift);
            }
            table = value & OUTPUT;
        }
        // SAFETY: 1. as above.
        (unsafe { Tables::descriptor(table, ipa >> 12) }, 1 << 12)
    }
}

impl Pages {
    /// Nothing is there any more, for any core. When this returns, the accesses that were
    /// under way are complete.
    pub fn hide(&self) {
        self.set_valid(0);
        // EL1 walks no tables while VTTBR_EL2 is another's (Cortex-A72 erratum 1319367,
        // Cortex-A53 erratum 1530924).
        let (guests, walks) = (VTTBR_EL2.get(), TCR_EL1.get());
        TCR_EL1.modify(TCR_EL1::EPD0::DisableTTBR0Walks + TCR_EL1::EPD1::DisableTTBR1Walks);
        // SAFETY: 1. a barrier.
        unsafe { asm!("isb", options(nostack)) };
        self.root.switch();
        // First the walkers see it, then every core forgets what it holds of this VMID, of
        // both stages and of both combined; when that is complete, so are the accesses that
        // used it (D8.16, D8.17).
        // SAFETY: 1. takes translations away from that guest only.
        unsafe {
            asm!("isb", "dsb ishst", "tlbi vmalls12e1is", "dsb ish", options(nostack));
        }
        VTTBR_EL2.set(guests);
        // SAFETY: 1. a barrier.
        unsafe { asm!("isb", options(nostack)) };
        TCR_EL1.set(walks);
        // SAFETY: 1. a barrier.
        unsafe { asm!("isb", options(nostack)) };
    }

    /// They are there again, as before they were hidden.
    pub fn show(&self) {
        self.set_valid(VALID);
        // Seen by every walker from now on; a translation that is not valid is in no TLB
        // (D8.16.1).
        // SAFETY: 1. barriers.
        unsafe { asm!("dsb ish", "isb", options(nostack)) };
    }

    fn set_valid(&self, valid: u64) {
        for entry in &self.entries {
            let rest = entry.load(Ordering::Relaxed) & !VALID;
            entry.store(rest | valid, Ordering::Relaxed);
        }
    }
}

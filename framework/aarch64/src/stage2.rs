//! Stage 2: what a VM's guest-physical addresses lead to without a trap.

#![allow(unsafe_code, reason = "loads translation registers, and reads a word of guest memory")]

use crate::map::{self, Tables, table_entry};
use crate::{gicv2, layout};
use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{ID_AA64MMFR0_EL1, TCR_EL1, VTCR_EL2, VTTBR_EL2};
use aarch64_paging::descriptor::{PhysicalAddress, Stage2Attributes, VirtualAddress};
use aarch64_paging::paging::{self, Constraints, MemoryRegion};
use aarch64_paging::{MapError, Mapping};
use alloc::boxed::Box;
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};
use tock_registers::interfaces::{Readable, Writeable};

/// One VM's stage 2 tables.
#[derive(Debug)]
pub struct Stage2 {
    map: Mapping<Tables, paging::Stage2>,
    vmid: u8,
}

/// What one descriptor of level 2 covers.
const BLOCK: u64 = 2 << 20;

const MEMORY: Stage2Attributes = Stage2Attributes::VALID
    .union(Stage2Attributes::MEMATTR_NORMAL_OUTER_WB)
    .union(Stage2Attributes::MEMATTR_NORMAL_INNER_WB)
    .union(Stage2Attributes::SH_INNER)
    .union(Stage2Attributes::S2AP_ACCESS_RO)
    .union(Stage2Attributes::ACCESS_FLAG);
const DEVICE: Stage2Attributes = Stage2Attributes::VALID
    .union(Stage2Attributes::MEMATTR_DEVICE_nGnRE)
    .union(Stage2Attributes::S2AP_ACCESS_RW)
    .union(Stage2Attributes::ACCESS_FLAG)
    .union(Stage2Attributes::XN);

impl Stage2 {
    /// Empty tables for the VM with this VMID. 0 is kept for no VM.
    pub fn new(vmid: u8) -> Self {
        Self { map: Mapping::new(Tables, 1, paging::Stage2), vmid }
    }

    /// Guest-physical `ipa` leads to memory at `physical`; in blocks where the
    /// addresses allow.
    ///
    /// # Errors
    /// The address has more than 39 bits, or something is mapped there.
    pub fn memory(
        &mut self,
        ipa: u64,
        physical: u64,
        bytes: u64,
        writable: bool,
    ) -> Result<(), MapError> {
        let write =
            if writable { Stage2Attributes::S2AP_ACCESS_WO } else { Stage2Attributes::empty() };
        self.place(ipa, physical, bytes, MEMORY | write)
    }

    /// Guest-physical `ipa` leads to the virtual CPU interface (GICV), exactly
    /// the two pages that it has: what the board's tree claims behind them is not
    /// the guest's.
    ///
    /// # Errors
    /// As for [`memory`](Self::memory).
    pub fn cpu_interface(&mut self, ipa: u64) -> Result<(), MapError> {
        self.place(ipa, gicv2::gicv(), 0x2000, DEVICE)
    }

    /// Guest-physical `ipa` leads to a device's registers, for reading and writing as
    /// `readable` and `writable` say.
    ///
    /// # Errors
    /// As for [`memory`](Self::memory).
    pub fn device(
        &mut self,
        ipa: u64,
        physical: u64,
        bytes: u64,
        (readable, writable): (bool, bool),
    ) -> Result<(), MapError> {
        let mut attributes = DEVICE.difference(Stage2Attributes::S2AP_ACCESS_RW);
        attributes.set(Stage2Attributes::S2AP_ACCESS_RO, readable);
        attributes.set(Stage2Attributes::S2AP_ACCESS_WO, writable);
        self.place(ipa, physical, bytes, attributes)
    }

    /// Guest-physical `ipa` would lead to memory at `physical`, read-only, were it
    /// not for the valid bits of these descriptors of level 2, which are clear.
    /// They stay where they are as long as the hypervisor runs.
    ///
    /// # Errors
    /// Not whole blocks of 2 MiB, or as for [`memory`](Self::memory).
    pub(crate) fn hidden(
        &mut self,
        ipa: u64,
        physical: u64,
        bytes: u64,
    ) -> Result<Box<[&'static AtomicU64]>, MapError> {
        if !(ipa | physical | bytes).is_multiple_of(BLOCK) {
            return Err(MapError::AddressRange(VirtualAddress(ipa as usize)));
        }
        self.place(ipa, physical, bytes, MEMORY)?;
        let root = self.map.root_address().0 as u64;
        let entry = |at: u64| {
            // SAFETY: 1. the root is a table, and stays.
            let level1 = unsafe { Tables::descriptor(root, at >> 30) };
            let level2 = level1.load(Ordering::Relaxed) & 0xffff_ffff_f000;
            // SAFETY: 1. `place` made the table of level 2 that leads to the block.
            unsafe { Tables::descriptor(level2, at >> 21) }
        };
        let entries: Box<[&'static AtomicU64]> =
            (ipa..ipa + bytes).step_by(BLOCK as usize).map(entry).collect();
        for entry in &entries {
            entry.fetch_and(!1, Ordering::Relaxed);
        }
        Ok(entries)
    }

    fn place(
        &mut self,
        ipa: u64,
        physical: u64,
        bytes: u64,
        attributes: Stage2Attributes,
    ) -> Result<(), MapError> {
        let region = MemoryRegion::new(ipa as usize, (ipa + bytes) as usize);
        self.map.map_range(
            &region,
            PhysicalAddress(physical as usize),
            attributes,
            Constraints::empty(),
        )
    }

    /// What leads a core to them.
    pub fn root(&self) -> Root {
        Root(self.map.root_address().0 as u64 | u64::from(self.vmid) << 48)
    }
}

/// The root of a VM's stage 2, with its VMID: VTTBR_EL2.
#[derive(Clone, Copy, Debug)]
pub struct Root(u64);

impl Root {
    /// Makes them this core's, and forgets what any core remembers of this VMID.
    /// EL1's registers are to be reset afterwards: until then it walks no tables,
    /// so that none of an earlier guest's are walked through these (Cortex-A72
    /// erratum 1319367, Cortex-A53 erratum 1530924).
    pub fn load(self) {
        TCR_EL1.write(TCR_EL1::EPD0::DisableTTBR0Walks + TCR_EL1::EPD1::DisableTTBR1Walks);
        barrier::isb(barrier::SY);
        VTCR_EL2.set(vtcr());
        VTTBR_EL2.set(self.0);
        // SAFETY: 1. the tables stay as long as the hypervisor runs. The walker
        // must see them (dsb), this core the new base (isb), and nobody an entry
        // of an earlier VM with this VMID (D8.14).
        unsafe {
            asm!("dsb ish", "isb", "tlbi vmalls12e1is", "dsb ish", "isb", options(nostack));
        }
    }
}

impl Root {
    /// Where the first table is.
    pub(crate) fn table(self) -> u64 {
        self.0 & OUTPUT
    }

    /// Makes them this core's; what is remembered stays. EL1 walks no tables meanwhile, and
    /// an ISB follows.
    #[inline(always)]
    pub(crate) fn switch(self) {
        VTTBR_EL2.set(self.0);
    }
}

/// The word at guest-physical `ipa` of the guest that is on this core, number
/// `core`; `None` if no memory is there.
pub(crate) fn read_word(core: usize, ipa: u64) -> Option<u32> {
    let physical = memory_at(ipa)?;
    // SAFETY: 1. its tables say so; what is hidden from it meanwhile stays its own.
    unsafe { map::read_guest_word(core, physical) }
}

/// The physical address of the memory that this core's stage 2 has at
/// guest-physical `ipa`. Not that of a device.
fn memory_at(ipa: u64) -> Option<u64> {
    if ipa >> layout::ADDRESS_BITS != 0 {
        return None;
    }
    let mut table = VTTBR_EL2.get() & OUTPUT;
    for level in 1..=3 {
        let shift = 39 - 9 * level;
        let entry = table_entry(table, ipa >> shift & 0x1ff);
        match (entry & 0b11, level) {
            (0b11, 1 | 2) => table = entry & OUTPUT,
            (0b11, 3) | (0b01, 1 | 2) if entry & NORMAL == NORMAL => {
                let inside = (1 << shift) - 1;
                return Some(entry & OUTPUT & !inside | ipa & inside);
            }
            _ => return None,
        }
    }
    None
}

/// The address of a table or of what is mapped, in an entry and in VTTBR_EL2.
const OUTPUT: u64 = 0x0000_ffff_ffff_f000;
/// MemAttr, bits 5 to 2, as of `MEMORY`.
const NORMAL: u64 = 0b1111 << 2;

/// 39 bits from level 1, 4 KiB granule, walks through shareable write-back
/// memory, 8-bit VMIDs (DDI 0487, VTCR_EL2).
fn vtcr() -> u64 {
    let range = ID_AA64MMFR0_EL1.get() & 0x7;
    let range = range.min(0b101);
    1 << 31
        | range << 16
        | 0b11 << 12
        | 0b01 << 10
        | 0b01 << 8
        | 0b01 << 6
        | (64 - layout::ADDRESS_BITS)
}

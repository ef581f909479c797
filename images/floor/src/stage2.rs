//! Stage 2: RAM as it is, GICV where a guest looks for GICC, and nothing else.

use core::sync::atomic::{AtomicU64, Ordering};

use aarch64_cpu::registers::{VTCR_EL2, VTTBR_EL2};
use tock_registers::interfaces::Writeable;

use crate::machine;

/// A table of VMSAv8-64, 4 KiB granule (ARM DDI 0487, "Translation table
/// descriptor formats").
#[repr(C, align(4096))]
struct Table([AtomicU64; 512]);

impl Table {
    const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; 512])
    }

    /// The slot for an address, at the level whose entries map `1 << shift`.
    fn set(&self, address: u64, shift: u32, descriptor: u64) {
        let slot = usize::try_from((address >> shift) % 512).unwrap_or(0);
        if let Some(entry) = self.0.get(slot) {
            entry.store(descriptor, Ordering::Relaxed);
        }
    }
}

static LEVEL1: Table = Table::new();
static LEVEL2: Table = Table::new();
static LEVEL3: Table = Table::new();

const BLOCK: u64 = 0b01;
const TABLE_OR_PAGE: u64 = 0b11;
const ACCESSED: u64 = 1 << 10;
const READ_WRITE: u64 = 0b11 << 6;
const INNER_SHAREABLE: u64 = 0b11 << 8;
const NORMAL_WRITE_BACK: u64 = 0b1111 << 2;
const DEVICE_NGNRNE: u64 = 0;

fn address(table: &Table) -> u64 {
    core::ptr::from_ref(table) as u64
}

/// Fills the tables and points the translation registers at them. EL2 runs with
/// its caches off, so the tables are in memory when the walks begin.
pub fn set_up() {
    let ram = 0x4000_0000;
    LEVEL1.set(
        ram,
        30,
        ram | BLOCK | ACCESSED | READ_WRITE | INNER_SHAREABLE | NORMAL_WRITE_BACK,
    );
    LEVEL1.set(0, 30, address(&LEVEL2) | TABLE_OR_PAGE);
    LEVEL2.set(machine::GICC, 21, address(&LEVEL3) | TABLE_OR_PAGE);
    for page in [0, 0x1000] {
        let to = machine::GICV + page;
        let device = TABLE_OR_PAGE | ACCESSED | READ_WRITE | DEVICE_NGNRNE;
        LEVEL3.set(machine::GICC + page, 12, to | device);
    }

    // 32-bit addresses, so that level 1 comes first.
    VTCR_EL2.write(
        VTCR_EL2::T0SZ.val(32)
            + VTCR_EL2::SL0.val(1)
            + VTCR_EL2::TG0::Granule4KB
            + VTCR_EL2::SH0::Inner
            + VTCR_EL2::PS::PA_36B_64GB,
    );
    VTTBR_EL2.set_baddr(address(&LEVEL1));
}

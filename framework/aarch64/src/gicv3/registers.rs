//! The registers that are used, and how those of the CPU interface are read and written.

use tock_registers::registers::{ReadOnly, ReadWrite};
use tock_registers::{register_bitfields, register_structs};

register_bitfields! { u32,
    /// The view from Non-secure state with two Security states, or the only one:
    /// the bits that are used are the same in both.
    pub(super) GICD_CTLR [
        ENABLE_GROUP1 OFFSET(1) NUMBITS(1) [],
        ARE OFFSET(4) NUMBITS(1) [],
        RWP OFFSET(31) NUMBITS(1) []
    ],
    pub(super) GICD_TYPER [
        ITLINES OFFSET(0) NUMBITS(5) [],
        ESPI OFFSET(8) NUMBITS(1) [],
        ESPI_RANGE OFFSET(27) NUMBITS(5) []
    ],
    pub(super) GICR_CTLR [
        ENABLE_LPIS OFFSET(0) NUMBITS(1) [],
        RWP OFFSET(3) NUMBITS(1) []
    ],
    pub(super) GICR_WAKER [
        PROCESSOR_SLEEP OFFSET(1) NUMBITS(1) [],
        CHILDREN_ASLEEP OFFSET(2) NUMBITS(1) []
    ]
}

register_bitfields! { u64,
    pub(super) GICR_TYPER [
        VLPIS OFFSET(1) NUMBITS(1) [],
        LAST OFFSET(4) NUMBITS(1) [],
        PPI_NUM OFFSET(27) NUMBITS(5) [],
        AFFINITY OFFSET(32) NUMBITS(32) []
    ]
}

register_structs! {
    pub(super) Gicd {
        (0x0000 => pub(super) ctlr: ReadWrite<u32, GICD_CTLR::Register>),
        (0x0004 => pub(super) typer: ReadOnly<u32, GICD_TYPER::Register>),
        (0x0008 => _r0),
        (0x0080 => pub(super) igroupr: [ReadWrite<u32>; 32]),
        (0x0100 => pub(super) isenabler: [ReadWrite<u32>; 32]),
        (0x0180 => pub(super) icenabler: [ReadWrite<u32>; 32]),
        (0x0200 => pub(super) ispendr: [ReadWrite<u32>; 32]),
        (0x0280 => pub(super) icpendr: [ReadWrite<u32>; 32]),
        (0x0300 => pub(super) isactiver: [ReadWrite<u32>; 32]),
        (0x0380 => pub(super) icactiver: [ReadWrite<u32>; 32]),
        (0x0400 => pub(super) ipriorityr: [ReadWrite<u32>; 256]),
        (0x0800 => _r1),
        (0x0c00 => pub(super) icfgr: [ReadWrite<u32>; 64]),
        (0x0d00 => _r2),
        (0x1400 => pub(super) icenabler_extended: [ReadWrite<u32>; 32]),
        (0x1480 => _r3),
        /// Indexed by INTID; the first 32 are not there.
        (0x6000 => pub(super) irouter: [ReadWrite<u64>; 1020]),
        (0x7fe0 => @END),
    },
    /// RD_base and, 64 KiB on, SGI_base (GIC Redistributor register map).
    pub(super) Gicr {
        (0x00000 => pub(super) ctlr: ReadWrite<u32, GICR_CTLR::Register>),
        (0x00004 => _r0),
        (0x00008 => pub(super) typer: ReadOnly<u64, GICR_TYPER::Register>),
        (0x00010 => _r1),
        (0x00014 => pub(super) waker: ReadWrite<u32, GICR_WAKER::Register>),
        (0x00018 => _r2),
        (0x10080 => pub(super) igroupr0: ReadWrite<u32>),
        (0x10084 => _r3),
        (0x10100 => pub(super) isenabler0: ReadWrite<u32>),
        (0x10104 => _r4),
        /// Behind the first, those of the extended PPIs.
        (0x10180 => pub(super) icenabler: [ReadWrite<u32>; 3]),
        (0x1018c => _r5),
        (0x10280 => pub(super) icpendr0: ReadWrite<u32>),
        (0x10284 => _r6),
        (0x10300 => pub(super) isactiver0: ReadWrite<u32>),
        (0x10304 => _r9),
        (0x10380 => pub(super) icactiver0: ReadWrite<u32>),
        (0x10384 => _r7),
        (0x10400 => pub(super) ipriorityr: [ReadWrite<u32>; 8]),
        (0x10420 => _r8),
        (0x20000 => @END),
    }
}

macro_rules! read {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: 1. a register of this core's CPU interface, which EL2 owns.
        unsafe { core::arch::asm!(concat!("mrs {}, ", $name), out(reg) value, options(nomem, nostack)) };
        value
    }};
}

macro_rules! write {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: 1. as for reading; no register here reaches memory.
        unsafe { core::arch::asm!(concat!("msr ", $name, ", {}"), in(reg) value, options(nomem, nostack)) };
    }};
}

pub(super) use {read, write};

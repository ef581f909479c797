//! GICv2's CPU interface, and what only its distributor has (ARM IHI 0048B.b
//! chapter 4).
//!
//! The guest has no Security Extensions: after reset every interrupt is in Group 0,
//! and the first enable bit of each part is all that it needs.
#![allow(unsafe_code, reason = "a reference to the device's registers")]
#![allow(missing_docs, reason = "the register macros make items that no comment reaches")]

use aarch64_cpu::asm::barrier;
use tock_registers::interfaces::Writeable;
use tock_registers::registers::{ReadOnly, ReadWrite, WriteOnly};
use tock_registers::{register_bitfields, register_structs};

use super::{Target, distributor};
use crate::map;

register_bitfields! {u32,
    /// GICC_CTLR without Security Extensions (IHI 0048B.b §4.4.1).
    pub CTLR [
        /// The end of an interrupt only drops the priority.
        EOImode OFFSET(9) NUMBITS(1) [],
        /// GICC_IAR acknowledges Group 1 too.
        AckCtl OFFSET(2) NUMBITS(1) [],
        /// Signals Group 1.
        EnableGrp1 OFFSET(1) NUMBITS(1) [],
        /// Signals Group 0.
        EnableGrp0 OFFSET(0) NUMBITS(1) []
    ],
    /// GICC_IAR (IHI 0048B.b §4.4.4).
    pub IAR [
        /// The core that sent an SGI.
        CPUID OFFSET(10) NUMBITS(3) [],
        /// The interrupt; 1023 if none.
        INTID OFFSET(0) NUMBITS(10) []
    ]
}

register_structs! {
    /// The CPU interface's registers (IHI 0048B.b table 4-2).
    #[allow(missing_docs, reason = "they are named as in the manual")]
    pub CpuInterface {
        (0x0000 => pub ctlr: ReadWrite<u32, CTLR::Register>),
        (0x0004 => pub pmr: ReadWrite<u32>),
        (0x0008 => pub bpr: ReadWrite<u32>),
        (0x000c => pub iar: ReadOnly<u32, IAR::Register>),
        (0x0010 => pub eoir: WriteOnly<u32>),
        (0x0014 => pub rpr: ReadOnly<u32>),
        (0x0018 => pub hppir: ReadOnly<u32, IAR::Register>),
        (0x001c => pub abpr: ReadWrite<u32>),
        (0x0020 => pub aiar: ReadOnly<u32, IAR::Register>),
        (0x0024 => pub aeoir: WriteOnly<u32>),
        (0x0028 => pub ahppir: ReadOnly<u32, IAR::Register>),
        (0x002c => _reserved0),
        (0x00d0 => pub apr: [ReadWrite<u32>; 4]),
        (0x00e0 => _reserved1),
        (0x00fc => pub iidr: ReadOnly<u32>),
        (0x0100 => _reserved2),
        (0x1000 => pub dir: WriteOnly<u32>),
        (0x1004 => @END),
    }
}

/// The CPU interface's registers.
#[must_use]
pub fn cpu_interface() -> &'static CpuInterface {
    // SAFETY: the guest's map has a GICv2 CPU interface at this address, for good,
    // and its registers may be read and written by anyone at any time.
    unsafe { &*(map::GICC as *const CpuInterface) }
}

/// Turns this core's interface on, with nothing masked by priority.
pub(super) fn enable_core() {
    cpu_interface().pmr.set(0xff);
    cpu_interface().ctlr.write(CTLR::EnableGrp0::SET);
}

/// GICD_ITARGETSR (§4.3.12): one bit a core.
pub(super) fn route(intid: u32, core: usize) {
    if let Some(target) = distributor().itargetsr.get(intid as usize) {
        target.set(1 << (core & 7));
    }
}

/// GICD_SGIR (§4.3.15).
pub(super) fn send(sgi: u32, target: Target) {
    let to = match target {
        Target::Own => 0b10 << 24,
        Target::Others => 0b01 << 24,
        Target::Cores(mask) => u32::from(mask) << 16,
    };
    barrier::dsb(barrier::SY);
    distributor().sgir.set(to | sgi & 0xf);
    barrier::dsb(barrier::SY);
}

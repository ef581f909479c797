//! The GICv2 (ARM IHI 0048B.b).

use crate::uart::{read32, write32};

const GICD: usize = 0x0800_0000;
const GICC: usize = 0x0801_0000;

const GICD_CTLR: usize = GICD;
const GICD_ISENABLER0: usize = GICD + 0x100;
const GICD_IPRIORITYR: usize = GICD + 0x400;
const GICD_SGIR: usize = GICD + 0xf00;
const GICC_CTLR: usize = GICC;
const GICC_PMR: usize = GICC + 0x4;
const GICC_IAR: usize = GICC + 0xc;
const GICC_EOIR: usize = GICC + 0x10;

/// GICD_SGIR.TargetListFilter: only to the one who writes (§4.3.15).
const TO_SELF: u32 = 0b10 << 24;

pub fn init() {
    write32(GICD_CTLR, 1);
    write32(GICC_PMR, 0xf0);
    write32(GICC_CTLR, 1);
}

/// Enables an SGI or PPI, in the middle of the priorities.
pub fn enable(intid: u32) {
    let register = GICD_IPRIORITYR + (intid as usize & !3);
    let shift = intid % 4 * 8;
    write32(register, read32(register) & !(0xff << shift) | 0x80 << shift);
    write32(GICD_ISENABLER0, 1 << intid);
}

pub fn send_to_self(sgi: u32) {
    write32(GICD_SGIR, TO_SELF | sgi);
}

/// Acknowledges the interrupt; GICC_EOIR wants the same value back.
pub fn acknowledge() -> u32 {
    read32(GICC_IAR)
}

pub fn end(acknowledged: u32) {
    write32(GICC_EOIR, acknowledged);
}

//! The GIC-400 (ARM IHI 0048B.b; BCM2711 ARM Peripherals, chapter 6), as Non-secure
//! software sees it: the stub of the Pi's firmware has put all interrupts into group 1.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::registers::Registers;

const GICD: Registers = Registers(0xff84_1000);
const GICC: Registers = Registers(0xff84_2000);

const GICD_CTLR: usize = 0;
const GICD_ISENABLER: usize = 0x100;
const GICD_IPRIORITYR: usize = 0x400;
const GICD_ITARGETSR: usize = 0x800;
const GICD_SGIR: usize = 0xf00;
const GICC_CTLR: usize = 0;
const GICC_PMR: usize = 0x4;
const GICC_IAR: usize = 0xc;
const GICC_EOIR: usize = 0x10;

/// The first SPI.
const SPIS: u32 = 32;
/// GICD_SGIR.TargetListFilter: to all but the one who writes (§4.3.15).
const TO_OTHERS: u32 = 0b01 << 24;

/// The bit of each core in a list of targets: who reads the first GICD_ITARGETSR sees its
/// own (§4.3.12).
static TARGETS: [AtomicU32; 4] = [const { AtomicU32::new(0) }; 4];

/// The first core's.
pub fn init() {
    GICD.write(GICD_CTLR, 1);
}

/// Each core's.
pub fn init_core(core: usize) {
    let own = GICD.read(GICD_ITARGETSR) & 0xff;
    if let Some(target) = TARGETS.get(core) {
        target.store(own, Ordering::Release);
    }
    GICC.write(GICC_PMR, 0xf0);
    GICC.write(GICC_CTLR, 1);
}

/// Enables an interrupt, in the middle of the priorities, and has an SPI go to the first
/// core.
pub fn enable(intid: u32) {
    set_byte(GICD_IPRIORITYR, intid, 0x80);
    if intid >= SPIS {
        set_byte(GICD_ITARGETSR, intid, target(0));
    }
    GICD.write(GICD_ISENABLER + intid as usize / 32 * 4, 1 << (intid % 32));
}

fn set_byte(register: usize, intid: u32, value: u32) {
    let (offset, shift) = (register + (intid as usize & !3), intid % 4 * 8);
    GICD.write(offset, GICD.read(offset) & !(0xff << shift) | value << shift);
}

fn target(core: usize) -> u32 {
    TARGETS.get(core).map_or(0, |target| target.load(Ordering::Acquire))
}

pub fn send(sgi: u32, core: usize) {
    GICD.write(GICD_SGIR, target(core) << 16 | sgi);
}

pub fn send_to_others(sgi: u32) {
    GICD.write(GICD_SGIR, TO_OTHERS | sgi);
}

/// Acknowledges the interrupt; GICC_EOIR wants the same value back.
pub fn acknowledge() -> u32 {
    GICC.read(GICC_IAR)
}

pub fn end(acknowledged: u32) {
    GICC.write(GICC_EOIR, acknowledged);
}

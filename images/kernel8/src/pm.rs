//! The power manager, which BCM2711 ARM Peripherals does not describe: as Linux's driver
//! `bcm2835_wdt.c` and the firmware have it. What is written counts with a password.

use aarch64_cpu::asm::wfi;

use crate::registers::{Registers, delay};
use crate::uart::{flush, say};

const PM: Registers = Registers(0xfe10_0000);
const RSTC: usize = 0x1c;
const RSTS: usize = 0x20;
const WDOG: usize = 0x24;

const PASSWORD: u32 = 0x5a << 24;
const VALUE: u32 = (1 << 24) - 1;
/// RSTC.WRCFG: what the watchdog resets.
const WRCFG: u32 = 0b11 << 4;
const FULL_RESET: u32 = 0b10 << 4;
/// RSTS: the partition to boot from, every second bit, and between them what has reset.
const CAUSES: u32 = 0xfff;
/// The partition by which the firmware halts.
const HALT: u32 = 0x555;
/// RSTS: the watchdog has, quick, full or hard.
const BY_WATCHDOG: u32 = 0b111 << 4;
/// Ticks of 16 microseconds.
const SOON: u32 = 10;

/// Whether RSTS still has what was there before the reset, and that it was the watchdog's.
pub fn remembers() -> bool {
    PM.read(RSTS) & BY_WATCHDOG != 0
}

pub fn reset() -> ! {
    bite(0)
}

/// QEMU and eVisor end; a Pi's firmware halts.
pub fn off() -> ! {
    bite(HALT)
}

fn bite(partition: u32) -> ! {
    flush();
    PM.write(RSTS, PASSWORD | PM.read(RSTS) & VALUE & !CAUSES | partition);
    PM.write(WDOG, PASSWORD | SOON);
    PM.write(RSTC, PASSWORD | PM.read(RSTC) & VALUE & !WRCFG | FULL_RESET);
    delay(1_000_000);
    say!("pm: the watchdog does not bite");
    loop {
        wfi();
    }
}

//! The PL011 (ARM DDI 0183G), polled.
#![allow(unsafe_code, reason = "registers of the machine")]

use core::fmt;

const UART: usize = 0x0900_0000;
const DR: usize = UART;
const FR: usize = UART + 0x18;
const IBRD: usize = UART + 0x24;
const FBRD: usize = UART + 0x28;
const LCR_H: usize = UART + 0x2c;
const CR: usize = UART + 0x30;

const FR_TXFF: u32 = 1 << 5;
const LCR_H_8N1_FIFO: u32 = 0b11 << 5 | 1 << 4;
const CR_ENABLE: u32 = 1 << 0 | 1 << 8 | 1 << 9;

pub fn write32(address: usize, value: u32) {
    // SAFETY: 1. a device register of the machine, which lies outside of memory.
    unsafe { (address as *mut u32).write_volatile(value) };
}

pub fn read32(address: usize) -> u32 {
    // SAFETY: 1. a device register of the machine.
    unsafe { (address as *const u32).read_volatile() }
}

/// 115,200 baud of a 24 MHz clock (§3.3.6: 24 MHz / (16 * 115,200) is 13 and 1/64).
pub fn init() {
    write32(CR, 0);
    write32(IBRD, 13);
    write32(FBRD, 1);
    write32(LCR_H, LCR_H_8N1_FIFO);
    write32(CR, CR_ENABLE);
}

pub struct Uart;

impl fmt::Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while read32(FR) & FR_TXFF != 0 {}
            write32(DR, u32::from(byte));
        }
        Ok(())
    }
}

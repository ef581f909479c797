//! Registers of peripherals, in the order that they are accessed; and time.
#![allow(unsafe_code, reason = "registers of the machine")]

use core::arch::asm;

use aarch64_cpu::asm::barrier::{self, SY};
use aarch64_cpu::registers::{CNTFRQ_EL0, CNTVCT_EL0};
use tock_registers::interfaces::Readable;

use crate::fault;

/// The registers of one peripheral, by the address of the first.
///
/// The bus may answer two peripherals in another order than they were asked (BCM2711 ARM
/// Peripherals, "Peripheral access precautions for correct memory ordering"): there is a
/// barrier before each write and after each read.
#[derive(Clone, Copy)]
pub struct Registers(pub usize);

impl Registers {
    pub fn read(self, offset: usize) -> u32 {
        // SAFETY: 1. a device register of the machine.
        let value = unsafe { ((self.0 + offset) as *const u32).read_volatile() };
        barrier::dmb(SY);
        value
    }

    pub fn write(self, offset: usize, value: u32) {
        barrier::dmb(SY);
        // SAFETY: 1. a device register of the machine, which lies outside of memory.
        unsafe { ((self.0 + offset) as *mut u32).write_volatile(value) };
    }

    /// Reads a register that may not be there, which is an external abort: at once, or
    /// later as an SError, which the barrier waits for.
    pub fn probe(self, offset: usize) -> Option<u32> {
        let mut value = 0_u32;
        let answered = fault::survive(|| {
            // SAFETY: 1. a device register of the machine, or an abort, which is expected.
            unsafe {
                asm!("ldr {0:w}, [{1}]", "dsb sy", "isb", inout(reg) value,
                    in(reg) self.0 + offset, options(nostack));
            }
        });
        answered.then_some(value)
    }
}

/// Whether `done` came true within so many microseconds; it is asked again at their end, as
/// a hypervisor may have stopped the core meanwhile.
pub fn within(micros: u64, mut done: impl FnMut() -> bool) -> bool {
    let (start, counts) = (count(), micros.saturating_mul(CNTFRQ_EL0.get()) / 1_000_000);
    loop {
        if done() {
            return true;
        }
        if count().wrapping_sub(start) > counts {
            return done();
        }
        core::hint::spin_loop();
    }
}

pub fn delay(micros: u64) {
    within(micros, || false);
}

/// Microseconds since a count of the generic timer's.
pub fn micros_since(start: u64) -> u64 {
    count().wrapping_sub(start).saturating_mul(1_000_000) / CNTFRQ_EL0.get().max(1)
}

/// The generic timer's count, not read before what comes before it.
pub fn count() -> u64 {
    barrier::isb(SY);
    CNTVCT_EL0.get()
}

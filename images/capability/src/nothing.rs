//! Memory and a vCPU, and nothing else: no console, no calls, no interrupt controller. What
//! it finds is in x20 when it crashes, below a mark.

#![allow(unsafe_code, reason = "crashing with a value in a register takes assembly")]

use core::arch::asm;

use aarch64_cpu::registers::SCTLR_EL1;
use evisor_guest::call::{NOT_SUPPORTED, call};
use evisor_guest::exception::attempt;
use evisor_guest::mmio;
use smccc::{Hvc, Smc};
use tock_registers::interfaces::Readable;

/// "nothing", and a byte.
const MARK: u64 = 0x6e6f_7468_696e_6700;

/// Where there is a function somewhere, or could be.
const FUNCTIONS: [u32; 10] = [
    0x8000_0000,
    0x8000_3f80,
    0x8000_7f80,
    0x8400_0000,
    0xc400_0000,
    0x8600_0000,
    0x8600_ff00,
    0xc600_0000,
    0xc600_0080,
    0xc600_0100,
];

/// Below its memory devices would be; above it, up to what stage 1 maps, more memory.
const STEP: u64 = 0x20_0000 - 0x1000;
const MEMORY: u64 = 0x4000_0000;
const MEMORY_END: u64 = 0x4400_0000;
const END: u64 = 1 << 33;

pub fn run() -> u8 {
    let found = functions() + addresses();
    // SAFETY: nothing runs after it. Stage 1 is turned off, which would not let it there.
    unsafe {
        asm!(
            "msr vbar_el1, {nowhere}",
            "msr sctlr_el1, {control}",
            "isb",
            "br {nowhere}",
            control = in(reg) SCTLR_EL1.get() & !1,
            nowhere = in(reg) 0x7f_0000_0000_u64,
            in("x20") MARK | found.min(255),
            options(noreturn),
        );
    }
}

fn functions() -> u64 {
    let ranges = FUNCTIONS.iter().flat_map(|first| *first..first + 0x80);
    let answered = |function: &u32| {
        let hvc = call::<Hvc>(*function, [0; 3]);
        let smc = call::<Smc>(*function, [1, 2, 3]);
        [hvc, smc].iter().any(|[x0, ..]| *x0 != NOT_SUPPORTED)
    };
    ranges.filter(answered).count() as u64
}

fn addresses() -> u64 {
    let below = (0..MEMORY).step_by(STEP as usize);
    let above = (MEMORY_END..END).step_by(0x100_0000 + 0x1000);
    let reached = |address: &u64| attempt(|| mmio::load32(*address as usize)).is_ok();
    below.chain(above).filter(reached).count() as u64
}

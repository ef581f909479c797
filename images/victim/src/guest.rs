//! The ways to die.

#![allow(unsafe_code, reason = "what a guest must not do takes assembly")]

use core::arch::asm;

use aarch64_cpu::asm::wfi;
use aarch64_cpu::registers::{DAIF, SCTLR_EL1, SP, TTBR0_EL1, VBAR_EL1};
use evisor_guest::call::{self, hvc};
use evisor_guest::timer::{self, wait_until};
use evisor_guest::{cores, gic, map, mmio, pl011, println, tree};
use smccc::psci::{PSCI_CPU_OFF, PSCI_SYSTEM_RESET};
use tock_registers::interfaces::{ReadWriteable, Writeable};

evisor_guest::entry!(main, mmu = false);

/// By the number that the manifest gives, from 1.
const WAYS: [fn() -> !; 16] = [
    call::crash,
    load_from_nowhere,
    store_to_nowhere,
    unknown_register,
    reset,
    turn_off,
    overwrite_all,
    lose_tables,
    wait_for_ever,
    lose_stack,
    print_for_ever,
    print_and_crash,
    first_of_four,
    second_of_four,
    third_of_four,
    loads_in_four,
];

/// Where nothing is, nor a vector.
const NOWHERE: u64 = 0x7f_0000_0000;
const MEMORY: u64 = 0x4000_0000;
const MEMORY_END: u64 = 0x4080_0000;

/// The watchdog of a Raspberry Pi (devices/bcm2711-pm): PM_RSTC, PM_WDOG, the password,
/// and in PM_RSTC that its bite resets all.
const PM_RSTC: usize = 0xfe10_001c;
const PM_WDOG: usize = 0xfe10_0024;
const PASSWORD: u32 = 0x5a00_0000;
const FULL_RESET: u32 = 0x20;
/// In ticks of 16 microseconds.
const WATCHDOG: u32 = 2_000;

/// In microseconds, if the manifest does not say `life=`.
const LIFE: u64 = 50_000;
const PAUSE: u64 = 1_000;

fn main() -> u8 {
    let way = tree::boot_argument("way").unwrap_or(0);
    match WAYS.get((way as usize).wrapping_sub(1)) {
        None => count(tree::boot_argument("number").unwrap_or(0)),
        Some(die) => {
            pause(tree::boot_argument("life").unwrap_or(LIFE));
            die()
        }
    }
}

fn pause(microseconds: u64) {
    wait_until(microseconds, || false);
}

fn count(numbers: u64) -> u8 {
    gic::enable();
    gic::enable_interrupt(map::TIMER_INTID);
    let pause = tree::boot_argument("pause").unwrap_or(PAUSE);
    for number in 0..numbers {
        for digit in (0..8).rev() {
            let value = (number >> (2 * digit) & 3) as usize;
            pl011::transmit(b"{}^$".get(value).copied().unwrap_or_default());
        }
        println!();
        sleep(pause);
    }
    0
}

/// Leaves the core to others meanwhile.
fn sleep(microseconds: u64) {
    let end = timer::count() + timer::microseconds(microseconds);
    timer::arm(end);
    while timer::count() < end {
        wfi();
    }
    timer::disarm();
    let interrupt = gic::acknowledge();
    if gic::intid(interrupt) != gic::SPURIOUS {
        gic::end(interrupt);
    }
}

fn load_from_nowhere() -> ! {
    let _: u32 = mmio::load32(NOWHERE as usize);
    call::verdict(call::PANICKED)
}

fn store_to_nowhere() -> ! {
    mmio::store32(NOWHERE as usize, 1);
    call::verdict(call::PANICKED)
}

/// Implementation-defined, and not there.
fn unknown_register() -> ! {
    // SAFETY: it is UNDEFINED.
    unsafe { asm!("mrs {}, s3_0_c15_c0_0", out(reg) _, options(nostack)) };
    call::verdict(call::PANICKED)
}

fn reset() -> ! {
    hvc(PSCI_SYSTEM_RESET, [0; 3]);
    call::verdict(call::PANICKED)
}

/// The last vCPU: nothing can wake the VM.
fn turn_off() -> ! {
    hvc(PSCI_CPU_OFF, [0; 3]);
    call::verdict(call::PANICKED)
}

/// All its memory from the end on, with itself and its device tree in it.
fn overwrite_all() -> ! {
    VBAR_EL1.set(NOWHERE);
    // SAFETY: nothing is left that runs after it.
    unsafe {
        asm!(
            "1: str {value}, [{at}, #-8]!",
            "cmp {at}, {end}",
            "b.ne 1b",
            "udf #0",
            value = in(reg) u64::MAX,
            at = in(reg) MEMORY_END,
            end = in(reg) MEMORY,
            options(noreturn),
        );
    }
}

fn arm_watchdog() {
    mmio::store32(PM_WDOG, PASSWORD | WATCHDOG);
    mmio::store32(PM_RSTC, PASSWORD | FULL_RESET);
}

/// Its tables lead nowhere, its vectors with them: each fault takes another, at EL1.
/// The watchdog ends that.
fn lose_tables() -> ! {
    arm_watchdog();
    TTBR0_EL1.set(MEMORY_END - 0x1000);
    SCTLR_EL1.modify(SCTLR_EL1::M::Enable);
    // SAFETY: what follows cannot be fetched.
    unsafe { asm!("isb", "udf #0", options(noreturn)) };
}

/// The watchdog ends that, too.
fn wait_for_ever() -> ! {
    arm_watchdog();
    DAIF.write(DAIF::D::Masked + DAIF::A::Masked + DAIF::I::Masked + DAIF::F::Masked);
    timer::disarm();
    loop {
        wfi();
    }
}

/// An exception whose entry takes the next one: nothing can be pushed.
fn lose_stack() -> ! {
    arm_watchdog();
    SP.set(NOWHERE);
    // SAFETY: an exception is taken, with no stack.
    unsafe { asm!("udf #0", options(noreturn)) };
}

/// Something is on its way to the console whenever the watchdog bites.
fn print_for_ever() -> ! {
    arm_watchdog();
    loop {
        println!("the flood that never ends, {} and so on", timer::count());
    }
}

/// What it said is still on its way when it crashes.
fn print_and_crash() -> ! {
    for line in 0..100 {
        println!("last words, line {line}");
    }
    call::crash()
}

/// The first vCPU crashes, one waits, one is at EL2 most of the time, one is off.
fn first_of_four() -> ! {
    let _ = cores::bring_up(3) && cores::shut_down(3);
    bring_up(1, wait);
    bring_up(2, keep_exiting);
    pause(PAUSE);
    call::crash()
}

/// The second one crashes, as two others go off and on again, for ever.
fn second_of_four() -> ! {
    bring_up(1, |_| {
        pause(LIFE);
        call::crash()
    });
    loop {
        let _ = cores::bring_up(2) && cores::bring_up(3);
        let _ = cores::shut_down(2) && cores::shut_down(3);
    }
}

/// The third one crashes, as the first has turned itself off and the others wait.
fn third_of_four() -> ! {
    bring_up(1, wait);
    bring_up(3, wait);
    bring_up(2, |_| {
        pause(LIFE);
        call::crash()
    });
    turn_off()
}

/// All four crash, each as soon as it may.
fn loads_in_four() -> ! {
    for core in 1..4 {
        bring_up(core, |_| load_from_nowhere());
    }
    load_from_nowhere()
}

fn bring_up(core: usize, function: cores::Function) {
    if !(cores::bring_up(core) && cores::begin(core, function, 0)) {
        println!("vCPU {core} does not come");
        call::verdict(call::PANICKED)
    }
}

fn wait(_: u64) -> u64 {
    timer::disarm();
    loop {
        wfi();
    }
}

/// What is read is the UART's, which has a lock.
fn keep_exiting(_: u64) -> u64 {
    loop {
        let _: u32 = mmio::load32(map::UART + 0x18);
    }
}

//! What is tried, in order; the attempt to power off comes last.

use aarch64_cpu::registers::CNTV_CTL_EL0;
use evisor_guest::call::{NOT_SUPPORTED, VERDICT, hvc};
use evisor_guest::exception::{Exception, attempt};
use evisor_guest::pl011::{self, INTERRUPTS};
use evisor_guest::timer::{self, wait_until};
use evisor_guest::{gic, map, mmio, println};
use smccc::psci::{PSCI_FEATURES, PSCI_SYSTEM_OFF, PSCI_SYSTEM_RESET};
use tock_registers::interfaces::{Readable, Writeable};

evisor_guest::entry!(main);

/// ESR_EL1 (DDI 0487): a data abort without a change of level, ISS.WnR, and
/// ISS.DFSC of a synchronous external abort.
const DATA_ABORT: u64 = 0x25;
const WRITE: u64 = 1 << 6;
const EXTERNAL: u64 = 0b01_0000;

/// How long an interrupt is waited for that must not come, in microseconds.
const PATIENCE: u64 = 50_000;

/// What is checked, and how.
type Check = (&'static str, fn() -> bool);

const CHECKS: [Check; 8] = [
    ("a device's read-only window can be read", read_only_window_reads),
    ("a device's read-only window aborts on write", read_only_window_aborts),
    ("read-only memory can be read", read_only_memory_reads),
    ("read-only memory aborts on write", read_only_memory_aborts),
    ("a line without the interrupt right never fires", line_is_silent),
    ("a timer without the interrupt right never fires", timer_is_silent),
    ("functions without the control right are not announced", features_say_so),
    ("without the control right there is no power off", no_power_off),
];

fn main() -> u8 {
    gic::enable();
    hvc(VERDICT, [1, 0, 0]);
    let mut verdict = 0;
    for (name, check) in CHECKS {
        let passed = check();
        println!("{} {name}", if passed { "PASS" } else { "FAIL" });
        verdict |= u8::from(!passed);
    }
    println!("rights: done");
    verdict
}

fn is_refused_write(result: Result<(), Exception>) -> bool {
    result.is_err_and(|taken| {
        taken.class() == DATA_ABORT && taken.iss() & WRITE != 0 && taken.fault_status() == EXTERNAL
    })
}

/// UARTPeriphID0 (DDI 0183G §3.3.15).
fn read_only_window_reads() -> bool {
    attempt(|| mmio::load32(map::SECOND_UART + 0xfe0)) == Ok(0x11)
}

/// A write to UARTIBRD, which would print nothing if it were let through.
fn read_only_window_aborts() -> bool {
    is_refused_write(attempt(|| mmio::store32(map::SECOND_UART + 0x24, 1)))
}

fn read_only_memory_reads() -> bool {
    attempt(|| mmio::load64(map::READ_ONLY_MEMORY)) == Ok(0)
}

fn read_only_memory_aborts() -> bool {
    let refused = is_refused_write(attempt(|| mmio::store64(map::READ_ONLY_MEMORY, 1)));
    refused && read_only_memory_reads()
}

fn nothing_comes() -> bool {
    let mut acknowledged = gic::SPURIOUS;
    let came = wait_until(PATIENCE, || {
        acknowledged = gic::acknowledge();
        gic::intid(acknowledged) != gic::SPURIOUS
    });
    if came {
        gic::end(acknowledged);
    }
    !came
}

/// The UART itself says that it interrupts: it has room to transmit.
fn line_is_silent() -> bool {
    let uart = pl011::registers();
    gic::enable_interrupt(map::UART_INTID);
    uart.imsc.write(INTERRUPTS::TX::SET);
    println!("rights: a line, so that the UART has something to transmit");
    let wants_to = wait_until(PATIENCE, || uart.mis.is_set(INTERRUPTS::TX));
    let silent = nothing_comes() && !gic::is_pending(map::UART_INTID);
    uart.imsc.set(0);
    gic::disable_interrupt(map::UART_INTID);
    wants_to && silent
}

/// The timer itself says that its time has come.
fn timer_is_silent() -> bool {
    gic::enable_interrupt(map::TIMER_INTID);
    timer::arm(timer::count());
    let wants_to = wait_until(PATIENCE, || CNTV_CTL_EL0.is_set(CNTV_CTL_EL0::ISTATUS));
    let silent = nothing_comes();
    timer::disarm();
    gic::disable_interrupt(map::TIMER_INTID);
    wants_to && silent
}

fn is_not_supported(function: u32, argument: u32) -> bool {
    let [x0, ..] = hvc(function, [u64::from(argument), 0, 0]);
    x0 == NOT_SUPPORTED
}

fn features_say_so() -> bool {
    is_not_supported(PSCI_FEATURES, PSCI_SYSTEM_OFF)
        && is_not_supported(PSCI_FEATURES, PSCI_SYSTEM_RESET)
}

fn no_power_off() -> bool {
    is_not_supported(PSCI_SYSTEM_OFF, 0) && is_not_supported(PSCI_SYSTEM_RESET, 0)
}

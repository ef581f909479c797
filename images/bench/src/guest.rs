//! The events, in order.

use evisor_guest::call::{NOT_SUPPORTED, hvc};
use evisor_guest::{count_at_entry, exception, gic, map, mmio, pl031, println, timer, tree};
use smccc::psci::PSCI_VERSION;

use crate::handles::{CALL_OWN, Given};
use crate::port::Port;
use crate::{access, channel, hostile, interrupt, switch};

evisor_guest::entry!(main);

const EVENTS: u64 = 10_000;
/// Fewer where each event is a byte on somebody's console.
const BYTES: u64 = 2_000;
const SGIS: u64 = 1_000;
const DEADLINES: u64 = 200;

/// In the range of vendor-specific hypervisor services, and nobody's.
const UNKNOWN_FUNCTION: u64 = 0xC600_0042;

const GICD_TYPER: usize = map::GICD + 0x004;
/// GICD_ISENABLER1, and in it the UART's bit.
const GICD_ISENABLER1: usize = map::GICD + 0x104;
const UART_ENABLE_BIT: u64 = 1 << (map::UART_INTID % 32);
const UARTDR: usize = map::UART;
const UARTFR: usize = map::UART + 0x18;
/// UARTIBRD, and UARTFBRD behind it.
const UARTIBRD: usize = map::UART + 0x24;

/// Served by the example device that lives outside the repository.
const EXAMPLE_FUNCTION: u32 = 0xC600_0100;

type EventLoop = fn(u64, u64, u64) -> u64;

fn main() -> u8 {
    if let Some(end) = tree::boot_argument("end") {
        channel(end);
    } else if tree::boot_argument("port") == Some(1) {
        port();
    } else if tree::boot_argument("port") == Some(2) {
        return u8::from(!hostile::run());
    } else if tree::boot_argument("handles") == Some(1) {
        handles();
    } else if tree::boot_argument("shared") == Some(1) {
        switches();
    } else {
        boot();
        calls();
        accesses();
        interrupts();
    }
    println!("bench: end");
    0
}

fn report(name: &str, counts: i64, number: u64, own: u64) {
    let frequency = i128::from(timer::frequency());
    let number = i128::from(number);
    let instructions = i128::from(counts) * 1_000_000_000 / frequency;
    let twice = 2 * (instructions - i128::from(own) * number);
    // Rounded to the nearest: floor((2x + n) / 2n).
    println!("bench: {name} {}", (twice + number).div_euclid(2 * number));
}

fn measure(name: &str, event: EventLoop, number: u64, operand: u64, value: u64) {
    let with_event = event(number, operand, value);
    let without = access::nothing(number, operand, value);
    report(name, with_event.wrapping_sub(without) as i64, number, 0);
}

/// What passed before the guest's first instruction since its time began. eVisor
/// says when that was, and the host command adds it.
fn boot() {
    report("boot", count_at_entry() as i64, 1, 0);
}

fn calls() {
    let version = u64::from(PSCI_VERSION);
    measure("hvc", access::hvc, EVENTS, version, 0);
    // Without EL3 and a hypervisor, SMC is undefined.
    if exception::attempt(|| access::smc(1, version, 0)).is_ok() {
        measure("smc", access::smc, EVENTS, version, 0);
    }
    measure("hvc_unknown_function", access::hvc, EVENTS, UNKNOWN_FUNCTION, 0);
    let [answer, ..] = hvc(EXAMPLE_FUNCTION, [0; 3]);
    if answer != NOT_SUPPORTED {
        measure("example_call", access::hvc, EVENTS, u64::from(EXAMPLE_FUNCTION), 0);
    }
}

fn accesses() {
    let read = |name, address: usize| measure(name, access::load, EVENTS, address as u64, 0);
    read("gicd_typer_read", GICD_TYPER);
    let isenabler = GICD_ISENABLER1 as u64;
    measure("gicd_isenabler_write", access::store, EVENTS, isenabler, UART_ENABLE_BIT);
    // What it costs more when the operand is a register that calls preserve.
    let name = "gicd_isenabler_write_preserved";
    measure(name, access::store_preserved, EVENTS, isenabler, UART_ENABLE_BIT);
    gic::disable_interrupt(map::UART_INTID);
    read("uart_flag_read", UARTFR);
    measure("uart_pair_read", access::load_pair, EVENTS, UARTIBRD as u64, 0);
    uart_write();
    if pl031::registers().is_some() {
        read("rtc_read", map::RTC);
    }
    if exception::attempt(|| mmio::load32(map::EXAMPLE)).is_ok() {
        read("example_read", map::EXAMPLE);
    }
}

/// Sends NULs, which terminals ignore, and starts a new line for whoever reads
/// lines.
fn uart_write() {
    let uart = UARTDR as u64;
    let with_event = access::store(BYTES, uart, 0);
    println!();
    let without = access::nothing(BYTES, uart, 0);
    report("uart_write", with_event.wrapping_sub(without) as i64, BYTES, 0);
}

fn switches() {
    gic::enable();
    for (name, floating) in [("vcpu_switch", false), ("vcpu_switch_floating", true)] {
        if let Some(counts) = switch::from_one_to_another(floating) {
            report(name, counts as i64, 1, 0);
        }
    }
}

/// What of a channel costs; the other end answers.
fn channel(end: u64) {
    gic::enable();
    let rings = match end {
        0 => channel::ring(SGIS),
        _ => return channel::answer(SGIS),
    };
    let Some(sum) = rings else { return };
    // There and back.
    let own = interrupt::OTHER_OWN + interrupt::ANSWER_OWN;
    report("doorbell", sum as i64 - (own * SGIS) as i64, 2 * SGIS, 0);
    if let Some(counts) = channel::stream(SGIS) {
        report("ring_kib", counts as i64, SGIS, 0);
    }
}

/// What a stream costs by a virtio console.
fn port() {
    let Some(mut port) = Port::open() else { return };
    for (name, counts) in [("port_kib_out", port.give(SGIS)), ("port_kib_in", port.take(SGIS))] {
        if let Some(counts) = counts {
            report(name, counts as i64, SGIS, 0);
        }
    }
}

/// What calls by handles cost.
fn handles() {
    gic::enable();
    let Some(given) = Given::find() else { return };
    report("invoke", given.look(EVENTS) as i64, EVENTS, CALL_OWN);
    report("invoke_no_handle", given.miss(EVENTS) as i64, EVENTS, CALL_OWN);
    let own = interrupt::SGI_OWN + interrupt::BELL_MORE;
    report("ring", given.ring(SGIS) as i64, SGIS, own);
    if let Some(sum) = given.ring_other(SGIS) {
        report("ring_other", sum as i64, SGIS, interrupt::OTHER_OWN + interrupt::BELL_MORE);
    }
    if let Some(sums) = given.blocks(SGIS) {
        for (name, sum) in ["blocks_write", "blocks_read", "blocks_fetch"].into_iter().zip(sums) {
            report(name, sum as i64, SGIS, 0);
        }
    }
    if let Some([nothing, slice]) = given.revoke() {
        report("revoke_nothing", nothing as i64, 1, CALL_OWN);
        report("revoke_slice", slice as i64, 1, CALL_OWN);
    }
}

fn interrupts() {
    gic::enable();
    let sgis = interrupt::sgi_to_self(SGIS) as i64;
    report("sgi_self", sgis, SGIS, interrupt::SGI_OWN);
    let ends = interrupt::ends(SGIS) as i64;
    report("eoi", ends, SGIS, interrupt::END_OWN);
    let late = interrupt::timer_deadlines(DEADLINES) as i64;
    report("vtimer", late, DEADLINES, interrupt::TIMER_OWN);
    let late = interrupt::wakes(DEADLINES) as i64;
    report("wfi_wake", late, DEADLINES, interrupt::WAKE_OWN);
    if let Some([running, waiting]) = interrupt::sgi_to_other(SGIS) {
        report("sgi_other", running as i64, SGIS, interrupt::OTHER_OWN);
        report("sgi_other_waiting", waiting as i64, SGIS, interrupt::OTHER_OWN);
    }
}

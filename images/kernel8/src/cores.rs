//! The four cores: the spin table, a timer of each, and interrupts from one to another.
#![allow(unsafe_code, reason = "the spin table's words")]

use core::sync::atomic::{AtomicU32, Ordering};

use aarch64_cpu::asm::barrier::{self, SY};
use aarch64_cpu::asm::{sev, wfi};
use aarch64_cpu::registers::{
    CNTFRQ_EL0, CNTP_CTL_EL0, CNTP_TVAL_EL0, CNTV_CTL_EL0, CNTV_TVAL_EL0, CurrentEL, DAIF,
    MPIDR_EL1,
};
use tock_registers::interfaces::{Readable, Writeable};

use crate::gic;
use crate::registers::within;
use crate::uart::say;

pub const COUNT: usize = 4;

/// Where the second core's word is, as the stub of the Pi's firmware has it (armstub8.S);
/// the others' follow.
const WORDS: usize = 0xe0;

/// The PPIs of the virtual timer and of the physical one (BCM2711 ARM Peripherals, chapter
/// 6).
pub const VIRTUAL_TIMER: u32 = 27;
pub const PHYSICAL_TIMER: u32 = 30;
/// The SGI that goes to core n from the one before it is this and n.
const NEXT: u32 = 1;
/// The one that goes to all others.
const ALL: u32 = 8;

/// How long one core waits for another, in microseconds.
const LIMIT: u64 = 5_000_000;

type Words = [AtomicU32; COUNT];

/// What each core has come to; it is its only writer.
static READY: Words = [const { AtomicU32::new(0) }; COUNT];
static VIRTUAL_TICKS: Words = [const { AtomicU32::new(0) }; COUNT];
static PHYSICAL_TICKS: Words = [const { AtomicU32::new(0) }; COUNT];
static PASSED_ON: Words = [const { AtomicU32::new(0) }; COUNT];
static CALLED: Words = [const { AtomicU32::new(0) }; COUNT];

fn is_set(words: &Words, core: usize) -> bool {
    words.get(core).is_some_and(|word| word.load(Ordering::Acquire) != 0)
}

fn set(words: &Words, core: usize) {
    if let Some(word) = words.get(core) {
        word.store(1, Ordering::Release);
    }
}

pub fn own_number() -> usize {
    (MPIDR_EL1.get() & 3) as usize
}

/// Starts the others, one after the other has reported.
pub fn start_others(entry: u64) {
    for core in 1..COUNT {
        release(core, entry);
        if !within(LIMIT, || is_set(&READY, core)) {
            say!("core {core}: does not come");
        }
    }
}

/// The word is read with the caches off, as it is written.
fn release(core: usize, entry: u64) {
    let word = WORDS + 8 * (core - 1);
    // SAFETY: 1. the first page is the stub's, whose words are there to be written.
    unsafe { (word as *mut u64).write_volatile(entry) };
    barrier::dsb(SY);
    sev();
}

/// What each core but the first does.
pub fn run(core: usize) -> ! {
    report(core);
    set(&READY, core);
    // Nothing is asked for again and again: interrupts are all that it does from here.
    loop {
        wfi();
    }
}

/// Who it is, and that its timers interrupt it.
pub fn report(core: usize) {
    gic::init_core(core);
    (0..=ALL).chain([VIRTUAL_TIMER, PHYSICAL_TIMER]).for_each(gic::enable);
    say!("core {core}: runs at EL{}", CurrentEL.read(CurrentEL::EL));
    DAIF.set(0);
    let soon = CNTFRQ_EL0.get() / 1000;
    CNTV_TVAL_EL0.set(soon);
    CNTV_CTL_EL0.write(CNTV_CTL_EL0::ENABLE::SET);
    let ticked = within(LIMIT, || is_set(&VIRTUAL_TICKS, core));
    say!("core {core}: its virtual timer interrupts, INTID {VIRTUAL_TIMER}: {ticked}");
    CNTP_TVAL_EL0.set(soon);
    CNTP_CTL_EL0.write(CNTP_CTL_EL0::ENABLE::SET);
    let ticked = within(LIMIT, || is_set(&PHYSICAL_TICKS, core));
    say!("core {core}: its physical timer interrupts, INTID {PHYSICAL_TIMER}: {ticked}");
}

pub fn virtual_tick() {
    CNTV_CTL_EL0.set(0);
    barrier::isb(SY);
    set(&VIRTUAL_TICKS, own_number());
}

pub fn physical_tick() {
    CNTP_CTL_EL0.set(0);
    barrier::isb(SY);
    set(&PHYSICAL_TICKS, own_number());
}

/// An SGI goes round: each core says whom it has it from, and sends it to the next.
pub fn go_round() {
    gic::send(NEXT + 1, 1);
    if !within(LIMIT, || is_set(&PASSED_ON, 0)) {
        say!("an SGI did not come round");
    }
}

/// One goes to all at once.
pub fn call_others() {
    gic::send_to_others(ALL);
    let all = within(LIMIT, || (1..COUNT).all(|core| is_set(&CALLED, core)));
    let own = is_set(&CALLED, 0);
    say!("SGI {ALL} to all others came to all: {all}, to the sender: {own}");
}

pub fn heard(sgi: u32, from: u32) {
    let core = own_number();
    if sgi == ALL {
        return set(&CALLED, core);
    }
    say!("core {core}: SGI {sgi} from core {from}");
    set(&PASSED_ON, core);
    let next = (core + 1) % COUNT;
    if core != 0 {
        gic::send(NEXT + next as u32, next);
    }
}

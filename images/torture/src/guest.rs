//! The steps.

use core::sync::atomic::{AtomicU64, Ordering};

use evisor_guest::random::Random;
use evisor_guest::{cores, pl011, println, timer, tree};
use tock_registers::interfaces::Writeable;

use crate::trace::Trace;
use crate::{access, call, register, storm, table};

evisor_guest::entry!(main);

const SEED: u64 = 0x746f_7274_7572_6501;
const STEPS: u64 = 20_000;

static SEED_OF_ALL: AtomicU64 = AtomicU64::new(SEED);

fn main() -> u8 {
    let seed = tree::boot_argument("seed").unwrap_or(SEED);
    let steps = tree::boot_argument("steps").unwrap_or(STEPS);
    let cores = cores::count();
    println!("torture: seed {seed:#x}, {steps} steps on each of {cores} cores");
    SEED_OF_ALL.store(seed, Ordering::SeqCst);
    storm::distributor();
    let begun = (1..cores).all(|core| cores::bring_up(core) && cores::begin(core, run, steps));
    let trace = run(steps);
    let ended = (1..cores).all(ends);
    put_console_back();
    println!("torture: {} interrupts taken", storm::taken());
    println!("torture: trace {trace:#018x}");
    if !begun || !ended {
        println!("torture: a core is missing");
    }
    u8::from(!begun || !ended)
}

/// Waits as long as the core goes on.
fn ends(core: usize) -> bool {
    timer::wait_until(600_000_000, || cores::is_done(core))
}

/// All that one core does; the hash of what came of it.
fn run(steps: u64) -> u64 {
    let seed = SEED_OF_ALL.load(Ordering::SeqCst);
    let mut random = Random::new(seed.wrapping_add(cores::number() as u64));
    let mut trace = Trace::new();
    storm::calm();
    for _ in 0..steps {
        step(&mut random, &mut trace);
    }
    storm::calm();
    trace.0
}

fn step(random: &mut Random, trace: &mut Trace) {
    match random.below(64) {
        0..20 => access::anywhere(random, trace),
        20..26 => access::own_memory(random, trace),
        26..30 => access::configuration(random, trace),
        30..34 => access::maintenance(random, trace),
        34..46 => register::any(random, trace),
        46..54 => call::any(random, trace),
        54..60 => table::rewrite(random, trace),
        60 | 61 => storm::sgis(random),
        62 => storm::timers(random),
        _ => storm::exceptions(random),
    }
}

/// Whatever was written to its registers.
fn put_console_back() {
    let uart = pl011::registers();
    uart.imsc.set(0);
    uart.cr.set(0);
    uart.lcr_h.set(0b111 << 4);
    uart.cr.write(pl011::CR::UARTEN::SET + pl011::CR::TXE::SET + pl011::CR::RXE::SET);
}

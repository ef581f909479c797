//! The areas, in order: what later ones stand on comes first.

use evisor_guest::{call, gic, println};

use crate::check::{Check, Tally};
use crate::{
    abort, cache, cpu, distributor, interrupts, no_syndrome, pl011, pl031, psci, sgi, smccc,
    system_register, timer, transfer,
};

evisor_guest::entry!(main);

const AREAS: [&[Check]; 14] = [
    cpu::CHECKS,
    system_register::CHECKS,
    cache::CHECKS,
    smccc::CHECKS,
    psci::CHECKS,
    abort::CHECKS,
    transfer::CHECKS,
    no_syndrome::CHECKS,
    distributor::CHECKS,
    interrupts::CHECKS,
    sgi::CHECKS,
    timer::CHECKS,
    pl011::CHECKS,
    pl031::CHECKS,
];

fn main() -> u8 {
    let below = if call::on_evisor() { "eVisor" } else { "not eVisor" };
    println!("test-app: below is {below}");
    gic::enable();
    let mut tally = Tally::default();
    for check in AREAS.into_iter().flatten() {
        tally.run(check);
    }
    println!("test-app: {} passed, {} failed", tally.passed, tally.failed);
    u8::from(tally.failed != 0)
}

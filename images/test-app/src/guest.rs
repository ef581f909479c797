//! The areas, in order: what later ones stand on comes first.

use evisor_guest::{call, cores, gic, println};

use crate::check::{Check, Tally};
use crate::{
    abort, aliases, attributes, cache, cpu, debug, distributor, el0, end_mode, gicv2, gicv3,
    identification, interrupts, ipi, level, no_syndrome, physical_timer, pl011, pl031, power, psci,
    route, sgi, smccc, stolen_time, system_register, taken, timer, transfer, traps, trng,
};

evisor_guest::entry!(main);

const AREAS: [&[Check]; 31] = [
    cpu::CHECKS,
    identification::CHECKS,
    system_register::CHECKS,
    debug::CHECKS,
    traps::CHECKS,
    el0::CHECKS,
    cache::CHECKS,
    attributes::CHECKS,
    smccc::CHECKS,
    stolen_time::CHECKS,
    trng::CHECKS,
    psci::CHECKS,
    abort::CHECKS,
    transfer::CHECKS,
    no_syndrome::CHECKS,
    aliases::CHECKS,
    distributor::CHECKS,
    gicv2::CHECKS,
    gicv3::CHECKS,
    interrupts::CHECKS,
    end_mode::CHECKS,
    taken::CHECKS,
    level::CHECKS,
    sgi::CHECKS,
    ipi::CHECKS,
    route::CHECKS,
    timer::CHECKS,
    physical_timer::CHECKS,
    power::CHECKS,
    pl011::CHECKS,
    pl031::CHECKS,
];

fn main() -> u8 {
    let below = if call::on_evisor() { "eVisor" } else { "not eVisor" };
    println!("test-app: below is {below}; {:?}, {} cores", gic::version(), cores::count());
    gic::enable();
    let mut tally = Tally::default();
    for check in AREAS.into_iter().flatten() {
        tally.run(check);
    }
    let Tally { passed, failed, skipped } = tally;
    println!("test-app: {passed} passed, {failed} failed, {skipped} not applicable");
    u8::from(failed != 0)
}

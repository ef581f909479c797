//! The units, one after the other.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use aarch64_cpu::asm::wfi;
use evisor_guest::{exception, gic, map, pl011, println, timer, tree};

use crate::block::Block;

evisor_guest::entry!(main);

const UNITS: u64 = 40;
/// So many interrupts of the timer are waited for in a unit, in microseconds each.
const INTERRUPTS: u32 = 10;
const PAUSE: u64 = 10_000;
/// As many units are looked at again in the end.
const KEPT: usize = 64;

static BLOCKS: [Block; KEPT] = [const { Block::new() }; KEPT];
static CRCS: [AtomicU32; KEPT] = [const { AtomicU32::new(0) }; KEPT];
/// Return was typed; the timer came.
static BEGUN: AtomicBool = AtomicBool::new(false);
static FIRED: AtomicBool = AtomicBool::new(false);

fn main() -> u8 {
    let units = tree::boot_argument("units").unwrap_or(UNITS) as u32;
    let number = tree::boot_argument("number").unwrap_or(1) as u32;
    pl011::enable_reception();
    println!("worker: {units} units; Return begins");
    exception::on_interrupt(serve);
    gic::enable();
    gic::enable_interrupt(map::UART_INTID);
    gic::enable_interrupt(map::TIMER_INTID);
    await_set(&BEGUN);
    for unit in 1..=units {
        match work(number, unit) {
            Ok(crc) => println!("worker: unit {unit} of {units}: {crc:08x}"),
            Err(what) => return failed(unit, what),
        }
    }
    match changed(units) {
        Some(unit) => failed(unit, "its block changed later"),
        None => {
            println!("worker: all {units} are right");
            0
        }
    }
}

fn failed(unit: u32, what: &str) -> u8 {
    println!("worker: unit {unit} is wrong: {what}");
    1
}

/// Where a unit's block is, and its CRC.
fn place(unit: u32) -> Option<(&'static Block, &'static AtomicU32)> {
    let index = unit as usize % KEPT;
    BLOCKS.get(index).zip(CRCS.get(index))
}

/// One unit; gives its CRC.
fn work(number: u32, unit: u32) -> Result<u32, &'static str> {
    let (block, crc) = place(unit).ok_or("it has no block")?;
    block.fill(number << 16 | unit);
    let before = block.crc();
    for _ in 0..INTERRUPTS {
        pause()?;
    }
    crc.store(before, Ordering::Relaxed);
    if block.crc() == before { Ok(before) } else { Err("its block changed") }
}

fn pause() -> Result<(), &'static str> {
    let deadline = timer::count() + timer::microseconds(PAUSE);
    timer::arm(deadline);
    await_set(&FIRED);
    if timer::count() < deadline { Err("its timer came early") } else { Ok(()) }
}

/// The first of the last units whose block is not what it was.
fn changed(units: u32) -> Option<u32> {
    let kept = units.saturating_sub(KEPT as u32) + 1..=units;
    kept.into_iter().find(|unit| {
        place(*unit).is_none_or(|(block, crc)| block.crc() != crc.load(Ordering::Relaxed))
    })
}

/// Waits until an interrupt has set it, and takes it back. What comes between the look and
/// WFI is pending, and ends that at once.
fn await_set(flag: &AtomicBool) {
    exception::mask_interrupts();
    while !flag.swap(false, Ordering::Relaxed) {
        wfi();
        exception::unmask_interrupts();
        exception::mask_interrupts();
    }
    exception::unmask_interrupts();
}

/// The interrupt hook.
fn serve() {
    let acknowledged = gic::acknowledge();
    match gic::intid(acknowledged) {
        map::TIMER_INTID => {
            timer::disarm();
            FIRED.store(true, Ordering::Relaxed);
        }
        map::UART_INTID => keys(),
        gic::SPURIOUS => return,
        _ => {}
    }
    gic::end(acknowledged);
}

fn keys() {
    while let Some(byte) = pl011::receive() {
        match byte {
            b'\r' | b'\n' => {
                println!();
                BEGUN.store(true, Ordering::Relaxed);
            }
            _ => pl011::transmit(byte),
        }
    }
}

//! Loads, stores and cache maintenance of every form, in windows and out of them.

use core::sync::atomic::AtomicU64;

use evisor_guest::random::Random;
use evisor_guest::{cores, map};

use crate::code::{execute, summary};
use crate::trace::Trace;

/// Where something may be. The console's data register, its first, is left out.
const WINDOWS: [(usize, usize); 12] = [
    (map::GICD, 0x1_0000),
    (map::GICC, 0x2000),
    (map::GICC + 0x1000, 0x1_0000),
    (map::GICR, 0x8_0000),
    (map::GICR + 0x1_0000, 0x1000),
    (map::UART + 8, 0x1000),
    (map::SECOND_UART + 8, 0x1000),
    (map::RTC, 0x1000),
    (0, 0x400_0000),
    (0x0a00_0000, 0x4000),
    (map::DEVICE_HOLE, 0x1_0000),
    (map::MEMORY_HOLE, 0x1000_0000),
];

/// Registers whose values do not depend on time: of SPIs in the distributor, how they
/// are configured.
const STEADY: [(usize, usize); 3] = [(0x104, 8), (0x420, 0x40), (0xc08, 8)];

#[repr(C, align(4096))]
struct Scratch([AtomicU64; 512]);

static SCRATCH: [Scratch; cores::MOST] =
    [const { Scratch([const { AtomicU64::new(0) }; 512]) }; cores::MOST];

/// A page of this core's own.
pub fn scratch() -> usize {
    SCRATCH.get(cores::number()).map_or(0, |page| (&raw const page.0) as usize)
}

/// An address in a window, or anywhere where no memory of ours is.
pub fn address(random: &mut Random) -> usize {
    let Some((start, size)) = random.one_of(&WINDOWS) else { return map::DEVICE_HOLE };
    let offset = random.below(size);
    // Mostly the first page, mostly aligned.
    let offset = if random.one_in(4) { offset } else { offset & 0xfff };
    let aligned = if random.one_in(4) { offset } else { offset & !7 };
    let at = start + aligned;
    // The console's data register must not be in reach of what starts below it either.
    if (map::UART - 0x40..map::UART + 8).contains(&at) { map::UART + 0x40 } else { at }
}

const RN_X0: u32 = 0 << 5;
const RT_X1: u32 = 1;
const RT2_X2: u32 = 2 << 10;
const RS_X2: u32 = 2 << 16;
const RS_X3: u32 = 3 << 16;

/// A load or store by x0 (DDI 0487, "Loads and Stores"); some of them not allocated.
fn instruction(random: &mut Random) -> u32 {
    let size = random.bits(2) << 30;
    let opc = random.bits(2) << 22;
    let load = random.bits(1) << 22;
    let registers = RN_X0 | RT_X1;
    match random.below(16) {
        // Unsigned offset 0: twice as likely, being what drivers use.
        0..=3 => 0x3900_0000 | size | opc | registers,
        // Post-index and pre-index by 8, and unscaled by 1.
        4 => 0x3800_8400 | size | opc | registers,
        5 => 0x3800_8c00 | size | opc | registers,
        6 => 0x3800_1000 | size | opc | registers,
        // Pairs: words, words sign-extended, doublewords; offset, pre, post.
        7 => 0x2900_0000 | size & 0xc000_0000 | load | RT2_X2 | registers,
        8 => 0x2980_8000 | size & 0x8000_0000 | load | RT2_X2 | registers,
        9 => 0x2880_8000 | size & 0x8000_0000 | load | RT2_X2 | registers,
        // Exclusives, acquire and release, and pairs of them.
        10 => 0x0800_7c00 | size | load | RS_X3 | random.bits(1) << 15 | registers,
        11 => 0x0880_fc00 | size | load | 0x1f << 16 | registers,
        12 => 0x8820_0000 | random.bits(1) << 30 | load | RS_X3 | RT2_X2 | registers,
        // Atomics, compare and swap.
        13 => 0x3820_0000 | size | random.bits(3) << 12 | RS_X2 | random.bits(2) << 22 | registers,
        14 => 0x08a0_7c00 | size | random.bits(1) << 22 | RS_X2 | registers,
        // Vectors: a register, or a pair.
        _ if random.one_in(2) => 0x3c00_0000 | size | random.bits(1) << 23 | load | registers,
        _ => 0x2c00_0000 | size | load | RT2_X2 | registers,
    }
}

/// DC ZVA, CVAC, CVAU, CIVAC; IC IVAU; AT S1E1R, S1E1W; PRFM; all by x0.
const MAINTENANCE: [u32; 9] = [
    0xd50b_7420,
    0xd50b_7a20,
    0xd50b_7b20,
    0xd50b_7e20,
    0xd50b_7520,
    0xd508_7800,
    0xd508_7820,
    0xf980_0000,
    0xd503_309f,
];

/// An access to anywhere. What is loaded does not count: it may be a time.
pub fn anywhere(random: &mut Random, trace: &mut Trace) {
    let instruction = instruction(random);
    let registers = [address(random) as u64, random.value(), random.value(), random.value()];
    trace.add(summary(execute(instruction, registers)));
}

/// An access to this core's own page: what is loaded counts.
pub fn own_memory(random: &mut Random, trace: &mut Trace) {
    let instruction = instruction(random);
    let at = scratch() + 64 + random.below(3900);
    let registers = [at as u64, random.number(), random.number(), random.number()];
    let result = execute(instruction, registers);
    trace.add(summary(result));
    // Whether a store-exclusive without a load succeeds is nobody's promise.
    let exclusive = instruction & 0x3f00_0000 == 0x0800_0000;
    if let (Ok([_, x1, x2, _]), false) = (result, exclusive) {
        trace.add(x1);
        trace.add(x2);
    }
}

/// Loads and stores of the distributor's configuration: the values count, on one core.
pub fn configuration(random: &mut Random, trace: &mut Trace) {
    let Some((start, size)) = random.one_of(&STEADY) else { return };
    let at = (map::GICD + start + random.below(size)) & !3;
    let load = if random.one_in(2) { 1 << 22 } else { 0 };
    let registers = [at as u64, random.number(), 0, 0];
    let result = execute(0xb900_0000 | load | RN_X0 | RT_X1, registers);
    trace.add(summary(result));
    if let (Ok([_, x1, ..]), true) = (result, cores::count() == 1) {
        trace.add(x1);
    }
}

/// Maintenance by address, in this core's page, in windows, and where nothing is.
pub fn maintenance(random: &mut Random, trace: &mut Trace) {
    let Some(instruction) = random.one_of(&MAINTENANCE) else { return };
    let at = if random.one_in(2) { scratch() + random.below(4096) } else { address(random) };
    trace.add(summary(execute(instruction, [at as u64, 0, 0, 0])));
}

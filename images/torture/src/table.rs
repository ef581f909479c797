//! Stage 1 rewritten while it is in use: pages of the window mapped, unmapped, and
//! mapped otherwise, to memory of this core's own, to devices, and to nowhere.

use evisor_guest::cores;
use evisor_guest::mmu::{Attribute, Page, WINDOW_PAGES, map, window};
use evisor_guest::random::Random;

use crate::access::{address, scratch};
use crate::code::{execute, summary};
use crate::trace::Trace;

const ATTRIBUTES: [Attribute; 5] = [
    Attribute::WriteBack,
    Attribute::Device,
    Attribute::NonCacheable,
    Attribute::WriteThrough,
    Attribute::DeviceEarlyAck,
];

/// LDR and STR of a doubleword, and of a byte: x1 by x0.
const ACCESSES: [u32; 4] = [0xf940_0001, 0xf900_0001, 0x3940_0001, 0x3900_0001];

/// How many of the window's pages are a core's.
const PAGES: usize = WINDOW_PAGES / cores::MOST;

pub fn rewrite(random: &mut Random, trace: &mut Trace) {
    let page = cores::number() * PAGES + random.below(PAGES);
    let own = random.one_in(2);
    let attribute = random.one_of(&ATTRIBUTES).unwrap_or(Attribute::WriteBack);
    let to = if own { scratch() } else { address(random) };
    let mut descriptor = Page::new(to, attribute);
    if random.one_in(4) {
        descriptor = descriptor.read_only();
    }
    if random.one_in(8) {
        descriptor = descriptor.not_accessed();
    }
    if random.one_in(8) {
        descriptor = Page::INVALID;
    }
    map(page, descriptor);
    for _ in 0..4 {
        // Never what starts where a console's data register is.
        let at = (window(page) + 8 + random.below(4000)) & !7;
        let Some(instruction) = random.one_of(&ACCESSES) else { return };
        let result = execute(instruction, [at as u64, random.number(), 0, 0]);
        trace.add(summary(result));
        if let (Ok([_, x1, ..]), true) = (result, own) {
            trace.add(x1);
        }
    }
}

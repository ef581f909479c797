//! Trying, and saying what came of it. Stage 1 is off, so that each address is tried as
//! it is.

use evisor_guest::call::{NOT_SUPPORTED, hvc};
use evisor_guest::exception::attempt;
use evisor_guest::{mmio, print, println};

use crate::registers;

evisor_guest::entry!(main, mmu = false);

/// Where the file is.
const FILE: usize = 0x4300_0000;
/// How many results make a line.
const LINE: u64 = 32;

fn main() -> u8 {
    registers::open();
    for number in 0..mmio::load64(FILE) {
        let (reads, writes) = of(mmio::load64(FILE + 8 + 8 * number as usize));
        print!("{reads:x}{writes:x}");
        if number % LINE == LINE - 1 {
            println!();
        }
    }
    println!();
    println!("probe: done");
    0
}

fn of(word: u64) -> (u8, u8) {
    let name = word & ((1 << 48) - 1);
    match word >> 62 {
        0 => accesses(name as usize, true),
        1 => accesses(name as usize, false),
        2 => (0, u8::from(hvc(name as u32, [0; 3])[0] != NOT_SUPPORTED)),
        _ => of_registers(name as u32),
    }
}

fn of_registers(word: u32) -> (u8, u8) {
    let (name, written) = (word & 0xfff8, (word >> 24) as u8);
    let all = if written == 0 { registers::reads(name) } else { registers::writes(name, written) };
    (all >> 4, all & 0xf)
}

fn accesses(at: usize, stores: bool) -> (u8, u8) {
    let loaded = [
        attempt(|| u64::from(mmio::load8(at))),
        attempt(|| u64::from(mmio::load16(at))),
        attempt(|| u64::from(mmio::load32(at))),
        attempt(|| mmio::load64(at)),
    ];
    let reads = bits(loaded.map(|result| result.is_ok()));
    if !stores {
        return (reads, 0);
    }
    let [byte, halfword, word, doubleword] = loaded.map(|result| result.unwrap_or(0));
    let stored = [
        attempt(|| mmio::store8(at, byte as u8)),
        attempt(|| mmio::store16(at, halfword as u16)),
        attempt(|| mmio::store32(at, word as u32)),
        attempt(|| mmio::store64(at, doubleword)),
    ];
    (reads, bits(stored.map(|result| result.is_ok())))
}

fn bits(all: [bool; 4]) -> u8 {
    all.into_iter().rev().fold(0, |bits, one| bits << 1 | u8::from(one))
}

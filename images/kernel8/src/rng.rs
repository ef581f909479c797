//! The random number generator (RNG200), which BCM2711 ARM Peripherals does not describe:
//! as Linux's driver `iproc-rng200.c` has it.

use crate::registers::{Registers, within};
use crate::uart::say;

const RNG: Registers = Registers(0xfe10_4000);
const CTRL: usize = 0x0;
const FIFO_DATA: usize = 0x20;
const FIFO_COUNT: usize = 0x24;

/// CTRL: it runs if any of these is set.
const RUNS: u32 = 0x1fff;
const RUN: u32 = 1;

pub fn try_out() {
    let Some(control) = RNG.probe(CTRL) else {
        return say!("rng: is not there");
    };
    RNG.write(CTRL, control & !RUNS | RUN);
    let mut words = [0; 4];
    let came = words.iter_mut().all(next);
    let differ = words.iter().any(|word| Some(word) != words.first());
    match (came, differ) {
        (false, _) => say!("rng: is there, and its FIFO stays empty"),
        (_, differ) => say!("rng: gives words, and they differ: {differ}"),
    }
}

/// A word, if one comes within a second.
fn next(word: &mut u32) -> bool {
    let came = within(1_000_000, || RNG.read(FIFO_COUNT) & 0xff != 0);
    if came {
        *word = RNG.read(FIFO_DATA);
    }
    came
}

//! A controller that answers with any words: starting, transferring and reading files
//! end, in bounded time.

#![no_main]

use evisor_sd::{Clock, Config, DmaMemory, Files, Registers, Sd, offset};
use libfuzzer_sys::fuzz_target;
use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;

/// Microseconds that a look at the clock takes: a lot, so that what waits for its time
/// does not wait long.
const STEP: u64 = 500;
/// Neither a start nor one of these transfers takes longer, retries included.
const MOST: u64 = 60_000_000;

#[derive(Clone, Default)]
struct Time(Rc<Cell<u64>>);

impl Clock for Time {
    fn micros(&self) -> u64 {
        self.0.set(self.0.get() + STEP);
        assert!(self.0.get() < MOST, "it does not end");
        self.0.get()
    }
}

/// Answers as a good controller with a good card does, but where the input has another
/// byte than 0: then with the word that follows.
struct Any<'a> {
    input: &'a [u8],
    command: u32,
    clock: u32,
}

impl Any<'_> {
    fn good(&self, at: usize) -> u32 {
        match (at, self.command >> 24) {
            (0x10, 8) => 0x1aa,
            (0x10, 41) => 0xc0ff_8000,
            // A CSD of version 2, 8 GB.
            (0x10, 9) => 0x7f80_0a40,
            (0x14, 9) => 0x0000_3b37,
            (0x18, 9) => 0x325b_5900,
            (0x1c, 9) => 0x0040_0e00,
            (0x10, _) => 0x900,
            (offset::PRESENT, _) => 0x01ff_0000,
            (offset::CLOCK, _) => self.clock & 0x00ff_ffff | 2,
            (offset::STATUS, _) => 0x33,
            (offset::CAPABILITIES, _) => 0x0529_34b4,
            (offset::VERSION, _) => 2 << 16,
            (offset::DATA, _) => 0x0000_0502,
            _ => 0,
        }
    }
}

impl Registers for Any<'_> {
    fn read(&mut self, at: usize) -> u32 {
        let Some((choice, rest)) = self.input.split_first() else { return self.good(at) };
        self.input = rest;
        match rest.split_first_chunk() {
            Some((word, rest)) if *choice != 0 => {
                self.input = rest;
                u32::from_le_bytes(*word)
            }
            _ => self.good(at),
        }
    }

    fn write(&mut self, at: usize, value: u32) {
        match at {
            offset::COMMAND => self.command = value,
            offset::CLOCK => self.clock = value,
            _ => {}
        }
    }
}

struct Memory(Vec<u32>);

impl DmaMemory for Memory {
    fn words(&mut self) -> &mut [u32] {
        &mut self.0
    }

    fn bus_address(&self) -> u32 {
        0xc000_0000
    }

    fn clean(&mut self, _: Range<usize>) {}

    fn invalidate(&mut self, _: Range<usize>) {}
}

fuzz_target!(|input: &[u8]| {
    let [choice, input @ ..] = input else { return };
    let time = Time::default();
    let config = Config { card_detect: choice & 1 != 0, ..Config::STANDARD };
    let memory = (choice & 2 != 0).then(|| Memory(vec![0; 16 + 3 * 128]));
    let registers = Any { input, command: 0, clock: 0 };
    let Ok(mut sd) = Sd::with_memory(registers, time.clone(), config, memory) else { return };
    let mut words = [0; 8 * 128];
    for block in [0, 1000, u64::MAX] {
        time.0.set(0);
        let _ = sd.read_blocks(block, &mut words);
        time.0.set(0);
        let _ = sd.write_blocks(block, &mut words);
    }
    time.0.set(0);
    if let Ok(mut files) = Files::new(sd) {
        let _ = files.size("a");
    }
});

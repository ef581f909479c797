//! The general-purpose pins of a BCM2711 (BCM2711 ARM Peripherals, 2022-01-18, chapter 5),
//! for VMs that are given some of them.
//!
//! Pins share registers: those with a field for each pin are read, changed and written under
//! one lock, and of the others a bit that is 0 changes nothing. So no call changes a pin that
//! it does not name, whoever calls beside it. (The VideoCore's firmware takes no such lock.
//! What it does with pins while an Arm runs is not published.)
//!
//! No alternate functions, and no events: a pin is an input or an output.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

#[cfg(test)]
mod tests;

use evisor_contract::{HostGpio, Window};
use spin::Mutex;

/// The registers (§5.2), as indices of words.
const FUNCTIONS: usize = 0;
const SET: usize = 0x1c / 4;
const CLEAR: usize = 0x28 / 4;
const LEVEL: usize = 0x34 / 4;
const PULLS: usize = 0xe4 / 4;

/// GPFSELn: three bits a pin, ten pins each. 0 is an input.
const FUNCTION: Fields = Fields { first: FUNCTIONS, registers: 6, pins: 10, bits: 3 };
const OUTPUT: u32 = 1;
/// GPIO_PUP_PDN_CNTRL_REGn: two bits a pin, 16 pins each. 0 does not pull.
const PULL: Fields = Fields { first: PULLS, registers: 4, pins: 16, bits: 2 };
const UP: u32 = 1;
const DOWN: u32 = 2;

/// The pins of a Raspberry Pi 4 that it does not need itself: those of the 40-pin header but
/// for the console's, 14 and 15; and 42, the green light. The others are its card's, the
/// wireless chip's (34 to 39), Ethernet's (28, 29, 46 to 57), the headphones', and of the
/// buses to its power supply (44, 45) and its boot loader's flash.
pub const FREE_ON_RASPBERRY_PI_4: u64 = 0x0fff_ffff & !(1 << 14 | 1 << 15) | 1 << 42;

/// The pins, and which of them are free.
pub struct Bcm2711Gpio {
    registers: Mutex<Window>,
    free: u64,
}

impl Bcm2711Gpio {
    /// How many words of registers there are.
    pub const WORDS: usize = 0xf4 / 4;

    /// Those behind `registers`, of which VMs can have those in `free`.
    pub const fn new(registers: Window, free: u64) -> Self {
        Self { registers: Mutex::new(registers), free }
    }
}

impl HostGpio for Bcm2711Gpio {
    fn free(&self) -> u64 {
        self.free
    }

    fn set_outputs(&self, pins: u64, outputs: u64) {
        FUNCTION.change(&mut self.registers.lock(), pins, &[(outputs, OUTPUT)]);
    }

    fn set_pulls(&self, pins: u64, up: u64, down: u64) {
        PULL.change(&mut self.registers.lock(), pins, &[(up, UP), (down, DOWN)]);
    }

    fn drive(&self, high: u64, low: u64) {
        let mut registers = self.registers.lock();
        for (first, pins) in [(SET, high), (CLEAR, low)] {
            for (register, half) in (first..).zip(halves(pins)).filter(|(_, half)| *half != 0) {
                write(&mut registers, register, half);
            }
        }
    }

    fn levels(&self) -> u64 {
        let mut registers = self.registers.lock();
        let [low, high] = [LEVEL, LEVEL + 1].map(|register| read(&mut registers, register));
        u64::from(high) << 32 | u64::from(low)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "halves")]
const fn halves(pins: u64) -> [u32; 2] {
    [pins as u32, (pins >> 32) as u32]
}

/// Registers with a field for each pin.
struct Fields {
    first: usize,
    registers: usize,
    pins: u32,
    bits: u32,
}

impl Fields {
    /// The fields of `pins` become the value that they are listed with, or 0.
    fn change(&self, registers: &mut Window, pins: u64, values: &[(u64, u32)]) {
        for (register, from) in
            (self.first..).zip((0..).step_by(self.pins as usize)).take(self.registers)
        {
            let here = pins >> from;
            let mask = self.spread(here, (1 << self.bits) - 1);
            if mask == 0 {
                continue;
            }
            let spread = |(of, value): &(u64, u32)| self.spread(here & of >> from, *value);
            let value = values.iter().map(spread).fold(0, |all, one| all | one);
            let others = read(registers, register) & !mask;
            write(registers, register, others | value);
        }
    }

    /// `value` in the field of each of the first pins that have a bit in `pins`.
    fn spread(&self, pins: u64, value: u32) -> u32 {
        let chosen = (0..self.pins).filter(|pin| pins >> pin & 1 != 0);
        chosen.fold(0, |word, pin| word | value << (pin * self.bits))
    }
}

fn read(registers: &mut Window, register: usize) -> u32 {
    registers.get(register).map_or(0, |register| register.read())
}

fn write(registers: &mut Window, register: usize, value: u32) {
    if let Some(mut register) = registers.get(register) {
        register.write(value);
    }
}

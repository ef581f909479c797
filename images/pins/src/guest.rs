//! What it does with them: BCM2711 ARM Peripherals (2022-01-18), §5.2.
//!
//! Pins 2 to 8 are pulled up. One that leads nowhere is then high; one of QEMU's
//! Raspberry Pi is low. So a guest finds which it has. (QEMU's levels are what was set, if
//! the pin is an output or not: what another VM does to its function is not seen here.)

use evisor_guest::{map, mmio, println};

evisor_guest::entry!(main);

const GPFSEL0: usize = map::GPIO;
const GPSET0: usize = map::GPIO + 0x1c;
const GPCLR0: usize = map::GPIO + 0x28;
const GPLEV0: usize = map::GPIO + 0x34;

const INPUT: u32 = 0;
const OUTPUT: u32 = 1;

/// The first is one VM's from the board, the second the other's.
const BY_PULL: [usize; 2] = [4, 5];
const HELD: [usize; 2] = [11, 12];
/// Both have one of these, too; all are of one register.
const PINS: [usize; 3] = [17, 18, 19];
/// Enough for two VMs to be at it in turn.
const ROUNDS: u32 = 20_000;

fn main() -> u8 {
    let [first, second] = BY_PULL.map(|pin| level(pin) == 0);
    let [held, other] = if first { HELD } else { [HELD[1], HELD[0]] };
    select(held, OUTPUT);
    mmio::store32(GPSET0, 1 << held);
    let mut wrong = 0;
    for _ in 0..ROUNDS {
        wrong += PINS.into_iter().chain([other]).map(turn).sum::<u32>();
        wrong += u32::from(level(held) != 1);
    }
    println!("pins: the board's: {first} {second}; {ROUNDS} rounds, {wrong} wrong");
    u8::from(wrong != 0 || first == second)
}

/// Makes a pin an output, and an input again: how often it was not what it was made.
fn turn(pin: usize) -> u32 {
    mmio::store32(GPCLR0, 1 << pin);
    select(pin, OUTPUT);
    let wrong = swing(pin);
    select(pin, INPUT);
    wrong
}

/// High and low.
fn swing(pin: usize) -> u32 {
    let mut wrong = u32::from(level(pin) != 0);
    for (register, expected) in [(GPSET0, 1), (GPCLR0, 0)] {
        mmio::store32(register, 1 << pin);
        wrong += u32::from(level(pin) != expected);
    }
    wrong
}

fn level(pin: usize) -> u32 {
    mmio::load32(GPLEV0) >> pin & 1
}

/// Three bits a pin, ten pins a register.
fn select(pin: usize, function: u32) {
    let (register, shift) = (GPFSEL0 + pin / 10 * 4, pin % 10 * 3);
    let others = mmio::load32(register) & !(7 << shift);
    mmio::store32(register, others | function << shift);
}

//! The pins (BCM2711 ARM Peripherals, chapter 5).

use crate::registers::Registers;
use crate::uart::say;

const GPIO: Registers = Registers(0xfe20_0000);
const GPFSEL: usize = 0x0;
const GPSET: usize = 0x1c;
const GPCLR: usize = 0x28;
const GPLEV: usize = 0x34;
const GPIO_PUP_PDN_CNTRL: usize = 0xe4;

const OUTPUT: u32 = 0b001;
/// Alternate function 5: of 14 and 15 the mini UART.
const ALTERNATE_5: u32 = 0b010;
const NO_PULL: u32 = 0b00;
const PULL_UP: u32 = 0b01;

const TRANSMIT: u32 = 14;
const RECEIVE: u32 = 15;
/// The green light of a Pi 4.
const LIGHT: u32 = 42;

/// Gives the UART its pins; nobody's line idles high.
pub fn init() {
    set_function(TRANSMIT, ALTERNATE_5);
    set_function(RECEIVE, ALTERNATE_5);
    set_pull(TRANSMIT, NO_PULL);
    set_pull(RECEIVE, PULL_UP);
}

pub fn try_out() {
    let alternate = [TRANSMIT, RECEIVE].map(function) == [ALTERNATE_5; 2];
    say!("gpio: 14 and 15 are the mini UART's: {alternate}");
    let pulled = [pull(TRANSMIT), pull(RECEIVE)] == [NO_PULL, PULL_UP];
    say!("gpio: 15 alone is pulled up: {pulled}");
    set_function(LIGHT, OUTPUT);
    let levels = [true, false, true, false].map(|high| {
        set(LIGHT, high);
        level(LIGHT)
    });
    say!("gpio: the light's pin is as it is set: {}", levels == [true, false, true, false]);
}

/// The register of a pin, where so many have one, and where in it the pin's bits are.
fn place(first: usize, pin: u32, in_one: u32) -> (usize, u32) {
    (first + 4 * (pin / in_one) as usize, 32 / in_one * (pin % in_one))
}

fn change(register: usize, shift: u32, mask: u32, value: u32) {
    GPIO.write(register, GPIO.read(register) & !(mask << shift) | value << shift);
}

fn set_function(pin: u32, function: u32) {
    let (register, shift) = place(GPFSEL, pin, 10);
    change(register, shift, 0b111, function);
}

fn function(pin: u32) -> u32 {
    let (register, shift) = place(GPFSEL, pin, 10);
    GPIO.read(register) >> shift & 0b111
}

fn set_pull(pin: u32, pull: u32) {
    let (register, shift) = place(GPIO_PUP_PDN_CNTRL, pin, 16);
    change(register, shift, 0b11, pull);
}

fn pull(pin: u32) -> u32 {
    let (register, shift) = place(GPIO_PUP_PDN_CNTRL, pin, 16);
    GPIO.read(register) >> shift & 0b11
}

fn set(pin: u32, high: bool) {
    let (register, shift) = place(if high { GPSET } else { GPCLR }, pin, 32);
    GPIO.write(register, 1 << shift);
}

fn level(pin: u32) -> bool {
    let (register, shift) = place(GPLEV, pin, 32);
    GPIO.read(register) >> shift & 1 != 0
}

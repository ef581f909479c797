//! What a guest is answered by eVisor itself.

use crate::policy::Policy;
use evisor_contract::MAILBOX_WORDS;

/// A value buffer.
pub type Values = [u32; MAILBOX_WORDS];

/// When the firmware that the page's tags are taken from was built, as its revision
/// is given: seconds since 1970, here 2024-01-01.
pub const FIRMWARE_REVISION: u32 = 1_704_067_200;
/// The plain one (`start.elf`).
pub const FIRMWARE_VARIANT: u32 = 1;

/// The clocks that a VM has: numbers as on the page and in Linux's header, rates in
/// hertz as a Pi 4 has them. They are on, and neither faster nor slower.
const CLOCKS: [(u32, u32); 5] = [
    (1, 250_000_000),   // EMMC
    (2, 48_000_000),    // UART
    (3, 1_500_000_000), // Arm
    (4, 500_000_000),   // core
    (12, 100_000_000),  // EMMC2
];
/// Each is a root clock: its parent's number, 0, and its own.
#[expect(clippy::cast_possible_truncation, reason = "there are five")]
pub const CLOCKS_LENGTH: u16 = 8 * CLOCKS.len() as u16;

/// On, where bit 0 is that and bit 1 that it does not exist.
const ON: u32 = 1;
const NOT_THERE: u32 = 2;
/// The devices that a VM may have: SD card and both UARTs.
const POWERED: core::ops::RangeInclusive<u32> = 0..=2;
/// The power domain of the Arm.
const ARM_DOMAIN: u32 = 23;
/// Thousandths of a degree: of no sensor, and as far from the limit as from frost.
const TEMPERATURE: u32 = 40_000;
/// Where a Pi 4 slows down.
const MAX_TEMPERATURE: u32 = 85_000;
/// There is no such voltage.
const NO_VOLTAGE: u32 = 0x8000_0000;

/// 0, whatever is asked.
pub fn none(_: u32) -> u32 {
    0
}

pub fn power_state(device: u32) -> u32 {
    if POWERED.contains(&device) { ON } else { NOT_THERE }
}

pub fn domain_state(domain: u32) -> u32 {
    u32::from(domain == ARM_DOMAIN)
}

pub fn clock_rate(clock: u32) -> u32 {
    CLOCKS.iter().find(|(number, _)| *number == clock).map_or(0, |(_, rate)| *rate)
}

pub fn clock_state(clock: u32) -> u32 {
    if clock_rate(clock) == 0 { NOT_THERE } else { ON }
}

pub fn voltage(_: u32) -> u32 {
    NO_VOLTAGE
}

pub fn temperature(sensor: u32) -> u32 {
    if sensor == 0 { TEMPERATURE } else { 0 }
}

pub fn max_temperature(sensor: u32) -> u32 {
    if sensor == 0 { MAX_TEMPERATURE } else { 0 }
}

fn put(values: &mut Values, words: impl IntoIterator<Item = u32>) -> bool {
    values.iter_mut().zip(words).for_each(|(to, from)| *to = from);
    true
}

pub fn board_revision(policy: &Policy, values: &mut Values) -> bool {
    put(values, [policy.board_revision])
}

pub fn mac_address(policy: &Policy, values: &mut Values) -> bool {
    let Some([a, b, c, d, e, f]) = policy.mac_address else { return false };
    put(values, [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, 0, 0])])
}

pub fn serial(policy: &Policy, values: &mut Values) -> bool {
    let [high, low] = policy.serial;
    put(values, [low, high])
}

pub fn arm_memory(policy: &Policy, values: &mut Values) -> bool {
    let Some((base, size)) = policy.first_memory() else { return false };
    put(values, [base, size])
}

pub fn clocks(_: &Policy, values: &mut Values) -> bool {
    put(values, CLOCKS.iter().flat_map(|(number, _)| [0, *number]))
}

#[expect(clippy::cast_possible_truncation, reason = "the page has the low 32 bits")]
pub fn microseconds(policy: &Policy, values: &mut Values) -> bool {
    put(values, [policy.microseconds() as u32, 0])
}

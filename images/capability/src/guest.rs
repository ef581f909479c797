//! Which role it has, and what all of them do.

use evisor_guest::timer::wait_until;
use evisor_guest::{println, tree};

use crate::{blocks, device, keeper, lent, nothing, pair, supervisor};

evisor_guest::entry!(main);

/// How long anything is waited for, in microseconds.
pub const PATIENCE: u64 = 60_000_000;

fn main() -> u8 {
    match tree::boot_argument("role") {
        Some(role @ 1..=2) => pair::run(role == 1),
        Some(3) => supervisor::run(),
        Some(4) => nothing::run(),
        Some(5) => device::keep(),
        Some(6) => device::have(),
        Some(7) => lent::lend(),
        Some(8) => lent::borrow(),
        Some(9) => blocks::keep(),
        Some(10) => blocks::use_part(),
        Some(11) => keeper::run(),
        _ => 1,
    }
}

/// Says how a check went; 1 if it failed.
pub fn report(name: &str, passed: bool) -> u8 {
    println!("{} {name}", if passed { "PASS" } else { "FAIL" });
    u8::from(!passed)
}

/// Whether it comes to hold in time.
pub fn comes(condition: impl FnMut() -> bool) -> bool {
    wait_until(PATIENCE, condition)
}

//! Has a VM kept and rolled back, again and again, for as long as it runs: how others fare
//! beside that is theirs to say. With `keeps=1` it has it reset instead.

use evisor_abi::vm::{self, state};
use evisor_guest::{println, tree};

use crate::guest::{comes, report};
use crate::supervisor::{ask, state_of, watched};

pub fn run() -> u8 {
    let Some(watched) = watched() else { return report("it has one", false) };
    let both = [("keep", vm::CHECKPOINT), ("back", vm::ROLL_BACK)];
    let all: &[_] = match tree::boot_argument("keeps") {
        Some(1) => &[("scrub", vm::RESET)],
        _ => &both,
    };
    while all.iter().all(|&(what, operation)| done(watched, what, operation)) {}
    report("it goes on", false)
}

fn done(watched: u64, what: &str, operation: u32) -> bool {
    let is_on = || state_of(watched).0 == state::ON;
    let done = comes(is_on) && ask(watched, operation).is_ok() && comes(is_on);
    println!("load: {what}");
    done
}

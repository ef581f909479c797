//! What a VM's node says of its lives: what follows a crash, a reset, an access that
//! was refused.

use crate::error::Faults;
use crate::plan::{LivesPlan, Outcome, RestartLimit};
use crate::words;
use alloc::format;
use evisor_fdt::Node;

/// Each restart is remembered for as long as it counts, in eight bytes of EL2's heap.
const MOST_RESTARTS: u32 = 10_000;

pub(crate) fn read(faults: &Faults, vm: Node<'_>) -> LivesPlan {
    let plan = LivesPlan {
        on_crash: outcome(faults, vm, words::ON_CRASH, Outcome::Stop),
        on_reset: outcome(faults, vm, words::ON_RESET, Outcome::Restart),
        refusal_is_fatal: refusal_is_fatal(faults, vm),
        restart_limit: restart_limit(faults, vm),
    };
    let restarts = [plan.on_crash, plan.on_reset].contains(&Outcome::Restart);
    if plan.restart_limit.is_some() && !restarts {
        let remedy = "remove it, or write \"restart\" in evisor,on-crash or evisor,on-reset";
        faults.property(vm, words::RESTART_LIMIT, "is of a VM that never restarts", remedy);
    }
    plan
}

fn outcome(faults: &Faults, vm: Node<'_>, name: &str, default: Outcome) -> Outcome {
    match words::string(faults, vm, name) {
        None => default,
        Some("stop") => Outcome::Stop,
        Some("restart") => Outcome::Restart,
        Some("reset-board") => Outcome::ResetBoard,
        Some(other) => {
            let message = format!("\"{other}\" is not known here");
            faults.property(vm, name, message, "write \"stop\", \"restart\" or \"reset-board\"");
            default
        }
    }
}

fn refusal_is_fatal(faults: &Faults, vm: Node<'_>) -> bool {
    match words::string(faults, vm, words::ON_REFUSED) {
        None | Some("abort") => false,
        Some("crash") => true,
        Some(other) => {
            let message = format!("\"{other}\" is not known here");
            faults.property(vm, words::ON_REFUSED, message, "write \"abort\" or \"crash\"");
            false
        }
    }
}

fn restart_limit(faults: &Faults, vm: Node<'_>) -> Option<RestartLimit> {
    let property = vm.property(words::RESTART_LIMIT)?;
    match property.cells().map(|mut cells| [cells.next(), cells.next(), cells.next()]) {
        Some([Some(restarts @ 1..=MOST_RESTARTS), Some(seconds @ 1..), None]) => {
            Some(RestartLimit { restarts, seconds })
        }
        _ => {
            let remedy = format!(
                "write <3 60> for three restarts in a minute, up to {MOST_RESTARTS}; for none write \"stop\""
            );
            let message = "is not how many restarts in how many seconds";
            faults.property(vm, words::RESTART_LIMIT, message, remedy);
            None
        }
    }
}

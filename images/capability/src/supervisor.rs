//! Watches over a VM: reads what it crashed of, and starts it again. With `may=1` it may
//! only look; with `may=2` it has no capabilities at all. With `may=3` it rolls it back.

use evisor_abi::vm::{self, crash, state};
use evisor_abi::{Error, Kind};
use evisor_guest::handles::OWN;
use evisor_guest::{println, tree};

use crate::guest::{comes, report};

/// What the manifest calls the VM.
const WATCHED: u64 = 1;

/// How often it crashes before it is left alone.
const CRASHES: u64 = 3;

const CHANGES: [u32; 8] =
    [vm::STOP, vm::RESET, vm::START, vm::PAUSE, vm::RESUME, vm::END, vm::CHECKPOINT, vm::ROLL_BACK];

pub fn run() -> u8 {
    if tree::boot_argument("may") == Some(2) {
        let version = OWN.version() == Err(Error::NotSupported);
        let next = OWN.next(0) == Err(Error::NotSupported);
        let invoke = (1..1000).all(|handle| {
            let handle = (handle % 10) | ((handle / 10) << 16);
            CHANGES.iter().all(|&change| ask(handle, change) == Err(Error::NotSupported))
        });
        return report("without capabilities there is nothing", version && next && invoke);
    }
    let Some(watched) = watched() else { return report("it has one", false) };
    match tree::boot_argument("may") {
        Some(1) => look(watched),
        Some(3) => roll_back(watched),
        _ => restart(watched),
    }
}

/// The VM, if there is one.
pub fn watched() -> Option<u64> {
    OWN.find(Kind::Vm, WATCHED).map(|watched| watched.handle)
}

pub fn ask(watched: u64, operation: u32) -> Result<(), Error> {
    OWN.invoke(watched, operation, [0; 5]).map(|_| ())
}

/// State and crashes.
pub fn state_of(watched: u64) -> (u64, u64) {
    OWN.invoke(watched, vm::STATE, [0; 5])
        .map_or((u64::MAX, 0), |[state, _, crashes]| (state, crashes))
}

fn crashes(watched: u64, number: u64) -> bool {
    comes(|| state_of(watched) == (state::CRASHED, number))
}

fn word(watched: u64, index: u64) -> u64 {
    OWN.invoke(watched, vm::CRASH, [index, 0, 0, 0, 0]).map_or(u64::MAX, |[word, ..]| word)
}

/// The record, and that it is all there.
fn read(watched: u64) -> bool {
    let [vcpu, why, elr, esr] =
        [crash::VCPU, crash::WHY, crash::ELR, crash::ESR].map(|index| word(watched, index));
    println!("supervisor: vCPU {vcpu} crashed for reason {why} at {elr:#x}, ESR {esr:#x}");
    let beyond = OWN.invoke(watched, vm::CRASH, [crash::WORDS as u64, 0, 0, 0, 0]);
    vcpu == 0 && beyond == Err(Error::Outside)
}

/// It crashes again and again, some time after its checkpoint.
fn roll_back(watched: u64) -> u8 {
    let never = ask(watched, vm::ROLL_BACK) == Err(Error::WrongState);
    let mut failed = report("without a checkpoint there is no way back", never);
    failed |= report("it is kept", ask(watched, vm::CHECKPOINT).is_ok());
    for number in 1..=CRASHES {
        failed |= report("it crashed", crashes(watched, number));
        failed |= report("one that is off is not kept", {
            ask(watched, vm::CHECKPOINT) == Err(Error::WrongState)
        });
        failed |= report("it is rolled back", ask(watched, vm::ROLL_BACK).is_ok());
    }
    failed |= report("it crashed once more", crashes(watched, CRASHES + 1));
    failed |= report("it is off for good", ask(watched, vm::END).is_ok());
    let gone = comes(|| ask(watched, vm::ROLL_BACK) == Err(Error::WrongState));
    failed | report("from there is no way back", gone)
}

fn restart(watched: u64) -> u8 {
    let kept = [vm::CHECKPOINT, vm::ROLL_BACK].map(|what| ask(watched, what));
    let mut failed = report("nothing is set aside", kept == [Err(Error::NotSupported); 2]);
    for number in 1..=CRASHES {
        failed |= report("it crashed", crashes(watched, number));
        failed |= report("its record is there", read(watched));
        failed |= report("it starts again", ask(watched, vm::START).is_ok());
    }
    let on = tree::boot_argument("on") == Some(1);
    if on {
        // What it is for is another's to say.
        failed |= report("it ends by itself", comes(|| state_of(watched).0 == state::OFF));
    } else {
        failed |= report("it crashed once more", crashes(watched, CRASHES + 1));
    }
    failed | report("it is off for good", ask(watched, vm::END).is_ok())
}

fn look(watched: u64) -> u8 {
    let mut failed = report("it crashed", crashes(watched, 1));
    failed |= report("its record is there", read(watched));
    let refused = CHANGES.iter().all(|&change| ask(watched, change) == Err(Error::NoRight));
    failed |= report("it may not be changed", refused);
    failed | report("it is as it was", crashes(watched, 1))
}

//! A guest that does not give the core away: how much of it it gets.

use evisor_guest::{println, timer};

use crate::guest::PERIOD;

/// Who reads the count and sees it this much further, in microseconds, did not have the
/// core meanwhile.
const AWAY: u64 = 50;

/// What it had of the core, in counts.
struct Had {
    all: u64,
    own: u64,
    /// The longest time without a pause.
    longest: u64,
}

/// Reads the count for so many periods, and says how much of them it had the core for.
pub fn report(periods: u64) {
    let Had { all, own, longest } = spin(timer::microseconds(periods * PERIOD));
    let [all, own, longest] = [all, own, longest].map(timer::nanoseconds);
    println!("realtime: had the core for {own} of {all} ns, at most {longest} at once");
}

fn spin(length: u64) -> Had {
    let away = timer::microseconds(AWAY);
    let begin = timer::count();
    let (mut last, mut since) = (begin, begin);
    let (mut own, mut longest) = (0, 0);
    while last - begin < length {
        let now = timer::count();
        if now - last > away {
            own += last - since;
            longest = longest.max(last - since);
            since = now;
        }
        last = now;
    }
    Had { all: last - begin, own: own + (last - since), longest: longest.max(last - since) }
}

//! Two VMs with two cores each. The first cores take turns, by doorbells; the second
//! ones revoke from each other as fast as they can meanwhile.

use core::sync::atomic::{AtomicU64, Ordering};

use evisor_abi::{Error, Kind, Narrow, console, doorbell, rights, vm};
use evisor_guest::handles::OWN;
use evisor_guest::{cores, gic, println};

use crate::guest::{comes, report};
use crate::search;

/// What the manifest calls them.
const OTHER: u64 = 1;
const BELL: u64 = 2;
const WORDS: u64 = 3;
/// What the other VM is handed.
const HANDED: u64 = 10;
const FLOOD: u64 = 20;
const ALL: u64 = 64;

/// SPI 40: this VM's own bell.
const BELL_INTID: u32 = 72;

/// How often a capability goes over, is used, and is revoked.
const ROUNDS: u32 = 500;
/// How often each revokes from the other meanwhile.
const REVOCATIONS: u64 = 10_000;

/// Handles of the manifest's, as this VM has them.
#[derive(Clone, Copy)]
struct Given {
    other: u64,
    bell: u64,
    words: u64,
}

impl Given {
    fn find() -> Option<Self> {
        Some(Self {
            other: OWN.find(Kind::Vm, OTHER)?.handle,
            bell: OWN.find(Kind::Doorbell, BELL)?.handle,
            words: OWN.find(Kind::Console, WORDS)?.handle,
        })
    }

    fn ring(&self) -> bool {
        OWN.invoke(self.bell, doorbell::RING, [0; 5]).is_ok()
    }

    /// Both are here: neither rings again before the other has heard.
    fn meet(&self, leads: bool) -> bool {
        (!leads || self.ring()) && is_rung() && (leads || self.ring())
    }
}

/// Waits for a ring.
fn is_rung() -> bool {
    comes(|| {
        let acknowledged = gic::acknowledge();
        let rung = gic::intid(acknowledged) == BELL_INTID;
        if gic::intid(acknowledged) != gic::SPURIOUS {
            gic::end(acknowledged);
        }
        rung
    })
}

pub fn run(leads: bool) -> u8 {
    gic::enable();
    gic::set_edge(BELL_INTID, true);
    gic::enable_interrupt(BELL_INTID);
    let mut failed = report("the version is known", OWN.version() == Ok(evisor_abi::VERSION));
    let Some(given) = Given::find() else { return report("the manifest's are there", false) };
    failed |= report("the manifest's are there", held() == 3 && OWN.quota() == Ok((ALL, ALL)));
    failed |= report("the other VM is on", comes(|| is_on(given.other)));
    failed |= report("the other core comes", cores::bring_up(1));
    let seed = u64::from(leads);
    let (count, found) = both(search::any, seed);
    println!("{count} random handles and functions");
    failed |= report("nothing was found by them", found == 0 && held() == 3);
    failed |= report("both are here", given.meet(leads));
    failed |= take_turns(&given, leads);
    failed |= report("both are done", given.meet(leads) && OWN.revoke(given.words).is_ok());
    failed |= report("both are done again", given.meet(leads));
    let clean = comes(|| OWN.quota() == Ok((ALL, ALL))) && held() == 3;
    failed |= report("nothing is left over", clean);
    failed |= report("the console is written to", say(given.words));
    println!("capability: done");
    failed
}

/// Has both cores try at random. Gives how often, and what they found.
fn both(f: cores::Function, seed: u64) -> (u64, u64) {
    cores::begin(1, f, seed | 2);
    let found = f(seed);
    let done = comes(|| cores::is_done(1));
    let others = if done { cores::finish(1) } else { None };
    (2 * search::TRIES, found.saturating_add(others.unwrap_or(u64::MAX)))
}

fn held() -> usize {
    let mut at = 0;
    let next = || OWN.next(at).ok().flatten().map(|held| at = held.handle);
    core::iter::from_fn(next).count()
}

fn is_on(other: u64) -> bool {
    OWN.invoke(other, vm::STATE, [0; 5]).is_ok_and(|[state, ..]| state == vm::state::ON)
}

fn take_turns(given: &Given, leads: bool) -> u8 {
    WORDS_HANDLE.store(given.words, Ordering::Relaxed);
    OTHER_HANDLE.store(given.other, Ordering::Relaxed);
    let mut failed = report("the other core floods", cores::begin(1, flood, REVOCATIONS));
    let mut turns = 0..ROUNDS;
    let passed = turns.all(|_| if leads { lead(given) } else { follow(given) }.is_some());
    failed |= report("handed over, used, revoked, and denied", passed);
    let done = comes(|| cores::is_done(1));
    let wrong = if done { cores::finish(1) } else { None };
    failed | report("two revoke from each other", wrong == Some(0))
}

/// Hands a way to the other's own bell over, and takes it back once it was used.
fn lead(given: &Given) -> Option<()> {
    let way = Narrow::nothing(0).to(rights::CALL | rights::GRANT);
    let way = again(|| OWN.derive(given.bell, way)).ok()?;
    let handed = Narrow { count: 1, ..Narrow::nothing(HANDED).to(rights::CALL) };
    again(|| OWN.hand_over(way, given.other, handed)).ok()?;
    given.meet(true).then_some(())?;
    OWN.revoke(way).ok()?;
    given.meet(true).then_some(())?;
    OWN.drop(way).ok()
}

/// Uses it, and tries to when it is gone.
fn follow(given: &Given) -> Option<()> {
    is_rung().then_some(())?;
    let handed = OWN.find(Kind::Doorbell, HANDED)?;
    let ring = || OWN.invoke(handed.handle, doorbell::RING, [0; 5]);
    let used = handed.rights == rights::CALL && ring().is_ok() && is_rung();
    // It is narrow: for one line, and to go nowhere else.
    let narrow = OWN.describe(handed.handle).is_ok_and(|window| window.count == 1)
        && OWN.invoke(handed.handle, doorbell::RING, [1, 0, 0, 0, 0]) == Err(Error::Outside)
        && OWN.hand_over(handed.handle, given.other, Narrow::nothing(0)) == Err(Error::NoRight);
    (used && narrow && given.ring()).then_some(())?;
    is_rung().then_some(())?;
    let denied = ring() == Err(Error::NoHandle) && OWN.find(Kind::Doorbell, HANDED).is_none();
    (denied && given.ring()).then_some(())
}

/// Until what was revoked is swept, or the other core's are.
fn again<T>(mut f: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    let mut last = Err(Error::Busy);
    comes(|| {
        last = f();
        !matches!(last, Err(Error::Busy | Error::NoQuota))
    });
    last
}

static WORDS_HANDLE: AtomicU64 = AtomicU64::new(0);
static OTHER_HANDLE: AtomicU64 = AtomicU64::new(0);

/// Hands over, derives from what came, uses that, and revokes. Gives how often something
/// came of it that must not.
fn flood(times: u64) -> u64 {
    let words = WORDS_HANDLE.load(Ordering::Relaxed);
    let other = OTHER_HANDLE.load(Ordering::Relaxed);
    (0..times).filter(|_| !one_of_the_flood(words, other)).count() as u64
}

fn one_of_the_flood(words: u64, other: u64) -> bool {
    let full = |error: &Error| matches!(error, Error::Busy | Error::NoQuota);
    let gone = |error: &Error| *error == Error::NoHandle;
    let mut right =
        OWN.hand_over(words, other, Narrow::nothing(FLOOD)).err().is_none_or(|e| full(&e));
    if let Some(theirs) = OWN.find(Kind::Console, FLOOD) {
        match OWN.derive(theirs.handle, Narrow::nothing(0).to(rights::WRITE)) {
            Ok(own) => {
                let written = OWN.invoke(own, console::WRITE, [0; 5]);
                right &= written.err().is_none_or(|error| gone(&error) || error == Error::Busy);
            }
            Err(error) => right &= full(&error) || gone(&error),
        }
    }
    right && OWN.revoke(words).is_ok()
}

/// By its own handle, beside its UART.
fn say(words: u64) -> bool {
    let text = *b"a word through a handle\r\n\0\0\0\0\0\0\0";
    let mut arguments = [25, 0, 0, 0, 0];
    for (slot, bytes) in arguments.iter_mut().skip(1).zip(text.as_chunks().0) {
        *slot = u64::from_le_bytes(*bytes);
    }
    again(|| OWN.invoke(words, console::WRITE, arguments)).is_ok()
}

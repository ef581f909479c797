//! A device of the board that is taken from one VM while its vCPUs use it, given to another,
//! and given back, many times.
//!
//! `role=7` takes and gives, or with `dead=1` takes it from one that does not outlive that;
//! `role=8` has it, or with `heir=1` comes to have it. It makes its own interrupts. It is a
//! PL061, by an input that is low, where a low level is waited for (DDI 0190B §3.3), as
//! QEMU's inputs are; or with `uart=1` a PL011, by a character that was sent (DDI 0183G
//! §3.3).

use core::sync::atomic::{AtomicU64, Ordering};

use evisor_abi::{Error, Kind, device, doorbell};
use evisor_guest::exception::attempt;
use evisor_guest::handles::OWN;
use evisor_guest::timer::wait_until;
use evisor_guest::{cores, gic, map, mmio, println, tree};

use crate::device::{BELL, HEIR_INTID, HEIRS, USER_INTID, USERS, is_rung};
use crate::guest::{comes, report};

/// What is used of a device: registers by offset.
struct Registers {
    /// Reads as it was written.
    enable: usize,
    /// Can be read all the time.
    state: usize,
    /// What has its line go up; the last enables it.
    raise: &'static [(usize, u32)],
}

/// GPIODIR, GPIOIS, GPIOIEV and GPIOIE, of an input that nothing else is on.
const PL061: Registers = Registers {
    enable: 0x410,
    state: 0x400,
    raise: &[(0x404, 1 << 6), (0x40c, 0), (0x410, 1 << 6)],
};

/// UARTFR, UARTCR with UARTEN and TXE, UARTDR, UARTIMSC with TXIM.
const PL011: Registers =
    Registers { enable: 0x38, state: 0x18, raise: &[(0x30, 1 << 8 | 1), (0, 0), (0x38, 1 << 5)] };

fn registers() -> &'static Registers {
    if tree::boot_argument("uart") == Some(1) { &PL011 } else { &PL061 }
}

/// How often it comes and goes at least, for either, if `times=` does not say it.
const TIMES: u64 = 10;

pub fn lend() -> u8 {
    let found = OWN.find(Kind::Device, USERS).zip(OWN.find(Kind::Device, HEIRS));
    let Some((user, heir)) = found else { return report("it holds two devices", false) };
    let (user, heir) = (user.handle, heir.handle);
    let ask = |handle, operation| OWN.invoke(handle, operation, [0; 5]).map(|[x1, ..]| x1);
    let state = |handle| ask(handle, device::STATE);
    let mut failed = report("one is withheld", (state(user), state(heir)) == (Ok(1), Ok(0)));
    failed |= report("both are here", is_rung(USER_INTID) && is_rung(HEIR_INTID));
    let early = ask(heir, device::GIVE) == Err(Error::WrongState);
    failed |= report("two cannot have it", early && state(user) == Ok(1));
    let taken = ask(user, device::TAKE).is_ok() && state(user) == Ok(0);
    let dies = tree::boot_argument("dead") == Some(1);
    failed |= report("it is taken", taken && (dies || is_rung(USER_INTID)));
    failed |= report("but once", ask(user, device::TAKE) == Err(Error::WrongState));
    let mut busy = 0;
    // What a core or a guest still has in hand of it goes first.
    let mut give = |handle| {
        comes(|| match ask(handle, device::GIVE) {
            Err(Error::Busy) => {
                busy += 1;
                false
            }
            given => given.is_ok(),
        })
    };
    failed |= report("it is given to another", give(heir) && is_rung(HEIR_INTID));
    if dies {
        let gone = ask(heir, device::TAKE).is_ok() && is_rung(HEIR_INTID);
        return failed | report("the dead can have it", gone && give(user) && state(user) == Ok(1));
    }
    let (mut rounds, mut left) = (0, [USER_INTID, HEIR_INTID].map(Some));
    let all = comes(|| {
        let [back, again] = [(heir, user), (user, heir)]
            .map(|(from, to)| ask(from, device::TAKE).is_ok() && give(to) && stays());
        rounds += 1;
        for one in &mut left {
            *one = one.filter(|intid| !gic::is_pending(*intid));
        }
        !(back && again) || left == [None; 2]
    });
    println!("{rounds} rounds, {busy} times busy");
    failed | report("it came and went", all && left == [None; 2])
}

/// Long enough to be used, on a machine whose cores take turns.
fn stays() -> bool {
    wait_until(5_000, || false);
    true
}

/// What the other vCPU saw: loads that were done.
static LOADS: AtomicU64 = AtomicU64::new(0);

fn is_there() -> bool {
    attempt(|| mmio::load32(map::GPIO + registers().enable)).is_ok()
}

/// The line goes up, if it is there.
fn raise() -> bool {
    let mut all = registers().raise.iter();
    all.all(|(register, value)| attempt(|| mmio::store32(map::GPIO + register, *value)).is_ok())
}

/// Whether an interrupt of it comes while it is there; it is ended.
fn interrupts(times: u32) -> bool {
    let mut left = times;
    let done = comes(|| {
        let acknowledged = gic::acknowledge();
        match gic::intid(acknowledged) {
            map::GPIO_INTID => {
                left -= 1;
                gic::end(acknowledged);
            }
            gic::SPURIOUS => {}
            _ => gic::end(acknowledged),
        }
        left == 0 || !is_there()
    });
    done && left == 0
}

/// Loads from it all the time, there or not.
fn load(until: u64) -> u64 {
    let state = map::GPIO + registers().state;
    while LOADS.load(Ordering::Relaxed) < until {
        let there = attempt(|| mmio::load32(state)).is_ok();
        LOADS.fetch_add(u64::from(there), Ordering::Relaxed);
    }
    0
}

pub fn borrow() -> u8 {
    let Some(bell) = OWN.find(Kind::Doorbell, BELL) else { return report("it can ring", false) };
    let ring = || OWN.invoke(bell.handle, doorbell::RING, [0; 5]).is_ok();
    gic::enable();
    gic::enable_interrupt(map::GPIO_INTID);
    let mut failed = 0;
    if tree::boot_argument("heir") == Some(1) {
        failed |= report("it is not there", !is_there() && ring());
        failed |= report("it comes", comes(is_there));
    } else {
        if cores::count() > 1 {
            let begun = cores::bring_up(1) && cores::begin(1, load, u64::MAX);
            let loads = comes(|| LOADS.load(Ordering::Relaxed) > 100);
            failed |= report("two vCPUs use it", begun && loads);
        }
        failed |= report("it interrupts", raise() && interrupts(5) && ring());
        let gone = comes(|| !is_there());
        failed |= report("it went while it was used", gone && ring());
        failed |= report("it is back", comes(is_there));
    }
    failed | lives(ring)
}

/// It comes and goes, and interrupts meanwhile.
fn lives(ring: impl Fn() -> bool) -> u8 {
    let (mut times, mut interrupted) = (0, 0);
    let enough = tree::boot_argument("times").unwrap_or(TIMES);
    let mut rung = tree::boot_argument("heir") != Some(1);
    let done = comes(|| {
        if !comes(is_there) {
            return true;
        }
        // The first time it stays until this was told.
        let comes = raise() && interrupts(1);
        interrupted += u64::from(comes);
        rung = rung || comes && ring();
        let _ = attempt(|| mmio::store32(map::GPIO + registers().enable, 0));
        times += u64::from(crate::guest::comes(|| !is_there()));
        times >= enough && interrupted >= enough
    });
    println!("{times} times, {interrupted} with its interrupt");
    let all = times >= enough && interrupted >= enough;
    report("it interrupts whoever has it", done && all && ring())
}

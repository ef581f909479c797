//! A device that is taken from one VM while that uses it, given to another, and given back.
//!
//! `role=5` takes and gives; `role=6` has it, or with `heir=1` comes to have it.

use evisor_abi::{Error, Kind, device, doorbell};
use evisor_guest::exception::attempt;
use evisor_guest::handles::OWN;
use evisor_guest::{gic, mmio, tree};

use crate::guest::{comes, report};

/// What the manifest calls them: the device of the one, and of the other.
pub const USERS: u64 = 1;
pub const HEIRS: u64 = 2;
/// The keeper's bell, for the others.
pub const BELL: u64 = 1;

/// SPIs 40 and 41: the lines of that bell.
pub const USER_INTID: u32 = 72;
pub const HEIR_INTID: u32 = 73;

/// RTCMR of a PL031 (DDI 0224B §3.3.2), which is 0 after a reset.
const MATCH: usize = 0x0901_0004;
const VALUE: u32 = 0x1234_5678;

pub fn keep() -> u8 {
    let found = OWN.find(Kind::Device, USERS).zip(OWN.find(Kind::Device, HEIRS));
    let Some((user, heir)) = found else { return report("it holds two devices", false) };
    let (user, heir) = (user.handle, heir.handle);
    let ask = |handle, operation| OWN.invoke(handle, operation, [0; 5]).map(|[x1, ..]| x1);
    let state = |handle| ask(handle, device::STATE);
    let mut failed = report("one is withheld", (state(user), state(heir)) == (Ok(1), Ok(0)));
    failed |= report("both are here", is_rung(USER_INTID) && is_rung(HEIR_INTID));
    let taken = ask(user, device::TAKE).is_ok() && state(user) == Ok(0);
    failed |= report("it is taken", taken && is_rung(USER_INTID));
    failed |= report("but once", ask(user, device::TAKE) == Err(Error::WrongState));
    let given = ask(heir, device::GIVE).is_ok() && state(heir) == Ok(1);
    failed |= report("it is given to another", given && is_rung(HEIR_INTID));
    let back = ask(user, device::GIVE).is_ok() && state(user) == Ok(1);
    failed | report("it is given back", back && is_rung(USER_INTID))
}

/// Each line has one who rings it, and is looked at in the distributor: it is not enabled.
pub fn is_rung(intid: u32) -> bool {
    let rung = comes(|| gic::is_pending(intid));
    gic::clear_pending(intid);
    rung
}

pub fn have() -> u8 {
    let Some(bell) = OWN.find(Kind::Doorbell, BELL) else { return report("it can ring", false) };
    let ring = || OWN.invoke(bell.handle, doorbell::RING, [0; 5]).is_ok();
    let read = || attempt(|| mmio::load32(MATCH));
    let write = || attempt(|| mmio::store32(MATCH, VALUE)).is_ok();
    let mut failed = 0;
    if tree::boot_argument("heir") == Some(1) {
        failed |= report("it is not there", read().is_err() && !write() && ring());
        failed |= report("it comes", comes(|| read() == Ok(0)));
        return failed | report("it can be used", write() && read() == Ok(VALUE) && ring());
    }
    failed |= report("it can be used", write() && read() == Ok(VALUE) && ring());
    let gone = comes(|| read().is_err()) && !write();
    failed |= report("it went while it was used", gone && ring());
    failed | report("it is back as after a reset", comes(|| read() == Ok(0)) && ring())
}

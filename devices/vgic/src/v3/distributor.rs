//! The Distributor's registers, but for the hot ones that are tried first.
//!
//! Reserved registers and bits read as zero and ignore writes; so do those of
//! INTIDs 0–31, which are the Redistributors' (IHI 0069H §12.9), and accesses of a
//! width that the register does not allow (§12.1).

use super::spec::{GICD_CTLR, GICD_IROUTER, GICD_TYPER, IIDR, gicd, identification};
use super::{GicV3, System};
use crate::Vgic;
use crate::files::{File, word_in_row};
use crate::spec::{CPUS, PRIVATE, files};
use crate::state::{INTIDS, Slot, WORDS, word_of};
use evisor_contract::{Power, Width};

const PRIORITIES: u64 = files::IPRIORITYR + PRIVATE as u64;
const PRIORITIES_LAST: u64 = files::IPRIORITYR + INTIDS as u64 - 1;
const CONFIGURATION: u64 = files::ICFGR + PRIVATE as u64 / 4;
const CONFIGURATION_LAST: u64 = files::ICFGR + INTIDS as u64 / 4 - 1;
const ROUTERS: u64 = gicd::IROUTER + PRIVATE as u64 * 8;
const ROUTERS_LAST: u64 = gicd::IROUTER + INTIDS as u64 * 8 - 1;

/// What can be written to GICD_IROUTER. Interrupt_Routing_Mode cannot: TYPER.No1N.
pub const ROUTE: u64 = GICD_IROUTER::AFF3.mask << GICD_IROUTER::AFF3.shift
    | GICD_IROUTER::AFF2_TO_AFF0.mask << GICD_IROUTER::AFF2_TO_AFF0.shift;

const CONTROL_BITS: u32 = GICD_CTLR::ENABLE_GRP0::SET.value | GICD_CTLR::ENABLE_GRP1::SET.value;
const CONTROL_FIXED: u32 = GICD_CTLR::ARE::SET.value | GICD_CTLR::DS::SET.value;

/// GICD_IIDR and GICR_IIDR: product "e" in the numbering of Arm's implementer code.
pub const IDENTITY: u32 =
    IIDR::IMPLEMENTER.val(0x43b).value | IIDR::PRODUCT_ID.val(b'e' as u32).value;

/// GICD_TYPER. Of INTIDs there are ten bits, which is the least.
pub fn typer() -> u32 {
    let typer = GICD_TYPER::IT_LINES_NUMBER.val(WORDS as u32 - 1)
        + GICD_TYPER::ID_BITS.val(9)
        + GICD_TYPER::A3V::SET
        + GICD_TYPER::NO1N::SET
        + GICD_TYPER::RSS::SET;
    typer.value
}

/// The identification register at `offset` of any frame.
pub fn identification_register(offset: u64) -> u64 {
    let at = (offset.wrapping_sub(identification::FIRST) >> 2) as usize;
    identification::VALUES.get(at).copied().map_or(0, u64::from)
}

/// The vCPU, as a bit, whose affinity is `router`; no bit if there is none.
pub fn targets(affinities: &[u64; CPUS], router: u64) -> u8 {
    affinities.iter().position(|affinity| *affinity == router).map_or(0, |vcpu| 1 << vcpu)
}

/// Half of a register of 64 bits, or all of it.
pub fn part(value: u64, offset: u64, width: Width) -> u64 {
    match width {
        Width::Doubleword => value,
        Width::Word => value >> (8 * (offset & 4)) & 0xffff_ffff,
        _ => 0,
    }
}

impl Vgic<System> {
    /// Whether a vCPU other than `here` has yet to see what was written.
    pub(super) fn has_yet_to_look(&self, vcpu: usize, here: usize) -> bool {
        let dirty = self.state.bank(vcpu).dirty;
        dirty && vcpu != here && self.vcpus.power(vcpu) == Power::On
    }
}

impl GicV3 {
    /// Any register but TYPER; None if it is to be read again.
    pub(super) fn read_distributor(&mut self, at: u64, width: Width, here: usize) -> Option<u64> {
        Some(match at {
            PRIORITIES..=PRIORITIES_LAST if width <= Width::Word => {
                let first = (at - files::IPRIORITYR) as usize;
                self.gic.read_priorities(first, width, here).into()
            }
            ROUTERS..=ROUTERS_LAST => part(self.router(at), at, width),
            _ if width != Width::Word => 0,
            gicd::CTLR => self.control(here).into(),
            gicd::IIDR => IDENTITY.into(),
            CONFIGURATION..=CONFIGURATION_LAST => {
                let n = ((at - files::ICFGR) >> 2) as usize;
                self.gic.read_configuration(word_of(0, n / 2), n % 2 == 1).into()
            }
            identification::FIRST.. => identification_register(at),
            _ => match File::at(at).zip(word_in_row(at)) {
                Some((file, n)) if n != 0 => {
                    return self.gic.read_bits(file, word_of(0, n), here).map(u64::from);
                }
                _ => 0,
            },
        })
    }

    /// Any register but ISENABLER.
    pub(super) fn write_distributor(&mut self, at: u64, width: Width, value: u64, here: usize) {
        match at {
            PRIORITIES..=PRIORITIES_LAST if width <= Width::Word => {
                let first = (at - files::IPRIORITYR) as usize;
                self.gic.write_priorities(first, width, value as u32, here, here);
            }
            ROUTERS..=ROUTERS_LAST => self.write_router(at, width, value, here),
            _ if width != Width::Word => {}
            gicd::CTLR => self.gic.write_control(value as u32 & CONTROL_BITS, here),
            CONFIGURATION..=CONFIGURATION_LAST => {
                let n = ((at - files::ICFGR) >> 2) as usize;
                self.gic.write_configuration(word_of(0, n / 2), n % 2 == 1, value as u32, here);
            }
            _ => match File::at(at).zip(word_in_row(at)) {
                Some((file, n)) if n != 0 => {
                    self.gic.write_bits(file, word_of(0, n), value as u32, here);
                }
                _ => {}
            },
        }
    }

    /// GICD_CTLR. RWP says that another vCPU has yet to see what was written.
    fn control(&self, here: usize) -> u32 {
        let waits = (0..self.gic.state.vcpus).any(|vcpu| self.gic.has_yet_to_look(vcpu, here));
        self.gic.state.control | CONTROL_FIXED | GICD_CTLR::RWP.val(waits.into()).value
    }

    fn router(&self, at: u64) -> u64 {
        let intid = ((at - gicd::IROUTER) / 8) as usize;
        self.routers.get(intid).copied().unwrap_or(0)
    }

    fn write_router(&mut self, at: u64, width: Width, value: u64, here: usize) {
        let intid = ((at - gicd::IROUTER) / 8) as usize;
        let value = match (width, at & 4) {
            (Width::Doubleword, _) => value,
            (Width::Word, 0) => self.router(at) & !0xffff_ffff | value,
            (Width::Word, _) => self.router(at) & 0xffff_ffff | value << 32,
            _ => return,
        };
        let (word, bit) = (word_of(0, intid / PRIVATE), Slot::new(0, intid).bit());
        let before = self.gic.concerned(word, bit);
        let kicks = self.gic.recall(here);
        self.route(intid, value & ROUTE);
        let after = self.gic.concerned(word, bit);
        self.gic.settle(here, before | kicks | after);
    }

    /// Sends shared interrupt `intid` to the vCPU with the affinity in `router`; to
    /// none if there is no such vCPU.
    fn route(&mut self, intid: usize, router: u64) {
        self.take_route(intid, (router, targets(&self.affinities, router)));
    }

    /// The same where its targets are known.
    pub(super) fn take_route(&mut self, intid: usize, (router, targets): (u64, u8)) {
        if let Some(place) = self.routers.get_mut(intid) {
            *place = router;
        }
        let slot = Slot::new(0, intid);
        if slot.is_shared() && self.gic.state.interrupt(slot).targets != targets {
            self.gic.state.set_targets(slot, targets);
        }
    }
}

//! The Redistributors' registers, but for the hot ones that are tried first: of
//! each vCPU RD_base, and SGI_base with its private interrupts. Any vCPU may reach
//! every one (IHI 0069H §12.10).

use super::GicV3;
use super::distributor::{IDENTITY, identification_register, part};
use super::spec::{GICR_CTLR, GICR_TYPER, GICR_WAKER, gicr, identification};
use crate::files::{File, word_in_row};
use crate::spec::{PRIVATE, files};
use crate::state::word_of;
use evisor_contract::Width;

const PRIORITIES_LAST: u64 = files::IPRIORITYR + PRIVATE as u64 - 1;
const CONFIGURATION_LAST: u64 = files::ICFGR + PRIVATE as u64 / 4 - 1;
const TYPER_LAST: u64 = gicr::TYPER + 7;

impl GicV3 {
    /// A register in RD_base of `vcpu`.
    pub(super) fn read_control(&self, vcpu: usize, at: u64, width: Width, here: usize) -> u64 {
        match at {
            gicr::TYPER..=TYPER_LAST => part(self.redistributor_type(vcpu), at, width),
            _ if width != Width::Word => 0,
            gicr::CTLR => {
                let waits = self.gic.has_yet_to_look(vcpu, here);
                GICR_CTLR::RWP.val(waits.into()).value.into()
            }
            gicr::IIDR => IDENTITY.into(),
            gicr::WAKER => {
                let asleep = self.asleep >> vcpu & 1;
                let both = GICR_WAKER::PROCESSOR_SLEEP.val(asleep)
                    + GICR_WAKER::CHILDREN_ASLEEP.val(asleep);
                both.value.into()
            }
            identification::FIRST.. => identification_register(at),
            _ => 0,
        }
    }

    /// GICR_TYPER (§12.11): no LPIs.
    fn redistributor_type(&self, vcpu: usize) -> u64 {
        let affinity = self.affinities.get(vcpu).copied().unwrap_or(0);
        let is_last = vcpu + 1 == self.gic.state.vcpus;
        let typer = GICR_TYPER::LAST.val(is_last.into())
            + GICR_TYPER::PROCESSOR_NUMBER.val(vcpu as u64)
            + GICR_TYPER::AFF2_TO_AFF0.val(affinity & 0xff_ffff)
            + GICR_TYPER::AFF3.val(affinity >> 32 & 0xff);
        typer.value
    }

    /// Only WAKER can be written: its children follow at once.
    pub(super) fn write_control(&mut self, vcpu: usize, at: u64, width: Width, value: u64) {
        if at == gicr::WAKER && width == Width::Word {
            let sleep = GICR_WAKER::PROCESSOR_SLEEP.read(value as u32);
            self.asleep = self.asleep & !(1 << vcpu) | sleep << vcpu;
        }
    }

    /// A register in SGI_base of `vcpu`; None if it is to be read again.
    pub(super) fn read_private(
        &mut self,
        vcpu: usize,
        at: u64,
        width: Width,
        here: usize,
    ) -> Option<u64> {
        Some(match at {
            files::IPRIORITYR..=PRIORITIES_LAST if width <= Width::Word => {
                let first = (at - files::IPRIORITYR) as usize;
                self.gic.read_priorities(first, width, vcpu).into()
            }
            _ if width != Width::Word => 0,
            files::ICFGR..=CONFIGURATION_LAST => {
                self.gic.read_configuration(word_of(vcpu, 0), at & 4 != 0).into()
            }
            _ => match File::at(at).zip(word_in_row(at)) {
                Some((file, 0)) => {
                    return self.gic.read_bits(file, word_of(vcpu, 0), here).map(u64::from);
                }
                _ => 0,
            },
        })
    }

    /// Any register of SGI_base but ISENABLER0.
    pub(super) fn write_private(
        &mut self,
        vcpu: usize,
        at: u64,
        width: Width,
        value: u64,
        here: usize,
    ) {
        match at {
            files::IPRIORITYR..=PRIORITIES_LAST if width <= Width::Word => {
                let first = (at - files::IPRIORITYR) as usize;
                self.gic.write_priorities(first, width, value as u32, vcpu, here);
            }
            _ if width != Width::Word => {}
            files::ICFGR..=CONFIGURATION_LAST => {
                let upper = at & 4 != 0;
                self.gic.write_configuration(word_of(vcpu, 0), upper, value as u32, here);
            }
            _ => {
                if let Some((file, 0)) = File::at(at).zip(word_in_row(at)) {
                    self.gic.write_bits(file, word_of(vcpu, 0), value as u32, here);
                }
            }
        }
    }
}

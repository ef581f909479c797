//! ICC_SGI1R_EL1, ICC_ASGI1R_EL1 and ICC_SGI0R_EL1: sending SGIs (IHI 0069H
//! §12.2).

use super::GicV3;
use super::spec::{ICC_SGI1R_EL1, ICC_SGIR};
use crate::spec::{CPUS, SGIS};
use crate::state::{Slot, bits};
use evisor_contract::{Context, Register, Reply};

/// The field that says which SGI.
pub const INTID: u64 = ICC_SGIR::INTID.mask << ICC_SGIR::INTID.shift;
/// The fields that say to whom.
const TO: u64 = ICC_SGIR::AFF3.mask << ICC_SGIR::AFF3.shift
    | ICC_SGIR::RS.mask << ICC_SGIR::RS.shift
    | ICC_SGIR::AFF2.mask << ICC_SGIR::AFF2.shift
    | ICC_SGIR::AFF1.mask << ICC_SGIR::AFF1.shift;
const LIST: u64 = ICC_SGIR::TARGET_LIST.mask << ICC_SGIR::TARGET_LIST.shift;

/// Which SGI is to be sent.
#[inline(always)]
pub fn intid(value: u64) -> usize {
    ICC_SGIR::INTID.read(value) as usize
}

/// What sends to the vCPU with this affinity alone.
pub fn address(affinity: u64) -> u64 {
    let field = |shift: u32| affinity >> shift & 0xff;
    let to = ICC_SGIR::AFF3.val(field(32))
        + ICC_SGIR::AFF2.val(field(16))
        + ICC_SGIR::AFF1.val(field(8))
        + ICC_SGIR::RS.val(field(0) >> 4)
        + ICC_SGIR::TARGET_LIST.val(1 << (field(0) & 15));
    to.value
}

impl GicV3 {
    #[cold]
    #[inline(never)]
    pub(super) fn send(&mut self, register: Register, value: u64, cx: &Context) -> Reply {
        let here = cx.vcpu();
        if here >= self.gic.state.vcpus {
            return Reply::ABSENT;
        }
        // With one Security state, ICC_SGI1R_EL1 sends an SGI of either group, the
        // other two one of Group 0 only.
        let either = register == ICC_SGI1R_EL1;
        for target in bits(self.targets(value, here)) {
            let slot = Slot::new(target as usize, intid(value) & (SGIS - 1));
            let word = self.gic.state.word_mut(slot.word());
            if either || word.group1 & slot.bit() == 0 {
                word.latch |= slot.bit();
                self.gic.state.bank_mut(target as usize).quick &= !slot.bit();
                self.gic.offer(slot, cx);
            }
        }
        Reply::DONE
    }

    /// The vCPUs, as bits, that are written to.
    fn targets(&self, value: u64, here: usize) -> u32 {
        if ICC_SGIR::IRM.is_set(value) {
            return ((1 << self.gic.state.vcpus) - 1) & !(1 << here);
        }
        let there = (0..CPUS.min(self.gic.state.vcpus)).zip(self.addresses);
        there.fold(0, |all, (vcpu, address)| {
            let is_target = (value ^ address) & TO == 0 && value & address & LIST != 0;
            all | u32::from(is_target) << vcpu
        })
    }
}

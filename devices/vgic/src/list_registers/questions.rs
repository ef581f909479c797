//! What other vCPUs have in their list registers, as far as one has to know.

use crate::Vgic;
use crate::interface::Interface;
use crate::state::bits;

impl<I: Interface> Vgic<I> {
    /// What `here` has in list registers is as the images say.
    pub(super) fn known(&mut self, here: usize) {
        self.state.awaited &= !(0x0101_0101_0101_0101 << (here & 7));
    }

    /// Whether what other vCPUs have in list registers of the word at `at` is
    /// known well enough for a read. If not, they are told to look, and the read
    /// is to be tried again.
    ///
    /// A guest that is interrupted between the tries and never comes back leaves
    /// its question behind; the next access that asks something else takes it away.
    pub(crate) fn others_are_known(&mut self, here: usize, at: usize) -> bool {
        let shift = 8 * (here as u32 & 7);
        let question = at as u8 + 1;
        let bank = self.state.bank_mut(here);
        if bank.asks != question {
            if bank.asks != 0 && bank.answered == question {
                bank.answered = 0;
                return true;
            }
            self.forget_question(here);
            self.state.bank_mut(here).asks = question;
            let holders = self.holders(here, at);
            self.state.awaited |= u64::from(holders) << shift;
            self.tell(holders);
        }
        let awaited = bits((self.state.awaited >> shift) as u32 & 0xff);
        let running =
            awaited.filter(|vcpu| self.vcpus.power(*vcpu as usize) == evisor_contract::Power::On);
        let known = running.count() == 0;
        if known {
            self.forget_question(here);
            self.state.bank_mut(here).answered = question;
        }
        known
    }

    /// `here` asks no more.
    pub(crate) fn forget_question(&mut self, here: usize) {
        self.state.bank_mut(here).asks = 0;
        self.state.awaited &= !(0xff << (8 * (here as u32 & 7)));
    }

    /// The other vCPUs, as bits, with interrupts of the word at `at` in their list
    /// registers.
    fn holders(&self, here: usize, at: usize) -> u32 {
        let others = (0..self.state.vcpus).filter(|vcpu| *vcpu != here);
        let holds = |vcpu: &usize| {
            let mut held = self.state.held::<I>(*vcpu, self.interface.all());
            held.any(|(_, _, slot)| slot.word() == at)
        };
        others.filter(holds).fold(0, |all, vcpu| all | 1 << vcpu)
    }

    /// The bits of the word at `at` that are in `state` in a list register: in
    /// those of `here` as they are, in others' as they were last known and have
    /// been changed since.
    pub(crate) fn in_lists(&self, here: usize, at: usize, state: u64) -> u32 {
        let mut found = 0;
        for vcpu in 0..self.state.vcpus {
            let bank = self.state.bank(vcpu);
            for (n, image, slot) in self.state.held::<I>(vcpu, self.interface.all()) {
                let mut value = if vcpu == here { self.interface.list(n) } else { image };
                if bank.cancel >> n & 1 != 0 && value & I::HW == 0 {
                    value &= !I::PENDING;
                }
                if bank.deactivate >> n & 1 != 0 {
                    value &= !I::ACTIVE;
                }
                if bank.activate >> n & 1 != 0 {
                    value |= I::ACTIVE;
                }
                if slot.word() == at && value & state != 0 {
                    found |= slot.bit();
                }
            }
        }
        found
    }
}

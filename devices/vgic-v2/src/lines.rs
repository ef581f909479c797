//! Interrupts coming in: lines, physical interrupts, SGIs.

use crate::Vgic;
use crate::spec::{GICD_SGIR, PRIVATE, SGIS};
use crate::state::{INTIDS, NOWHERE, Slot, bits};
use evisor_contract::{Context, LineState, Reply, tag};

impl Vgic {
    /// GICD_SGIR (IHI 0048B.b §4.3.15), from vCPU `vcpu`.
    pub(crate) fn send_sgi(&mut self, value: u32, vcpu: usize, cx: &Context) {
        let sgi = GICD_SGIR::SGIINTID.read(value) as usize & (SGIS - 1);
        let all = u32::MAX >> (32 - self.state.vcpus);
        let targets = match GICD_SGIR::TARGET_LIST_FILTER.read(value) {
            0 => GICD_SGIR::CPU_TARGET_LIST.read(value) & all,
            1 => all & !(1 << vcpu),
            2 => 1 << vcpu,
            _ => 0,
        };
        for target in bits(targets) {
            let target = target as usize;
            let sources = self.state.sources(target, sgi) | 1 << vcpu;
            self.state.set_sources(target, sgi, sources);
            self.offer(Slot::new(target, sgi), cx);
        }
    }

    /// Everything that the short way does not take.
    pub(crate) fn notified(&mut self, tag: u32, value: u64, cx: &mut Context) -> Reply {
        let here = cx.vcpu();
        match tag {
            tag::REFRESH | tag::MAINTENANCE => {
                if here < self.state.vcpus && self.vcpus.is_here(here, cx) {
                    if value == 1 && tag == tag::REFRESH {
                        self.restart(here);
                    }
                    self.flush(here);
                    self.look(here);
                }
                Reply::DONE
            }
            _ => match tag as usize {
                SGIS..PRIVATE if here >= self.state.vcpus => Reply::ABSENT,
                SGIS..INTIDS => {
                    self.line(Slot::new(here, tag as usize), LineState::decode(value), cx)
                }
                _ => Reply::ABSENT,
            },
        }
    }

    fn line(&mut self, slot: Slot, state: LineState, cx: &Context) -> Reply {
        let bit = slot.bit();
        let word = self.state.word_mut(slot.word());
        let rises = word.line & bit == 0;
        match state {
            LineState::Low => {
                word.set_lines(word.line & !bit, word.edge);
                if !rises && word.edge & bit == 0 {
                    self.withdraw(slot, cx);
                }
                return Reply::DONE;
            }
            LineState::High if !rises => return Reply::DONE,
            LineState::High => {
                word.set_lines(word.line | bit, word.edge);
                word.latch |= bit & word.edge;
            }
            LineState::Pulse => word.latch |= bit,
            LineState::Physical(physical) => {
                word.physical |= bit;
                self.state.interrupt_mut(slot).physical = physical;
            }
        }
        self.offer(slot, cx);
        match state {
            LineState::Physical(_) => Reply::HELD,
            _ => Reply::DONE,
        }
    }

    /// `slot` became pending: into a list register if its vCPU is here and it may
    /// be delivered; or that vCPU is told.
    fn offer(&mut self, slot: Slot, cx: &Context) {
        if self.state.word(slot.word()).open() & slot.bit() == 0 {
            return;
        }
        // Where it is still being handled comes first: there its end is watched.
        let Some(vcpu) = self.state.interrupt(slot).holder().or(self.state.target(slot)) else {
            return;
        };
        if !self.vcpus.is_here(vcpu, cx) {
            self.vcpus.kick(vcpu);
        } else if self.state.target(slot) != Some(vcpu) || !self.place(vcpu, slot) {
            self.flush(vcpu);
        }
    }

    /// A level line went down: what it made pending is not, unless acknowledged.
    fn withdraw(&mut self, slot: Slot, cx: &Context) {
        let interrupt = self.state.interrupt(slot);
        let Some(vcpu) = interrupt.holder() else {
            return;
        };
        let n = usize::from(interrupt.place) & (crate::state::LISTS - 1);
        if !self.vcpus.is_here(vcpu, cx) {
            self.vcpus.kick(vcpu);
        } else if self.interface.list(n) & crate::list_registers::IS_PENDING != 0 {
            self.flush(vcpu);
        }
    }

    /// Interrupts of the word at `at` were just enabled and some are pending.
    #[cold]
    #[inline(never)]
    pub(crate) fn enabled(&mut self, at: usize, value: u32, cx: &Context) {
        let ready = self.state.word(at).pending() & self.state.word(at).open() & value;
        for bit in bits(ready) {
            let slot = Slot::in_word(at, bit);
            if self.state.interrupt(slot).place == NOWHERE {
                self.offer(slot, cx);
            }
        }
    }
}

//! Interrupts coming in: lines, physical interrupts, SGIs.

use crate::Vgic;
use crate::interface::Interface;
use crate::list_registers::Change;
use crate::spec::{CPUS, PRIVATE, SGIS};
use crate::state::{INTIDS, Slot, bits};
use evisor_contract::{Context, LineState, Reply, tag};

impl<I: Interface> Vgic<I> {
    /// A notification; first the private physical interrupt of a running guest.
    #[inline(always)]
    pub(crate) fn notify(&mut self, tag: u32, value: u64, cx: &mut Context) -> Reply {
        const PHYSICAL: u64 = LineState::Physical(0).encode();
        // A PPI, and physical: both by one comparison.
        const PPI: u32 = SGIS as u32 | PHYSICAL as u32;
        let kind = tag & !(SGIS as u32 - 1) | value as u32 & 3;
        // A private physical interrupt comes by way of the space of the vCPU that
        // is on the core: it is here.
        if kind == PPI && self.again(cx.vcpu(), tag as usize) {
            return Reply::HELD;
        }
        if value == LineState::PULSE_HERE {
            let placed = self.rings_again(cx.vcpu(), tag as usize);
            return if placed { Reply::DONE } else { self.rung(tag, cx) };
        }
        self.notified(tag, value, cx)
    }

    /// Everything that the short way does not take.
    #[cold]
    #[inline(never)]
    fn notified(&mut self, tag: u32, value: u64, cx: &mut Context) -> Reply {
        let here = cx.vcpu();
        match tag {
            tag::REFRESH | tag::MAINTENANCE => {
                if here < self.state.vcpus && self.vcpus.is_here(here, cx) {
                    self.look(tag, value, here);
                }
                Reply::DONE
            }
            _ => match tag as usize {
                SGIS..INTIDS => {
                    let vcpu = LineState::vcpu(value).unwrap_or(here);
                    if vcpu >= self.state.vcpus && tag < PRIVATE as u32 {
                        return Reply::ABSENT;
                    }
                    self.line(Slot::new(vcpu, tag as usize), LineState::decode(value), cx)
                }
                _ => Reply::ABSENT,
            },
        }
    }

    /// A doorbell, by way of an interrupt of this core, that does not take the short way.
    #[cold]
    #[inline(never)]
    fn rung(&mut self, tag: u32, cx: &mut Context) -> Reply {
        self.notified(tag, LineState::Pulse.encode(), cx)
    }

    fn look(&mut self, tag: u32, value: u64, here: usize) {
        match (tag, value) {
            (tag::MAINTENANCE, _) if self.state.bank(here).awake => self.flush(here),
            (tag::MAINTENANCE, _) => {}
            (_, tag::STARTS) => self.change(here, Change::Start),
            (_, tag::LEAVES) => self.change(here, Change::Leave),
            _ => self.refresh(here),
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
            LineState::Physical(0) => return self.retire(slot, cx),
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

    /// See [`LineState::RETIRE`].
    #[cold]
    #[inline(never)]
    fn retire(&mut self, slot: Slot, cx: &Context) -> Reply {
        let bit = slot.bit();
        let word = self.state.word_mut(slot.word());
        let mut had = (word.physical | word.retired) & bit != 0;
        word.physical &= !bit;
        let interrupt = *self.state.interrupt(slot);
        if let Some(vcpu) = interrupt.holder() {
            let (n, bank) = (interrupt.list(), self.state.bank_mut(vcpu));
            let linked = bank.image(n) & I::HW != 0;
            let told = bank.retire >> n & 1 != 0;
            bank.retire |= u32::from(linked) << n;
            match (linked, bank.awake) {
                (false, _) => {}
                // It is off: it cannot end anything before it starts anew.
                (true, false) => had |= !told,
                (true, true) if self.vcpus.is_here(vcpu, cx) => self.flush(vcpu),
                (true, true) => {
                    // What came again since it was ended there is had, whatever is found.
                    self.state.word_mut(slot.word()).retired |= if had { bit } else { 0 };
                    self.tell(1 << vcpu);
                    return Reply::AGAIN;
                }
            }
        }
        let word = self.state.word_mut(slot.word());
        had |= word.retired & bit != 0;
        word.retired &= !bit;
        Reply::value(had.into())
    }

    /// Whether the list registers of this core are those of `vcpu`, and in use.
    fn is_here(&self, vcpu: usize, cx: &Context) -> bool {
        self.vcpus.is_here(vcpu, cx) && self.state.bank(vcpu).awake
    }

    /// `slot` became pending: into a list register if its vCPU is here and it may
    /// be delivered; or that vCPU is told.
    pub(crate) fn offer(&mut self, slot: Slot, cx: &Context) {
        if self.state.word(slot.word()).open() & slot.bit() == 0 {
            return;
        }
        // Where it is still being handled comes first: there its end is watched.
        let holder = self.state.interrupt(slot).holder();
        let target = self.state.target(slot);
        let Some(vcpu) = holder.or(target) else {
            return;
        };
        if self.is_here(vcpu, cx) {
            if target != Some(vcpu) || !self.place(vcpu, slot) {
                self.flush(vcpu);
            }
        } else if target == Some(vcpu) {
            self.arrives(vcpu, slot.word());
        } else {
            self.tell(1 << vcpu);
        }
    }

    /// A level line went down: what it made pending is not, unless acknowledged.
    fn withdraw(&mut self, slot: Slot, cx: &Context) {
        let interrupt = self.state.interrupt(slot);
        let Some(vcpu) = interrupt.holder() else {
            return;
        };
        if !self.is_here(vcpu, cx) {
            self.tell(1 << vcpu);
        } else if self.interface.list(interrupt.list()) & I::PENDING != 0 {
            self.flush(vcpu);
        }
    }

    /// Sets the enable bits that are not set yet, of the word at `at`.
    #[inline(always)]
    pub(crate) fn enable(&mut self, at: usize, value: u32, cx: &Context) {
        let word = self.state.word_mut(at);
        let fresh = value & !word.enabled;
        if fresh == 0 {
            return;
        }
        word.enabled |= fresh;
        if fresh & word.pending() != 0 {
            self.enabled(at, fresh, cx);
        }
    }

    /// Interrupts of the word at `at` were just enabled and some are pending.
    #[cold]
    #[inline(never)]
    fn enabled(&mut self, at: usize, value: u32, cx: &Context) {
        let word = self.state.word(at);
        let ready = word.pending() & word.open() & value & !word.held;
        for vcpu in bits(self.state.targeted(at, ready)) {
            let vcpu = vcpu as usize;
            if !self.is_here(vcpu, cx) {
                self.arrives(vcpu, at);
            } else if !self.place_all(vcpu, at, self.state.going_to(vcpu, at, ready)) {
                self.flush(vcpu);
            }
        }
    }

    /// Tells `vcpu` that something of the word at `at` came for it.
    #[inline]
    fn arrives(&mut self, vcpu: usize, at: usize) {
        let n = at.saturating_sub(CPUS);
        self.state.bank_mut(vcpu).arrived |= 1 << (n & 7);
        self.vcpus.kick(vcpu);
    }
}

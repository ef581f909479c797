//! A vCPU's state put aside, and taken back: for a checkpoint of its VM.
//!
//! What is put aside is what [`switch`](crate::switch) switches, but for what its interrupt
//! controller keeps of its interrupts: that goes back to the controller before, and comes
//! from there after. Its timer is put aside as it stands still.

use crate::floating::{self, FloatingPoint};
use crate::gic;
use crate::switch::{El1, NO_WALKS, forget_this_vm, later, load_later, save_later};
use crate::vcpu::VcpuBlock;
use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{CNTV_CVAL_EL0, TCR_EL1};
use core::sync::atomic::Ordering;
use tock_registers::interfaces::{Readable, Writeable};

/// The state of a vCPU.
pub struct Aside {
    x: [u64; 32],
    elr: u64,
    spsr: u64,
    el1: El1,
    tcr: u64,
    /// CNTV_CTL_EL0 and CNTV_CVAL_EL0.
    timer: [u64; 2],
    later: [u64; 2],
    /// ICC_SRE_EL1, of a GICv3.
    sre: u64,
    floating_point: FloatingPoint,
}

impl Aside {
    /// Nobody's.
    pub const EMPTY: Self = Self {
        x: [0; _],
        elr: 0,
        spsr: 0,
        el1: El1([0; _]),
        tcr: NO_WALKS,
        timer: [0; _],
        later: [0; _],
        sre: 0,
        floating_point: FloatingPoint::ZERO,
    };
}

impl VcpuBlock {
    /// Puts the state of the vCPU aside, which is on this core and out of its guest, and
    /// stands still after this. `attention` is what the kernel wants to do before it goes on.
    #[cold]
    pub fn put_aside(&mut self, to: &mut Aside, attention: u32) {
        self.rest();
        let vcpu = self.vcpu();
        vcpu.context.attention.fetch_or(attention, Ordering::Relaxed);
        (to.x, to.elr, to.spsr) = (vcpu.x, vcpu.elr, vcpu.spsr);
        to.el1.save();
        to.tcr = TCR_EL1.get();
        to.timer = [self.resting().unwrap_or(0), CNTV_CVAL_EL0.get()];
        save_later(later(), &mut to.later);
        to.sre = gic::guest_sre();
        floating::read(self.vcpu(), &mut to.floating_point);
    }

    /// Gives the vCPU, which is to be on this core, the state that was put aside. Its VM's
    /// stage 2 has been loaded, so that no tables are walked. It stands still until
    /// [`wake`](Self::wake). `attention` is what the kernel wants to do before it goes on.
    #[cold]
    pub fn take_back(&mut self, from: &Aside, attention: u32) {
        let [control, compare] = from.timer;
        self.rest_as(control);
        let vcpu = self.vcpu();
        (vcpu.x, vcpu.elr, vcpu.spsr) = (from.x, from.elr, from.spsr);
        vcpu.context.attention.fetch_or(attention, Ordering::Relaxed);
        while vcpu.context.pop().is_some() {}
        from.el1.load();
        load_later(later(), &from.later);
        gic::set_guest_sre(from.sre);
        floating::write(self.vcpu(), &from.floating_point);
        CNTV_CVAL_EL0.set(compare);
        barrier::isb(barrier::SY);
        // Tables and instructions are others than this core remembers.
        forget_this_vm();
        TCR_EL1.set(from.tcr);
        barrier::isb(barrier::SY);
    }
}

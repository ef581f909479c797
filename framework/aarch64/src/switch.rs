//! A core that several vCPUs share: one's state out of its registers, another's in.
//!
//! What is switched is all of EL1 and EL0 that a guest reaches without a trap. The rest
//! traps, whatever the core has: HCR_EL2 (pointer authentication's keys by APK, SCXTNUM
//! by EnSCXT, memory tagging's by ATA, the identification registers, ACTLR and what is
//! implementation-defined), CPTR_EL2 (SVE, SME, trace, activity monitors), MDCR_EL2
//! (debug, counters, profiling and trace buffers). What later extensions add (TCR2, PIR,
//! POR, GCS, branch records) is hidden by HCRX_EL2 and the fine-grained traps, where they
//! are there; where those are not, neither are they. Memory partitioning (MPAM) is left
//! as the firmware has it.
//!
//! A physical interrupt that is private to the core and that its guest has not ended is
//! active at the GIC: that too is the vCPU's (IHI 0048B.b §5.2.2; IHI 0069, Private
//! Peripheral Interrupts). A shared one stays active until its guest comes back and
//! ends it: nothing of its device comes meanwhile.

#![allow(unsafe_code, reason = "system registers of EL1")]

use crate::floating::{self, FloatingPoint, Guard};
use crate::gic::{self, GuestInterface, Switched};
use crate::registers::{self, identification};
use crate::stage2::Root;
use crate::vcpu::{self, VcpuBlock};
use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{
    CNTV_CTL_EL0, CNTV_CVAL_EL0, CNTVOFF_EL2, HCR_EL2, MPIDR_EL1, TCR_EL1,
};
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};
use evisor_contract::Register;
use tock_registers::interfaces::{Readable, Writeable};

/// The state of a vCPU that is not on its core, beside its frame.
#[repr(C)]
pub(crate) struct Saved {
    el1: El1,
    tcr: u64,
    timer_control: u64,
    timer_compare: u64,
    later: [u64; 2],
    interface: GuestInterface,
    /// The private physical interrupts of its VM, as bits.
    private: u32,
    root: Root,
    pub floating_point: FloatingPoint,
}

impl Saved {
    /// Of a vCPU that never ran, of the VM with these private interrupts and stage 2.
    pub fn new(root: Root, private: u32) -> Self {
        Self {
            el1: El1([0; _]),
            tcr: NO_WALKS,
            timer_control: 0,
            timer_compare: 0,
            later: [0; _],
            interface: GuestInterface::OFF,
            private,
            root,
            floating_point: FloatingPoint::ZERO,
        }
    }

    /// The host's count at which the vCPU, which is out, would be interrupted by its
    /// timer; `u64::MAX` is never.
    pub fn deadline(&self, offset: u64) -> u64 {
        /// ENABLE without IMASK.
        const ENABLED: u64 = 0b01;
        let bit = 1 << VIRTUAL_TIMER;
        // One that it has and did not end comes no second time.
        let comes = self.private & bit != 0 && self.interface.active & bit == 0;
        match self.timer_control & 0b11 {
            ENABLED if comes => self.timer_compare.saturating_add(offset),
            _ => u64::MAX,
        }
    }
}

/// INTID of the virtual timer: PPI 11 (BSA §3.8.1).
const VIRTUAL_TIMER: u32 = 27;

/// TCR_EL1.EPD0 and EPD1.
pub(crate) const NO_WALKS: u64 = 1 << 7 | 1 << 23;

#[derive(Clone)]
#[repr(C)]
pub(crate) struct El1(pub [u64; 22]);

macro_rules! el1 {
    ($($first:literal, $second:literal;)*) => {
        impl El1 {
            #[inline(always)]
            pub(crate) fn save(&mut self) {
                // SAFETY: 1. reads registers that the list has twice as many words for as
                // it has lines.
                unsafe {
                    asm!(
                        $(
                            concat!("mrs {a}, ", $first),
                            concat!("mrs {b}, ", $second),
                            "stp {a}, {b}, [{at}], #16",
                        )*
                        at = inout(reg) self.0.as_mut_ptr() => _,
                        a = out(reg) _,
                        b = out(reg) _,
                        options(nostack),
                    );
                }
            }

            #[inline(always)]
            pub(crate) fn load(&self) {
                // SAFETY: 1. as for `save`; EL1 is not running, and EL2 uses none of them.
                unsafe {
                    asm!(
                        $(
                            "ldp {a}, {b}, [{at}], #16",
                            concat!("msr ", $first, ", {a}"),
                            concat!("msr ", $second, ", {b}"),
                        )*
                        at = inout(reg) self.0.as_ptr() => _,
                        a = out(reg) _,
                        b = out(reg) _,
                        options(nostack, readonly),
                    );
                }
            }
        }

        const _: () = {
            let names: &[&str] = &[$($first, $second),*];
            assert!(size_of::<El1>() == 8 * names.len());
        };
    };
}

// Without TCR_EL1, which is the last to come, and the timer's.
el1! {
    "sctlr_el1", "cpacr_el1";
    "ttbr0_el1", "ttbr1_el1";
    "mair_el1", "amair_el1";
    "vbar_el1", "contextidr_el1";
    "tpidr_el1", "tpidr_el0";
    "tpidrro_el0", "cntkctl_el1";
    "sp_el0", "sp_el1";
    "elr_el1", "spsr_el1";
    "esr_el1", "far_el1";
    "afsr0_el1", "afsr1_el1";
    "par_el1", "csselr_el1";
}

/// What a core that is shared knows of itself.
pub struct Switch {
    gic: Switched,
    floating_point: Guard,
    /// WFE traps.
    trapped: bool,
    /// VDISR_EL2 is there, which a guest has as DISR_EL1; TPIDR2_EL0 is.
    later: [bool; 2],
}

/// MPIDR_EL1 of the cores that are shared; 0 of the others.
static SHARED: [AtomicU64; gic::CORES] = [const { AtomicU64::new(0) }; gic::CORES];

/// Whether `core` is shared and is this one.
pub fn is_here(core: usize) -> bool {
    SHARED.get(core).is_some_and(|mpidr| mpidr.load(Ordering::Relaxed) == MPIDR_EL1.get())
}

impl Switch {
    /// Makes this core, number `core`, one that several vCPUs share: WFI is told, and
    /// what later extensions add is hidden. After [`vcpu::init_core`] and
    /// [`gic::init_core`]; `None` before.
    pub fn new(core: usize) -> Option<Self> {
        if let Some(mpidr) = SHARED.get(core) {
            mpidr.store(MPIDR_EL1.get(), Ordering::Relaxed);
        }
        HCR_EL2.set(HCR_EL2.get() | TWI | delay());
        registers::hide_later_extensions();
        vcpu::set_shared_vectors();
        TCR_EL1.set(NO_WALKS);
        let later = later();
        let (gic, floating_point) = (Switched::here()?, Guard::here(core)?);
        Some(Self { gic, floating_point, trapped: false, later })
    }

    /// Takes `out` off this core: its state is in memory after this, and nothing of it
    /// comes any more.
    ///
    /// From here on, until the next one is on, no tables are walked, so that none are with
    /// half of one's registers and half of the other's (Cortex-A72 erratum 1319367,
    /// Cortex-A53 erratum 1530924).
    #[inline]
    pub fn save(&mut self, out: &mut VcpuBlock) {
        let Some(saved) = out.saved() else { return };
        saved.timer_control = CNTV_CTL_EL0.get();
        saved.timer_compare = CNTV_CVAL_EL0.get();
        saved.tcr = TCR_EL1.get();
        saved.el1.save();
        self.save_later(&mut saved.later);
        // Its timer's interrupt is gone before the other's may come.
        CNTV_CTL_EL0.set(0);
        TCR_EL1.set(NO_WALKS);
        barrier::isb(barrier::SY);
        self.gic.save(&mut saved.interface, saved.private);
    }

    /// Puts `next` onto this core, which none is on, and whose VM's count lags `offset`
    /// behind the host's. `flush` if another vCPU of its VM was here since it was itself.
    #[inline]
    pub fn load(&mut self, next: &mut VcpuBlock, offset: u64, flush: bool) {
        self.floating_point.meet(next.vcpu());
        let Some(saved) = next.saved() else { return };
        saved.root.switch();
        CNTVOFF_EL2.set(offset);
        saved.el1.load();
        self.load_later(&saved.later);
        self.gic.load(&saved.interface, saved.private);
        barrier::isb(barrier::SY);
        if flush {
            forget_this_vm();
        }
        TCR_EL1.set(saved.tcr);
        CNTV_CVAL_EL0.set(saved.timer_compare);
        CNTV_CTL_EL0.set(saved.timer_control);
    }

    /// Has WFE trap or not: while another could run in the place of whoever waits so.
    #[inline(always)]
    pub fn trap_wfe(&mut self, traps: bool) {
        if traps != self.trapped {
            self.trapped = traps;
            HCR_EL2.set(HCR_EL2.get() ^ TWE);
        }
    }

    /// Whether an interrupt waits for the vCPU that is on this core.
    #[inline]
    pub fn is_interrupted(&self) -> bool {
        self.gic.holds_any() && gic::has_virtual_interrupt()
    }

    fn save_later(&self, to: &mut [u64; 2]) {
        save_later(self.later, to);
    }

    fn load_later(&self, from: &[u64; 2]) {
        load_later(self.later, from);
    }

    /// The vCPU that is on this core starts anew: as [`vcpu::reset_el1`], and what is
    /// switched besides.
    pub fn reset(&self, block: &mut VcpuBlock, offset: u64) {
        floating::take(block.vcpu());
        vcpu::reset_el1(offset);
        self.load_later(&[0; 2]);
    }
}

/// Whether VDISR_EL2 and TPIDR2_EL0 are there.
pub(crate) fn later() -> [bool; 2] {
    let has = |crm, op2, shift: u32| {
        let value = identification(Register::new(3, 0, 0, crm, op2)).unwrap_or(0);
        value >> shift & 0xf != 0
    };
    // ID_AA64PFR0_EL1.RAS, ID_AA64PFR1_EL1.SME.
    [has(4, 0, 28), has(4, 1, 24)]
}

#[inline(always)]
pub(crate) fn save_later([ras, sme]: [bool; 2], to: &mut [u64; 2]) {
    let [vdisr, tpidr2] = to;
    if ras {
        *vdisr = registers::vdisr();
    }
    if sme {
        *tpidr2 = registers::tpidr2();
    }
}

#[inline(always)]
pub(crate) fn load_later([ras, sme]: [bool; 2], [vdisr, tpidr2]: &[u64; 2]) {
    if ras {
        registers::set_vdisr(*vdisr);
    }
    if sme {
        registers::set_tpidr2(*tpidr2);
    }
}

/// HCR_EL2.TWI and TWE.
const TWI: u64 = 1 << 13;
const TWE: u64 = 1 << 14;

/// How long a WFE waits before it traps, where that can be said (FEAT_TWED): 1024 cycles
/// (HCR_EL2.TWEDEn, and TWEDEL, two to that many times 256), about what it costs to change
/// to another vCPU. A lock that another core has for a moment is waited for so.
fn delay() -> u64 {
    const TWEDEL: u64 = 2 << 60;
    // ID_AA64MMFR1_EL1.TWED.
    match registers::trap(7, 1, 32, 59) {
        0 => 0,
        enabled => enabled | TWEDEL,
    }
}

/// What this core remembers of the VM whose stage 2 it has: two vCPUs of one VM have the
/// VMID in common, and each its own ASIDs and, for an instruction cache that is tagged by
/// them, addresses (DDI 0487, TLB maintenance instructions and the VMID; I-cache
/// types). The same core alone: no other one has what this one remembers.
pub(crate) fn forget_this_vm() {
    // SAFETY: 1. forgets only.
    unsafe {
        asm!("tlbi vmalle1", "ic iallu", "dsb nsh", "isb", options(nostack, nomem));
    }
}

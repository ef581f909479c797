//! The devices of the board that a VM has: quiet while it is off, its own while it
//! runs.

use crate::report::{Refused, refuse};
use core::sync::atomic::{AtomicBool, Ordering};
use evisor_aarch64::gic;
use evisor_aarch64::stage2::Stage2;
use evisor_contract::Rights;
use evisor_kernel::Passed;

/// Those of one VM.
pub(crate) struct Devices {
    passed: Passed,
    /// The VM starts, and its interrupts are still off.
    fresh: AtomicBool,
}

impl Devices {
    /// Shows the VM the registers that are its own.
    pub fn place(passed: Passed, stage2: &mut Stage2) -> Result<Self, Refused> {
        for window in &passed.windows {
            let can = |right| window.rights.intersects(right);
            let access = (can(Rights::READ), can(Rights::WRITE));
            let (first, last) = (window.ipa / PAGE, (window.ipa + (window.size - 1)) / PAGE);
            let physical = window.physical / PAGE * PAGE;
            stage2.device(first * PAGE, physical, (last - first + 1) * PAGE, access).map_err(
                |error| {
                    let path = &window.path;
                    refuse(format_args!("{path}: its registers cannot be mapped: {error}"))
                },
            )?;
        }
        Ok(Self { passed, fresh: AtomicBool::new(false) })
    }

    /// The VM's vCPUs are parked, and it changes: nothing comes from its devices any
    /// more, and they are at rest.
    pub fn quiet(&self) {
        for interrupt in &self.passed.interrupts {
            gic::disable(interrupt.intid as usize);
        }
        for object in &self.passed.objects {
            object.with(&mut |object| object.reset());
        }
        for interrupt in &self.passed.interrupts {
            gic::clear(interrupt.intid as usize);
        }
    }

    /// The VM's vCPUs are parked, and it stands still: nothing comes from its devices
    /// until [`release`](Self::release). They go on.
    pub fn hold(&self) {
        for interrupt in &self.passed.interrupts {
            gic::disable(interrupt.intid as usize);
        }
    }

    /// What came meanwhile comes now.
    pub fn release(&self) {
        if self.fresh.load(Ordering::SeqCst) {
            return;
        }
        for interrupt in &self.passed.interrupts {
            gic::allow(interrupt.intid as usize);
        }
    }

    /// The VM is about to start anew.
    pub fn starts(&self) {
        self.fresh.store(true, Ordering::SeqCst);
    }

    /// The VM's first vCPU starts, on this core: if the VM does, its devices' interrupts
    /// come from now on, here. What was under way when they were turned off has ended:
    /// it came to this core too.
    pub fn vcpu_starts(&self) {
        if !self.fresh.swap(false, Ordering::SeqCst) {
            return;
        }
        for interrupt in &self.passed.interrupts {
            gic::clear(interrupt.intid as usize);
            gic::enable_here(interrupt.intid as usize, interrupt.edge);
        }
    }
}

const PAGE: u64 = 4096;

//! The devices of the board that a VM has: quiet while it is off, its own while it
//! runs.

use crate::report::{Refused, refuse};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use evisor_aarch64::stage2::Stage2;
use evisor_aarch64::{gic, pages as stage2};
use evisor_contract::Rights;
use evisor_kernel::{Pages, Passed, PassedInterrupt, PassedWindow};

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
            let (ipa, size) = pages(window);
            let physical = window.physical / PAGE * PAGE;
            stage2.device(ipa, physical, size, access).map_err(|error| {
                let path = &window.path;
                refuse(format_args!("{path}: its registers cannot be mapped: {error}"))
            })?;
        }
        for tenure in &passed.tenures {
            let its = passed.windows.iter().filter(|window| window.path == tenure.path);
            let ranges: Vec<_> = its.map(pages).collect();
            if !ranges.is_empty() {
                tenure.shown_by(Box::leak(Box::new(Tenants(stage2.pages(&ranges)))));
            }
        }
        Ok(Self { passed, fresh: AtomicBool::new(false) })
    }

    /// Whether the device of the node at `path` can be taken, and its VM does not have it.
    pub fn lacks(&self, path: &str) -> bool {
        self.passed.lacks(path)
    }

    /// The VM's vCPUs are parked, and it changes: nothing comes from its devices any
    /// more, and they are at rest.
    pub fn quiet(&self) {
        self.each_had(|interrupt| gic::disable(interrupt.intid as usize));
        self.passed.reset();
        // Of a device that was taken from it last too: it ends nothing any more.
        for interrupt in &self.passed.interrupts {
            let clear = || gic::clear(interrupt.intid as usize);
            self.passed.while_had_last(&interrupt.path, clear);
        }
    }

    /// Does `f` with the interrupts of the devices that the VM has.
    fn each_had(&self, f: impl Fn(&PassedInterrupt)) {
        for interrupt in &self.passed.interrupts {
            self.passed.while_had(&interrupt.path, || f(interrupt));
        }
    }

    /// The VM's vCPUs are parked, and it stands still: nothing comes from its devices
    /// until [`release`](Self::release). They go on.
    pub fn hold(&self) {
        self.each_had(|interrupt| gic::disable(interrupt.intid as usize));
    }

    /// What came meanwhile comes now.
    pub fn release(&self) {
        if self.fresh.load(Ordering::SeqCst) {
            return;
        }
        self.each_had(|interrupt| gic::allow(interrupt.intid as usize));
    }

    /// The VM is about to start anew.
    pub fn starts(&self) {
        // Those that cannot be taken were, with the VM's other objects.
        self.passed.reset_had();
        self.fresh.store(true, Ordering::SeqCst);
    }

    /// The VM's first vCPU starts, on this core: if the VM does, its devices' interrupts
    /// come from now on, here. What was under way when they were turned off has ended:
    /// it came to this core too.
    pub fn vcpu_starts(&self) {
        if !self.fresh.swap(false, Ordering::SeqCst) {
            return;
        }
        self.each_had(|interrupt| {
            gic::clear(interrupt.intid as usize);
            gic::enable_here(interrupt.intid as usize, interrupt.edge);
        });
    }
}

/// The pages of a device that can be taken from its VM.
struct Tenants(stage2::Pages);

impl Pages for Tenants {
    fn hide(&self) {
        self.0.hide();
    }

    fn show(&self) {
        self.0.show();
    }
}

/// The pages that hold a window: guest-physical address and size.
fn pages(window: &PassedWindow) -> (u64, u64) {
    let (first, last) = (window.ipa / PAGE, (window.ipa + (window.size - 1)) / PAGE);
    (first * PAGE, (last - first + 1) * PAGE)
}

const PAGE: u64 = 4096;

//! Virtual interrupt controllers for up to eight vCPUs: a GICv2 (IHI 0048B.b) and
//! a GICv3 (IHI 0069H), each without a second Security state.
//!
//! What is emulated is the Distributor, and of a GICv3 the Redistributors and the
//! registers that send SGIs. The guest's CPU interface is the real one (GICV, or
//! the ICV_* registers), which it reaches without a trap; what is pending gets
//! there through list registers. So an interrupt is acknowledged and ended without
//! eVisor, and one that is linked to hardware is even deactivated so.
//!
//! Both keep the same state and move interrupts in the same way, which is written
//! once over an [`Interface`](interface::Interface) of either kind; the registers
//! that are hot, or only one of them has, are in `v2` and `v3`.
//!
//! A vCPU's list registers are those of the core that it is on. Nobody else can
//! reach them: who changes what is there says so in its bank and kicks it, and who
//! wants to read what is there kicks it and reads again
//! ([`Status::Again`](evisor_contract::Status::Again)).

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod files;
mod interface;
mod lines;
mod list_registers;
mod queue;
mod snapshot;
mod spec;
mod state;
#[cfg(test)]
mod tests;
pub mod v2;
pub mod v3;

use evisor_contract::{BuildError, VcpuControl};
use interface::Interface;
use spec::CPUS;
use state::State;

/// What both kinds have: the state of a VM's interrupts, and the way to its list
/// registers.
#[repr(C)]
struct Vgic<I> {
    interface: I,
    vcpus: &'static dyn VcpuControl,
    state: State,
}

impl<I: Interface> Vgic<I> {
    /// For `count` vCPUs; SPIs go to `targets` at first.
    fn new(
        interface: I,
        count: usize,
        vcpus: &'static dyn VcpuControl,
        targets: u8,
    ) -> Result<Self, BuildError> {
        if !(1..=CPUS).contains(&count) {
            return Err(BuildError::new(
                "an interrupt controller serves one to eight vCPUs",
                "give the VM fewer",
            ));
        }
        if interface.all().count_ones() < 2 {
            return Err(BuildError::new(
                "the board's virtual interface has fewer than two list registers",
                "run the VM on another board",
            ));
        }
        Ok(Self { interface, vcpus, state: State::new::<I>(count, targets) })
    }

    /// As after power-on.
    fn reset(&mut self, targets: u8) {
        self.state.reset::<I>(targets);
    }
}

//! A virtual GICv2 (IHI 0048B.b): to its guest a GICv2 without the Security
//! Extensions, for up to eight vCPUs.
//!
//! The Distributor is emulated. The guest's CPU interface is the board's own GICV,
//! which the guest reaches without a trap; what is pending gets there through the
//! list registers of GICH. So an interrupt is acknowledged and ended without
//! eVisor, and one that is linked to hardware is even deactivated so.
//!
//! Whoever moves a vCPU between cores moves its list registers, GICH_VMCR and
//! GICH_APR. Before a vCPU first runs, and before its VM is saved, it is given
//! [`tag::REFRESH`](evisor_contract::tag::REFRESH).
//!
//! The three registers that a running guest touches most (TYPER, ISENABLER,
//! SGIR) and its private physical interrupts are tried first; the rest is one
//! call away.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod distributor;
mod interface;
mod lines;
mod list_registers;
mod snapshot;
mod spec;
mod state;
#[cfg(test)]
mod tests;

use evisor_contract::{
    BuildError, Context, GuestNode, LineState, Mmio, Needs, Notify, Object, Parts, Reply, Restore,
    RestoreError, Rights, Save, VcpuControl, VirtualInterface, Width, WindowNeed, component,
};
use interface::Interface;
use list_registers::{HW, PHYSICAL_ID};
use spec::{CPUS, PRIVATE, SGIS, gicd};
use state::{State, word_of};

/// The widths that a Distributor allows (IHI 0048B.b §4.1.3).
const GICD_ACCESS: Rights =
    Rights::READ8.union(Rights::READ32).union(Rights::WRITE8).union(Rights::WRITE32);

component! {
    compatible: ["evisor,gic-v2", "arm,gic-400", "arm,cortex-a15-gic"],
    needs: Needs {
        windows: &[WindowNeed { access: GICD_ACCESS, ..WindowNeed::new(0x1000) }, WindowNeed::new(0x2000)],
        interrupt_controller: true,
        ..Needs::NONE
    },
    properties: [],
    build: |_node, grants| {
        let interface = grants.virtual_interface(1)?;
        let gic = Vgic::new(interface, grants.vcpu_count(), grants.vcpus()?)?;
        Ok(Parts::new(gic).mmio().notify().done())
    },
    describe: |_node, guest| {
        describe(guest);
        Ok(())
    },
}

/// The binding "arm,gic".
fn describe(guest: &mut dyn GuestNode) {
    guest.set_strings("compatible", &["arm,gic-400", "arm,cortex-a15-gic"]);
    guest.set_flag("interrupt-controller");
    guest.set_cells("#interrupt-cells", &[3]);
    guest.set_cells("#address-cells", &[0]);
}

/// The interrupt controller of one VM.
#[repr(C)]
pub struct Vgic {
    typer: u32,
    interface: Interface,
    vcpus: &'static dyn VcpuControl,
    state: State,
}

impl Vgic {
    /// For `count` vCPUs.
    ///
    /// # Errors
    /// There are more than a GICv2 serves, or the board's virtual interface has
    /// not what it takes.
    pub fn new(
        interface: VirtualInterface,
        count: usize,
        vcpus: &'static dyn VcpuControl,
    ) -> Result<Self, BuildError> {
        if !(1..=CPUS).contains(&count) {
            return Err(BuildError::new(
                "a GICv2 serves one to eight vCPUs",
                "give the VM fewer, or a GICv3",
            ));
        }
        let lists = interface.list_registers;
        let interface = Interface::new(interface.control, lists).filter(|_| lists >= 2);
        let interface = interface.ok_or_else(|| {
            BuildError::new(
                "the board's virtual interface has fewer than two list registers",
                "run the VM on another board",
            )
        })?;
        Ok(Self { typer: distributor::typer(count), interface, vcpus, state: State::new(count) })
    }

    /// Sets the enable bits that are not set yet, of word `n`.
    #[inline(always)]
    fn enable(&mut self, n: usize, value: u32, cx: &Context) {
        let at = word_of(cx.vcpu(), n);
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

    #[inline(never)]
    fn slow_read(&mut self, offset: u64, width: Width, cx: &Context) -> Reply {
        if cx.vcpu() >= self.state.vcpus {
            return Reply::ABSENT;
        }
        Reply::value(u64::from(self.read_register(offset & 0xfff, width, cx.vcpu())))
    }

    #[inline(never)]
    fn slow_write(&mut self, offset: u64, width: Width, value: u64, cx: &Context) -> Reply {
        if cx.vcpu() >= self.state.vcpus {
            return Reply::ABSENT;
        }
        if offset == gicd::SGIR {
            if width == Width::Word {
                self.send_sgi(value as u32, cx.vcpu(), cx);
            }
        } else {
            self.write_register(offset & 0xfff, width, value as u32, cx.vcpu());
        }
        Reply::DONE
    }
}

impl Mmio for Vgic {
    #[inline(always)]
    fn read(&mut self, offset: u64, width: Width, cx: &mut Context) -> Reply {
        if offset == gicd::TYPER && width == Width::Word {
            return Reply::value(u64::from(self.typer));
        }
        self.slow_read(offset, width, cx)
    }

    #[inline(always)]
    fn write(&mut self, offset: u64, width: Width, value: u64, cx: &mut Context) -> Reply {
        if width == Width::Word {
            let at = offset.wrapping_sub(gicd::ISENABLER);
            if at < 4 * state::WORDS as u64 {
                self.enable((at >> 2) as usize, value as u32, cx);
                return Reply::DONE;
            }
            if offset == gicd::SGIR {
                let sgi = value as usize & (SGIS - 1);
                let to = value as u32 & !0xf;
                let to_self = to == 1 << 16 << (cx.vcpu() & (CPUS - 1)) || to == 2 << 24;
                if to_self && self.again(cx.vcpu(), sgi, (cx.vcpu() as u32 & 7) << 10) {
                    return Reply::DONE;
                }
            }
        }
        self.slow_write(offset, width, value, cx)
    }
}

impl Notify for Vgic {
    #[inline(always)]
    fn notify(&mut self, tag: u32, value: u64, cx: &mut Context) -> Reply {
        const PHYSICAL: u64 = LineState::Physical(0).encode();
        let ppi = tag.wrapping_sub(SGIS as u32) < (PRIVATE - SGIS) as u32;
        // A private physical interrupt comes by way of the space of the vCPU that
        // is on the core: it is here.
        if ppi & (value & 3 == PHYSICAL) {
            let physical = (value >> 6) as u32 & PHYSICAL_ID;
            if self.again(cx.vcpu(), tag as usize, HW | physical) {
                return Reply::HELD;
            }
        }
        self.notified_slow(tag, value, cx)
    }
}

impl Vgic {
    #[inline(never)]
    fn notified_slow(&mut self, tag: u32, value: u64, cx: &mut Context) -> Reply {
        self.notified(tag, value, cx)
    }
}

impl Object for Vgic {
    fn reset(&mut self) {
        self.state = State::new(self.state.vcpus);
    }

    fn save(&self, to: &mut Save) {
        snapshot::save(&self.state, self.interface.all, to);
    }

    fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        self.state = snapshot::restore(self.state.vcpus, from)?;
        Ok(())
    }
}

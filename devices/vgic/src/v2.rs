//! A virtual GICv2 (IHI 0048B.b), without the Security Extensions.
//!
//! The registers that a running guest touches most (TYPER, ISENABLER, SGIR) are
//! tried first; the rest is one call away.

mod distributor;
mod gich;
pub(crate) mod spec;

use crate::spec::{CPUS, SGIS, files};
use crate::state::{WORDS, word_of};
use crate::{Vgic, snapshot};
use evisor_contract::{
    BuildError, Context, GuestNode, Mmio, Needs, Notify, Object, Parts, Reply, Restore,
    RestoreError, Rights, Save, VcpuControl, VirtualInterface, Width, WindowNeed, component,
};
pub(crate) use gich::Gich;
use spec::gicd;

/// The widths that a Distributor allows (IHI 0048B.b §4.1.3).
const GICD_ACCESS: Rights =
    Rights::READ8.union(Rights::READ32).union(Rights::WRITE8).union(Rights::WRITE32);

component! {
    compatible: ["evisor,gic-v2", "arm,gic-400", "arm,cortex-a15-gic"],
    needs: Needs {
        windows: &[
            WindowNeed { access: GICD_ACCESS, ..WindowNeed::new(0x1000) },
            WindowNeed::new(0x2000),
        ],
        interrupt_controller: true,
        ..Needs::NONE
    },
    properties: [],
    build: |_node, grants| {
        let interface = grants.virtual_interface(1)?;
        let gic = GicV2::new(interface, grants.vcpu_count(), grants.vcpus()?)?;
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

/// With one processor every SPI goes to it (IHI 0048B.b §4.3.12).
fn first_targets(vcpus: usize) -> u8 {
    u8::from(vcpus == 1)
}

/// The interrupt controller of one VM.
#[repr(C)]
pub struct GicV2 {
    typer: u32,
    pub(crate) gic: Vgic<Gich>,
}

impl GicV2 {
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
        let gich = Gich::new(interface.control, interface.list_registers).ok_or_else(|| {
            BuildError::new(
                "the board's virtual interface is too short",
                "run the VM on another board",
            )
        })?;
        let gic = Vgic::new(gich, count, vcpus, first_targets(count))?;
        Ok(Self { typer: distributor::typer(count), gic })
    }

    #[cold]
    #[inline(never)]
    fn slow_read(&mut self, offset: u64, width: Width, cx: &Context) -> Reply {
        if cx.vcpu() >= self.gic.state.vcpus {
            return Reply::ABSENT;
        }
        let value = self.gic.read_register(offset & 0xfff, width, cx.vcpu());
        value.map_or(Reply::AGAIN, |value| Reply::value(value.into()))
    }

    #[cold]
    #[inline(never)]
    fn slow_write(&mut self, offset: u64, width: Width, value: u64, cx: &Context) -> Reply {
        if cx.vcpu() >= self.gic.state.vcpus {
            return Reply::ABSENT;
        }
        if offset == gicd::SGIR {
            if width == Width::Word {
                self.gic.send_sgi(value as u32, cx.vcpu(), cx);
            }
        } else {
            self.gic.write_register(offset & 0xfff, width, value as u32, cx.vcpu());
        }
        Reply::DONE
    }
}

impl Mmio for GicV2 {
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
            let at = offset.wrapping_sub(files::ISENABLER);
            if at < 4 * WORDS as u64 {
                self.gic.enable(word_of(cx.vcpu(), (at >> 2) as usize), value as u32, cx);
                return Reply::DONE;
            }
            if offset == gicd::SGIR {
                let here = cx.vcpu() & (CPUS - 1);
                let to = value as u32 & !0xf;
                let to_self = to == self.gic.state.bank(here).own || to == 2 << 24;
                let sgi = value as usize & (SGIS - 1);
                if to_self && self.gic.again(here, sgi) {
                    return Reply::DONE;
                }
            }
        }
        self.slow_write(offset, width, value, cx)
    }
}

impl Notify for GicV2 {
    #[inline(always)]
    fn notify(&mut self, tag: u32, value: u64, cx: &mut Context) -> Reply {
        self.gic.notify(tag, value, cx)
    }
}

impl Object for GicV2 {
    fn reset(&mut self) {
        self.gic.reset(first_targets(self.gic.state.vcpus));
    }

    fn save(&self, to: &mut Save) {
        to.begin(spec::STATE_TAG, spec::STATE_VERSION);
        snapshot::save(&self.gic, to);
    }

    fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        from.begin(spec::STATE_TAG, spec::STATE_VERSION)?;
        snapshot::restore(&mut self.gic, from)
    }
}

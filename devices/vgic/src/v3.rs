//! A virtual GICv3 (IHI 0069H) with one Security state, affinity routing, and no
//! LPIs.
//!
//! GICD is its window from 0 and the Redistributors, a vCPU's after the other, the
//! one from [`GICR`] on. TYPER, ISENABLER and an SGI to oneself are tried first;
//! the rest is one call away.

mod distributor;
mod redistributor;
mod sgi;
pub(crate) mod spec;
mod system;

use crate::spec::{CPUS, PRIVATE, files};
use crate::state::{INTIDS, WORDS, word_of};
use crate::{Vgic, snapshot};
use evisor_contract::{
    BuildError, Context, GuestNode, Mmio, Needs, Notify, Object, Parts, Register, Registers, Reply,
    Restore, RestoreError, Rights, Save, SystemInterface, VcpuControl, Width, WindowNeed,
    component,
};
use spec::{ICC_ASGI1R_EL1, ICC_SGI0R_EL1, ICC_SGI1R_EL1, gicd, gicr};
pub(crate) use system::System;

/// The widths that the frames allow (IHI 0069H §12.1).
const ACCESS: Rights = Rights::READ8
    .union(Rights::READ32)
    .union(Rights::READ64)
    .union(Rights::WRITE8)
    .union(Rights::WRITE32)
    .union(Rights::WRITE64);

/// Where the Redistributors are, seen from GICD: the windows are end to end.
const GICR: u64 = 0x1_0000;
/// What one takes.
const REDISTRIBUTOR: u64 = 2 * gicr::FRAME;

component! {
    compatible: ["evisor,gic-v3", "arm,gic-v3"],
    needs: Needs {
        windows: &[
            WindowNeed { access: ACCESS, ..WindowNeed::new(GICR) },
            WindowNeed { access: ACCESS, per_vcpu: true, ..WindowNeed::new(REDISTRIBUTOR) },
        ],
        interrupt_controller: true,
        ..Needs::NONE
    },
    properties: [],
    build: |_node, grants| {
        let interface = grants.system_interface()?;
        let gic = GicV3::new(interface, grants.vcpu_count(), grants.vcpus()?)?;
        let each = [ICC_SGI1R_EL1, ICC_ASGI1R_EL1, ICC_SGI0R_EL1].map(|r| r..=r);
        Ok(Parts::new(gic).mmio().registers(&each).notify().done())
    },
    describe: |_node, guest| {
        describe(guest);
        Ok(())
    },
}

/// The binding "arm,gic-v3".
fn describe(guest: &mut dyn GuestNode) {
    guest.set_strings("compatible", &["arm,gic-v3"]);
    guest.set_flag("interrupt-controller");
    guest.set_cells("#interrupt-cells", &[3]);
    guest.set_cells("#address-cells", &[0]);
}

/// The interrupt controller of one VM.
#[repr(C)]
pub struct GicV3 {
    typer: u32,
    pub(crate) gic: Vgic<System>,
    /// What goes into an ICC_SGI1R_EL1 to send to each vCPU alone, without INTID.
    addresses: [u64; CPUS],
    /// Each vCPU's affinity, as in GICD_IROUTER.
    affinities: [u64; CPUS],
    /// GICD_IROUTER.
    routers: [u64; INTIDS],
    /// GICR_WAKER.ProcessorSleep, a bit for each vCPU.
    asleep: u32,
}

/// Which frame an offset is in, and where in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frame {
    /// GICD
    Distributor(u64),
    /// GICR's RD_base of a vCPU.
    Control(usize, u64),
    /// GICR's SGI_base of a vCPU.
    Private(usize, u64),
}

impl Frame {
    fn at(offset: u64) -> Self {
        let (frame, at) = (offset / gicr::FRAME, offset % gicr::FRAME);
        match frame.checked_sub(1) {
            None => Self::Distributor(at),
            Some(n) if n % 2 == 0 => Self::Control((n / 2) as usize, at),
            Some(n) => Self::Private((n / 2) as usize, at),
        }
    }
}

/// A bit for each of so many vCPUs.
fn all_asleep(vcpus: usize) -> u32 {
    (1 << vcpus) - 1
}

/// The word of enable bits at `offset`, if it is one of ISENABLER that is there.
#[inline(always)]
fn enable_word(offset: u64) -> Option<usize> {
    // GICD and every SGI_base begin at a multiple of a Redistributor's size.
    let n = (offset % REDISTRIBUTOR).wrapping_sub(files::ISENABLER) >> 2;
    let frame = (offset / REDISTRIBUTOR) as usize;
    match frame.checked_sub(1) {
        None if n.wrapping_sub(1) < WORDS as u64 - 1 => Some(CPUS | n as usize),
        Some(vcpu) if n == 0 && vcpu < CPUS => Some(word_of(vcpu, 0)),
        _ => None,
    }
}

impl GicV3 {
    /// For `count` vCPUs.
    ///
    /// # Errors
    /// There are more than this one serves, or the board's virtual interface has
    /// not what it takes.
    pub fn new(
        interface: SystemInterface,
        count: usize,
        vcpus: &'static dyn VcpuControl,
    ) -> Result<Self, BuildError> {
        let system = System::new(interface).ok_or_else(|| {
            BuildError::new(
                "the board's virtual interface has no list registers",
                "run the VM on another board",
            )
        })?;
        let mut affinities = [u64::MAX; CPUS];
        for (index, affinity) in affinities.iter_mut().enumerate().take(count) {
            *affinity = vcpus.affinity(index).unwrap_or(u64::MAX);
        }
        let targets = distributor::targets(&affinities, 0);
        Ok(Self {
            typer: distributor::typer(),
            gic: Vgic::new(system, count, vcpus, targets)?,
            addresses: affinities.map(sgi::address),
            affinities,
            routers: [0; INTIDS],
            asleep: all_asleep(count),
        })
    }

    #[cold]
    #[inline(never)]
    fn slow_read(&mut self, offset: u64, width: Width, cx: &Context) -> Reply {
        let here = cx.vcpu();
        let vcpus = self.gic.state.vcpus;
        let value = match Frame::at(offset) {
            _ if here >= vcpus => return Reply::ABSENT,
            Frame::Distributor(at) => self.read_distributor(at, width, here),
            Frame::Control(vcpu, at) if vcpu < vcpus => {
                Some(self.read_control(vcpu, at, width, here))
            }
            Frame::Private(vcpu, at) if vcpu < vcpus => self.read_private(vcpu, at, width, here),
            _ => return Reply::ABSENT,
        };
        value.map_or(Reply::AGAIN, Reply::value)
    }

    #[cold]
    #[inline(never)]
    fn slow_write(&mut self, offset: u64, width: Width, value: u64, cx: &Context) -> Reply {
        let here = cx.vcpu();
        let vcpus = self.gic.state.vcpus;
        if here >= vcpus {
            return Reply::ABSENT;
        }
        self.gic.forget_question(here);
        match Frame::at(offset) {
            Frame::Distributor(at) => self.write_distributor(at, width, value, here),
            Frame::Control(vcpu, at) if vcpu < vcpus => self.write_control(vcpu, at, width, value),
            Frame::Private(vcpu, at) if vcpu < vcpus => {
                self.write_private(vcpu, at, width, value, here);
            }
            _ => return Reply::ABSENT,
        }
        Reply::DONE
    }
}

impl Mmio for GicV3 {
    #[inline(always)]
    fn read(&mut self, offset: u64, width: Width, cx: &mut Context) -> Reply {
        if offset == gicd::TYPER && width == Width::Word {
            return Reply::value(u64::from(self.typer));
        }
        self.slow_read(offset, width, cx)
    }

    #[inline(always)]
    fn write(&mut self, offset: u64, width: Width, value: u64, cx: &mut Context) -> Reply {
        if width == Width::Word
            && let Some(at) = enable_word(offset)
        {
            self.gic.enable(at, value as u32, cx);
            return Reply::DONE;
        }
        self.slow_write(offset, width, value, cx)
    }
}

impl Registers for GicV3 {
    /// They are write-only: UNDEFINED.
    fn read_register(&mut self, _: Register, _: &mut Context) -> Reply {
        Reply::ABSENT
    }

    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "masked to the length of the array")]
    fn write_register(&mut self, register: Register, value: u64, cx: &mut Context) -> Reply {
        let here = cx.vcpu() & (CPUS - 1);
        let (to, sgi) = (value & !sgi::INTID, sgi::intid(value));
        if register == ICC_SGI1R_EL1 && to == self.addresses[here] && self.gic.again(here, sgi) {
            return Reply::DONE;
        }
        self.send(register, value, cx)
    }
}

impl Notify for GicV3 {
    #[inline(always)]
    fn notify(&mut self, tag: u32, value: u64, cx: &mut Context) -> Reply {
        self.gic.notify(tag, value, cx)
    }
}

impl Object for GicV3 {
    fn reset(&mut self) {
        self.gic.reset(distributor::targets(&self.affinities, 0));
        self.asleep = all_asleep(self.gic.state.vcpus);
        self.routers = [0; INTIDS];
    }

    fn save(&self, to: &mut Save) {
        to.begin(spec::STATE_TAG, spec::STATE_VERSION);
        snapshot::save(&self.gic, to);
        to.word(self.asleep);
        for routers in self.routers.as_chunks::<PRIVATE>().0 {
            to.raw(routers.map(u64::to_le_bytes).as_flattened());
        }
    }

    fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        from.begin(spec::STATE_TAG, spec::STATE_VERSION)?;
        snapshot::restore(&mut self.gic, from)?;
        self.asleep = from.word()?;
        if self.asleep >> self.gic.state.vcpus != 0 {
            return Err(RestoreError::Impossible);
        }
        let mut last = (0, distributor::targets(&self.affinities, 0));
        for n in 0..WORDS {
            let mut routers = [[0; 8]; PRIVATE];
            from.raw(routers.as_flattened_mut())?;
            for (bit, router) in routers.into_iter().enumerate() {
                let router = u64::from_le_bytes(router);
                if router & !distributor::ROUTE != 0 {
                    return Err(RestoreError::Impossible);
                }
                if router != last.0 {
                    last = (router, distributor::targets(&self.affinities, router));
                }
                self.take_route(n * PRIVATE + bit, last);
            }
        }
        Ok(())
    }
}

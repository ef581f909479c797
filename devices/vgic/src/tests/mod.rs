//! The controller against a model of the guest's CPU interface: it acknowledges
//! and ends what the list registers hold, as IHI 0048B.b §5.2 says.

mod declared;
mod distributor;
mod interrupts;
mod property;
mod snapshot;

use crate::spec::{GICH_LR, gicd};
use crate::{Vgic, list_registers};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use evisor_contract::{
    Context, LineState, Mmio, Notify, Power, Reply, Status, VcpuControl, VirtualInterface, Width,
    tag,
};
use safe_mmio::UniqueMmioPointer;
use safe_mmio::fields::ReadPureWrite;

/// Which vCPU is on the only core, and which were kicked.
#[derive(Default)]
pub struct Vcpus {
    here: AtomicUsize,
    kicked: AtomicU32,
}

impl VcpuControl for Vcpus {
    fn affinity(&self, index: usize) -> Option<u64> {
        Some(index as u64)
    }
    fn power(&self, _: usize) -> Power {
        Power::On
    }
    fn start(&self, _: usize, _: u64, _: u64) -> Power {
        Power::On
    }
    fn stop_caller(&self, _: &mut Context) {}
    fn wait(&self, _: &mut Context) {}
    fn is_here(&self, index: usize, cx: &Context) -> bool {
        cx.vm() == 0 && index == cx.vcpu() && index == self.here.load(Ordering::Relaxed)
    }
    fn kick(&self, index: usize) {
        self.kicked.fetch_or(1 << index, Ordering::Relaxed);
    }
}

/// What the guest acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    pub intid: usize,
    pub source: usize,
    /// The physical interrupt that its end deactivates.
    pub physical: Option<u32>,
    list: usize,
}

/// A VM on one core.
pub struct Rig {
    pub gic: Vgic,
    pub vcpus: &'static Vcpus,
    pub lists: usize,
    here: usize,
    away: Vec<Vec<u32>>,
    /// Whether the maintenance interrupt of an ended interrupt waits.
    ended: bool,
}

pub fn interface(lists: usize) -> VirtualInterface {
    let registers: &'static mut [ReadPureWrite<u32>] =
        Box::leak((0..128).map(|_| ReadPureWrite(0)).collect());
    VirtualInterface { control: UniqueMmioPointer::from(registers), list_registers: lists }
}

impl Rig {
    pub fn new(vcpus: usize, lists: usize) -> Self {
        let control: &'static Vcpus = Box::leak(Box::default());
        let gic = Vgic::new(interface(lists), vcpus, control).unwrap();
        let away = (0..vcpus).map(|_| alloc::vec![0; lists]).collect();
        let mut rig = Self { gic, vcpus: control, lists, here: 0, away, ended: false };
        rig.notify_all(tag::REFRESH);
        rig
    }

    /// As after Linux's start: forwarding, and SPIs to vCPU 0.
    pub fn started(vcpus: usize, lists: usize) -> Self {
        let mut rig = Self::new(vcpus, lists);
        rig.write(gicd::CTLR, 1);
        for intid in (32..256).step_by(4) {
            rig.write(gicd::ITARGETSR + intid, 0x0101_0101);
        }
        rig
    }

    fn notify_all(&mut self, tag: u32) {
        for vcpu in (0..self.away.len()).rev() {
            self.switch(vcpu);
            let _ = self.notify(tag, 0);
        }
    }

    pub fn cx(&self) -> Context {
        Context::new(self.here as u16)
    }

    pub fn read(&mut self, offset: u64) -> u32 {
        self.read_width(offset, Width::Word)
    }

    pub fn read_width(&mut self, offset: u64, width: Width) -> u32 {
        let reply = self.gic.read(offset, width, &mut self.cx());
        assert_eq!(reply.status, Status::Done);
        assert!(reply.value <= width.mask());
        reply.value as u32
    }

    pub fn write(&mut self, offset: u64, value: u32) {
        self.write_width(offset, Width::Word, value);
    }

    pub fn write_width(&mut self, offset: u64, width: Width, value: u32) {
        let reply = self.gic.write(offset, width, value.into(), &mut self.cx());
        assert_eq!(reply, Reply::DONE);
    }

    pub fn notify(&mut self, tag: u32, value: u64) -> Reply {
        self.gic.notify(tag, value, &mut self.cx())
    }

    pub fn line(&mut self, intid: u32, state: LineState) -> Reply {
        self.notify(intid, state.encode())
    }

    /// Writes the bit of `intid` in a file of a bit an interrupt.
    pub fn bit(&mut self, file: u64, intid: u32) {
        self.write(file + u64::from(intid / 32 * 4), 1 << (intid % 32));
    }

    /// Reads it.
    pub fn is_set(&mut self, file: u64, intid: u32) -> bool {
        self.read(file + u64::from(intid / 32 * 4)) >> (intid % 32) & 1 != 0
    }

    pub fn priority(&mut self, intid: u32, priority: u8) {
        self.write_width(gicd::IPRIORITYR + u64::from(intid), Width::Byte, priority.into());
    }

    /// Another vCPU comes onto the core; if it was kicked it is refreshed.
    pub fn switch(&mut self, vcpu: usize) {
        let lists = self.lists;
        self.away[self.here] = (0..lists).map(|n| self.gic.interface.list(n)).collect();
        self.here = vcpu;
        self.vcpus.here.store(vcpu, Ordering::Relaxed);
        for n in 0..lists {
            self.gic.interface.set_list(n, self.away[vcpu][n]);
        }
        self.refresh();
    }

    /// Every vCPU that was kicked has been on the core, as if each had its own.
    pub fn refresh_all(&mut self) {
        let here = self.here;
        for _ in 0..2 * self.away.len() {
            let kicked = self.vcpus.kicked.load(Ordering::Relaxed);
            if kicked != 0 {
                self.switch(kicked.trailing_zeros() as usize);
            }
        }
        if self.here != here {
            self.switch(here);
        }
    }

    /// Goes back to the guest: what was asked for comes first.
    pub fn refresh(&mut self) {
        let kicked = self.vcpus.kicked.fetch_and(!(1 << self.here), Ordering::Relaxed);
        if kicked >> self.here & 1 != 0 {
            let _ = self.notify(tag::REFRESH, 0);
        }
        let valid = (0..self.lists).filter(|&n| self.gic.interface.list(n) >> 28 & 3 != 0).count();
        let underflow = self.gic.interface.underflow() && valid <= 1;
        if core::mem::take(&mut self.ended) || underflow {
            let _ = self.notify(tag::MAINTENANCE, 0);
        }
    }

    /// What GICV_IAR gives: the pending one of the highest priority.
    pub fn acknowledge(&mut self) -> Option<Acknowledged> {
        self.refresh();
        let pending = (0..self.lists).map(|n| (n, self.gic.interface.list(n)));
        let pending = pending.filter(|(_, value)| value & list_registers::IS_PENDING != 0);
        let (list, value) = pending.min_by_key(|(_, v)| (GICH_LR::PRIORITY.read(*v), v & 0x3ff))?;
        let state = GICH_LR::STATE::Active.modify(value);
        self.gic.interface.set_list(list, state);
        let linked = GICH_LR::HW.is_set(value);
        Some(Acknowledged {
            intid: (value & 0x3ff) as usize,
            source: if linked { 0 } else { GICH_LR::CPU_ID.read(value) as usize },
            physical: linked.then(|| GICH_LR::PHYSICAL_ID.read(value)),
            list,
        })
    }

    /// GICV_EOIR; the maintenance interrupt comes if it was asked for.
    pub fn end(&mut self, what: Acknowledged) {
        let lists = 0..self.lists;
        let found = lists.map(|n| (n, self.gic.interface.list(n))).find(|(_, value)| {
            value & 0x3ff == what.intid as u32 && value & list_registers::IS_ACTIVE != 0
        });
        let (list, value) = found.unwrap();
        self.gic.interface.set_list(list, GICH_LR::STATE::Invalid.modify(value));
        self.ended |= !GICH_LR::HW.is_set(value) && GICH_LR::EOI.is_set(value);
        self.refresh();
    }

    /// Acknowledges and ends one.
    pub fn take(&mut self) -> Option<usize> {
        let what = self.acknowledge()?;
        self.end(what);
        Some(what.intid)
    }

    /// Acknowledges and ends all that there is.
    pub fn take_all(&mut self) -> Vec<usize> {
        core::iter::from_fn(|| self.take()).take(100).collect()
    }
}

//! The controllers against a model of the guest's CPU interface: it acknowledges
//! and ends what the list registers hold, as IHI 0048B.b §5.2 and IHI 0069H §6 say.

mod declared;
mod interrupts;
mod property;
mod queue;
mod retired;
mod snapshot;
mod system;
mod v2;
mod v3;

use crate::Vgic;
use crate::interface::Interface;
use crate::spec::{PRIVATE, files};
use crate::v2::{GicV2, Gich};
use crate::v3::{GicV3, System, spec as spec3};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use evisor_contract::{
    Context, LineState, Mmio, Notify, Object, Power, Registers, Reply, Status, VcpuControl,
    VirtualInterface, Width, tag,
};
use safe_mmio::UniqueMmioPointer;
use safe_mmio::fields::ReadPureWrite;

/// Tests that both controllers pass.
macro_rules! both {
    ($($name:ident),+ $(,)?) => {
        mod gic_v2 {
            $(#[test] fn $name() { super::$name::<crate::v2::GicV2>(); })+
        }
        mod gic_v3 {
            $(#[test] fn $name() { super::$name::<crate::v3::GicV3>(); })+
        }
    };
}
use both;

/// Which vCPU is on the only core, which were kicked, and which are off.
#[derive(Default)]
pub struct Vcpus {
    here: AtomicUsize,
    kicked: AtomicU32,
    off: AtomicU32,
}

impl VcpuControl for Vcpus {
    /// Two clusters, and a number that a target list cannot name without its range.
    fn affinity(&self, index: usize) -> Option<u64> {
        [0, 1, 0x100, 0x01_0002_0011].get(index).copied().or(Some(index as u64))
    }
    fn power(&self, index: usize) -> Power {
        if self.off.load(Ordering::Relaxed) >> index & 1 != 0 { Power::Off } else { Power::On }
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

/// What the tests need of either controller.
pub trait Controller: Object + Mmio + Notify {
    type Interface: Interface;
    fn build(vcpus: usize, lists: usize, control: &'static Vcpus) -> Self;
    fn inner(&mut self) -> &mut Vgic<Self::Interface>;
    fn exchange(&mut self, other: &mut [u64; 32]);
    fn underflow(&mut self) -> bool;
    /// The guest ends what is in no list register.
    fn count_end(&mut self);
    /// Where `file` begins for `intid` of vCPU `vcpu`.
    fn file(file: u64, intid: u32, vcpu: usize) -> u64;
    /// Sends SGI `sgi` to the vCPUs in `targets`.
    fn send(&mut self, sgi: u32, targets: u32, cx: &mut Context) -> Reply;
    /// Sends shared interrupt `intid` to `vcpu`.
    fn target(&mut self, intid: u32, vcpu: usize, cx: &mut Context);
}

impl Controller for GicV2 {
    type Interface = Gich;
    fn build(vcpus: usize, lists: usize, control: &'static Vcpus) -> Self {
        Self::new(interface(lists), vcpus, control).unwrap()
    }
    fn inner(&mut self) -> &mut Vgic<Gich> {
        &mut self.gic
    }
    fn exchange(&mut self, other: &mut [u64; 32]) {
        self.gic.interface.exchange(other);
    }
    fn underflow(&mut self) -> bool {
        self.gic.interface.underflow()
    }
    fn count_end(&mut self) {
        self.gic.interface.count_end();
    }
    fn file(file: u64, _: u32, _: usize) -> u64 {
        file
    }
    fn send(&mut self, sgi: u32, targets: u32, cx: &mut Context) -> Reply {
        let value = targets << 16 | sgi;
        self.write(crate::v2::spec::gicd::SGIR, Width::Word, value.into(), cx)
    }
    fn target(&mut self, intid: u32, vcpu: usize, cx: &mut Context) {
        let offset = files::ITARGETSR + u64::from(intid);
        assert_eq!(self.write(offset, Width::Byte, 1 << vcpu, cx), Reply::DONE);
    }
}

impl Controller for GicV3 {
    type Interface = System;
    fn build(vcpus: usize, lists: usize, control: &'static Vcpus) -> Self {
        Self::new(system::interface(lists), vcpus, control).unwrap()
    }
    fn inner(&mut self) -> &mut Vgic<System> {
        &mut self.gic
    }
    fn exchange(&mut self, other: &mut [u64; 32]) {
        self.gic.interface.exchange(other);
    }
    fn underflow(&mut self) -> bool {
        self.gic.interface.underflow()
    }
    fn count_end(&mut self) {
        self.gic.interface.count_end();
    }
    fn file(file: u64, intid: u32, vcpu: usize) -> u64 {
        if (intid as usize) < PRIVATE { 0x2_0000 * (vcpu as u64 + 1) + file } else { file }
    }
    fn send(&mut self, sgi: u32, targets: u32, cx: &mut Context) -> Reply {
        let each = crate::state::bits(targets).map(|vcpu| {
            let affinity = Vcpus::default().affinity(vcpu as usize).unwrap();
            let to = (affinity >> 32) << 48
                | (affinity >> 16 & 0xff) << 32
                | (affinity >> 8 & 0xff) << 16
                | (affinity >> 4 & 0xf) << 44
                | 1 << (affinity & 0xf);
            self.write_register(spec3::ICC_SGI1R_EL1, to | u64::from(sgi) << 24, cx)
        });
        each.last().unwrap_or(Reply::DONE)
    }
    fn target(&mut self, intid: u32, vcpu: usize, cx: &mut Context) {
        let offset = spec3::gicd::IROUTER + 8 * u64::from(intid);
        let affinity = Vcpus::default().affinity(vcpu).unwrap();
        assert_eq!(self.write(offset, Width::Doubleword, affinity, cx), Reply::DONE);
    }
}

/// What the guest acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    pub intid: usize,
    pub source: usize,
    /// The physical interrupt that its end deactivates.
    pub physical: Option<u16>,
}

/// A VM, of which one vCPU at a time is on its core.
pub struct Rig<G> {
    pub gic: G,
    pub vcpus: &'static Vcpus,
    pub lists: usize,
    here: usize,
    /// The other cores' virtual interfaces.
    away: Vec<[u64; 32]>,
    /// Whether the maintenance interrupt of an ended interrupt waits.
    ended: bool,
}

pub fn interface(lists: usize) -> VirtualInterface {
    let registers: &'static mut [ReadPureWrite<u32>] =
        Box::leak((0..128).map(|_| ReadPureWrite(0)).collect());
    VirtualInterface { control: UniqueMmioPointer::from(registers), list_registers: lists }
}

impl<G: Controller> Rig<G> {
    pub fn new(vcpus: usize, lists: usize) -> Self {
        let control: &'static Vcpus = Box::leak(Box::default());
        let gic = G::build(vcpus, lists, control);
        let away = alloc::vec![[0; 32]; vcpus];
        let mut rig = Self { gic, vcpus: control, lists, here: 0, away, ended: false };
        rig.notify_all(tag::REFRESH, tag::STARTS);
        rig
    }

    /// As after Linux's start: forwarding, SGIs enabled, and SPIs to vCPU 0.
    pub fn started(vcpus: usize, lists: usize) -> Self {
        let mut rig = Self::new(vcpus, lists);
        rig.write(0, 1);
        for vcpu in 0..vcpus {
            rig.switch(vcpu);
            rig.write(G::file(files::ISENABLER, 0, vcpu), 0xffff);
        }
        rig.switch(0);
        for intid in 32..72 {
            rig.target(intid, 0);
        }
        rig
    }

    pub fn notify_all(&mut self, tag: u32, value: u64) {
        for vcpu in (0..self.away.len()).rev() {
            self.switch(vcpu);
            let _ = self.notify(tag, value);
        }
    }

    pub fn cx(&self) -> Context {
        Context::new(self.here as u16)
    }

    pub fn read(&mut self, offset: u64) -> u32 {
        self.read_width(offset, Width::Word) as u32
    }

    /// A load, executed again for as long as it takes.
    pub fn read_width(&mut self, offset: u64, width: Width) -> u64 {
        for _ in 0..4 {
            let reply = self.gic.read(offset, width, &mut self.cx());
            if reply.status != Status::Again {
                assert_eq!(reply.status, Status::Done, "{offset:#x}");
                assert!(reply.value <= width.mask());
                return reply.value;
            }
            self.refresh_all();
        }
        panic!("{offset:#x} is never read");
    }

    pub fn write(&mut self, offset: u64, value: u32) {
        self.write_width(offset, Width::Word, value.into());
    }

    pub fn write_width(&mut self, offset: u64, width: Width, value: u64) {
        let reply = self.gic.write(offset, width, value, &mut self.cx());
        assert_eq!(reply, Reply::DONE, "{offset:#x}");
    }

    pub fn notify(&mut self, tag: u32, value: u64) -> Reply {
        self.gic.notify(tag, value, &mut self.cx())
    }

    pub fn line(&mut self, intid: u32, state: LineState) -> Reply {
        self.notify(intid, state.encode())
    }

    pub fn send(&mut self, sgi: u32, targets: u32) {
        assert_eq!(self.gic.send(sgi, targets, &mut self.cx()), Reply::DONE);
    }

    pub fn target(&mut self, intid: u32, vcpu: usize) {
        self.gic.target(intid, vcpu, &mut self.cx());
    }

    /// Where the word of `file` with `intid` is.
    pub fn word(&self, file: u64, intid: u32) -> u64 {
        G::file(file, intid, self.here) + u64::from(intid / 32 * 4)
    }

    /// Writes the bit of `intid` in a file of a bit an interrupt.
    pub fn bit(&mut self, file: u64, intid: u32) {
        self.write(self.word(file, intid), 1 << (intid % 32));
    }

    /// Reads it.
    pub fn is_set(&mut self, file: u64, intid: u32) -> bool {
        self.read(self.word(file, intid)) >> (intid % 32) & 1 != 0
    }

    pub fn priority(&mut self, intid: u32, priority: u8) {
        let offset = G::file(files::IPRIORITYR, intid, self.here) + u64::from(intid);
        self.write_width(offset, Width::Byte, priority.into());
    }

    /// Makes `intid` edge-triggered.
    pub fn edge(&mut self, intid: u32) {
        let offset = G::file(files::ICFGR, intid, self.here) + u64::from(intid / 16 * 4);
        let value = self.read(offset) | 2 << (intid % 16 * 2);
        self.write(offset, value);
    }

    pub fn list(&mut self, n: usize) -> u64 {
        self.gic.inner().interface.list(n)
    }

    fn each(&mut self) -> Vec<(usize, u64)> {
        (0..self.lists).map(|n| (n, self.list(n))).collect()
    }

    /// Looks at another vCPU, on its own core; if it was kicked it is refreshed.
    pub fn switch(&mut self, vcpu: usize) {
        self.gic.exchange(&mut self.away[self.here]);
        self.here = vcpu;
        self.vcpus.here.store(vcpu, Ordering::Relaxed);
        self.gic.exchange(&mut self.away[vcpu]);
        self.refresh();
    }

    /// Takes its core away, so that another may use the registers; or gives it
    /// back.
    pub fn put_aside(&mut self) {
        self.gic.exchange(&mut self.away[self.here]);
    }

    /// Every vCPU that was kicked comes out of its guest.
    pub fn refresh_all(&mut self) {
        let here = self.here;
        for _ in 0..2 * self.away.len() {
            let off = self.vcpus.off.load(Ordering::Relaxed);
            let kicked = self.vcpus.kicked.load(Ordering::Relaxed) & !off;
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
        let off = self.vcpus.off.load(Ordering::Relaxed);
        let kicked = self.vcpus.kicked.fetch_and(!(1 << self.here) | off, Ordering::Relaxed);
        if kicked & !off & 1 << self.here != 0 {
            let _ = self.notify(tag::REFRESH, 0);
        }
        let valid = self.each().iter().filter(|(_, v)| v & G::Interface::STATE != 0).count();
        let underflow = self.gic.underflow() && valid <= 1;
        if core::mem::take(&mut self.ended) || underflow {
            let _ = self.notify(tag::MAINTENANCE, 0);
        }
    }

    /// The vCPU turns itself off.
    pub fn leave(&mut self) {
        let _ = self.notify(tag::REFRESH, tag::LEAVES);
        self.vcpus.off.fetch_or(1 << self.here, Ordering::Relaxed);
    }

    /// It is turned on again.
    pub fn start(&mut self) {
        self.vcpus.off.fetch_and(!(1 << self.here), Ordering::Relaxed);
        let _ = self.notify(tag::REFRESH, tag::STARTS);
    }

    /// What IAR gives: the pending one of the highest priority.
    pub fn acknowledge(&mut self) -> Option<Acknowledged> {
        self.refresh();
        let mut best = None;
        for (list, value) in self.each() {
            let intid = G::Interface::intid(value);
            let slot = crate::state::Slot::new(self.here, intid);
            let key = (self.gic.inner().state.interrupt(slot).priority, intid);
            let pending = value & G::Interface::PENDING != 0;
            if pending && best.is_none_or(|(other, _, _)| key < other) {
                best = Some((key, list, value));
            }
        }
        let ((_, intid), list, value) = best?;
        let active = value & !G::Interface::STATE | G::Interface::ACTIVE;
        self.gic.inner().interface.set_list(list, active);
        let linked = value & G::Interface::HW != 0;
        Some(Acknowledged {
            intid,
            source: if linked { 0 } else { G::Interface::source(value) },
            physical: linked.then(|| G::Interface::linked(value)),
        })
    }

    /// EOIR; the maintenance interrupt comes if it was asked for.
    pub fn end(&mut self, what: Acknowledged) {
        let is_it = |&(_, value): &(usize, u64)| {
            G::Interface::intid(value) == what.intid && value & G::Interface::ACTIVE != 0
        };
        let Some((list, value)) = self.each().into_iter().find(is_it) else {
            // GICH_HCR.LRENPIE (IHI 0048B.b §5.3.1) is enabled then.
            assert!(self.gic.underflow());
            self.gic.count_end();
            self.ended = true;
            return self.refresh();
        };
        self.gic.inner().interface.set_list(list, value & !G::Interface::STATE);
        self.ended |= value & G::Interface::HW == 0 && value & G::Interface::EOI != 0;
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

//! A VM's life.
//!
//! Nothing about a VM changes while one of its vCPUs is in its guest. Whoever
//! wants a change says so ([`Vm::request`]) and has every vCPU's attention; each
//! comes out at its next exit and is *parked*; the core that parks the last one
//! carries the change out ([`Vm::parked`] tells it).

use crate::host::Host;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use evisor_contract::{Clock, Context, Notify, Object, Power, Reply, VcpuControl, VmEvent};
use spin::Once;

/// Bits of [`Context::attention`].
pub struct Attention;

impl Attention {
    /// Leave the guest at the next chance.
    pub const LEAVE: u32 = 1 << 0;
    /// An interrupt became pending for this vCPU elsewhere.
    pub const REFRESH: u32 = 1 << 1;
}

/// A vCPU as its VM knows it.
struct Slot {
    affinity: u64,
    core: AtomicUsize,
    on: AtomicBool,
    in_guest: AtomicBool,
    attention: Once<&'static AtomicU32>,
}

/// What a core does with a vCPU that came out of its guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Back into the guest.
    Run,
    /// Nothing: it is off, or another core has the change to make.
    Wait,
    /// Make the change: the VM asked for this, and all its vCPUs are parked.
    Change(VmEvent),
}

/// A VM.
pub struct Vm {
    /// Its number, from 0.
    pub id: u16,
    /// Its name.
    pub name: String,
    host: &'static dyn Host,
    slots: Vec<Slot>,
    wanted: AtomicU8,
    verdict: AtomicU8,
    crashed: AtomicBool,
    /// What its count lags behind the host's.
    offset: AtomicU64,
}

const NOTHING: u8 = 0;
const OFF: u8 = 1;
const RESET: u8 = 2;

impl Vm {
    /// A VM whose vCPUs have these affinities, and run on the cores of the same
    /// numbers. All are off.
    pub fn new(
        id: u16,
        name: String,
        affinities: impl Iterator<Item = u64>,
        offset: u64,
        host: &'static dyn Host,
    ) -> Self {
        let slots = affinities
            .enumerate()
            .map(|(core, affinity)| Slot {
                affinity,
                core: AtomicUsize::new(core),
                on: AtomicBool::new(false),
                in_guest: AtomicBool::new(false),
                attention: Once::new(),
            })
            .collect();
        Self {
            id,
            name,
            host,
            slots,
            wanted: AtomicU8::new(NOTHING),
            verdict: AtomicU8::new(0),
            crashed: AtomicBool::new(false),
            offset: AtomicU64::new(offset),
        }
    }

    /// The word that gets vCPU `index`'s attention.
    pub fn connect(&self, index: usize, attention: &'static AtomicU32) {
        if let Some(slot) = self.slots.get(index) {
            slot.attention.call_once(|| attention);
        }
    }

    /// What its count lags behind the host's: CNTVOFF_EL2.
    pub fn offset(&self) -> u64 {
        self.offset.load(Ordering::Relaxed)
    }

    /// How it said that its work ended; 0 if it said nothing.
    pub fn verdict(&self) -> u8 {
        self.verdict.load(Ordering::Relaxed)
    }

    /// It crashed: it goes off, and is remembered to have crashed.
    pub fn crashed(&self) {
        self.crashed.store(true, Ordering::SeqCst);
        self.request(VmEvent::Off);
    }

    /// Whether it crashed since this was last asked.
    pub fn take_crash(&self) -> bool {
        self.crashed.swap(false, Ordering::SeqCst)
    }

    /// Asks for a change. Off and reset end what was asked before, but reset does
    /// not undo off.
    pub fn request(&self, event: VmEvent) {
        match event {
            VmEvent::Verdict(code) => return self.verdict.store(code, Ordering::Relaxed),
            VmEvent::Off => self.wanted.store(OFF, Ordering::SeqCst),
            VmEvent::Reset => {
                let _ = self.wanted.compare_exchange(
                    NOTHING,
                    RESET,
                    Ordering::SeqCst,
                    Ordering::SeqCst,
                );
            }
        }
        for index in 0..self.slots.len() {
            self.get_attention(index, Attention::LEAVE);
        }
    }

    fn get_attention(&self, index: usize, what: u32) {
        let Some(slot) = self.slots.get(index) else { return };
        if let Some(attention) = slot.attention.get() {
            attention.fetch_or(what, Ordering::SeqCst);
            if slot.in_guest.load(Ordering::SeqCst) {
                self.host.kick(slot.core.load(Ordering::Relaxed));
            }
        }
    }

    /// Whether vCPU `index` may go into its guest now. Says that it does.
    pub fn enter(&self, index: usize) -> bool {
        let Some(slot) = self.slots.get(index) else { return false };
        slot.in_guest.store(true, Ordering::SeqCst);
        let free = slot.on.load(Ordering::SeqCst) && self.wanted.load(Ordering::SeqCst) == NOTHING;
        slot.in_guest.store(free, Ordering::SeqCst);
        free
    }

    /// vCPU `index` came out of its guest.
    pub fn parked(&self, index: usize) -> Next {
        let Some(slot) = self.slots.get(index) else { return Next::Wait };
        slot.in_guest.store(false, Ordering::SeqCst);
        let wanted = self.wanted.load(Ordering::SeqCst);
        let busy = self.slots.iter().any(|slot| slot.in_guest.load(Ordering::SeqCst));
        match wanted {
            NOTHING if slot.on.load(Ordering::SeqCst) => Next::Run,
            OFF if !busy => Next::Change(VmEvent::Off),
            RESET if !busy => Next::Change(VmEvent::Reset),
            _ => Next::Wait,
        }
    }

    /// The change was made: the VM is off, or about to start with its first vCPU.
    pub fn changed(&self, running: bool) {
        for (index, slot) in self.slots.iter().enumerate() {
            slot.on.store(running && index == 0, Ordering::SeqCst);
        }
        self.wanted.store(if running { NOTHING } else { OFF }, Ordering::SeqCst);
    }
}

impl VcpuControl for Vm {
    fn affinity(&self, index: usize) -> Option<u64> {
        self.slots.get(index).map(|slot| slot.affinity)
    }

    fn power(&self, index: usize) -> Power {
        match self.slots.get(index).map(|slot| slot.on.load(Ordering::SeqCst)) {
            Some(true) => Power::On,
            _ => Power::Off,
        }
    }

    /// Only the first vCPU can run yet: the manifest reader refuses more.
    fn start(&self, _index: usize, _entry: u64, _context: u64) -> Power {
        Power::On
    }

    fn stop_caller(&self, cx: &mut Context) {
        if let Some(slot) = self.slots.get(cx.vcpu()) {
            slot.on.store(false, Ordering::SeqCst);
            cx.attention.fetch_or(Attention::LEAVE, Ordering::SeqCst);
        }
    }

    /// Comes back at once, which every caller of a standby state must expect
    /// (DEN 0022 §5.4.3): its guest will wait in WFI.
    fn wait(&self, _cx: &mut Context) {}

    fn is_here(&self, index: usize, cx: &Context) -> bool {
        cx.vm() == usize::from(self.id) && cx.vcpu() == index
    }

    fn kick(&self, index: usize) {
        self.get_attention(index, Attention::REFRESH);
    }
}

impl Clock for Vm {
    fn now(&self) -> u64 {
        self.host.now().wrapping_sub(self.offset())
    }

    fn frequency(&self) -> u64 {
        self.host.frequency()
    }

    fn unix_seconds(&self) -> u64 {
        self.host.unix_seconds()
    }
}

/// A VM as an object: what [`VmControl`](evisor_contract::VmControl) leads to.
pub(crate) struct VmObject(pub &'static Vm);

impl Object for VmObject {
    fn reset(&mut self) {}
}

impl Notify for VmObject {
    fn notify(&mut self, _tag: u32, value: u64, _cx: &mut Context) -> Reply {
        match VmEvent::decode(value) {
            Some(event) => {
                self.0.request(event);
                Reply::DONE
            }
            None => Reply::ABSENT,
        }
    }
}

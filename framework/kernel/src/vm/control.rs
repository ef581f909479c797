//! A VM as its components have it: power over its vCPUs, its clock, its own life.

use super::slot::{CLAIMED, PENDING, RESTING, RUNNING, STOPPED};
use super::{Attention, Entry, Vm};
use core::sync::atomic::Ordering;
use evisor_contract::{Clock, Context, Notify, Object, Power, Reply, VcpuControl, VmEvent};

impl VcpuControl for Vm {
    fn affinity(&self, index: usize) -> Option<u64> {
        self.slots.get(index).map(|slot| slot.affinity)
    }

    fn power(&self, index: usize) -> Power {
        match self.slots.get(index).map(|slot| slot.power.load(Ordering::SeqCst)) {
            Some(RUNNING | RESTING) => Power::On,
            Some(CLAIMED | PENDING) => Power::Pending,
            _ => Power::Off,
        }
    }

    fn start(&self, index: usize, entry: u64, context: u64) -> Power {
        let Some(slot) = self.slots.get(index) else { return Power::On };
        let order = Ordering::SeqCst;
        match slot.power.compare_exchange(STOPPED, CLAIMED, order, order) {
            Ok(_) => {
                slot.tell(Entry { pc: entry, x0: context });
                // Its core waits at EL2, or is on its way there.
                self.ask_core(index);
                Power::Off
            }
            Err(RUNNING | RESTING) => Power::On,
            Err(_) => Power::Pending,
        }
    }

    fn stop_caller(&self, cx: &mut Context) {
        if let Some(slot) = self.slots.get(cx.vcpu()) {
            slot.power.store(STOPPED, Ordering::SeqCst);
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

    fn ask(&self, index: usize) {
        const LOOK: u32 = Attention::REFRESH | Attention::ANSWER;
        let Some(slot) = self.slots.get(index) else { return };
        if let Some((shared, attention)) = slot.shared.get().zip(slot.attention.get()) {
            // Whoever sees that it was asked sees what for.
            attention.fetch_or(LOOK, Ordering::SeqCst);
            shared.ask();
        }
        self.get_attention(index, LOOK);
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
        let known = VmEvent::decode(value).is_some_and(|event| self.0.request(event));
        if known { Reply::DONE } else { Reply::ABSENT }
    }
}

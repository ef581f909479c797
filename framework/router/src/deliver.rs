//! What objects asked for, carried out.

use evisor_contract::{Capability, Context, NotifyPort, Status};

/// How a delivery ended.
#[derive(Clone, Copy)]
pub enum Delivery {
    /// Nothing waits any more.
    Done,
    /// The object behind this capability failed, or is part of a chain of effects
    /// that does not end: it is to be quarantined, and delivery called again.
    Failed(&'static Capability<dyn NotifyPort>),
}

/// How many effects one exit may set off: an object that answers each effect
/// with another would keep the core from its guest for ever.
const MOST: usize = 64;

/// Delivers what waits in `cx`, in order, and what that leads to. Called with no
/// object locked.
///
/// An effect whose right was taken from its capability is dropped. A level line that
/// another core told something older meanwhile, or that has changed since, is told
/// again: when all cores are done, it is as its holder said last.
#[inline]
pub fn deliver(cx: &mut Context) -> Delivery {
    let mut left = MOST;
    while let Some(mut effect) = cx.pop() {
        while effect.to.rights().contains(effect.right) {
            let reply = effect.to.follow().notify(effect.tag, effect.value, cx);
            left = left.wrapping_sub(1);
            if reply.status() == Status::Failed || left == 0 {
                return Delivery::Failed(effect.to);
            }
            let Some(level) = effect.overtaken() else { break };
            effect.value = level;
        }
    }
    Delivery::Done
}

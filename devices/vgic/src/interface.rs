//! What the two kinds of virtual interface have in common: list registers, and
//! what else a core keeps of the vCPU that is on it.
//!
//! The software state is the same for both, so the code that moves interrupts is
//! written once over this and compiled for each.

use crate::state::SGI_BITS;

/// What a guest changes in its CPU interface without a trap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuestState {
    /// GICH_VMCR, ICH_VMCR_EL2.
    pub vmcr: u32,
    /// GICH_APR; ICH_AP0R<n>_EL2, then ICH_AP1R<n>_EL2.
    pub active_priorities: [u32; APRS],
}

/// Words of active priorities that the largest interface has.
pub const APRS: usize = 8;

/// The virtual interface of the core that this code runs on.
pub trait Interface: Send + 'static {
    /// An SGI keeps who sent it, and is pending once for each (GICv2).
    const SOURCES: bool;
    /// The private interrupts that are always enabled: a GICv2's SGIs.
    const ENABLED: u32 = if Self::SOURCES { SGI_BITS } else { 0 };
    /// The state field of a list register.
    const STATE: u64;
    /// In that field.
    const PENDING: u64;
    /// In that field.
    const ACTIVE: u64;
    /// Without [`HW`](Self::HW): a maintenance interrupt at its deactivation.
    const EOI: u64;
    /// Linked to a physical interrupt.
    const HW: u64;

    /// A list register with a pending interrupt.
    fn pending(intid: usize, priority: u8, group1: bool) -> u64;
    /// Which interrupt a list register has.
    fn intid(list: u64) -> usize;
    /// What links a list register to a physical interrupt.
    fn link(physical: u16) -> u64;
    /// The physical interrupt that it is linked to.
    fn linked(list: u64) -> u16;
    /// What says that the SGI came from vCPU `source`.
    fn from_source(source: usize) -> u64;
    /// Who sent the SGI.
    fn source(list: u64) -> usize;

    /// One bit for each list register that is used.
    fn all(&self) -> u32;
    /// The bits of a priority that it carries.
    fn priority_mask(&self) -> u8;
    /// List register `n`.
    fn list(&self, n: usize) -> u64;
    /// Writes list register `n`.
    fn set_list(&mut self, n: usize, value: u64);
    /// Writes list register `n` if it is empty and the guest's end of what was
    /// there is not to be told. False if not.
    fn refill(&mut self, n: usize, value: u64) -> bool;
    /// How often the guest ended what is in no list register since this was last
    /// asked.
    fn take_ended(&mut self) -> u32;
    /// Works. With `overflow` it tells when its list registers run out, and when the
    /// guest ends what is in none.
    fn set_overflow(&mut self, overflow: bool);
    /// Starts with empty list registers and what [`Self::guest_state`] gave.
    fn start(&mut self, guest: &GuestState);
    /// What the guest changed.
    fn guest_state(&self) -> GuestState;
}

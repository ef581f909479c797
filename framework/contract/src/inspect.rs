//! Looking at VMs from outside: what a monitor may know.
//!
//! Facts are copied out one by one, each by a call that is bounded and that waits for
//! nothing: what a trap writes is not read here, but what was put down when a vCPU last
//! left its guest ([`Inspect::look`]).

use crate::capability::Rights;
use crate::grants::{Power, VmControl};
use alloc::vec::Vec;

/// What somebody who oversees VMs was granted.
pub struct Oversight {
    /// The way to know of them.
    pub inspect: &'static dyn Inspect,
    /// The power over each, by its number there.
    pub controls: Vec<VmControl>,
}

/// Where a VM is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmState {
    /// At least one of its vCPUs is on, or about to be.
    On,
    /// It was asked to go off, or to start anew, and does.
    Changing,
    /// It is off.
    Off,
}

/// What there is to know of a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VmFacts {
    /// Its name.
    pub name: &'static str,
    /// Where it is in its life.
    pub state: VmState,
    /// How many vCPUs it has.
    pub vcpus: usize,
    /// How it said that its work ended; 0 if it said nothing.
    pub verdict: u8,
}

/// What there is to know of a vCPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VcpuFacts {
    /// Whether it is on.
    pub power: Power,
    /// MPIDR_EL1's affinity fields.
    pub affinity: u64,
    /// The core that it runs on.
    pub core: usize,
    /// Where it was when it last left its guest for more than a trap; `None` if it did
    /// not since it first started.
    pub pc: Option<u64>,
    /// What it had been refused by then: loads, stores, registers, calls.
    pub refused: u64,
}

/// A region of a VM's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryFacts {
    /// Where the guest sees it.
    pub ipa: u64,
    /// In bytes.
    pub size: u64,
    /// Whether the guest may write to it.
    pub writable: bool,
}

/// The kinds of names that a space has routes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// Guest-physical addresses.
    Addresses,
    /// System registers, by [`Register::key`](crate::Register::key).
    Registers,
    /// SMCCC function ids.
    Calls,
    /// Physical interrupts, by INTID.
    Interrupts,
}

/// A route, and the capability that it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteFacts {
    /// The first name.
    pub first: u64,
    /// The last name.
    pub last: u64,
    /// What may be done.
    pub rights: Rights,
    /// How often it was used: two cores at once may lose a count.
    pub uses: u64,
    /// The path of the object's node; `None` for one of the kernel's own.
    pub object: Option<&'static str>,
}

/// Some VMs, numbered from 0, and what there is to know of them. What is asked of a
/// number that there is not is `None`.
pub trait Inspect: Sync {
    /// VM number `vm`.
    fn vm(&self, vm: usize) -> Option<VmFacts>;
    /// vCPU `index` of it.
    fn vcpu(&self, vm: usize, index: usize) -> Option<VcpuFacts>;
    /// Region `index` of its memory, in the order of the manifest.
    fn memory(&self, vm: usize, index: usize) -> Option<MemoryFacts>;
    /// Route `index` of it, in the order of names.
    fn route(&self, vm: usize, names: Names, index: usize) -> Option<RouteFacts>;
    /// Has the vCPUs of it that are in their guests leave for a moment, so that what
    /// [`vcpu`](Self::vcpu) says is of now. They do so soon, not before this returns.
    fn look(&self, vm: usize);
}

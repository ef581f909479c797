//! Looking at VMs from outside: what a monitor may know.
//!
//! Facts are copied out one by one, each by a call that is bounded and that waits for
//! nothing: what a trap writes is not read here, but what was put down when a vCPU last
//! left its guest ([`Inspect::look`]).

use crate::capability::Rights;
use crate::leaf::Power;
use crate::scheduler::Share;
use crate::wire::VmControl;
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
    /// It was asked for something, and does it; or its memory is being filled.
    Changing,
    /// It stands still, and its time with it.
    Paused,
    /// It is off.
    Off,
    /// It crashed, and is off.
    Crashed,
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
    /// Whether it can be rolled back.
    pub checkpoint: VmCheckpoint,
}

/// Whether there is a checkpoint of a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmCheckpoint {
    /// Nothing is set aside for one.
    Never,
    /// It was not asked for one.
    None,
    /// It was.
    Asked,
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
    /// How long it ran by then, in counts of the host. On a core of its own that is all
    /// the time that its guest had the core, waiting or not.
    pub ran: u64,
    /// How long it could have run and did not, as others had the core that it shares.
    pub stolen: u64,
    /// What it was promised of its core.
    pub share: Share,
}

/// What a VM's exits were for, since eVisor started it first, but those that led
/// nowhere. Two cores that count at once may lose one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExitCounts {
    /// Loads and stores.
    pub accesses: u64,
    /// Reads and writes of system registers.
    pub registers: u64,
    /// SMCCC calls.
    pub calls: u64,
    /// Physical interrupts that were its own.
    pub interrupts: u64,
}

/// A core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreFacts {
    /// Its scheduler, if it has one.
    pub scheduler: Option<&'static str>,
}

/// How a VM crashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashFacts {
    /// The vCPU.
    pub vcpu: usize,
    /// Why it could not go on.
    pub why: &'static str,
    /// Where it wanted to: an address that `why` is about.
    pub address: Option<u64>,
    /// The instruction, guest-virtual.
    pub pc: u64,
    /// PSTATE there.
    pub pstate: u64,
    /// ESR_EL2.
    pub esr: u64,
    /// FAR_EL2.
    pub far: u64,
    /// HPFAR_EL2.
    pub hpfar: u64,
    /// The VM's time, in nanoseconds.
    pub nanoseconds: u64,
    /// What the vCPU had been refused by then.
    pub refused: u64,
}

/// An exit of a vCPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitFacts {
    /// What for.
    pub kind: &'static str,
    /// The instruction, guest-virtual.
    pub pc: u64,
}

/// The last crash of a VM, as it was put down.
pub trait LastCrash: Sync {
    /// `None` if it never crashed.
    fn facts(&self) -> Option<CrashFacts>;
    /// Words `index` and the next of it, in the order of
    /// [`abi::vm::crash`](crate::abi::vm::crash), and how often the VM crashed; `None` if
    /// it never did, or behind the last word.
    fn words(&self, index: usize) -> Option<[u64; 3]> {
        let _ = index;
        None
    }
    /// Register x`index` then; `None` from x31 on.
    fn register(&self, index: usize) -> Option<u64>;
    /// Exit `index` of the last ones of that vCPU, the oldest first.
    fn exit(&self, index: usize) -> Option<ExitFacts>;
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
    /// What its exits were for.
    fn exits(&self, vm: usize) -> Option<ExitCounts>;
    /// Core `core`; `None` from behind the last one that a vCPU of these VMs runs on.
    fn core(&self, core: usize) -> Option<CoreFacts>;
    /// Its last crash.
    fn last_crash(&self, vm: usize) -> Option<&dyn LastCrash>;
    /// Has the vCPUs of it that are in their guests leave for a moment, so that what
    /// [`vcpu`](Self::vcpu) says is of now. They do so soon, not before this returns.
    fn look(&self, vm: usize);
}

//! How a crate declares its component.

use crate::grants::Grants;
use crate::node::{BuildError, GuestNode, Node};
use crate::port::Parts;

/// What a component is, as the registry keeps it. Made by
/// [`component!`](crate::component).
#[derive(Debug)]
pub struct Declaration {
    /// The crate, which is also the Cargo feature that builds it in.
    pub name: &'static str,
    /// The `compatible` strings that it answers to.
    pub compatible: &'static [&'static str],
    /// What its node must have.
    pub needs: Needs,
    /// The `evisor,*` properties that it understands; any other is an error.
    pub properties: &'static [&'static str],
    /// Builds the object from its node and its grants.
    pub build: fn(&Node<'_>, &mut dyn Grants) -> Result<Parts, BuildError>,
    /// Writes what the guest's tree says of it beyond what the manifest's node
    /// does: the binding's `compatible`, clocks, cells.
    pub describe: fn(&Node<'_>, &mut dyn GuestNode) -> Result<(), BuildError>,
}

/// What a component's node must have. Checked before anything is built, so that
/// [`Declaration::build`] may rely on it.
#[derive(Debug)]
pub struct Needs {
    /// The register windows, in the order of `reg`.
    pub windows: &'static [WindowNeed],
    /// How many interrupts `interrupts` lists.
    pub lines: usize,
    /// How many more it may list.
    pub optional_lines: usize,
    /// It talks to a console: `evisor,console`, or the VM's own.
    pub console: bool,
    /// It is an interrupt controller: other nodes' lines may lead to it.
    pub interrupt_controller: bool,
    /// It serves the deployment (a console, say) and not one VM.
    pub root: bool,
    /// Memory stands behind its windows, as large as the manifest makes them, and
    /// the node may name a file of the bundle as what is there first.
    pub backing: bool,
    /// It reads and writes its VM's memory.
    pub guest_memory: bool,
    /// It stores blocks: `evisor,block` says where, and `evisor,read-only` that it
    /// does not write.
    pub block: bool,
    /// Others have ports of it, through which they store blocks.
    pub store: bool,
    /// It has memory of its own: `evisor,size` says how much, `evisor,image` what is
    /// there first, and one of the two is enough.
    pub storage: bool,
    /// It stands for a device of the board, which `evisor,device` names: its windows
    /// and lines are those of that device, as many as the node lists.
    pub host_device: bool,
    /// It is a scheduler: `evisor,cores` lists the cores that one of it is built for.
    pub cores: bool,
    /// For a scheduler: the words about its members that it keeps to, of
    /// `evisor,priority`, `evisor,budget` and `evisor,period`; any other is an error.
    pub shares: &'static [&'static str],
    /// It is memory that two ends share: `evisor,size` says how much.
    pub shared: bool,
    /// It has an end of a channel: `evisor,channel` says which. A window of size 0 is as
    /// large as the memory that the ends share.
    pub channel: bool,
    /// It looks at VMs, and may change them: `evisor,vms` says which.
    pub oversees: bool,
    /// It tells each vCPU how much of its time others had: its first window is the page
    /// where that is found, of [`STOLEN_TIME_WINDOW`] bytes, which the guest only reads.
    pub stolen_time: bool,
}

/// How long the window is where a guest finds what was stolen from its vCPUs, 64 bytes for
/// each in their order: two words of 0 and a doubleword of nanoseconds (DEN 0057A).
pub const STOLEN_TIME_WINDOW: u64 = 0x1000;

impl Needs {
    /// Nothing; to be used as `..Needs::NONE`.
    pub const NONE: Self = Self {
        windows: &[],
        lines: 0,
        optional_lines: 0,
        console: false,
        interrupt_controller: false,
        root: false,
        backing: false,
        guest_memory: false,
        block: false,
        store: false,
        storage: false,
        host_device: false,
        cores: false,
        shares: &[],
        shared: false,
        channel: false,
        oversees: false,
        stolen_time: false,
    };
}

/// One register window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowNeed {
    /// Its exact size in bytes, as the binding says. 0: what the node says, where
    /// memory stands behind it; what a channel has, where it is that.
    pub size: u64,
    /// It has so much for each of the VM's vCPUs.
    pub per_vcpu: bool,
    /// The widths at which it may be accessed, as [`Rights`](crate::Rights) bits.
    pub access: crate::Rights,
}

impl WindowNeed {
    /// `size` bytes, accessible at every width; to be used as
    /// `..WindowNeed::new(size)` too.
    pub const fn new(size: u64) -> Self {
        Self { size, per_vcpu: false, access: crate::Rights::READ.union(crate::Rights::WRITE) }
    }

    /// Its size in a VM with so many vCPUs.
    pub const fn size_for(&self, vcpus: usize) -> u64 {
        if self.per_vcpu { self.size.saturating_mul(vcpus as u64) } else { self.size }
    }
}

/// Declares a component. A crate that emulates several models of one device
/// declares each.
///
/// ```
/// # use evisor_contract::*;
/// # struct Nothing;
/// # impl Object for Nothing { fn reset(&mut self) {} }
/// component! {
///     compatible: ["example,nothing"],
///     needs: Needs { lines: 1, ..Needs::NONE },
///     properties: ["evisor,colour"],
///     build: |_node, _grants| Ok(Parts::new(Nothing).done()),
///     describe: |_node, _guest| Ok(()),
/// }
/// ```
#[macro_export]
macro_rules! component {
    (
        compatible: [$($compatible:literal),+ $(,)?],
        needs: $needs:expr,
        properties: [$($property:literal),* $(,)?],
        build: $build:expr,
        describe: $describe:expr $(,)?
    ) => {
        const _: () = {
            #[$crate::linkme::distributed_slice($crate::COMPONENTS)]
            #[linkme(crate = $crate::linkme)]
            static DECLARATION: $crate::Declaration = $crate::Declaration {
                name: env!("CARGO_PKG_NAME"),
                compatible: &[$($compatible),+],
                needs: $needs,
                properties: &[$($property),*],
                build: $build,
                describe: $describe,
            };
        };
    };
}

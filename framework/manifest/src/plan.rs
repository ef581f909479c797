//! What a manifest comes to: plain data, checked, for the kernel to build from.
//!
//! Addresses here are guest-physical and known to be sound: no two regions of a
//! VM overlap, none wraps, all end below [`IPA_LIMIT`](crate::IPA_LIMIT).

use crate::host_device::HostDevicePlan;
use alloc::string::String;
use alloc::vec::Vec;
use evisor_contract::{Declaration, Node, Rights, Share};

/// A whole deployment.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The version of the manifest format.
    pub version: u32,
    /// The objects that serve all VMs, in the order of the manifest.
    pub root_objects: Vec<ObjectPlan>,
    /// The VMs, in the order of the manifest.
    pub vms: Vec<VmPlan>,
    /// Who says which vCPU a core runs, where the manifest says so: at most one for a
    /// core. A core without has one vCPU at most.
    pub schedulers: Vec<SchedulerPlan>,
}

/// The scheduler of one core.
#[derive(Clone, Debug)]
pub struct SchedulerPlan {
    /// The core. Its members are the vCPUs that run on it, in the order of the VMs.
    pub core: usize,
    /// The object to be built.
    pub object: ObjectPlan,
}

/// A VM.
#[derive(Clone, Debug)]
pub struct VmPlan {
    /// Its node's name.
    pub name: String,
    /// Its node's path.
    pub path: String,
    /// Its vCPUs; the first one boots.
    pub cpus: Vec<CpuPlan>,
    /// Its memory, in the order of the manifest. The first region is writable;
    /// what is booted goes there unless the manifest says where.
    pub memory: Vec<MemoryPlan>,
    /// What it boots.
    pub image: ImagePlan,
    /// Its initial RAM disk.
    pub initrd: Option<FilePlan>,
    /// What else is in its memory when it starts.
    pub files: Vec<FilePlan>,
    /// Where its device tree goes, if it gets one.
    pub device_tree: Option<TreePlan>,
    /// What the manifest says in `bootargs`; it also is in the guest's tree.
    pub bootargs: String,
    /// What follows when it crashes or resets.
    pub lives: LivesPlan,
    /// Its objects: interrupt controllers first, then in the order of the
    /// manifest.
    pub objects: Vec<ObjectPlan>,
    /// What it holds by handles, if it has any.
    pub capabilities: Option<CapabilitiesPlan>,
    /// What is set aside for a checkpoint of it, if anything is.
    pub checkpoint: Option<CheckpointPlan>,
}

/// A VM's checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointPlan {
    /// How much memory is set aside for it: what of the VM's can be written, and
    /// [`STATE`](crate::STATE) for its objects' state.
    pub reserve: u64,
    /// Its time goes on when it is rolled back; else it is what it was.
    pub time_goes_on: bool,
}

/// What a VM holds by handles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapabilitiesPlan {
    /// Its node's path.
    pub path: String,
    /// How many derivations it may have.
    pub derivations: usize,
    /// What it is given.
    pub given: Vec<GivenPlan>,
}

/// A capability that a VM is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenPlan {
    /// Its node's path.
    pub path: String,
    /// Where it leads.
    pub target: Target,
    /// What may be done there.
    pub rights: Rights,
    /// What its holder finds it by.
    pub label: u64,
    /// It is a device that its VM does not have until the holder gives it.
    pub withheld: bool,
    /// Of a store, which blocks.
    pub blocks: Option<GivenBlocks>,
}

/// Blocks of a store that a VM is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenBlocks {
    /// The part of the store that they are in: 0 for all, or the number of a partition.
    pub part: u32,
    /// The first, from the start of that part.
    pub first: u64,
    /// How many; `None` for the rest of the part.
    pub count: Option<u64>,
}

impl GivenBlocks {
    /// One behind the last, as far as it is known.
    pub(crate) fn end(self) -> u64 {
        self.count.map_or(u64::MAX, |count| self.first.saturating_add(count))
    }
}

/// Where a handle leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A VM: an index into [`Deployment::vms`].
    Vm(usize),
    /// What serves all VMs: an index into [`Deployment::root_objects`].
    Root(usize),
    /// An object of a VM.
    Object {
        /// The VM: an index into [`Deployment::vms`].
        vm: usize,
        /// An index into its [`VmPlan::objects`].
        object: usize,
    },
}

/// What ends a VM's life, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LivesPlan {
    /// What follows when a vCPU does what it must not.
    pub on_crash: Outcome,
    /// What follows when it asks for a reset, or its watchdog does.
    pub on_reset: Outcome,
    /// An access or an instruction that is refused is a crash.
    pub refusal_is_fatal: bool,
    /// How often it restarts, after a crash or a reset.
    pub restart_limit: Option<RestartLimit>,
}

/// At most so many restarts in so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartLimit {
    /// How many; at least one.
    pub restarts: u32,
    /// In how many seconds; at least one.
    pub seconds: u32,
}

/// What becomes of a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It stays down.
    Stop,
    /// It starts anew.
    Restart,
    /// The board is reset, and every VM with it.
    ResetBoard,
}

/// A vCPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuPlan {
    /// MPIDR_EL1's affinity fields, as `reg` says.
    pub affinity: u64,
    /// Its node's path.
    pub path: String,
    /// The core that it runs on.
    pub core: usize,
    /// What it was promised of that core's time.
    pub share: Share,
}

/// A region of a VM's memory; page aligned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Where the guest sees it.
    pub ipa: u64,
    /// How long it is.
    pub size: u64,
    /// Whether the guest may write to it.
    pub writable: bool,
    /// Its node's path.
    pub path: String,
}

/// What a VM boots. All of it lies in its memory, each part in one region, and
/// none over another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePlan {
    /// The file in the bundle; empty if it starts from what a device holds.
    pub file: String,
    /// Whether it is compressed: with [`evisor_image::unpack`] come the bytes that
    /// the parts are of.
    pub packed: bool,
    /// Which of its bytes go where.
    pub parts: Vec<PartPlan>,
    /// Where the first vCPU starts.
    pub entry_ipa: u64,
}

/// A part of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartPlan {
    /// Where it starts in the file.
    pub offset: u64,
    /// How many bytes of the file it has.
    pub bytes: u64,
    /// Where they go.
    pub ipa: u64,
    /// How many zeros follow them.
    pub zeros: u64,
}

/// Where a guest finds its device tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreePlan {
    /// Where it goes.
    pub ipa: u64,
    /// How long it may be.
    pub space: u64,
}

/// A file of the bundle and where it goes in a VM's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePlan {
    /// Its name in the bundle.
    pub file: String,
    /// Where its first byte goes.
    pub ipa: u64,
    /// How long it is.
    pub size: u64,
}

/// An object to be built.
#[derive(Clone, Debug)]
pub struct ObjectPlan {
    /// Its node's path.
    pub path: String,
    /// Its node's name.
    pub name: String,
    /// Who builds it.
    pub declaration: &'static Declaration,
    /// What its VM may do with it.
    pub rights: Rights,
    /// Its register windows, in the order of `reg`.
    pub windows: Vec<WindowPlan>,
    /// Its interrupt lines, in the order of `interrupts`.
    pub lines: Vec<LinePlan>,
    /// The console that it talks to: an index into
    /// [`Deployment::root_objects`].
    pub console: Option<usize>,
    /// The VMs that it oversees: indices into [`Deployment::vms`].
    pub overseen: Vec<usize>,
    /// The device of the board that it stands for.
    pub host: Option<HostDevicePlan>,
    /// The file of the bundle that is in the memory behind its first window, or in
    /// that of its own; it fits.
    pub image: Option<String>,
    /// How much memory of its own it has; whole pages.
    pub storage: Option<u64>,
    /// The blocks that it has.
    pub block: Option<BlockPlan>,
    /// The end of a channel that it has.
    pub channel: Option<ChannelPlan>,
    /// All of its node's properties, eVisor's own too. An interrupt controller's
    /// `reg` is what of it the board gives.
    pub properties: Vec<(String, Vec<u8>)>,
}

/// A part of a store of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockPlan {
    /// The store: an index into [`Deployment::root_objects`].
    pub store: usize,
    /// Which part of it: 0 for all, or the number of a partition.
    pub part: u32,
    /// Its holder does not write.
    pub read_only: bool,
}

/// An end of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelPlan {
    /// The channel: an index into [`Deployment::root_objects`].
    pub channel: usize,
    /// Which end, 0 or 1.
    pub end: u32,
    /// How many bytes the two share; whole pages.
    pub size: u64,
}

/// A register window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowPlan {
    /// Where the guest sees it.
    pub ipa: u64,
    /// How long it is.
    pub size: u64,
    /// The directions and widths of access: what the component declares, less
    /// what the node's rights leave out.
    pub access: Rights,
}

/// An interrupt line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinePlan {
    /// The interrupt controller: an index into [`VmPlan::objects`].
    pub controller: usize,
    /// Its number there.
    pub intid: u32,
    /// Level-triggered; else by edge.
    pub level: bool,
    /// Other objects of the VM have it too; it is up while one of them says so.
    pub shared: bool,
}

impl VmPlan {
    /// How many of its objects' lines are `line`.
    pub fn sharers(&self, line: LinePlan) -> u32 {
        let lines = self.objects.iter().flat_map(|object| &object.lines);
        lines.map(|other| u32::from(*other == line)).sum()
    }
}

impl ObjectPlan {
    /// Runs `f` on the node as its component sees it.
    pub fn with_node<R>(&self, f: impl FnOnce(&Node<'_>) -> R) -> R {
        let properties: Vec<(&str, &[u8])> =
            self.properties.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        let reg: Vec<(u64, u64)> = self.windows.iter().map(|w| (w.ipa, w.size)).collect();
        f(&Node::new(&self.path, &properties, &reg))
    }
}

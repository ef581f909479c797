//! The manifest: a device tree that lists VMs, what each holds, and what each
//! boots. `README.md` is its reference.
//!
//! [`read`] turns a compiled manifest into a [`Deployment`], or into every fault
//! that it has. [`guest_tree`] makes the device tree that a VM's guest will read.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod blocks;
mod board_tree;
mod capabilities;
mod card;
mod channels;
mod checkpoints;
mod chosen;
mod cores;
mod cpus;
mod error;
mod gic;
mod guest_tree;
mod host_device;
mod image;
mod interrupts;
mod lives;
mod matching;
mod objects;
mod overseers;
mod plan;
mod read;
mod rights;
mod room;
mod space;
mod surroundings;
mod vm;
mod words;

pub use board_tree::BoardTree;
pub use card::{CARD, CardFile, card_files};
pub use checkpoints::STATE;
pub use error::ManifestError;
pub use guest_tree::guest_tree;
pub use host_device::{HostDevice, HostDevicePlan, HostDevices, HostInterrupt, HostWindowPlan};
pub use plan::{
    BlockPlan, CapabilitiesPlan, ChannelPlan, CheckpointPlan, CpuPlan, Deployment, FilePlan,
    GivenBlocks, GivenPlan, ImagePlan, LinePlan, LivesPlan, MemoryPlan, ObjectPlan, Outcome,
    PartPlan, RestartLimit, SchedulerPlan, Target, TreePlan, VmPlan, WindowPlan,
};
pub use read::read;
pub use rights::RIGHT_NAMES;
pub use surroundings::{BoardFacts, Files, GicVersion, LeftOut, Surroundings};

/// The version of the manifest format.
pub const VERSION: u32 = 1;
/// Guest-physical addresses have 39 bits.
pub const IPA_LIMIT: u64 = 1 << 39;
/// What a guest's device tree may take up (Linux, arm64/booting.rst).
pub const DEVICE_TREE_SPACE: u64 = 2 << 20;
/// The most vCPUs that a VM can have anywhere: what a GICv2 can tell apart
/// (IHI 0048B.b §1.1).
pub const MAX_VCPUS: usize = 8;

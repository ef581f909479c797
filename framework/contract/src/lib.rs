//! The component contract: what an object is, how the kernel invokes it, what
//! it may ask for in return, and how a crate declares one.
//!
//! A trap names something; the router turns the name into a capability; the
//! capability leads to one object. This crate is the far end of that path, and
//! all that a crate in `devices/` or `components/` sees of the hypervisor:
//!
//! - [`Mmio`], [`Registers`], [`Calls`], [`Notify`] and [`Invoke`] are the *facets*, one
//!   for each kind of name that can lead to an object. A component implements the
//!   ones it has; [`Object`] is what all of them share.
//! - An access comes in as scalars and leaves as a two-word [`Reply`]. What is
//!   to happen outside the object is pushed to [`Context`] as an [`Effect`] and
//!   delivered after the object's lock is released.
//! - [`Grants`] is what the component was given when it was bound: lines, a
//!   console, a deadline, the clock, blocks, memory, windows onto real registers.
//! - [`component!`] declares it to the registry.
//!
//! What costs in a trap decided the shapes: no structure is built to describe an
//! access, nothing on the path allocates, formats or logs, and an object's lock
//! and code are compiled into one function behind one indirect call.

#![no_std]

extern crate alloc;

mod access;
mod backing;
mod backlog;
mod block;
mod capability;
mod channel;
mod context;
mod declaration;
mod grants;
mod host_device;
mod inspect;
mod leaf;
mod memory;
mod node;
mod object;
mod port;
mod registry;
mod reply;
mod scheduler;
mod state;
pub mod tag;
mod wire;

pub use access::{CallRegisters, Register, Width};
pub use backing::Backing;
pub use backlog::Backlog;
pub use block::{
    BLOCK, BLOCKS, BlockBuffer, BlockDone, BlockOpening, BlockOperation, BlockPort, BlockRequest,
    DiskProgress, HostDisk,
};
pub use capability::{Capability, Rights};
pub use channel::ChannelEnd;
pub use context::{Bytes, Context, EFFECTS, Effect};
pub use declaration::{Declaration, Needs, STOLEN_TIME_WINDOW, WindowNeed};
pub use grants::Grants;
pub use host_device::{
    HostGpio, HostMailbox, HostPins, HostRegisters, HostWindow, MAILBOX_WORDS, MailboxError,
    MailboxTicket,
};
pub use inspect::{
    CoreFacts, CrashFacts, ExitCounts, ExitFacts, Inspect, LastCrash, MemoryFacts, Names,
    Oversight, RouteFacts, VcpuFacts, VmCheckpoint, VmFacts, VmState,
};
pub use leaf::{
    Clock, Entropy, HostRegister, HostSerial, Level, Messages, Power, SystemInterface, VcpuControl,
    VirtualInterface, Window,
};
pub use memory::{Memory, Outside};
pub use node::{BuildError, GuestNode, Node, Problem};
pub use object::{Backend, Calls, Invoke, Mmio, Notify, Object, Registers, Through};
pub use port::{
    BackendPort, CallPort, InvokePort, MmioPort, NotifyPort, ObjectPort, Offer, Parts,
    RegisterPort, SchedulerPort, Shared,
};
pub use registry::{DuplicateCompatible, components};
pub use reply::{Reply, Status, Words};
pub use scheduler::{Choice, Scheduler, Share, time_slice};
pub use state::{Restore, RestoreError, Save};
pub use wire::{ConsolePort, Deadline, Line, LineState, Told, VmControl, VmEvent};

pub use evisor_abi as abi;
pub use evisor_frames as frames;
pub use evisor_ring as ring;

#[doc(hidden)]
pub use linkme;
#[doc(hidden)]
pub use registry::COMPONENTS;

//! What a component holds after it was bound: its way to the outside.
//!
//! A grant that reaches another object only pushes an [`Effect`](crate::Effect) (`wire.rs`); a
//! *leaf* grant (clock, window onto real registers) is used at once (`leaf.rs`).

use crate::backing::Backing;
use crate::block::{BlockPort, HostDisk};
use crate::channel::ChannelEnd;
use crate::host_device::{HostMailbox, HostPins, HostWindow};
use crate::inspect::Oversight;
use crate::leaf::{
    Clock, Entropy, HostSerial, Messages, SystemInterface, VcpuControl, VirtualInterface,
};
use crate::memory::Memory;
use crate::node::BuildError;
use crate::scheduler::Share;
use crate::wire::{ConsolePort, Deadline, Line, VmControl};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

const DEFECT: &str = "this is a defect of who builds it";

/// What a component may ask for while it is built.
///
/// Each method gives what the declaration's [`Needs`](crate::Needs) announced and
/// the node names, or an error that says what is missing where.
pub trait Grants {
    /// The node's `index`th interrupt.
    ///
    /// # Errors
    /// The node has fewer, or its interrupt controller has no such line.
    fn line(&mut self, index: usize) -> Result<Line, BuildError>;

    /// The console that the node names, or the VM's own.
    ///
    /// # Errors
    /// There is none.
    fn console(&mut self) -> Result<ConsolePort, BuildError>;

    /// A slot of the kernel's timer, whose interrupt comes on the core that sets
    /// it. Who has several looks at all of its own when it is notified.
    ///
    /// # Errors
    /// All are taken.
    fn deadline(&mut self) -> Result<Deadline, BuildError>;

    /// Power over the VM, with the control right if the node has it.
    ///
    /// # Errors
    /// The node is not in a VM.
    fn vm(&mut self) -> Result<VmControl, BuildError>;

    /// Its vCPUs.
    ///
    /// # Errors
    /// The node is not in a VM.
    fn vcpus(&mut self) -> Result<&'static dyn VcpuControl, BuildError>;

    /// How many vCPUs the VM has.
    fn vcpu_count(&self) -> usize;

    /// Where the VM has memory or registers, guest-physical. What is elsewhere can
    /// only abort. Everywhere, if that is not known.
    fn addresses(&self) -> Vec<RangeInclusive<u64>> {
        Vec::from([0..=u64::MAX])
    }

    /// The VM's time.
    fn clock(&self) -> &'static dyn Clock;

    /// The virtual half of the physical interrupt controller; and the guest's
    /// accesses to the node's window number `cpu_interface` go to it directly.
    ///
    /// # Errors
    /// The board has none of this kind.
    fn virtual_interface(&mut self, cpu_interface: usize) -> Result<VirtualInterface, BuildError>;

    /// The virtual half of the physical interrupt controller where it is made of
    /// system registers.
    ///
    /// # Errors
    /// The board has none of this kind.
    fn system_interface(&mut self) -> Result<SystemInterface, BuildError>;

    /// The machine's source of random numbers, if it has one.
    fn entropy(&self) -> Option<&'static dyn Entropy>;

    /// Memory behind the node's window number `window`, as large as that.
    ///
    /// # Errors
    /// The node has no such window, or is not in a VM, or the memory cannot be
    /// shown to a guest there.
    fn backing(&mut self, window: usize) -> Result<&'static dyn Backing, BuildError> {
        let _ = window;
        Err(BuildError::new("gets no memory here", DEFECT))
    }

    /// The board's interrupt with number `intid` (a PPI) drives the node's
    /// `index`th line in hardware.
    ///
    /// # Errors
    /// It is taken, or the node has fewer lines.
    fn hardware_line(&mut self, index: usize, intid: u32) -> Result<(), BuildError>;

    /// The board's serial line.
    ///
    /// # Errors
    /// It is taken, or the board has none.
    fn host_serial(&mut self) -> Result<Box<dyn HostSerial>, BuildError>;

    /// eVisor's own lines, for who has the serial line; `None` if they go out by
    /// themselves.
    fn messages(&self) -> Option<&'static dyn Messages> {
        None
    }

    /// Those of the VMs that `evisor,vms` names, to look at; and, with the control right,
    /// to change.
    ///
    /// # Errors
    /// The declaration does not say that it oversees VMs.
    fn oversight(&mut self) -> Result<Oversight, BuildError> {
        Err(BuildError::new("oversees no VMs here", DEFECT))
    }

    /// A system register of the core that eVisor runs on, as EL2 reads it; for
    /// identification registers only.
    fn host_register(&self, register: crate::Register) -> Option<u64>;

    /// The VM's memory, guest-physical: EL2 maps it for good.
    ///
    /// # Errors
    /// The node is not in a VM.
    fn guest_memory(&mut self) -> Result<&'static dyn Memory, BuildError> {
        Err(BuildError::new("gets no memory here", DEFECT))
    }

    /// The blocks that `evisor,block` names; a port of no blocks if the node has none,
    /// for a slot without a medium.
    ///
    /// # Errors
    /// It names no store, or the store has no such part.
    fn block(&mut self) -> Result<BlockPort, BuildError> {
        Err(BuildError::new("gets no blocks here", DEFECT))
    }

    /// Memory of its own, as large as the node says: what the node names as its
    /// image is there first, and zeros behind it. It is there when the first VM
    /// starts; its size is the second.
    ///
    /// # Errors
    /// The node says neither size nor image.
    fn storage(&mut self) -> Result<(&'static dyn Memory, u64), BuildError> {
        Err(BuildError::new("gets no memory here", DEFECT))
    }

    /// The board's card or disk; `None` if the board has no place for one.
    ///
    /// # Errors
    /// It is taken.
    fn host_disk(&mut self) -> Result<Option<Box<dyn HostDisk>>, BuildError> {
        Ok(None)
    }

    /// The end of a channel that `evisor,channel` names. When it is rung, the object is
    /// notified of [`tag::RUNG`](crate::tag::RUNG).
    ///
    /// # Errors
    /// It names none.
    fn channel(&mut self) -> Result<&'static dyn ChannelEnd, BuildError> {
        Err(BuildError::new("gets no channel here", DEFECT))
    }

    /// When its end of the channel is rung, the node's `index`th line has an edge, and the
    /// object is not notified.
    ///
    /// # Errors
    /// As [`channel`](Self::channel), or the line comes by level.
    fn doorbell(&mut self, index: usize) -> Result<(), BuildError> {
        let _ = index;
        Err(BuildError::new("gets no channel here", DEFECT))
    }

    /// The guest's accesses to the node's window number `window` go to what the ends of its
    /// channel share.
    ///
    /// # Errors
    /// As [`channel`](Self::channel).
    fn channel_window(&mut self, window: usize) -> Result<(), BuildError> {
        let _ = window;
        Err(BuildError::new("gets no channel here", DEFECT))
    }

    /// What the ends of its channel share, from address 0: EL2 maps it for good.
    ///
    /// # Errors
    /// As [`channel`](Self::channel).
    fn channel_memory(&mut self) -> Result<&'static dyn Memory, BuildError> {
        Err(BuildError::new("gets no channel here", DEFECT))
    }

    /// The general-purpose pins of the board that have a bit in `pins`. Who has some is
    /// reset when its VM stops, too.
    ///
    /// # Errors
    /// The board has none to give, it needs one of them itself, or another node has one.
    fn host_pins(&mut self, pins: u64) -> Result<HostPins, BuildError> {
        let _ = pins;
        Err(BuildError::new("gets no pins here", DEFECT))
    }

    /// The registers behind the node's window number `window`: of the device of the
    /// board that `evisor,device` names.
    ///
    /// # Errors
    /// It names none, or the registers cannot be given.
    fn host_window(&mut self, window: usize) -> Result<HostWindow, BuildError> {
        let _ = window;
        Err(BuildError::new("gets no registers here", DEFECT))
    }

    /// The `index`th interrupt of the device of the board that `evisor,device` names
    /// drives the node's line of that number in hardware.
    ///
    /// # Errors
    /// The device or the node has fewer, or the interrupt is another's.
    fn host_line(&mut self, index: usize) -> Result<(), BuildError> {
        let _ = index;
        Err(BuildError::new("gets no interrupt here", DEFECT))
    }

    /// Whether the VM's vCPUs are told how much of their time others had: one of them shares
    /// its core, and a node of the VM that may be called tells it.
    fn tells_stolen_time(&self) -> bool {
        false
    }

    /// For a scheduler: what the vCPUs of its core were promised, each at the number that
    /// it has as a member.
    fn members(&self) -> &[Share] {
        &[]
    }

    /// The property mailbox of the board's firmware, if it has one.
    fn host_mailbox(&self) -> Option<&'static dyn HostMailbox> {
        None
    }
}

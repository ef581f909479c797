//! What a component implements.
//!
//! The kernel calls every method with `&mut self` under the object's lock, with
//! interrupts masked, on the core whose guest caused it. A method returns in
//! bounded time, takes no lock, allocates nothing, and never panics, whatever
//! the arguments: they are the guest's.

use crate::access::{CallRegisters, Register, Width};
use crate::block::BlockOpening;
use crate::capability::Rights;
use crate::context::{Context, Effect};
use crate::node::BuildError;
use crate::reply::Reply;
use crate::state::{Restore, RestoreError, Save};
use downcast_rs::{Downcast, impl_downcast};
use evisor_abi::Error;

/// What all objects have in common.
pub trait Object: Downcast + Send {
    /// Back to the state after power-on, as when the VM restarts, and once before it
    /// starts for the first time. Nothing is notified: everything else in the VM is
    /// reset too.
    fn reset(&mut self);

    /// Writes down the state that a guest could tell apart. Compulsory for
    /// devices; a service without state writes nothing.
    fn save(&self, to: &mut Save) {
        let _ = to;
    }

    /// Takes back what [`save`](Self::save) wrote; the object was reset. The VM's memory is what
    /// it was then already, and its time and the levels of its lines are restored too; a
    /// deadline is not, so an object that was granted one is notified of
    /// [`tag::DEADLINE`](crate::tag::DEADLINE) when its VM goes on. What comes before is
    /// from outside, and the other objects may not be restored yet.
    ///
    /// # Errors
    /// What was read is not of this device or version, or not a state that the
    /// device can be in. The object may then be half restored: reset it.
    fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        let _ = from;
        Ok(())
    }
}
impl_downcast!(Object);

/// The facet behind a guest-physical address.
///
/// The router has checked the right, that `width` is one of those the manifest
/// and the declaration allow, that the access is naturally aligned, and that it
/// lies in the window. `offset` counts from the start of the object's register
/// file, in bytes.
pub trait Mmio: Object {
    /// A load. [`Reply::value`] is zero-extended and fits `width`.
    fn read(&mut self, offset: u64, width: Width, cx: &mut Context) -> Reply;
    /// A store of `value`, of which the bits above `width` are zero.
    fn write(&mut self, offset: u64, width: Width, value: u64, cx: &mut Context) -> Reply;
}

/// The facet behind a system-register encoding.
pub trait Registers: Object {
    /// An `MRS`.
    fn read_register(&mut self, register: Register, cx: &mut Context) -> Reply;
    /// An `MSR`, or a `SYS` instruction.
    fn write_register(&mut self, register: Register, value: u64, cx: &mut Context) -> Reply;
}

/// The facet behind an SMCCC function id.
pub trait Calls: Object {
    /// A call of `function`. [`Reply::value`] becomes the caller's x0; results
    /// in x1–x3 are written to `registers`. Nothing else there is changed.
    fn call(&mut self, function: u32, registers: &mut CallRegisters, cx: &mut Context) -> Reply;
}

/// The facet behind an interrupt number, or a tag that another object was
/// granted.
pub trait Notify: Object {
    /// `tag` names what: a line, a port, or one of [`tag`](crate::tag)'s. What
    /// `value` means is the object's to define for its own tags.
    fn notify(&mut self, tag: u32, value: u64, cx: &mut Context) -> Reply;
}

/// The facet behind a handle.
pub trait Invoke: Object {
    /// Does `operation`, one of those that [`abi`](crate::abi) lists for the object's
    /// [`Kind`](crate::abi::Kind), `through` the capability that the handle named: it is
    /// the object that checks the rights that this takes, and keeps to the window. Who
    /// calls is `cx`'s vCPU, which need not be of the VM that the object is in.
    ///
    /// `words` are the caller's x3 to x7; the first three become its x1 to x3.
    /// [`Reply::value`] becomes x0: 0, or the code of an [`Error`](crate::abi::Error).
    /// An operation that there is not is [`Reply::ABSENT`].
    fn invoke(
        &mut self,
        operation: u32,
        words: &mut [u64; 5],
        through: &Through,
        cx: &mut Context,
    ) -> Reply;
}

/// What a handle's capability says of its holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Through {
    /// What the holder may do.
    pub rights: Rights,
    /// Where its window starts, in units that are the object's own.
    pub first: u64,
    /// How long the window is; at least 1, but for a store without a medium.
    pub count: u64,
}

impl Through {
    /// # Errors
    /// [`Error::NoRight`], unless the holder has all of `rights`.
    pub fn takes(&self, rights: Rights) -> Result<(), Error> {
        if self.rights.contains(rights) { Ok(()) } else { Err(Error::NoRight) }
    }
}

/// The facet of an object that others hold ports of and that answers them: a
/// console, a block store. Used while a VM is put together, never by a trap.
pub trait Backend: Object {
    /// Port `port` was granted, and `holder` is how its holder is reached: the
    /// object copies it and pushes it with tag and value filled in.
    fn connect(&mut self, port: u32, holder: Effect);

    /// Port `port` was granted, and `connect` follows: its holder is in the VM called
    /// `vm`, or in none, as the monitor is.
    fn held_by(&mut self, port: u32, vm: Option<&str>) {
        let _ = (port, vm);
    }

    /// Port `port` is asked for by who stores blocks; `connect` follows. Gives how
    /// many blocks the part has: none where there is no medium now.
    ///
    /// # Errors
    /// The object stores no blocks, or never has such a part.
    fn open(&mut self, port: u32, opening: &BlockOpening) -> Result<u64, BuildError> {
        let _ = (port, opening);
        Err(BuildError::property(
            "evisor,block",
            "names what stores no blocks",
            "point it at an \"evisor,ram-disk\" or an \"evisor,sd-card\"",
        ))
    }
}

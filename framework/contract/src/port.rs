//! An object as the kernel holds it: behind its lock, one port a facet.
//!
//! A port's method is compiled with the lock and the component's code in one:
//! what a trap calls indirectly is called once. The methods are `extern "C"`
//! because that is what the vectors call: an exit that ends in one becomes a jump.

use crate::access::{CallRegisters, Register, Width};
use crate::block::BlockOpening;
use crate::context::{Context, Effect};
use crate::node::BuildError;
use crate::object::{Backend, Calls, Invoke, Mmio, Notify, Object, Registers, Through};
use crate::reply::Words;
use crate::scheduler::{Choice, Scheduler};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use evisor_abi::Kind;
use spin::Mutex;

/// An object with its lock.
pub struct Shared<T> {
    object: Mutex<T>,
}

impl<T> Shared<T> {
    /// Puts `object` behind a lock.
    pub const fn new(object: T) -> Self {
        Self { object: Mutex::new(object) }
    }
}

/// The port of every object: what the kernel does with it outside of traps.
pub trait ObjectPort: Sync {
    /// Runs `f` on the object, under its lock.
    fn with(&self, f: &mut dyn FnMut(&mut dyn Object));
}

/// The port behind a guest-physical address.
pub trait MmioPort: Sync {
    /// See [`Mmio::read`].
    extern "C" fn read(&self, offset: u64, width: Width, cx: &mut Context) -> Words;
    /// See [`Mmio::write`].
    extern "C" fn write(&self, offset: u64, width: Width, value: u64, cx: &mut Context) -> Words;
}

/// The port behind a system register.
pub trait RegisterPort: Sync {
    /// See [`Registers::read_register`].
    extern "C" fn read_register(&self, register: Register, cx: &mut Context) -> Words;
    /// See [`Registers::write_register`].
    extern "C" fn write_register(&self, register: Register, value: u64, cx: &mut Context) -> Words;
}

/// The port behind an SMCCC function id.
pub trait CallPort: Sync {
    /// See [`Calls::call`].
    extern "C" fn call(
        &self,
        function: u32,
        registers: &mut CallRegisters,
        cx: &mut Context,
    ) -> Words;
}

/// The port behind an interrupt number or a granted tag.
pub trait NotifyPort: Sync {
    /// See [`Notify::notify`].
    extern "C" fn notify(&self, tag: u32, value: u64, cx: &mut Context) -> Words;
}

/// The port behind a handle.
pub trait InvokePort: Sync {
    /// See [`Invoke::invoke`].
    fn invoke(
        &self,
        operation: u32,
        words: &mut [u64; 5],
        through: &Through,
        cx: &mut Context,
    ) -> Words;
}

/// What an object offers to those who hold handles to it.
#[derive(Clone, Copy)]
pub struct Offer {
    /// What it is for them.
    pub kind: Kind,
    /// How long a window onto all of it is, in units of its own.
    pub units: u64,
    /// The way to it.
    pub port: &'static dyn InvokePort,
}

/// The port of an object that answers its holders.
pub trait BackendPort: Sync {
    /// See [`Backend::connect`].
    fn connect(&self, port: u32, holder: Effect);
    /// See [`Backend::held_by`].
    fn held_by(&self, port: u32, vm: Option<&str>);
    /// See [`Backend::open`].
    ///
    /// # Errors
    /// As there.
    fn open(&self, port: u32, opening: &BlockOpening) -> Result<u64, BuildError>;
}

/// The port of a scheduler.
pub trait SchedulerPort: Sync {
    /// See [`Scheduler::wake`].
    fn wake(&self, member: usize, now: u64);
    /// See [`Scheduler::sleep`].
    fn sleep(&self, member: usize, now: u64);
    /// See [`Scheduler::give_way`].
    fn give_way(&self, member: usize, now: u64);
    /// See [`Scheduler::choose`].
    fn choose(&self, now: u64) -> Choice;
}

impl<T: Object> ObjectPort for Shared<T> {
    fn with(&self, f: &mut dyn FnMut(&mut dyn Object)) {
        f(&mut *self.object.lock());
    }
}

impl<T: Mmio> MmioPort for Shared<T> {
    extern "C" fn read(&self, offset: u64, width: Width, cx: &mut Context) -> Words {
        self.object.lock().read(offset, width, cx).into()
    }
    extern "C" fn write(&self, offset: u64, width: Width, value: u64, cx: &mut Context) -> Words {
        self.object.lock().write(offset, width, value, cx).into()
    }
}

impl<T: Registers> RegisterPort for Shared<T> {
    extern "C" fn read_register(&self, register: Register, cx: &mut Context) -> Words {
        self.object.lock().read_register(register, cx).into()
    }
    extern "C" fn write_register(&self, register: Register, value: u64, cx: &mut Context) -> Words {
        self.object.lock().write_register(register, value, cx).into()
    }
}

impl<T: Calls> CallPort for Shared<T> {
    extern "C" fn call(
        &self,
        function: u32,
        registers: &mut CallRegisters,
        cx: &mut Context,
    ) -> Words {
        self.object.lock().call(function, registers, cx).into()
    }
}

impl<T: Notify> NotifyPort for Shared<T> {
    extern "C" fn notify(&self, tag: u32, value: u64, cx: &mut Context) -> Words {
        self.object.lock().notify(tag, value, cx).into()
    }
}

impl<T: Invoke> InvokePort for Shared<T> {
    fn invoke(
        &self,
        operation: u32,
        words: &mut [u64; 5],
        through: &Through,
        cx: &mut Context,
    ) -> Words {
        self.object.lock().invoke(operation, words, through, cx).into()
    }
}

impl<T: Backend> BackendPort for Shared<T> {
    fn connect(&self, port: u32, holder: Effect) {
        self.object.lock().connect(port, holder);
    }
    fn held_by(&self, port: u32, vm: Option<&str>) {
        self.object.lock().held_by(port, vm);
    }
    fn open(&self, port: u32, opening: &BlockOpening) -> Result<u64, BuildError> {
        self.object.lock().open(port, opening)
    }
}

impl<T: Scheduler> SchedulerPort for Shared<T> {
    fn wake(&self, member: usize, now: u64) {
        self.object.lock().wake(member, now);
    }
    fn sleep(&self, member: usize, now: u64) {
        self.object.lock().sleep(member, now);
    }
    fn give_way(&self, member: usize, now: u64) {
        self.object.lock().give_way(member, now);
    }
    fn choose(&self, now: u64) -> Choice {
        self.object.lock().choose(now)
    }
}

/// A built object, with the ports of the facets that it has and the names that
/// it answers to by itself. (Addresses and lines come from the node.)
pub struct Parts {
    /// The object itself.
    pub object: &'static dyn ObjectPort,
    /// For a device with registers in guest-physical memory.
    pub mmio: Option<&'static dyn MmioPort>,
    /// For an object that answers system registers.
    pub registers: Option<&'static dyn RegisterPort>,
    /// The registers that it answers: the lowest and the highest key.
    pub register_ranges: Vec<RangeInclusive<Register>>,
    /// For a service.
    pub calls: Option<&'static dyn CallPort>,
    /// The function ids that it serves.
    pub call_ranges: Vec<RangeInclusive<u32>>,
    /// For an object that can be notified.
    pub notify: Option<&'static dyn NotifyPort>,
    /// For an object that answers its holders.
    pub backend: Option<&'static dyn BackendPort>,
    /// For an object that handles can lead to.
    pub invoke: Option<Offer>,
    /// For a scheduler.
    pub scheduler: Option<&'static dyn SchedulerPort>,
}

/// A built object of known type, on its way to [`Parts`]: a method adds a facet,
/// and is there only where the type has it.
pub struct PartsOf<T: Object> {
    shared: &'static Shared<T>,
    parts: Parts,
}

impl Parts {
    /// Starts from an object. It lives as long as the hypervisor does.
    #[expect(clippy::new_ret_no_self, reason = "what is new is still being described")]
    pub fn new<T: Object>(object: T) -> PartsOf<T> {
        let shared: &'static Shared<T> = Box::leak(Box::new(Shared::new(object)));
        let parts = Self {
            object: shared,
            mmio: None,
            registers: None,
            register_ranges: Vec::new(),
            calls: None,
            call_ranges: Vec::new(),
            notify: None,
            backend: None,
            invoke: None,
            scheduler: None,
        };
        PartsOf { shared, parts }
    }
}

impl<T: Object> PartsOf<T> {
    /// It has registers in guest-physical memory.
    #[must_use]
    pub fn mmio(mut self) -> Self
    where
        T: Mmio,
    {
        self.parts.mmio = Some(self.shared);
        self
    }

    /// It answers the system registers in `ranges`.
    #[must_use]
    pub fn registers(mut self, ranges: &[RangeInclusive<Register>]) -> Self
    where
        T: Registers,
    {
        self.parts.registers = Some(self.shared);
        self.parts.register_ranges = ranges.to_vec();
        self
    }

    /// It serves the SMCCC functions in `ranges`.
    #[must_use]
    pub fn calls(mut self, ranges: &[RangeInclusive<u32>]) -> Self
    where
        T: Calls,
    {
        self.parts.calls = Some(self.shared);
        self.parts.call_ranges = ranges.to_vec();
        self
    }

    /// It can be notified: deadlines, console input, lines.
    #[must_use]
    pub fn notify(mut self) -> Self
    where
        T: Notify,
    {
        self.parts.notify = Some(self.shared);
        self
    }

    /// It answers those who hold its ports.
    #[must_use]
    pub fn backend(mut self) -> Self
    where
        T: Backend,
    {
        self.parts.backend = Some(self.shared);
        self
    }

    /// Handles can lead to it: it is a `kind` for them, and has `units` of what a window
    /// is counted in.
    #[must_use]
    pub fn invoke(mut self, kind: Kind, units: u64) -> Self
    where
        T: Invoke,
    {
        self.parts.invoke = Some(Offer { kind, units, port: self.shared });
        self
    }

    /// It says which vCPU a core runs.
    #[must_use]
    pub fn scheduler(mut self) -> Self
    where
        T: Scheduler,
    {
        self.parts.scheduler = Some(self.shared);
        self
    }

    /// All said.
    #[must_use]
    pub fn done(self) -> Parts {
        self.parts
    }
}

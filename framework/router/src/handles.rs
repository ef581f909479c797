//! Handles as names: of capabilities that a VM holds while it runs.
//!
//! The other four kinds of names have routes that are fixed when the space is built. A
//! handle's is looked up in [`Derivations`], under their lock, which is let go before the
//! object is called: so this is no object, and no two objects are ever locked. It is a
//! leaf of the kernel like a timer; nothing else is locked while it is.

use crate::derivations::{Allowance, Derivations, Named, Narrowing, SLICE};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU8, Ordering};
use evisor_contract::abi::{Error, Kind, VERSION, function};
use evisor_contract::{
    CallPort, CallRegisters, Clock, Context, Deadline, NotifyPort, ObjectPort, Offer, Reply,
    Rights, Status, Words, tag,
};
use spin::{Mutex, MutexGuard, Once};

/// An object that handles lead to.
pub struct Behind {
    /// The way to it.
    pub offer: Offer,
    /// The VM at its other end: who is handed what is sent along it.
    pub peer: Option<u16>,
    /// The object that it stands for, if the port is not that one's.
    stands_for: Option<&'static dyn ObjectPort>,
    failed: AtomicU8,
}

/// [`Behind::failed`]: it failed; and the kernel knows.
const FAILED: u8 = 1;
const KNOWN: u8 = 2;

impl Behind {
    /// One that works.
    #[must_use]
    pub const fn new(offer: Offer, peer: Option<u16>) -> Self {
        Self { offer, peer, stands_for: None, failed: AtomicU8::new(0) }
    }

    /// It stands for `object`: if that fails, so does this.
    #[must_use]
    pub const fn standing_for(mut self, object: &'static dyn ObjectPort) -> Self {
        self.stands_for = Some(object);
        self
    }

    fn is_at(&self, port: *const ()) -> bool {
        let own = core::ptr::addr_eq(self.offer.port, port);
        own || self.stands_for.is_some_and(|object| core::ptr::addr_eq(object, port))
    }
}

/// What is done about what was revoked, while nobody waits for it.
pub struct Sweeping {
    /// Leads to [`Handles`]' own notifications.
    pub deadline: Deadline,
    /// The host's time.
    pub clock: &'static dyn Clock,
}

/// How often a slice is swept, a second.
const SWEEPS: u64 = 10_000;

/// All handles of a deployment.
#[derive(Default)]
pub struct Handles {
    filled: Once<Filled>,
}

struct Filled {
    behind: Vec<Behind>,
    ports: Vec<&'static HandlePort>,
    derivations: Mutex<Derivations>,
    sweeping: Sweeping,
}

/// The way of one VM's calls to what its handles name.
pub struct HandlePort {
    handles: &'static Handles,
    vm: u16,
}

impl HandlePort {
    /// That of VM number `vm`.
    #[must_use]
    pub const fn new(handles: &'static Handles, vm: u16) -> Self {
        Self { handles, vm }
    }
}

impl Handles {
    /// All VMs are built: the ways in are `ports`, what they lead to is `behind`, and each
    /// VM, by its number, begins with its allowance. False: there are too many.
    pub fn fill(
        &self,
        behind: Vec<Behind>,
        ports: Vec<&'static HandlePort>,
        allowances: &[Allowance],
        sweeping: Sweeping,
    ) -> bool {
        let Some(derivations) = Derivations::new(allowances) else { return false };
        let derivations = Mutex::new(derivations);
        self.filled.call_once(|| Filled { behind, ports, derivations, sweeping });
        true
    }

    /// As [`Derivations::retire`].
    pub fn retire(&self, vm: u16) -> bool {
        self.filled.get().is_some_and(|filled| filled.derivations().retire(vm))
    }

    /// The object at `port` failed: no handle leads there any more. False if `port` is the
    /// way of handles itself, and [`take_failed`](Self::take_failed) says what it was.
    pub fn quarantine(&self, port: *const ()) -> bool {
        let Some(filled) = self.filled.get() else { return true };
        let at = filled.behind.iter().filter(|one| one.is_at(port));
        at.for_each(|one| one.failed.store(FAILED | KNOWN, Ordering::Relaxed));
        !filled.ports.iter().any(|own| core::ptr::addr_eq(*own, port))
    }

    /// An object that failed when a handle led there, and that nobody was told of.
    pub fn take_failed(&self) -> Option<*const ()> {
        let mut behind = self.filled.get()?.behind.iter();
        let order = Ordering::Relaxed;
        let told = |one: &Behind| {
            one.failed.compare_exchange(FAILED, FAILED | KNOWN, order, order).is_ok()
        };
        behind.find(|one| told(one)).map(|one| core::ptr::from_ref(one.offer.port).cast())
    }
}

impl NotifyPort for Handles {
    /// Time for a slice.
    extern "C" fn notify(&self, tag: u32, _value: u64, cx: &mut Context) -> Words {
        if let (tag::DEADLINE, Some(filled)) = (tag, self.filled.get()) {
            let more = filled.derivations().sweep(SLICE);
            filled.come_again(more, cx);
        }
        Reply::DONE.into()
    }
}

/// x1 to x3.
type Answer = Result<[u64; 3], Error>;

impl Filled {
    /// Apart: a lock is taken in many places.
    #[inline(never)]
    fn derivations(&self) -> MutexGuard<'_, Derivations> {
        self.derivations.lock()
    }

    fn come_again(&self, more: bool, cx: &mut Context) {
        if more {
            let Sweeping { deadline, clock } = &self.sweeping;
            deadline.set(clock.now().wrapping_add(clock.frequency() / SWEEPS), cx);
        }
    }

    fn kind(&self, named: &Named) -> Kind {
        self.behind.get(usize::from(named.object)).map_or(Kind::Gone, |one| one.offer.kind)
    }

    fn next(&self, vm: u16, handle: u64) -> Answer {
        let Some((handle, named)) = self.derivations().next(vm, handle)? else {
            return Ok([0; 3]);
        };
        let Some(named) = named else { return Ok([handle, Kind::Gone as u64, 0]) };
        let rights = u64::from(named.through.rights.bits());
        Ok([handle, rights << 32 | self.kind(&named) as u64, named.label])
    }

    fn describe(&self, vm: u16, handle: u64) -> Answer {
        let Named { through, depth, .. } = self.derivations().get(vm, handle)?;
        Ok([through.first, through.count, depth.into()])
    }

    fn derive(&self, vm: u16, [handle, rights, first, count, label, way]: [u64; 6]) -> Answer {
        let rights = Rights::from_bits_truncate(rights as u32);
        let narrowing = Narrowing { rights, first, count, label };
        let mut derivations = self.derivations();
        let holder = match way {
            0 => vm,
            way => self.peer(&derivations.get(vm, way)?)?,
        };
        let new = derivations.derive(vm, handle, &narrowing, holder)?;
        // What another holds has no name here.
        Ok([if way == 0 { new } else { 0 }, 0, 0])
    }

    fn peer(&self, way: &Named) -> Result<u16, Error> {
        if !way.through.rights.contains(Rights::GRANT) {
            return Err(Error::NoRight);
        }
        let peer = self.behind.get(usize::from(way.object)).and_then(|behind| behind.peer);
        let takes = |vm: &u16| self.ports.iter().any(|port| port.vm == *vm);
        peer.filter(takes).ok_or(Error::NoPeer)
    }

    #[inline(never)]
    fn call(&self, vm: u16, function: u32, registers: &CallRegisters, cx: &mut Context) -> Answer {
        let [_, x1, x2, x3, x4, x5, x6, ..] = *registers;
        match function {
            function::QUOTA => {
                let (all, left) = self.derivations().quota(vm);
                Ok([all as u64, left as u64, 0])
            }
            function::NEXT => self.next(vm, x1),
            function::DESCRIBE => self.describe(vm, x1),
            function::DERIVE => self.derive(vm, [x1, x2, x3, x4, x5, 0]),
            function::HAND_OVER if x6 == 0 => Err(Error::NoHandle),
            function::HAND_OVER => self.derive(vm, [x1, x2, x3, x4, x5, x6]),
            function::REVOKE => {
                let more = self.derivations().revoke(vm, x1)?;
                self.come_again(more, cx);
                Ok([more.into(), 0, 0])
            }
            function::DROP => self.derivations().drop(vm, x1).map(|()| [0; 3]),
            _ => Err(Error::NotSupported),
        }
    }

    /// From the handle to its capability, and through that to the object.
    fn invoke(&self, vm: u16, registers: &mut CallRegisters, cx: &mut Context) -> Words {
        let [_, handle, operation, x3, x4, x5, x6, x7, ..] = *registers;
        let Named { object, through, .. } = match self.derivations().get(vm, handle) {
            Ok(named) => named,
            Err(error) => return Reply::value(error.code()).into(),
        };
        let behind = self.behind.get(usize::from(object));
        let Some(behind) = behind.filter(|one| one.failed.load(Ordering::Relaxed) == 0) else {
            return Words::ABSENT;
        };
        let mut words = [x3, x4, x5, x6, x7];
        let reply = behind.offer.port.invoke(operation as u32, &mut words, &through, cx);
        match reply.status() {
            Status::Done if Error::of(reply.value()).is_none() => {
                let [x1, x2, x3, ..] = words;
                (registers[1], registers[2], registers[3]) = (x1, x2, x3);
            }
            Status::Failed => _ = behind.failed.fetch_or(FAILED, Ordering::Relaxed),
            _ => {}
        }
        reply
    }
}

impl CallPort for HandlePort {
    extern "C" fn call(
        &self,
        function: u32,
        registers: &mut CallRegisters,
        cx: &mut Context,
    ) -> Words {
        let Some(filled) = self.handles.filled.get() else { return Words::ABSENT };
        match function {
            function::INVOKE => return filled.invoke(self.vm, registers, cx),
            function::VERSION => return Reply::value(VERSION).into(),
            _ => {}
        }
        match filled.call(self.vm, function, registers, cx) {
            Ok(answer) => {
                (registers[1], registers[2], registers[3]) = answer.into();
                Reply::DONE.into()
            }
            Err(error) => Reply::value(error.code()).into(),
        }
    }
}

/// A place where all handles of a deployment will be.
#[must_use]
pub fn unfilled() -> &'static Handles {
    Box::leak(Box::default())
}

//! Devices of the board that are taken from a VM while it runs, and given to another.
//!
//! A VM that has a node for such a device is a *tenant*; one of them at most has it. What is
//! taken, in this order (each ends what the one before let begin): its routes and its pages,
//! until no core can reach its registers by them; its interrupts; then it is reset. What a
//! guest had acknowledged of its interrupts it would deactivate at its end, when they may be
//! another's: so its interrupt controller lets go of them first ([`LineState::RETIRE`]), which
//! may take a vCPU on another core to look. Nobody waits for that here: until then, and while
//! a core is on its way with one, the device cannot be given.

use crate::handles::Removable;
use crate::host::Host;
use crate::passed::{Passed, PassedInterrupt};
use crate::vm::Vm;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};
use evisor_contract::abi::Error;
use evisor_contract::{
    Capability, Context, LineState, NotifyPort, ObjectPort, Rights, Status, VmState, Words,
};
use evisor_router::{Holding, Space};
use spin::{Mutex, Once};

/// Pages of a VM's stage 2 that lead to a device's registers.
pub trait Pages: Sync {
    /// They lead nowhere, for any core; when this returns, no access by them is under way.
    fn hide(&self);
    /// They are as they were.
    fn show(&self);
}

/// A device of the board that can be taken, and who has it.
pub(crate) struct Lease {
    host: &'static dyn Host,
    /// Its path in the board's tree.
    pub path: String,
    /// The tenant that has it. The objects' locks come after this one.
    holder: Mutex<Option<usize>>,
    tenants: Once<Vec<&'static Tenure>>,
    /// Who its interrupts lead to, of the tenants.
    leads: AtomicUsize,
    /// What leads there.
    routes: Once<Vec<&'static Capability<dyn NotifyPort>>>,
}

impl Lease {
    pub fn new(host: &'static dyn Host, path: String) -> &'static Self {
        Box::leak(Box::new(Self {
            host,
            path,
            holder: Mutex::new(None),
            tenants: Once::new(),
            leads: AtomicUsize::new(0),
            routes: Once::new(),
        }))
    }

    fn tenants(&self) -> &[&'static Tenure] {
        self.tenants.get().map_or(&[], Vec::as_slice)
    }

    /// All interrupts that a tenant lists.
    fn intids(&self) -> Vec<u32> {
        let mut all = Vec::new();
        for Line { intid, .. } in self.tenants().iter().flat_map(|one| &one.lines) {
            if !all.contains(intid) {
                all.push(*intid);
            }
        }
        all
    }

    /// The lines of a tenant have let go of its interrupts, which are off.
    fn let_go(&self, tenant: &Tenure, cx: &mut Context) -> bool {
        // What was in its vCPUs' list registers went when it stopped.
        if matches!(tenant.vm.state(), VmState::Off | VmState::Crashed) {
            return true;
        }
        let mut gone = true;
        for Line { intid, to: (port, line), .. } in &tenant.lines {
            let reply = port.notify(*line, LineState::RETIRE, cx);
            match (reply.status(), reply.value()) {
                (Status::Again, _) => gone = false,
                (Status::Done, 1) => self.host.clear_interrupt(*intid),
                _ => {}
            }
        }
        gone
    }
}

/// An interrupt of a device, and a tenant's line for it.
struct Line {
    intid: u32,
    edge: bool,
    to: (&'static dyn NotifyPort, u32),
}

/// A VM's node for a device that can be taken.
pub struct Tenure {
    /// The path of the node.
    pub path: String,
    /// It stands for the device.
    pub(crate) object: &'static dyn ObjectPort,
    lease: &'static Lease,
    number: Once<usize>,
    vm: &'static Vm,
    lines: Vec<Line>,
    pages: Once<&'static dyn Pages>,
    holding: Once<Option<Holding>>,
    withheld: bool,
}

impl Tenure {
    pub(crate) fn new(
        lease: &'static Lease,
        vm: &'static Vm,
        object: &'static dyn ObjectPort,
        (path, withheld): (String, bool),
        interrupts: &[PassedInterrupt],
    ) -> &'static Self {
        let line = |one: &PassedInterrupt| Line { intid: one.intid, edge: one.edge, to: one.to };
        let lines = interrupts.iter().map(line).collect();
        let (number, pages, holding) = (Once::new(), Once::new(), Once::new());
        let tenure = Self { path, object, lease, number, vm, lines, pages, holding, withheld };
        Box::leak(Box::new(tenure))
    }

    /// The pages by which its VM reaches the device, if there are some, before anything
    /// runs.
    pub fn shown_by(&self, pages: &'static dyn Pages) {
        if !self.has() {
            pages.hide();
        }
        self.pages.call_once(|| pages);
    }

    fn is(&self, holder: Option<usize>) -> bool {
        holder.is_some() && holder == self.number.get().copied()
    }

    /// Names lead to it, or not: addresses that trap, and its interrupts.
    fn routed(&self, on: bool) {
        let routes = self.lease.routes.get().into_iter().flatten();
        match on {
            true => routes.for_each(|route| route.restore(Rights::INTERRUPT)),
            false => routes.for_each(|route| route.clear(Rights::all())),
        }
        if let Some(Some(holding)) = self.holding.get() {
            if on { holding.give() } else { holding.take() }
        }
    }
}

impl Removable for Tenure {
    fn has(&self) -> bool {
        self.is(*self.lease.holder.lock())
    }

    fn take(&self, cx: &mut Context) -> Result<(), Error> {
        let (lease, host) = (self.lease, self.lease.host);
        let mut holder = lease.holder.lock();
        if !self.is(*holder) {
            return Err(Error::WrongState);
        }
        *holder = None;
        self.routed(false);
        if let Some(pages) = self.pages.get() {
            pages.hide();
        }
        self.lines.iter().for_each(|line| host.disable_interrupt(line.intid));
        self.object.with(&mut |object| object.reset());
        // It is asked again before anybody has it.
        let _ = lease.let_go(self, cx);
        Ok(())
    }

    fn give(&self, cx: &mut Context) -> Result<(), Error> {
        let (lease, host) = (self.lease, self.lease.host);
        let mut holder = lease.holder.lock();
        if holder.is_some() {
            return Err(Error::WrongState);
        }
        let state = self.vm.state();
        let gone = lease.tenants().iter().all(|one| lease.let_go(one, cx));
        let mut lines = lease.tenants().iter().flat_map(|one| &one.lines);
        let in_hand = lines.any(|line| host.is_interrupt_active(line.intid));
        if state == VmState::Changing || !gone || in_hand {
            return Err(Error::Busy);
        }
        // An access that EL2 makes for a guest, which began before it was taken, may have
        // come after the reset then.
        self.object.with(&mut |object| object.reset());
        for line in &self.lines {
            host.clear_interrupt(line.intid);
            host.lead_interrupt(line.intid, line.edge, self.vm.core_of(0));
        }
        if let Some(pages) = self.pages.get() {
            pages.show();
        }
        lease.leads.store(self.number.get().copied().unwrap_or(0), Ordering::SeqCst);
        self.routed(true);
        *holder = self.number.get().copied();
        // One that is off or stands still has them on when it starts or goes on.
        if state == VmState::On {
            self.lines.iter().for_each(|line| host.allow_interrupt(line.intid));
        }
        Ok(())
    }
}

impl Passed {
    /// Runs `f` if its VM has the device of the node at `path`; it is not taken meanwhile.
    pub fn while_had(&self, path: &str, f: impl FnOnce()) {
        let Some(tenure) = self.tenure(path) else { return f() };
        let holder = tenure.lease.holder.lock();
        if tenure.is(*holder) {
            f();
        }
    }

    /// The same if its VM was the last to have it, and may still have an interrupt of it. (What
    /// a core is on its way with is then no other's.)
    pub fn while_had_last(&self, path: &str, f: impl FnOnce()) {
        let Some(tenure) = self.tenure(path) else { return f() };
        let holder = tenure.lease.holder.lock();
        let last = holder.unwrap_or_else(|| tenure.lease.leads.load(Ordering::SeqCst));
        if tenure.is(Some(last)) {
            f();
        }
    }

    /// Whether the device of the node at `path` can be taken, and its VM does not have it.
    pub fn lacks(&self, path: &str) -> bool {
        self.tenure(path).is_some_and(|tenure| !tenure.has())
    }

    fn tenure(&self, path: &str) -> Option<&'static Tenure> {
        self.tenures.iter().find(|tenure| tenure.path == path).copied()
    }

    /// Its devices that can be taken are reset, if it has them.
    pub fn reset_had(&self) {
        for tenure in &self.tenures {
            self.while_had(&tenure.path, || reset(tenure.object));
        }
    }

    /// Its devices that cannot be taken are reset, and those that can, if its VM has them.
    pub fn reset(&self) {
        for object in &self.objects {
            let is_it = |one: &&&Tenure| core::ptr::addr_eq(one.object, *object);
            match self.tenures.iter().find(is_it) {
                Some(tenure) => self.while_had(&tenure.path, || reset(*object)),
                None => reset(*object),
            }
        }
    }
}

fn reset(object: &'static dyn ObjectPort) {
    object.with(&mut |object| object.reset());
}

/// What an interrupt of a device leads to that several tenants have a line for.
struct Switch {
    lease: &'static Lease,
    /// A line for each tenant, if it has one.
    to: Vec<Option<(&'static dyn NotifyPort, u32)>>,
}

impl NotifyPort for Switch {
    extern "C" fn notify(&self, _tag: u32, value: u64, cx: &mut Context) -> Words {
        let to = self.to.get(self.lease.leads.load(Ordering::SeqCst)).copied().flatten();
        to.map_or(Words::ABSENT, |(port, line)| port.notify(line, value, cx))
    }
}

/// All VMs are built, and these are the tenants: gives the interrupts that are to lead to
/// one of them, with what they lead to.
pub(crate) fn join(
    leases: &[&'static Lease],
    tenures: &[&'static Tenure],
) -> Vec<(u32, &'static dyn NotifyPort)> {
    let mut all = Vec::new();
    for &lease in leases {
        let its = tenures.iter().filter(|one| core::ptr::eq(one.lease, lease)).copied();
        let tenants = lease.tenants.call_once(|| its.collect());
        for (number, tenure) in tenants.iter().enumerate() {
            tenure.number.call_once(|| number);
        }
        let first = tenants.iter().position(|one| !one.withheld);
        *lease.holder.lock() = first;
        lease.leads.store(first.unwrap_or(0), Ordering::SeqCst);
        for intid in lease.intids() {
            let line = |one: &&Tenure| {
                let mut lines = one.lines.iter();
                lines.find(|line| line.intid == intid).map(|line| line.to)
            };
            let to = tenants.iter().map(line).collect();
            all.push((intid, Box::leak(Box::new(Switch { lease, to })) as &dyn NotifyPort));
        }
    }
    all
}

/// The root's space is built: what of it leads to the tenants' lines, and what their own
/// have of the devices' registers.
pub(crate) fn connect(
    leases: &[&'static Lease],
    root: &'static Space,
    space_of: impl Fn(u16) -> Option<&'static Space>,
) {
    for lease in leases {
        let intids = lease.intids().into_iter();
        let routes = intids.filter_map(|intid| root.interrupts.capability(intid as usize));
        let routes = lease.routes.call_once(|| routes.collect());
        for tenure in lease.tenants() {
            let port = core::ptr::from_ref(tenure.object).cast();
            let space = space_of(tenure.vm.id);
            tenure.holding.call_once(|| space.and_then(|space| Holding::of(space, port, &[])));
        }
        let others = lease.tenants().iter().filter(|one| !one.has());
        for one in others {
            if let Some(Some(holding)) = one.holding.get() {
                holding.take();
            }
        }
        if lease.holder.lock().is_none() {
            routes.iter().for_each(|route| route.clear(Rights::all()));
        }
    }
}

//! Devices of the board that a VM is given.
//!
//! The kernel links: windows to the board's registers, by pages that the machine
//! maps or by the component that makes the accesses; interrupts to lines of the VM's
//! interrupt controller, which become hardware-linked there, so that a device's
//! interrupt stays active until the guest is done with it.

use crate::grants::Binder;
use crate::tenure::{Lease, Tenure};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use evisor_contract::{
    BuildError, Capability, HostPins, HostWindow, LineState, NotifyPort, ObjectPort, Rights,
};
use evisor_manifest::{HostDevicePlan, ManifestError, ObjectPlan};
use evisor_router::SpaceBuilder;

/// A VM's devices of the board.
#[derive(Default)]
pub struct Passed {
    /// Where its guest reaches registers without a trap.
    pub windows: Vec<PassedWindow>,
    /// The shared interrupts that are its own.
    pub interrupts: Vec<PassedInterrupt>,
    /// The objects that stand for the devices: resetting one resets its device.
    pub objects: Vec<&'static dyn ObjectPort>,
    /// Those of its devices that can be taken from it while it runs.
    pub tenures: Vec<&'static Tenure>,
}

/// Registers that are a guest's; the pages that hold them are theirs alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedWindow {
    /// The path of the node that they belong to.
    pub path: String,
    /// Where the guest sees them.
    pub ipa: u64,
    /// Where they are.
    pub physical: u64,
    /// How long they are.
    pub size: u64,
    /// Whether the guest may read and write them.
    pub rights: Rights,
}

/// A shared interrupt that is a VM's.
pub struct PassedInterrupt {
    /// Its INTID.
    pub intid: u32,
    /// By edge; else by level.
    pub edge: bool,
    /// The path of the node that it belongs to.
    pub path: String,
    /// The interrupt controller, and the line's number there.
    pub(crate) to: (&'static dyn NotifyPort, u32),
}

impl Passed {
    /// Has its interrupts lead to its lines, in the root's space; but for those of devices
    /// that can be taken.
    ///
    /// # Errors
    /// One of them leads elsewhere already.
    #[cold]
    pub(crate) fn route(&self, root: &mut SpaceBuilder) -> Result<(), Box<ManifestError>> {
        for PassedInterrupt { intid, path, to: (port, line), .. } in &self.interrupts {
            if !self.tenures.iter().any(|tenure| tenure.path == *path) {
                route(root, *intid, *port, *line, path)?;
            }
        }
        Ok(())
    }
}

/// Has interrupt `intid` of the device of the node at `path` lead to a line.
#[cold]
pub(crate) fn route(
    root: &mut SpaceBuilder,
    intid: u32,
    port: &'static dyn NotifyPort,
    line: u32,
    path: &str,
) -> Result<(), Box<ManifestError>> {
    let capability = Capability::new(port, Rights::INTERRUPT, 0);
    let value = LineState::Physical(intid as u16).encode();
    root.interrupts.grant(intid as usize, capability, line, value).map_err(|_| {
        let message = format!("interrupt {intid} of the device is eVisor's own");
        Box::new(ManifestError {
            node: path.to_string(),
            property: Some("interrupts".to_string()),
            message,
            remedy: "list none, or give the VM another device".to_string(),
        })
    })
}

/// What one object was granted of the board's device.
#[derive(Default)]
pub(crate) struct Granted {
    /// Its windows that the guest reaches.
    pub direct: Vec<usize>,
    /// Its lines that the device drives.
    lines: Vec<usize>,
    /// It has pins of the board.
    pins: bool,
}

fn device(plan: &ObjectPlan) -> Result<&HostDevicePlan, BuildError> {
    plan.host.as_ref().ok_or_else(|| {
        BuildError::property("evisor,device", "names no device", "name one of the board's")
    })
}

/// See [`evisor_contract::Grants::host_window`].
#[cold]
pub(crate) fn window(binder: &mut Binder<'_>, index: usize) -> Result<HostWindow, BuildError> {
    let plan = binder.plan;
    let host = device(plan)?;
    let missing = || BuildError::property("reg", "has too few windows", "list more");
    let (placed, window) =
        host.windows.get(index).zip(plan.windows.get(index)).ok_or_else(missing)?;
    let registers =
        binder.common.host.registers(placed.physical, window.size).ok_or_else(|| {
            let problem = format!("{} cannot be given: eVisor drives registers there", host.path);
            BuildError::property("evisor,device", problem, "give the VM another device")
        })?;
    if !placed.direct {
        return Ok(HostWindow::Forwarded(registers));
    }
    binder.passed.direct.push(index);
    Ok(HostWindow::Direct(registers))
}

/// See [`evisor_contract::Grants::host_line`].
#[cold]
pub(crate) fn line(binder: &mut Binder<'_>, index: usize) -> Result<(), BuildError> {
    let host = device(binder.plan)?;
    binder.controller(index)?;
    if host.known && index >= host.interrupts.len() {
        let problem = format!("lists more than {} has", host.path);
        return Err(BuildError::property("interrupts", problem, "list fewer"));
    }
    binder.passed.lines.push(index);
    Ok(())
}

/// See [`evisor_contract::Grants::host_pins`].
#[cold]
pub(crate) fn pins(binder: &mut Binder<'_>, pins: u64) -> Result<HostPins, BuildError> {
    let error = |problem: String, remedy| BuildError::property("evisor,pins", problem, remedy);
    let gpio = binder.common.host.gpio().ok_or_else(|| {
        error(
            "the board has no pins to give".to_string(),
            "leave it out; a VM that has the whole GPIO leaves none either",
        )
    })?;
    let own = pins & !gpio.free();
    if own != 0 {
        let problem = format!("pin {} is the board's own", own.trailing_zeros());
        return Err(error(problem, "give the VM another pin"));
    }
    if let Some((taken, owner)) = binder.common.pins.iter().find(|(taken, _)| taken & pins != 0) {
        let problem = format!("pin {} is given to {owner}", (taken & pins).trailing_zeros());
        return Err(error(problem, "give it to one of the two"));
    }
    binder.common.pins.push((pins, binder.plan.path.clone()));
    binder.passed.pins = true;
    Ok(HostPins::new(gpio, pins))
}

/// What the object that was built gives its VM of the board.
pub(crate) fn of(
    binder: &mut Binder<'_>,
    object: &'static dyn ObjectPort,
) -> Result<Passed, BuildError> {
    match &binder.plan.host {
        Some(host) => {
            let mut passed = of_device(binder, host, object)?;
            passed.tenures.extend(tenure(binder, host, object, &passed.interrupts));
            Ok(passed)
        }
        None if binder.passed.pins => {
            Ok(Passed { objects: Vec::from([object]), ..Passed::default() })
        }
        None => Ok(Passed::default()),
    }
}

#[cold]
#[inline(never)]
fn of_device(
    binder: &Binder<'_>,
    host: &HostDevicePlan,
    object: &'static dyn ObjectPort,
) -> Result<Passed, BuildError> {
    let plan = binder.plan;
    let direct = binder.passed.direct.iter().filter_map(|&index| {
        let (placed, window) = host.windows.get(index).zip(plan.windows.get(index))?;
        Some(PassedWindow {
            path: plan.path.clone(),
            ipa: window.ipa,
            physical: placed.physical,
            size: window.size,
            rights: window.access,
        })
    });
    // Without the right it never comes: it stays off.
    let allowed = plan.rights.contains(Rights::INTERRUPT);
    let lines = binder.passed.lines.iter().filter(|_| allowed);
    let interrupt = |&index: &usize| {
        let interrupt = host.interrupts.get(index)?;
        let to = match binder.controller(index) {
            Ok(to) => to,
            Err(error) => return Some(Err(error)),
        };
        let (intid, edge) = (interrupt.intid, !interrupt.level);
        Some(Ok(PassedInterrupt { intid, edge, path: plan.path.clone(), to }))
    };
    Ok(Passed {
        windows: direct.collect(),
        interrupts: lines.filter_map(interrupt).collect::<Result<_, _>>()?,
        objects: Vec::from([object]),
        tenures: Vec::new(),
    })
}

/// The object as one of those that a device can be taken from and given to, if it can.
fn tenure(
    binder: &mut Binder<'_>,
    host: &HostDevicePlan,
    object: &'static dyn ObjectPort,
    interrupts: &[PassedInterrupt],
) -> Option<&'static Tenure> {
    let (plan, vm) = (binder.plan, binder.owner.as_ref()?.vm);
    let common = &mut *binder.common;
    let takeable = &common.takeable;
    if !takeable.iter().any(|one| one.device == host.path) {
        return None;
    }
    let withheld = takeable.iter().any(|one| one.withheld && one.path == plan.path);
    let known = common.leases.iter().find(|lease| lease.path == host.path).copied();
    let lease = known.unwrap_or_else(|| {
        let lease = Lease::new(common.host, host.path.clone());
        common.leases.push(lease);
        lease
    });
    let tenure = Tenure::new(lease, vm, object, (plan.path.clone(), withheld), interrupts);
    common.tenures.push(tenure);
    Some(tenure)
}

impl Passed {
    /// What another object gives it too.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.windows.append(&mut other.windows);
        self.interrupts.append(&mut other.interrupts);
        self.objects.append(&mut other.objects);
        self.tenures.append(&mut other.tenures);
    }
}

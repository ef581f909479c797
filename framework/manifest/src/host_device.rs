//! Devices of the board that a VM is given: `evisor,device`, and what is said with
//! it.
//!
//! Each is looked up in the board's tree when its node is read, so that a manifest
//! that names none costs nothing. Where the board is not at hand, on a workstation,
//! what only its tree knows is left unchecked.

use crate::error::Faults;
use crate::objects::Found;
use crate::plan::{ObjectPlan, Target, VmPlan, WindowPlan};
use crate::space::{PAGE, Space};
use crate::surroundings::Surroundings;
use crate::words;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use evisor_contract::Rights;
use evisor_fdt::{Node, Region};

/// A device, as the board's tree has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostDevice {
    /// Its path there.
    pub path: String,
    /// Why no VM can have it, if that is so.
    pub objection: Option<String>,
    /// Its registers, physical; or why they cannot be told.
    pub registers: Result<Vec<Region>, String>,
    /// Its interrupts; or why they cannot be told.
    pub interrupts: Result<Vec<HostInterrupt>, String>,
    /// The rate of its clock in hertz, if it is known.
    pub clock: Option<u32>,
    /// The property that says that it reads and writes memory by itself.
    pub dma: Option<&'static str>,
}

/// An interrupt of the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostInterrupt {
    /// Its INTID.
    pub intid: u32,
    /// By level; else by edge.
    pub level: bool,
}

/// The devices of a board. Nothing is looked for before it is asked.
pub trait HostDevices {
    /// The device with this path or alias in the board's tree.
    fn find(&self, name: &str) -> Option<HostDevice>;
    /// Whether eVisor drives registers in `region`, which is physical.
    fn drives(&self, region: Region) -> bool;
    /// A device with registers in `region` that is not the one at `path`, nor in it
    /// or around it.
    fn other_in(&self, region: Region, path: &str) -> Option<String>;
    /// Who has shared interrupt `intid`, if eVisor has it for itself.
    fn owner_of(&self, intid: u32) -> Option<String>;
}

/// The device of the board that an object stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostDevicePlan {
    /// Its path in the board's tree; or what the manifest calls it, where that is not
    /// at hand. Then the rest says nothing of the board.
    pub path: String,
    /// Whether the board's tree was at hand.
    pub known: bool,
    /// What is behind each of the object's windows.
    pub windows: Vec<HostWindowPlan>,
    /// What drives each of the object's lines.
    pub interrupts: Vec<HostInterrupt>,
}

/// What is behind a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostWindowPlan {
    /// Where the registers are.
    pub physical: u64,
    /// The pages that hold them are the guest's. Else its accesses are forwarded.
    pub direct: bool,
}

const DEVICE: &str = "evisor,device";
const DIRECT: &str = "evisor,direct";
const NO_DMA: &str = "evisor,no-dma";
const TRUST_DMA: &str = "evisor,trust-dma";
const CLOCK: &str = "evisor,clock-frequency";

/// The words that a node has that stands for a device of the board.
pub(crate) const WORDS: [&str; 5] = [DEVICE, DIRECT, NO_DMA, TRUST_DMA, CLOCK];

/// The widths at which accesses are forwarded.
const ACCESS: Rights =
    Rights::READ.union(Rights::WRITE).difference(Rights::READ64.union(Rights::WRITE64));

/// As many windows as the node lists, of any size.
#[cold]
#[inline(never)]
pub(crate) fn windows(
    faults: &Faults,
    node: Node<'_>,
    regions: &[Region],
    rights: Rights,
) -> Vec<WindowPlan> {
    if regions.is_empty() {
        faults.property(node, "reg", "lists no windows", "say where the guest sees the device");
    }
    let odd = |region: &&Region| !(region.address | region.size).is_multiple_of(8);
    if let Some(region) = regions.iter().find(odd) {
        let message = format!("{region} is not a whole number of doublewords");
        faults.property(node, "reg", message, "begin and end it at multiples of 8");
    }
    let window = |r: &Region| WindowPlan { ipa: r.address, size: r.size, access: ACCESS & rights };
    regions.iter().map(window).collect()
}

/// What the object of `plan` stands for, if it stands for a device of the board; the
/// plan gets the rate of the device's clock.
pub(crate) fn read<'t>(
    faults: &Faults,
    around: &Surroundings<'_>,
    object: &Found<'t>,
    plan: &mut ObjectPlan,
    space: &mut Space<'t>,
) -> Option<HostDevicePlan> {
    if !object.declaration.needs.host_device {
        return None;
    }
    device(faults, around, object, plan, space)
}

/// The same of one that does. Apart: most objects stand for none.
#[cold]
#[inline(never)]
fn device<'t>(
    faults: &Faults,
    around: &Surroundings<'_>,
    object: &Found<'t>,
    plan: &mut ObjectPlan,
    space: &mut Space<'t>,
) -> Option<HostDevicePlan> {
    let reader = Reader { faults, node: object.node };
    reader.dma_is_said();
    let name = reader.name()?;
    let Some(devices) = around.devices else { return Some(reader.unseen(name, plan, space)) };
    let Some(device) = devices.find(name) else {
        let message = format_args!("{} has no device \"{name}\"", around.board.name);
        reader.fault(DEVICE, message, "write its path or alias in the board's tree");
        return None;
    };
    if let Some(objection) = &device.objection {
        let message = format_args!("{} {objection}", device.path);
        reader.fault(DEVICE, message, "give the VM another device");
        return None;
    }
    reader.no_dma_is_true(&device);
    reader.clock(&device, plan);
    Some(HostDevicePlan {
        known: true,
        windows: reader.placed(devices, &device, plan, space),
        interrupts: reader.interrupts(devices, &device, plan),
        path: device.path,
    })
}

/// A node that stands for a device of the board, being read.
struct Reader<'f, 't> {
    faults: &'f Faults,
    node: Node<'t>,
}

impl<'t> Reader<'_, 't> {
    #[cold]
    #[inline(never)]
    fn fault(&self, property: &str, message: fmt::Arguments<'_>, remedy: &str) {
        self.faults.property(self.node, property, format!("{message}"), remedy);
    }

    fn name(&self) -> Option<&'t str> {
        if !self.node.has(DEVICE) {
            let remedy = "name a device of the board, as in evisor,device = \"serial0\"";
            self.fault(DEVICE, format_args!("is missing"), remedy);
        }
        words::string(self.faults, self.node, DEVICE)
    }

    /// DMA goes past all that keeps VMs apart, so it is said in words whether the
    /// device does any.
    fn dma_is_said(&self) {
        let (none, trusted) = (self.node.has(NO_DMA), self.node.has(TRUST_DMA));
        if none && trusted {
            self.fault(
                TRUST_DMA,
                format_args!("contradicts {NO_DMA}"),
                "remove the one that is wrong",
            );
        } else if trusted {
            let message =
                format_args!("is not possible in this version: a device with DMA is not passed on");
            self.fault(TRUST_DMA, message, "give the VM a device that does none");
        } else if !none {
            let remedy = "write evisor,no-dma if it reads and writes no memory by itself";
            let message = format_args!("is missing: nothing says whether the device does DMA");
            self.fault(NO_DMA, message, remedy);
        }
    }

    fn no_dma_is_true(&self, device: &HostDevice) {
        if let Some(property) = device.dma.filter(|_| self.node.has(NO_DMA)) {
            let message = format_args!("{} does DMA: the board says {property} of it", device.path);
            self.fault(NO_DMA, message, "give the VM a device that does none");
        }
    }

    /// What is known where the board is not at hand.
    fn unseen(&self, name: &str, plan: &ObjectPlan, space: &mut Space<'t>) -> HostDevicePlan {
        let unseen = HostWindowPlan { physical: 0, direct: false };
        if self.node.has(DIRECT) {
            space.widen(self.node);
        }
        HostDevicePlan {
            path: name.to_string(),
            known: false,
            windows: plan.windows.iter().map(|_| unseen).collect(),
            interrupts: Vec::new(),
        }
    }

    /// The rate for the clocks that the node names: the manifest's, or the board's.
    fn clock(&self, device: &HostDevice, plan: &mut ObjectPlan) {
        if self.node.has(CLOCK) || !self.node.has("clock-names") || self.node.has("clocks") {
            return;
        }
        match device.clock {
            Some(hertz) => plan.properties.push((CLOCK.to_string(), hertz.to_be_bytes().into())),
            None => {
                let message =
                    format_args!("is missing: the board does not know that of {}", device.path);
                self.fault(CLOCK, message, "write it in hertz, or no clock-names");
            }
        }
    }

    /// What is behind each window.
    fn placed(
        &self,
        devices: &dyn HostDevices,
        device: &HostDevice,
        plan: &ObjectPlan,
        space: &mut Space<'t>,
    ) -> Vec<HostWindowPlan> {
        let path = &device.path;
        let registers = match &device.registers {
            Ok(registers) => registers.as_slice(),
            Err(problem) => {
                self.fault(
                    DEVICE,
                    format_args!("reg of {path} {problem}"),
                    "give the VM another device",
                );
                return Vec::new();
            }
        };
        let (has, lists) = (registers.len(), plan.windows.len());
        if lists > has {
            let message = format_args!("lists {lists} windows, and {path} has {has}");
            self.fault("reg", message, "list as many as the device has, in its order");
        }
        let mut placed = Vec::new();
        for (window, region) in plan.windows.iter().zip(registers) {
            placed.push(self.window(devices, path, *window, *region));
        }
        if self.node.has(DIRECT) {
            space.widen(self.node);
        }
        placed
    }

    #[inline(never)]
    fn window(
        &self,
        devices: &dyn HostDevices,
        path: &str,
        window: WindowPlan,
        region: Region,
    ) -> HostWindowPlan {
        let WindowPlan { ipa, size, .. } = window;
        if size > region.size {
            let message =
                format_args!("has {size:#x} bytes at {ipa:#x}, and {path} {:#x}", region.size);
            self.fault("reg", message, &format!("write {:#x} or less", region.size));
        }
        if !region.address.is_multiple_of(4) {
            let message = format_args!("has registers at {:#x}, in no word", region.address);
            self.fault(DEVICE, format_args!("{path} {message}"), "give the VM another device");
        }
        let used = Region { size: size.min(region.size), ..region };
        let whole = (ipa | size | region.address).is_multiple_of(PAGE);
        let direct = whole || self.node.has(DIRECT);
        let reach = if direct { pages(used) } else { used };
        if direct && !whole {
            self.page_is_alone(devices, path, ipa, reach, region);
        }
        if devices.drives(reach) {
            let message = format_args!("eVisor drives registers in {reach}, around {path}");
            self.fault(DIRECT, message, "remove it: accesses are forwarded then");
        }
        HostWindowPlan { physical: region.address, direct }
    }

    /// Whether the pages around registers can be the guest's.
    fn page_is_alone(
        &self,
        devices: &dyn HostDevices,
        path: &str,
        ipa: u64,
        pages: Region,
        region: Region,
    ) {
        if ipa % PAGE != region.address % PAGE {
            let at = region.address % PAGE;
            let message =
                format_args!("{ipa:#x} is not {at:#x} behind a page, as the registers are");
            self.fault("reg", message, "move it, or remove evisor,direct");
        }
        if let Some(other) = devices.other_in(pages, path) {
            let message = format_args!("{other} has registers in {pages} too, the page of {path}");
            self.fault(DIRECT, message, "remove it: accesses are forwarded then");
        }
    }

    /// What drives each line.
    fn interrupts(
        &self,
        devices: &dyn HostDevices,
        device: &HostDevice,
        plan: &ObjectPlan,
    ) -> Vec<HostInterrupt> {
        let path = &device.path;
        let interrupts = match &device.interrupts {
            _ if plan.lines.is_empty() => return Vec::new(),
            Ok(interrupts) => interrupts.as_slice(),
            Err(problem) => {
                self.fault("interrupts", format_args!("{path} {problem}"), "list none");
                return Vec::new();
            }
        };
        let (has, lists) = (interrupts.len(), plan.lines.len());
        if lists > has {
            let message = format_args!("lists {lists} interrupts, and {path} has {has}");
            self.fault("interrupts", message, "list as many as the device has, in its order");
        }
        for (line, interrupt) in plan.lines.iter().zip(interrupts) {
            if let Some(message) = mismatch(devices, path, line.intid, line.level, *interrupt) {
                self.fault("interrupts", format_args!("{message}"), "write another one, or none");
            }
        }
        interrupts.iter().take(lists).copied().collect()
    }
}

/// What speaks against an interrupt of the device as the line `intid`.
fn mismatch(
    devices: &dyn HostDevices,
    path: &str,
    intid: u32,
    level: bool,
    interrupt: HostInterrupt,
) -> Option<String> {
    let HostInterrupt { intid: physical, level: by_level } = interrupt;
    if intid < 32 {
        return Some(String::from("a device of the board drives SPIs only"));
    }
    if physical < 32 {
        return Some(format!("interrupt {physical} of {path} is private to each core"));
    }
    if let Some(owner) = devices.owner_of(physical) {
        return Some(format!("{path} shares interrupt {physical} with {owner}, which is eVisor's"));
    }
    if level != by_level {
        let how = if by_level { "level" } else { "edge" };
        return Some(format!("interrupt {physical} of {path} comes by {how}"));
    }
    None
}

/// The pages that hold a region.
pub(crate) fn pages(region: Region) -> Region {
    let address = region.address - region.address % PAGE;
    let end = region.address.saturating_add(region.size).checked_next_multiple_of(PAGE);
    Region { address, size: end.unwrap_or(u64::MAX) - address }
}

/// Refuses a device, a register or an interrupt that two nodes are given: both are
/// named.
pub(crate) fn check_owners(faults: &Faults, root: Node<'_>, vms: &[VmPlan]) {
    let objects = vms.iter().flat_map(|vm| &vm.objects);
    let withheld = withheld(vms);
    let later = |object: &ObjectPlan| withheld.contains(&object.path.as_str());
    let given: Vec<_> =
        objects.filter_map(|object| Some((object, object.host.as_ref()?))).collect();
    for (at, (object, host)) in given.iter().enumerate() {
        let before = given.iter().take(at);
        let mut clash = before.filter_map(|(other, held)| {
            // One after the other: whoever takes and gives it sees to that.
            let by_turns = host.path == held.path && (later(object) || later(other));
            let clash = if by_turns { None } else { clash(object, host, other, held) };
            clash.map(|what| format!("{what} {}", other.path))
        });
        let node = root.descend(&object.path);
        if let Some((node, message)) = node.zip(clash.next()) {
            faults.property(node, DEVICE, message, "give it to one of the two");
        }
    }
}

/// The nodes for devices that their VMs do not have at first.
fn withheld(vms: &[VmPlan]) -> Vec<&str> {
    let plans = vms.iter().filter_map(|vm| vm.capabilities.as_ref());
    let given = plans.flat_map(|plan| &plan.given).filter(|given| given.withheld);
    let found = given.filter_map(|given| match given.target {
        Target::Object { vm, object } => Some(vms.get(vm)?.objects.get(object)?.path.as_str()),
        _ => None,
    });
    found.collect()
}

/// What two objects both have, and who has it.
fn clash(
    object: &ObjectPlan,
    host: &HostDevicePlan,
    other: &ObjectPlan,
    held: &HostDevicePlan,
) -> Option<String> {
    if host.path == held.path {
        return Some(format!("{} is given to", host.path));
    }
    let reached = reach(other, held);
    if reach(object, host).iter().any(|one| reached.iter().any(|two| one.overlaps(two))) {
        return Some(format!("{} has registers where {} has, given to", host.path, held.path));
    }
    let same = |one: &&HostInterrupt| held.interrupts.iter().any(|two| one.intid == two.intid);
    let HostInterrupt { intid, .. } = host.interrupts.iter().find(same)?;
    Some(format!("{} shares interrupt {intid} with {}, given to", host.path, held.path))
}

/// All that the guest reaches of the board through an object.
fn reach(object: &ObjectPlan, host: &HostDevicePlan) -> Vec<Region> {
    let known = host.windows.iter().filter(|_| host.known);
    let regions = known.zip(&object.windows).map(|(placed, window)| {
        let used = Region { address: placed.physical, size: window.size };
        if placed.direct { pages(used) } else { used }
    });
    regions.collect()
}

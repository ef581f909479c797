//! Giving a component its grants while it is built.

use crate::backed::{Behind, Slot};
use crate::channels::{ChannelMemory, ChannelWindow, End};
use crate::host::Host;
use crate::memory::{MemorySlot, Storage};
use crate::overseer::{Overseer, OverseerObject, Waiting};
use crate::passed;
use crate::stores::HeldStore;
use crate::tenure::{Lease, Tenure};
use crate::timers::Timers;
use crate::vm::Vm;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use evisor_contract::{
    Backing, BlockBuffer, BlockOpening, BlockPort, BuildError, Capability, ChannelEnd, Clock,
    ConsolePort, Deadline, Entropy, Grants, HostDisk, HostMailbox, HostPins, HostSerial,
    HostWindow, Line, Memory, Messages, NotifyPort, ObjectPort, Oversight, Parts, Register, Rights,
    Share, SystemInterface, VcpuControl, VirtualInterface, VmControl, tag,
};
use evisor_manifest::{LinePlan, ObjectPlan, VmPlan};
use evisor_router::{Gate, Handles, HeldLine, nobody};

/// What a guest is shown at once: a block of stage 2.
const BLOCK: u64 = 2 << 20;

/// What all objects of the deployment share while they are bound.
pub(crate) struct Common {
    pub host: &'static dyn Host,
    pub timers: &'static dyn ObjectPort,
    pub timers_port: &'static dyn NotifyPort,
    pub root: Vec<Parts>,
    /// How many ports each root object has given out.
    pub ports: Vec<u32>,
    /// Memory that root objects have of their own.
    pub storage: Vec<Storage>,
    /// Memory that two ends share.
    pub channels: Vec<ChannelMemory>,
    /// The cores that several vCPUs may share.
    pub scheduled: Vec<usize>,
    /// The board's disk has an owner.
    pub disk_taken: bool,
    /// The board's pins that have one, and whose they are.
    pub pins: Vec<(u64, String)>,
    /// Who oversees VMs, and which.
    pub overseers: Vec<Waiting>,
    /// What VMs hold by handles, if one does.
    pub handles: Option<&'static Handles>,
    /// The stores of blocks among that.
    pub stores: Vec<HeldStore>,
    /// The cores that several vCPUs share.
    pub shared: Vec<usize>,
    /// The devices of the board that handles lead to.
    pub takeable: Vec<Takeable>,
    pub leases: Vec<&'static Lease>,
    pub tenures: Vec<&'static Tenure>,
}

/// A VM's node for a device of the board that a handle leads to.
pub(crate) struct Takeable {
    /// Its path, and the device's in the board's tree.
    pub path: String,
    pub device: String,
    /// Its VM does not have it at first.
    pub withheld: bool,
}

/// The VM whose object is being built.
pub(crate) struct Owner<'a> {
    pub vm: &'static Vm,
    pub control: &'static dyn NotifyPort,
    /// The objects built so far, in the order of the plan.
    pub built: &'a [Parts],
    pub plan: &'a VmPlan,
    /// Where all of its objects find its memory, once one was granted that.
    pub memory: &'a mut Option<&'static MemorySlot>,
    /// The gates in front of its lines that several objects share.
    pub gates: &'a mut Vec<SharedLine>,
}

/// A line that several objects share, and the gate in front of it.
pub(crate) struct SharedLine {
    line: LinePlan,
    pub gate: Parts,
    /// How many of the gate's inputs are taken.
    taken: u32,
}

impl Owner<'_> {
    /// An input of the gate in front of `line`, which leads to `controller`.
    #[cold]
    fn input(
        &mut self,
        line: LinePlan,
        controller: &'static dyn NotifyPort,
    ) -> Result<(&'static dyn NotifyPort, u32), BuildError> {
        let inputs = self.plan.sharers(line);
        if !self.gates.iter().any(|shared| shared.line == line) {
            let output = Line::new(one_line(controller, Rights::INTERRUPT, line.intid), line.intid);
            let gate = Parts::new(Gate::new(output, inputs)).notify().done();
            self.gates.push(SharedLine { line, gate, taken: 0 });
        }
        let shared = self.gates.iter_mut().find(|shared| shared.line == line);
        let free = shared.filter(|shared| shared.taken < inputs);
        let free = free.and_then(|shared| Some((shared.gate.notify?, &mut shared.taken)));
        let twice =
            || BuildError::new("asks for a line twice", "this is a defect of the component");
        let (port, taken) = free.ok_or_else(twice)?;
        *taken += 1;
        Ok((port, *taken - 1))
    }
}

/// A window of one line onto what `port` leads to.
fn one_line(
    port: &'static dyn NotifyPort,
    rights: Rights,
    line: u32,
) -> &'static Capability<dyn NotifyPort> {
    leak(Capability::new(port, rights, u64::from(line)))
}

/// One object's grants, and what has to be done about them once it is built.
pub(crate) struct Binder<'a> {
    pub common: &'a mut Common,
    pub owner: Option<Owner<'a>>,
    pub plan: &'a ObjectPlan,
    /// Timer slots that lead to it.
    pub deadlines: Vec<u32>,
    /// Ports of root objects that lead to it: the object, the port, and the tag that
    /// it is told with.
    pub ports: Vec<(usize, u32, u32)>,
    /// Its windows that go to the real CPU interface.
    pub direct: Vec<usize>,
    /// The memory that stands behind its windows.
    pub backed: Vec<Behind>,
    /// Its lines that a private interrupt of the host drives: line, INTID.
    pub hardware: Vec<(usize, u32)>,
    /// What it was granted of a device of the board.
    pub passed: passed::Granted,
    /// The end of a channel that it was granted.
    pub end: Option<&'static End>,
    /// The line that rings it.
    pub bell: Option<(&'static dyn NotifyPort, u32)>,
    /// Its windows onto what the ends share.
    pub shared: Vec<(usize, ChannelWindow)>,
    /// The host's interrupts that it handles.
    pub interrupts: Vec<u32>,
    /// Of a scheduler, its core's vCPUs.
    pub members: Vec<Share>,
    /// Its lines, if handles may lead to it.
    pub lines: Vec<HeldLine>,
}

impl Common {
    /// The host's own time.
    pub fn host_clock(&self) -> &'static dyn Clock {
        host_clock(self.host)
    }

    /// Where the vCPUs of a VM find what was stolen from them, if there is anything.
    pub fn stolen_from(&self, vm: &VmPlan) -> Option<u64> {
        let shares = vm.cpus.iter().any(|cpu| self.shared.contains(&cpu.core));
        let tells = |object: &&ObjectPlan| {
            object.declaration.needs.stolen_time && object.rights.contains(Rights::CALL)
        };
        let teller = vm.objects.iter().find(tells).filter(|_| shares)?;
        teller.windows.first().map(|window| window.ipa)
    }

    /// A slot of the timers for a component of `vm`, or for who is in none.
    pub fn timer(&self, vm: Option<&Vm>) -> u32 {
        let mut tag = 0;
        let (vm, offset) = (vm.map(|vm| vm.id), vm.map_or(0, Vm::offset));
        self.timers.with(&mut |object| {
            if let Some(timers) = object.downcast_mut::<Timers>() {
                tag = timers.add(vm, offset);
            }
        });
        tag
    }
}

pub(crate) fn leak(capability: Capability<dyn NotifyPort>) -> &'static Capability<dyn NotifyPort> {
    Box::leak(Box::new(capability))
}

impl<'a> Binder<'a> {
    pub fn new(common: &'a mut Common, owner: Option<Owner<'a>>, plan: &'a ObjectPlan) -> Self {
        Self {
            common,
            owner,
            plan,
            deadlines: Vec::new(),
            ports: Vec::new(),
            direct: Vec::new(),
            backed: Vec::new(),
            hardware: Vec::new(),
            passed: passed::Granted::default(),
            end: None,
            bell: None,
            shared: Vec::new(),
            interrupts: Vec::new(),
            members: Vec::new(),
            lines: Vec::new(),
        }
    }

    fn owner(&self) -> Result<&Owner<'a>, BuildError> {
        let outside = || BuildError::new("is not in a VM", "move the node into a VM");
        self.owner.as_ref().ok_or_else(outside)
    }

    /// A port of root object `index`, which is told of with `tag`.
    fn port(
        &mut self,
        index: usize,
        tag: u32,
    ) -> Option<(&'static Capability<dyn NotifyPort>, u32)> {
        let port = self.common.root.get(index)?.notify?;
        let next = self.common.ports.get_mut(index)?;
        let number = *next;
        *next += 1;
        self.ports.push((index, number, tag));
        Some((leak(Capability::new(port, Rights::CALL, u64::from(number))), number))
    }

    /// The channel that it has an end of: its index among those that are built.
    fn channel_index(&mut self) -> Result<usize, BuildError> {
        let none = || BuildError::property("evisor,channel", "names no channel", "name one");
        let plan = self.plan.channel.ok_or_else(none)?;
        let is_it = |memory: &ChannelMemory| memory.channel == plan.channel;
        self.common.channels.iter().position(is_it).ok_or_else(none)
    }

    /// The port of the interrupt controller that line `index` leads to, and the
    /// line's number there.
    pub fn controller(&self, index: usize) -> Result<(&'static dyn NotifyPort, u32), BuildError> {
        let missing = || {
            BuildError::property(
                "interrupts",
                "has too few entries",
                "add what the binding asks for",
            )
        };
        let line = self.plan.lines.get(index).ok_or_else(missing)?;
        let port = self.owner()?.built.get(line.controller).and_then(|parts| parts.notify);
        let silent = || {
            BuildError::property(
                "interrupts",
                "leads to no interrupt controller",
                "correct interrupt-parent",
            )
        };
        Ok((port.ok_or_else(silent)?, line.intid))
    }
}

impl Grants for Binder<'_> {
    fn line(&mut self, index: usize) -> Result<Line, BuildError> {
        let (port, intid) = self.controller(index)?;
        let rights = self.plan.rights & Rights::INTERRUPT;
        let line = self.plan.lines.get(index).filter(|line| line.shared);
        let (port, number) = match (line, &mut self.owner) {
            (Some(line), Some(owner)) => owner.input(*line, port)?,
            _ => (port, intid),
        };
        let to = one_line(port, rights, number);
        if self.common.handles.is_some() {
            self.lines.push((to, number));
        }
        Ok(Line::new(to, number))
    }

    fn console(&mut self) -> Result<ConsolePort, BuildError> {
        let none = || {
            BuildError::property(
                "evisor,console",
                "names no console",
                "add a node compatible with \"evisor,console\"",
            )
        };
        let index = self.plan.console.ok_or_else(none)?;
        let (to, port) = self.port(index, tag::CONSOLE_INPUT).ok_or_else(none)?;
        Ok(ConsolePort::new(to, port))
    }

    fn deadline(&mut self) -> Result<Deadline, BuildError> {
        let tag = self.common.timer(self.owner.as_ref().map(|owner| owner.vm));
        self.deadlines.push(tag);
        Ok(Deadline::new(leak(Capability::new(self.common.timers_port, Rights::CALL, 0)), tag))
    }

    fn vm(&mut self) -> Result<VmControl, BuildError> {
        let rights = self.plan.rights & Rights::CONTROL;
        Ok(VmControl::new(leak(Capability::new(self.owner()?.control, rights, 0)), 0))
    }

    fn vcpus(&mut self) -> Result<&'static dyn VcpuControl, BuildError> {
        Ok(self.owner()?.vm)
    }

    fn vcpu_count(&self) -> usize {
        self.owner.as_ref().map_or(0, |owner| owner.plan.cpus.len())
    }

    fn addresses(&self) -> Vec<RangeInclusive<u64>> {
        let Some(Owner { plan, .. }) = &self.owner else { return Vec::new() };
        let memory = plan.memory.iter().map(|region| (region.ipa, region.size));
        let windows = plan.objects.iter().flat_map(|object| &object.windows);
        let all = memory.chain(windows.map(|window| (window.ipa, window.size)));
        all.map(|(ipa, size)| ipa..=ipa + (size - 1)).collect()
    }

    fn clock(&self) -> &'static dyn Clock {
        match &self.owner {
            Some(owner) => owner.vm,
            None => host_clock(self.common.host),
        }
    }

    fn virtual_interface(&mut self, cpu_interface: usize) -> Result<VirtualInterface, BuildError> {
        self.owner()?;
        let none = || {
            BuildError::new(
                "needs a GICv2 with virtualization, which the board has not",
                "use the board's own kind: \"evisor,gic\"",
            )
        };
        let interface = self.common.host.virtual_interface().ok_or_else(none)?;
        self.direct.push(cpu_interface);
        Ok(interface)
    }

    fn system_interface(&mut self) -> Result<SystemInterface, BuildError> {
        self.owner()?;
        let none = || {
            BuildError::new(
                "needs a GICv3 with virtualization, which the board has not",
                "use the board's own kind: \"evisor,gic\"",
            )
        };
        self.common.host.system_interface().ok_or_else(none)
    }

    fn entropy(&self) -> Option<&'static dyn Entropy> {
        self.common.host.entropy()
    }

    fn backing(&mut self, window: usize) -> Result<&'static dyn Backing, BuildError> {
        self.owner()?;
        let missing = || BuildError::property("reg", "has too few windows", "list more");
        let plan = self.plan.windows.get(window).ok_or_else(missing)?;
        if !(plan.ipa | plan.size).is_multiple_of(BLOCK) {
            return Err(BuildError::property(
                "reg",
                "memory behind a window is shown in blocks of 2 MiB",
                "begin and end it at multiples of 0x200000",
            ));
        }
        let image = self.plan.image.clone().filter(|_| window == 0);
        let slot: &'static Slot = Box::leak(Box::default());
        let path = self.plan.path.clone();
        self.backed.push(Behind { path, ipa: plan.ipa, size: plan.size, image, slot });
        Ok(slot)
    }

    fn hardware_line(&mut self, index: usize, intid: u32) -> Result<(), BuildError> {
        self.controller(index)?;
        if !(16..32).contains(&intid) {
            return Err(BuildError::new(
                format!("wants interrupt {intid} of the core, which is not private"),
                "this is a defect of the component",
            ));
        }
        self.hardware.push((index, intid));
        Ok(())
    }

    fn host_serial(&mut self) -> Result<Box<dyn HostSerial>, BuildError> {
        let none = || {
            BuildError::new(
                "needs the board's serial line, which is taken or not there",
                "leave one console in the manifest",
            )
        };
        let (serial, intid) = self.common.host.take_serial().ok_or_else(none)?;
        self.interrupts.push(intid);
        Ok(serial)
    }

    fn messages(&self) -> Option<&'static dyn Messages> {
        // A VM's objects have no say in them.
        self.common.host.messages().filter(|_| self.owner.is_none())
    }

    fn oversight(&mut self) -> Result<Oversight, BuildError> {
        let vms = &self.plan.overseen;
        let overseer = Overseer::new();
        let waiting = Waiting {
            overseer,
            vms: vms.clone(),
            controls: self.plan.rights.contains(Rights::CONTROL),
        };
        self.common.overseers.push(waiting);
        let port = Parts::new(OverseerObject(overseer)).notify().done().notify;
        let deaf = || BuildError::new("cannot reach VMs", "this is a defect of eVisor");
        let (port, rights) = (port.ok_or_else(deaf)?, self.plan.rights & Rights::CONTROL);
        let to = leak(Capability::new(port, rights, 0));
        let controls = (0..).zip(vms).map(|(number, _)| VmControl::new(to, number));
        Ok(Oversight { inspect: overseer, controls: controls.collect() })
    }

    fn host_register(&self, register: Register) -> Option<u64> {
        self.common.host.identification(register)
    }

    fn guest_memory(&mut self) -> Result<&'static dyn Memory, BuildError> {
        let outside = || BuildError::new("is not in a VM", "move the node into a VM");
        let owner = self.owner.as_mut().ok_or_else(outside)?;
        Ok(*owner.memory.get_or_insert_with(|| Box::leak(Box::default())))
    }

    fn block(&mut self) -> Result<BlockPort, BuildError> {
        let none = || {
            BuildError::property(
                "evisor,block",
                "names what stores no blocks",
                "point it at an \"evisor,ram-disk\" or an \"evisor,sd-card\"",
            )
        };
        let buffer = &*Box::leak(Box::new(BlockBuffer::new()));
        let Some(plan) = self.plan.block else {
            let to = leak(Capability::new(nobody(), Rights::empty(), 0));
            return Ok(BlockPort::new(to, 0, 0, true, buffer));
        };
        let store = self.common.root.get(plan.store).and_then(|parts| parts.backend);
        let store = store.ok_or_else(none)?;
        let (to, port) = self.port(plan.store, tag::BLOCK_DONE).ok_or_else(none)?;
        let read_only = plan.read_only;
        let blocks = store.open(port, &BlockOpening { part: plan.part, read_only, buffer })?;
        Ok(BlockPort::new(to, port, blocks, read_only, buffer))
    }

    fn storage(&mut self) -> Result<(&'static dyn Memory, u64), BuildError> {
        let none = || BuildError::property("evisor,size", "is missing", "say how much it has");
        let size = self.plan.storage.ok_or_else(none)?;
        let slot: &'static MemorySlot = Box::leak(Box::default());
        let (path, image) = (self.plan.path.clone(), self.plan.image.clone());
        self.common.storage.push(Storage { path, size, image, slot });
        Ok((slot, size))
    }

    fn channel(&mut self) -> Result<&'static dyn ChannelEnd, BuildError> {
        let index = self.channel_index()?;
        if let Some(end) = self.end {
            return Ok(end);
        }
        let vm = self.owner()?.vm;
        let none = || BuildError::property("evisor,channel", "names no channel", "name one");
        let plan = self.plan.channel.ok_or_else(none)?;
        let end = End::new(plan, self.common.host, vm);
        let memory = self.common.channels.get_mut(index).ok_or_else(none)?;
        if let Some(place) = memory.ends.get_mut(plan.end as usize) {
            *place = Some(end);
        }
        self.end = Some(end);
        Ok(end)
    }

    fn doorbell(&mut self, index: usize) -> Result<(), BuildError> {
        self.channel_index()?;
        let (port, intid) = self.controller(index)?;
        if self.plan.lines.get(index).is_some_and(|line| line.level) {
            let problem = "a doorbell comes by edge";
            return Err(BuildError::property("interrupts", problem, "write 1 as its flags"));
        }
        self.bell = Some((port, intid));
        Ok(())
    }

    fn channel_window(&mut self, window: usize) -> Result<(), BuildError> {
        let channel = self.channel_index()?;
        let missing = || BuildError::property("reg", "has too few windows", "list more");
        let plan = self.plan.windows.get(window).ok_or_else(missing)?;
        let (path, writable) = (self.plan.path.clone(), plan.access.intersects(Rights::WRITE));
        let shown = ChannelWindow { path, ipa: plan.ipa, size: plan.size, writable, channel };
        self.shared.push((window, shown));
        Ok(())
    }

    fn channel_memory(&mut self) -> Result<&'static dyn Memory, BuildError> {
        let index = self.channel_index()?;
        let none = || BuildError::property("evisor,channel", "names no channel", "name one");
        let memory = self.common.channels.get_mut(index).ok_or_else(none)?;
        Ok(*memory.slot.get_or_insert_with(|| Box::leak(Box::default())))
    }

    fn host_disk(&mut self) -> Result<Option<Box<dyn HostDisk>>, BuildError> {
        if core::mem::replace(&mut self.common.disk_taken, true) {
            return Err(BuildError::new("needs the board's card, which is taken", "leave one"));
        }
        let Some((disk, intid)) = self.common.host.take_disk() else { return Ok(None) };
        self.interrupts.push(intid);
        Ok(Some(disk))
    }

    fn tells_stolen_time(&self) -> bool {
        self.owner.as_ref().is_some_and(|owner| self.common.stolen_from(owner.plan).is_some())
    }

    fn members(&self) -> &[Share] {
        &self.members
    }

    fn host_mailbox(&self) -> Option<&'static dyn HostMailbox> {
        self.common.host.mailbox()
    }

    fn host_pins(&mut self, pins: u64) -> Result<HostPins, BuildError> {
        passed::pins(self, pins)
    }

    fn host_window(&mut self, window: usize) -> Result<HostWindow, BuildError> {
        passed::window(self, window)
    }

    fn host_line(&mut self, index: usize) -> Result<(), BuildError> {
        passed::line(self, index)
    }
}

/// The host's own time, for objects that are in no VM.
struct HostClock(&'static dyn Host);

fn host_clock(host: &'static dyn Host) -> &'static dyn Clock {
    Box::leak(Box::new(HostClock(host)))
}

impl Clock for HostClock {
    fn now(&self) -> u64 {
        self.0.now()
    }

    fn frequency(&self) -> u64 {
        self.0.frequency()
    }

    fn unix_seconds(&self) -> u64 {
        self.0.unix_seconds()
    }
}

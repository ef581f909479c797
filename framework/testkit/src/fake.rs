//! What a component may be granted, and the far end of each grant.

use crate::clock::{FakeClock, FakeEntropy};
use crate::device::DeviceEnd;
use crate::disk::{DiskEnd, FakeStore};
use crate::gpio::GpioEnd;
use crate::inspect::FakeInspect;
use crate::mailbox::MailboxEnd;
use crate::memory::FakeMemory;
use crate::messages::FakeMessages;
use crate::ram::FakeRam;
use crate::serial::SerialEnd;
use crate::vcpus::FakeVcpus;
use evisor_contract::{
    Backing, BlockPort, BlockRequest, BuildError, Capability, ChannelEnd, Clock, ConsolePort,
    Context, Deadline, Effect, Entropy, Grants, HostDisk, HostMailbox, HostPins, HostSerial,
    HostWindow, Line, LineState, Memory, Messages, NotifyPort, Oversight, Register, Reply, Rights,
    Share, SystemInterface, VcpuControl, VirtualInterface, VmControl, VmEvent, Window, Words, tag,
};
use safe_mmio::UniqueMmioPointer;
use safe_mmio::fields::ReadPureWrite;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All that the VM's addresses lead to.
pub const MEMORY: RangeInclusive<u64> = 0x4000_0000..=0x4fff_ffff;

/// Something that a component did to the world outside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An interrupt line was set or pulsed.
    Line {
        /// Which of the node's.
        index: u32,
        /// What happened on it.
        state: LineState,
    },
    /// Bytes went to the console.
    Console(Vec<u8>),
    /// A deadline was asked for, or no more.
    Deadline(Option<u64>),
    /// The VM was asked something.
    Vm(VmEvent),
    /// One of the VMs that it oversees was asked something.
    Overseen {
        /// Which.
        vm: u32,
        /// What.
        event: VmEvent,
    },
    /// The vCPUs of a VM that it oversees were asked to leave their guests.
    Looked(usize),
    /// A vCPU was started.
    Started {
        /// Which.
        index: usize,
        /// Where.
        entry: u64,
        /// With what in x0.
        context: u64,
    },
    /// The calling vCPU was stopped.
    Stopped,
    /// The calling vCPU waits for an interrupt.
    Waits,
    /// Blocks were asked for.
    Block(BlockRequest),
    /// The holder of a backend's port was given bytes.
    Input {
        /// Which port.
        port: u32,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The holder of a backend's port was notified.
    Holder {
        /// Of which port.
        port: u32,
        /// With which tag.
        tag: u32,
        /// With which value.
        value: u64,
    },
    /// The other end of its channel was rung.
    Rings,
    /// The capability that an effect was sent through lacks its right.
    Refused,
}

#[derive(Clone, Copy)]
enum Far {
    Line,
    Console,
    Deadline,
    Vm,
    Overseen,
    Store,
    Holder(u32),
}

/// The far end of every grant: decodes what arrives and keeps it.
struct Recorder {
    far: Far,
    log: Arc<Mutex<Vec<Event>>>,
}

impl NotifyPort for Recorder {
    extern "C" fn notify(&self, tag: u32, value: u64, cx: &mut Context) -> Words {
        let event = match self.far {
            Far::Line => Event::Line { index: tag, state: LineState::decode(value) },
            Far::Console => Event::Console(cx.bytes().to_vec()),
            Far::Deadline => Event::Deadline((value != u64::MAX).then_some(value)),
            Far::Vm => Event::Vm(VmEvent::decode(value).expect("a known event of the VM")),
            Far::Overseen => {
                let event = VmEvent::decode(value).expect("a known event of the VM");
                Event::Overseen { vm: tag, event }
            }
            Far::Store => Event::Block(BlockRequest::decode(value).expect("a known request")),
            Far::Holder(port) if tag == tag::CONSOLE_INPUT => {
                Event::Input { port, bytes: cx.bytes().to_vec() }
            }
            Far::Holder(port) => Event::Holder { port, tag, value },
        };
        lock(&self.log).push(event);
        Reply::DONE.into()
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All that one rig's component can reach.
pub(crate) struct World {
    pub(crate) log: Arc<Mutex<Vec<Event>>>,
    pub(crate) clock: &'static FakeClock,
    pub(crate) serial: SerialEnd,
    pub(crate) messages: &'static FakeMessages,
    pub(crate) linked: Vec<(usize, u32)>,
    pub(crate) memory: Option<&'static FakeMemory>,
    pub(crate) ram: Option<&'static FakeRam>,
    pub(crate) store: Option<&'static FakeStore>,
    pub(crate) storage: Option<&'static FakeRam>,
    pub(crate) end: Option<&'static FakeEnd>,
    pub(crate) disk: Option<DiskEnd>,
    pub(crate) mailbox: Option<MailboxEnd>,
    pub(crate) device: DeviceEnd,
    pub(crate) gpio: GpioEnd,
    blocks: u64,
    read_only: bool,
    direct: bool,
    window: u64,
    pub(crate) power: Option<&'static FakeVcpus>,
    lines: usize,
    pub(crate) vcpus: usize,
    control: bool,
    host_registers: BTreeMap<u32, u64>,
    entropy: Option<&'static FakeEntropy>,
    members: Vec<Share>,
    stolen_time: bool,
}

/// What of the world a test may choose.
pub(crate) struct WorldSetup {
    pub(crate) window: u64,
    pub(crate) lines: usize,
    pub(crate) vcpus: usize,
    pub(crate) control: bool,
    pub(crate) host_registers: BTreeMap<u32, u64>,
    pub(crate) entropy: Option<Vec<u64>>,
    pub(crate) blocks: u64,
    pub(crate) read_only: bool,
    pub(crate) direct: bool,
    pub(crate) disk: Option<u64>,
    pub(crate) mailbox: bool,
    pub(crate) members: Vec<Share>,
    pub(crate) stolen_time: bool,
}

impl World {
    pub(crate) fn new(setup: WorldSetup) -> Self {
        Self {
            log: Arc::default(),
            clock: FakeClock::new(),
            serial: SerialEnd::new(),
            messages: Box::leak(Box::default()),
            linked: Vec::new(),
            memory: None,
            ram: None,
            store: None,
            storage: None,
            end: None,
            disk: setup.disk.map(DiskEnd::new),
            mailbox: setup.mailbox.then(MailboxEnd::default),
            device: DeviceEnd::default(),
            gpio: GpioEnd::default(),
            blocks: setup.blocks,
            read_only: setup.read_only,
            direct: setup.direct,
            window: setup.window,
            power: None,
            lines: setup.lines,
            vcpus: setup.vcpus,
            control: setup.control,
            host_registers: setup.host_registers,
            entropy: setup.entropy.map(FakeEntropy::new),
            members: setup.members,
            stolen_time: setup.stolen_time,
        }
    }

    fn capability(&self, far: Far, rights: Rights) -> &'static Capability<dyn NotifyPort> {
        let port: &'static dyn NotifyPort =
            Box::leak(Box::new(Recorder { far, log: Arc::clone(&self.log) }));
        Box::leak(Box::new(Capability::new(port, rights, 0)))
    }

    /// How the holder of a backend's `port` is reached.
    pub(crate) fn holder(&self, port: u32) -> Effect {
        let to = self.capability(Far::Holder(port), Rights::CALL);
        Effect { to, right: Rights::CALL, tag: 0, value: 0 }
    }

    fn line_exists(&self, index: usize) -> Result<u32, BuildError> {
        match u32::try_from(index) {
            Ok(tag) if index < self.lines => Ok(tag),
            _ => Err(BuildError::property("interrupts", "has too few", "list more")),
        }
    }
}

/// Registers that hold what is written to them.
fn window(words: usize) -> Window {
    let registers: Box<[ReadPureWrite<u32>]> = (0..words).map(|_| ReadPureWrite(0)).collect();
    UniqueMmioPointer::from(Box::leak(registers))
}

/// An end of a channel, whose other end a test is.
#[derive(Debug)]
pub struct FakeEnd {
    number: u32,
    size: u64,
    starts: AtomicU32,
    other_starts: AtomicU32,
    other_is_up: AtomicBool,
    is_up: AtomicBool,
    log: Arc<Mutex<Vec<Event>>>,
}

impl FakeEnd {
    /// The other end starts, so often now; or it has stopped.
    pub fn set_other(&self, starts: u32, is_up: bool) {
        self.other_starts.store(starts, Ordering::Relaxed);
        self.other_is_up.store(is_up, Ordering::Relaxed);
    }

    /// Its own VM runs, as it does at first, or does not.
    pub fn set_up(&self, is_up: bool) {
        self.is_up.store(is_up, Ordering::Relaxed);
    }

    pub(crate) fn copy(&self, other: &Self) {
        self.set_up(other.is_up());
        self.starts.store(other.starts(), Ordering::Relaxed);
        self.set_other(other.other_starts(), other.other_is_up());
    }
}

impl ChannelEnd for FakeEnd {
    fn number(&self) -> u32 {
        self.number
    }
    fn size(&self) -> u64 {
        self.size
    }
    fn starts(&self) -> u32 {
        self.starts.load(Ordering::Relaxed)
    }
    fn other_starts(&self) -> u32 {
        self.other_starts.load(Ordering::Relaxed)
    }
    fn other_is_up(&self) -> bool {
        self.other_is_up.load(Ordering::Relaxed)
    }
    fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }
    fn start(&self) {
        self.starts.fetch_add(1, Ordering::Relaxed);
    }
    fn ring(&self, _: &mut Context) {
        lock(&self.log).push(Event::Rings);
    }
}

impl Grants for World {
    fn line(&mut self, index: usize) -> Result<Line, BuildError> {
        let tag = self.line_exists(index)?;
        Ok(Line::new(self.capability(Far::Line, Rights::INTERRUPT), tag))
    }

    fn console(&mut self) -> Result<ConsolePort, BuildError> {
        Ok(ConsolePort::new(self.capability(Far::Console, Rights::CALL), 0))
    }

    fn deadline(&mut self) -> Result<Deadline, BuildError> {
        Ok(Deadline::new(self.capability(Far::Deadline, Rights::CALL), 0))
    }

    fn vm(&mut self) -> Result<VmControl, BuildError> {
        let rights = if self.control { Rights::CONTROL } else { Rights::empty() };
        Ok(VmControl::new(self.capability(Far::Vm, rights), 0))
    }

    fn vcpus(&mut self) -> Result<&'static dyn VcpuControl, BuildError> {
        Ok(*self.power.insert(FakeVcpus::new(self.vcpus, Arc::clone(&self.log))))
    }

    fn vcpu_count(&self) -> usize {
        self.vcpus
    }

    fn addresses(&self) -> Vec<RangeInclusive<u64>> {
        vec![MEMORY]
    }

    fn clock(&self) -> &'static dyn Clock {
        self.clock
    }

    fn virtual_interface(&mut self, _: usize) -> Result<VirtualInterface, BuildError> {
        Ok(VirtualInterface { control: window(0x80), list_registers: 4 })
    }

    fn system_interface(&mut self) -> Result<SystemInterface, BuildError> {
        Err(BuildError::new("needs a GICv3", "give it one"))
    }

    fn entropy(&self) -> Option<&'static dyn Entropy> {
        self.entropy.map(|entropy| entropy as &dyn Entropy)
    }

    fn backing(&mut self, _: usize) -> Result<&'static dyn Backing, BuildError> {
        let memory: &'static FakeMemory = Box::leak(Box::new(FakeMemory::new(self.window)));
        self.memory = Some(memory);
        Ok(memory)
    }

    fn hardware_line(&mut self, index: usize, intid: u32) -> Result<(), BuildError> {
        self.line_exists(index)?;
        self.linked.push((index, intid));
        Ok(())
    }

    fn messages(&self) -> Option<&'static dyn Messages> {
        Some(self.messages)
    }

    fn oversight(&mut self) -> Result<Oversight, BuildError> {
        let rights = if self.control { Rights::CONTROL } else { Rights::empty() };
        let to = self.capability(Far::Overseen, rights);
        let inspect = FakeInspect::new(Arc::clone(&self.log));
        let controls = (0..FakeInspect::VMS).map(|vm| VmControl::new(to, vm)).collect();
        Ok(Oversight { inspect, controls })
    }

    fn host_serial(&mut self) -> Result<Box<dyn HostSerial>, BuildError> {
        Ok(Box::new(self.serial.clone()))
    }

    fn host_register(&self, register: Register) -> Option<u64> {
        self.host_registers.get(&register.key()).copied()
    }

    fn guest_memory(&mut self) -> Result<&'static dyn Memory, BuildError> {
        Ok(*self.ram.insert(Box::leak(Box::new(FakeRam::new(MEMORY)))))
    }

    fn block(&mut self) -> Result<BlockPort, BuildError> {
        let store = FakeStore::new(self.blocks, self.read_only);
        let store: &'static FakeStore = Box::leak(Box::new(store));
        self.store = Some(store);
        let to = self.capability(Far::Store, Rights::CALL);
        Ok(BlockPort::new(to, 0, self.blocks, self.read_only, store.buffer))
    }

    fn storage(&mut self) -> Result<(&'static dyn Memory, u64), BuildError> {
        let storage: &'static FakeRam = Box::leak(Box::new(FakeRam::new(0..=self.window - 1)));
        self.storage = Some(storage);
        Ok((storage, self.window))
    }

    fn channel(&mut self) -> Result<&'static dyn ChannelEnd, BuildError> {
        let end = FakeEnd {
            number: 0,
            size: self.window,
            starts: AtomicU32::new(0),
            other_starts: AtomicU32::new(0),
            other_is_up: AtomicBool::new(false),
            is_up: AtomicBool::new(true),
            log: Arc::clone(&self.log),
        };
        Ok(*self.end.insert(Box::leak(Box::new(end))))
    }

    fn doorbell(&mut self, index: usize) -> Result<(), BuildError> {
        self.line_exists(index).map(drop)
    }

    fn channel_window(&mut self, _: usize) -> Result<(), BuildError> {
        Ok(())
    }

    fn channel_memory(&mut self) -> Result<&'static dyn Memory, BuildError> {
        let (memory, _) = self.storage()?;
        Ok(memory)
    }

    fn host_disk(&mut self) -> Result<Option<Box<dyn HostDisk>>, BuildError> {
        Ok(self.disk.clone().map(|disk| Box::new(disk) as Box<dyn HostDisk>))
    }

    fn host_window(&mut self, _: usize) -> Result<HostWindow, BuildError> {
        let registers = Box::new(self.device.clone());
        Ok(match self.direct {
            true => HostWindow::Direct(registers),
            false => HostWindow::Forwarded(registers),
        })
    }

    fn host_line(&mut self, index: usize) -> Result<(), BuildError> {
        let tag = self.line_exists(index)?;
        self.linked.push((index, 32 + tag));
        Ok(())
    }

    fn host_pins(&mut self, pins: u64) -> Result<HostPins, BuildError> {
        let gpio: &'static GpioEnd = Box::leak(Box::new(self.gpio.clone()));
        Ok(HostPins::new(gpio, pins))
    }

    fn tells_stolen_time(&self) -> bool {
        self.stolen_time
    }

    fn members(&self) -> &[Share] {
        &self.members
    }

    fn host_mailbox(&self) -> Option<&'static dyn HostMailbox> {
        let mailbox = self.mailbox.clone()?;
        Some(Box::leak(Box::new(mailbox)))
    }
}

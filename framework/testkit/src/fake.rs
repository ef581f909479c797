//! Fakes for what a component may be granted.

use crate::device::DeviceEnd;
use crate::disk::{DiskEnd, FakeStore};
use crate::gpio::GpioEnd;
use crate::inspect::FakeInspect;
use crate::mailbox::MailboxEnd;
use crate::ram::FakeRam;
use evisor_contract::{
    Backing, BlockPort, BlockRequest, BuildError, Bytes, Capability, ChannelEnd, Clock,
    ConsolePort, Context, Deadline, Effect, Entropy, Grants, HostDisk, HostMailbox, HostPins,
    HostSerial, HostWindow, Level, Line, LineState, Memory, Messages, NotifyPort, Oversight, Power,
    Register, Reply, Rights, Share, SystemInterface, VcpuControl, VirtualInterface, VmControl,
    VmEvent, Width, Window, Words, tag,
};
use safe_mmio::UniqueMmioPointer;
use safe_mmio::fields::ReadPureWrite;
use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
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

/// A clock that stands until a test moves it.
pub(crate) struct FakeClock {
    now: AtomicU64,
    pub(crate) unix: AtomicU64,
}

impl FakeClock {
    pub(crate) const FREQUENCY: u64 = 1_000_000;

    pub(crate) fn set(&self, count: u64) {
        self.now.store(count, Ordering::Relaxed);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }
    fn frequency(&self) -> u64 {
        Self::FREQUENCY
    }
    fn unix_seconds(&self) -> u64 {
        self.unix.load(Ordering::Relaxed) + self.now() / Self::FREQUENCY
    }
}

/// Gives what a test put in.
struct FakeEntropy(Mutex<VecDeque<u64>>);

impl FakeEntropy {
    fn new(words: Vec<u64>) -> &'static Self {
        Box::leak(Box::new(Self(Mutex::new(words.into()))))
    }
}

impl Entropy for FakeEntropy {
    fn word(&self) -> Option<u64> {
        lock(&self.0).pop_front()
    }
}

/// vCPUs with the affinities 0, 1, 2…; the first is on. One that is started is
/// pending until a test says that it came.
pub(crate) struct FakeVcpus {
    on: Mutex<Vec<Power>>,
    log: Arc<Mutex<Vec<Event>>>,
}

impl FakeVcpus {
    pub(crate) fn arrive(&self, index: usize) {
        if let Some(power) = lock(&self.on).get_mut(index) {
            *power = Power::On;
        }
    }
}

impl VcpuControl for FakeVcpus {
    fn affinity(&self, index: usize) -> Option<u64> {
        (index < lock(&self.on).len()).then_some(index as u64)
    }
    fn power(&self, index: usize) -> Power {
        lock(&self.on).get(index).copied().unwrap_or(Power::Off)
    }
    fn start(&self, index: usize, entry: u64, context: u64) -> Power {
        let mut on = lock(&self.on);
        let Some(power) = on.get_mut(index) else { return Power::On };
        let before = *power;
        if before == Power::Off {
            *power = Power::Pending;
            lock(&self.log).push(Event::Started { index, entry, context });
        }
        before
    }
    fn stop_caller(&self, cx: &mut Context) {
        if let Some(on) = lock(&self.on).get_mut(cx.vcpu()) {
            *on = Power::Off;
        }
        lock(&self.log).push(Event::Stopped);
    }
    fn wait(&self, _: &mut Context) {
        lock(&self.log).push(Event::Waits);
    }
}

/// The other end of the board's serial line.
#[derive(Clone, Debug)]
pub struct SerialEnd(Arc<Mutex<SerialState>>);

#[derive(Debug)]
struct SerialState {
    room: usize,
    sent: Vec<u8>,
    waiting: VecDeque<u8>,
    interrupt_when_writable: bool,
}

impl SerialEnd {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(SerialState {
            room: usize::MAX,
            sent: Vec::new(),
            waiting: VecDeque::new(),
            interrupt_when_writable: false,
        })))
    }

    /// Lets the transmitter take `bytes` more, and then no more.
    pub fn set_room(&self, bytes: usize) {
        lock(&self.0).room = bytes;
    }

    /// What was sent since this was last asked.
    pub fn take_sent(&self) -> Vec<u8> {
        core::mem::take(&mut lock(&self.0).sent)
    }

    /// Someone types.
    pub fn type_in(&self, bytes: &[u8]) {
        lock(&self.0).waiting.extend(bytes);
    }

    /// How many typed bytes nobody has read.
    pub fn unread(&self) -> usize {
        lock(&self.0).waiting.len()
    }

    /// Whether the component wants to know when there is room.
    pub fn interrupts_when_writable(&self) -> bool {
        lock(&self.0).interrupt_when_writable
    }
}

impl HostSerial for SerialEnd {
    fn write(&mut self, bytes: &[u8]) -> usize {
        let mut state = lock(&self.0);
        let count = bytes.len().min(state.room);
        state.room -= count;
        state.sent.extend(bytes.iter().take(count));
        count
    }
    fn try_read(&mut self) -> Option<u8> {
        lock(&self.0).waiting.pop_front()
    }
    fn interrupt_when_writable(&mut self, on: bool) {
        lock(&self.0).interrupt_when_writable = on;
    }
    fn acknowledge(&mut self) {}
}

/// eVisor's own lines, of which a test says what they are.
#[derive(Debug, Default)]
pub struct FakeMessages {
    kept: AtomicBool,
    level: Mutex<Option<Level>>,
    bytes: Mutex<VecDeque<u8>>,
}

impl FakeMessages {
    /// eVisor says something; the component is notified by the test.
    pub fn say(&self, line: &str) {
        lock(&self.bytes).extend(line.bytes().chain([b'\n']));
    }

    /// Whether they wait for the component to show them.
    pub fn are_kept(&self) -> bool {
        self.kept.load(Ordering::Relaxed)
    }
}

impl Messages for FakeMessages {
    fn keep(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }
    fn next(&self) -> Bytes {
        let mut waiting = lock(&self.bytes);
        let mut bytes = Bytes::NONE;
        while (bytes.count() as usize) < Bytes::MOST {
            let Some(byte) = waiting.pop_front() else { break };
            bytes.push(byte);
            if byte == b'\n' {
                break;
            }
        }
        bytes
    }
    fn level(&self) -> Level {
        lock(&self.level).unwrap_or(Level::Info)
    }
    fn set_level(&self, level: Level) {
        *lock(&self.level) = Some(level);
    }
}

/// Memory behind a window: 0xff where nothing was written.
#[derive(Debug)]
pub struct FakeMemory {
    size: u64,
    /// By the address of the doubleword; what is not here is all ones.
    words: Mutex<BTreeMap<u64, u64>>,
    shown: AtomicBool,
}

impl FakeMemory {
    fn new(size: u64) -> Self {
        Self { size, words: Mutex::default(), shown: AtomicBool::new(false) }
    }

    /// Whether the guest's loads go to it.
    pub fn is_shown(&self) -> bool {
        self.shown.load(Ordering::Relaxed)
    }

    /// What lies at `offset`.
    pub fn byte(&self, offset: u64) -> u8 {
        self.read(offset, Width::Byte).to_le_bytes()[0]
    }

    pub(crate) fn copy(&self, other: &Self) {
        *lock(&self.words) = lock(&other.words).clone();
    }

    fn check(&self, offset: u64, width: Width) {
        let inside = offset.checked_add(width.bytes()).is_some_and(|end| end <= self.size);
        assert!(inside, "{offset:#x} is outside of the window");
        assert!(offset.is_multiple_of(width.bytes()), "{offset:#x} is not aligned");
    }
}

impl Backing for FakeMemory {
    fn read(&self, offset: u64, width: Width) -> u64 {
        self.check(offset, width);
        let word = lock(&self.words).get(&(offset / 8)).copied().unwrap_or(u64::MAX);
        word >> (offset % 8 * 8) & width.mask()
    }

    fn write(&self, offset: u64, width: Width, value: u64) {
        self.check(offset, width);
        let mut words = lock(&self.words);
        let shift = offset % 8 * 8;
        let word = words.get(&(offset / 8)).copied().unwrap_or(u64::MAX);
        match word & !(width.mask() << shift) | (value & width.mask()) << shift {
            u64::MAX => words.remove(&(offset / 8)),
            word => words.insert(offset / 8, word),
        };
    }

    fn write_words(&self, offset: u64, words: &[u64]) {
        for (offset, word) in (offset..).step_by(8).zip(words) {
            self.write(offset, Width::Doubleword, *word);
        }
    }

    fn clear_bits(&self, offset: u64, words: &[u64]) {
        for (offset, word) in (offset..).step_by(8).zip(words) {
            self.write(offset, Width::Doubleword, word & self.read(offset, Width::Doubleword));
        }
    }

    fn show(&self, on: bool) {
        self.shown.store(on, Ordering::Relaxed);
    }
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
}

impl World {
    pub(crate) fn new(setup: WorldSetup) -> Self {
        let clock = FakeClock { now: AtomicU64::new(0), unix: AtomicU64::new(0) };
        Self {
            log: Arc::default(),
            clock: Box::leak(Box::new(clock)),
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
    log: Arc<Mutex<Vec<Event>>>,
}

impl FakeEnd {
    /// The other end starts, so often now; or it has stopped.
    pub fn set_other(&self, starts: u32, is_up: bool) {
        self.other_starts.store(starts, Ordering::Relaxed);
        self.other_is_up.store(is_up, Ordering::Relaxed);
    }

    pub(crate) fn copy(&self, other: &Self) {
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
        let power = |index| if index == 0 { Power::On } else { Power::Off };
        let on = (0..self.vcpus).map(power).collect();
        let vcpus = FakeVcpus { on: Mutex::new(on), log: Arc::clone(&self.log) };
        Ok(*self.power.insert(Box::leak(Box::new(vcpus))))
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

    fn members(&self) -> &[Share] {
        &self.members
    }

    fn host_mailbox(&self) -> Option<&'static dyn HostMailbox> {
        let mailbox = self.mailbox.clone()?;
        Some(Box::leak(Box::new(mailbox)))
    }
}

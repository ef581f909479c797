//! A component on the bench, with hands on both of its ends.

use crate::device::DeviceEnd;
use crate::disk::{DiskEnd, FakeStore};
use crate::fake::{Event, FakeEnd, World, lock};
use crate::gpio::GpioEnd;
use crate::mailbox::MailboxEnd;
use crate::memory::FakeMemory;
use crate::messages::FakeMessages;
use crate::ram::FakeRam;
use crate::serial::SerialEnd;
use crate::setup::{Setup, build, declaration, lines, windows, world};
use evisor_contract::abi::Error;
use evisor_contract::{
    BlockBuffer, BlockDone, BlockOpening, BlockRequest, BuildError, Bytes, CallRegisters, Context,
    Declaration, LineState, Object, Parts, Register, Reply, Restore, RestoreError, Save, Status,
    Through, Width, tag,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::Ordering;

/// A built component, its guest's hands and its surroundings.
pub struct Rig {
    declaration: &'static Declaration,
    parts: Parts,
    world: World,
    cx: Context,
    windows: u64,
    /// By vCPU, for it comes where it was asked for.
    deadlines: BTreeMap<usize, u64>,
    lines: BTreeSet<u32>,
    /// What was asked of the store and is not answered.
    requests: VecDeque<BlockRequest>,
    /// The buffer as it was then: it is the store's.
    lent: Vec<u32>,
    events: Vec<Event>,
}

impl Rig {
    /// The component that answers to `compatible`, with the default [`Setup`].
    pub fn new(compatible: &str) -> Self {
        Self::with(compatible, &Setup::default())
    }

    /// The component that answers to `compatible`.
    pub fn with(compatible: &str, setup: &Setup) -> Self {
        let declaration = declaration(compatible);
        let mut world = world(declaration, setup);
        let parts = build(declaration, setup, &mut world);
        let parts = parts.unwrap_or_else(|error| panic!("not built: {error}"));
        Self {
            declaration,
            parts,
            world,
            cx: Context::new(0),
            windows: windows(declaration, setup).iter().map(|(_, size)| size).sum(),
            deadlines: BTreeMap::new(),
            lines: BTreeSet::new(),
            requests: VecDeque::new(),
            lent: Vec::new(),
            events: Vec::new(),
        }
    }

    /// What the component declared.
    pub fn declaration(&self) -> &'static Declaration {
        self.declaration
    }

    /// How many vCPUs there are.
    pub(crate) fn vcpus(&self) -> usize {
        self.world.vcpus
    }

    /// The built object's facets and ranges.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// From now on it is vCPU `index`, on a core of its own, that does things.
    pub fn switch_to(&mut self, index: usize) {
        self.cx = Context::new(u16::try_from(index).expect("few vCPUs"));
    }

    /// A load by the guest.
    pub fn read(&mut self, offset: u64, width: Width) -> Reply {
        let mmio = self.parts.mmio.expect("a device with registers in memory");
        let reply = Reply::from(mmio.read(offset, width, &mut self.cx));
        self.settle(reply);
        let fits = reply.value & !width.mask() == 0;
        assert!(fits, "read of {offset:#x} at {width:?}: {:#x} does not fit", reply.value);
        reply
    }

    /// A store by the guest. Bits of `value` above `width` are dropped.
    pub fn write(&mut self, offset: u64, width: Width, value: u64) -> Reply {
        let mmio = self.parts.mmio.expect("a device with registers in memory");
        let reply = Reply::from(mmio.write(offset, width, value & width.mask(), &mut self.cx));
        self.settle(reply);
        reply
    }

    /// A load of a word that must be there.
    pub fn read32(&mut self, offset: u64) -> u64 {
        let reply = self.read(offset, Width::Word);
        assert_eq!(reply.status, Status::Done, "read of {offset:#x}");
        reply.value
    }

    /// A store of a word that must be taken.
    pub fn write32(&mut self, offset: u64, value: u64) {
        assert_eq!(self.write(offset, Width::Word, value), Reply::DONE, "write of {offset:#x}");
    }

    /// An `MRS` by the guest.
    pub fn read_register(&mut self, register: Register) -> Reply {
        let registers = self.parts.registers.expect("a component with system registers");
        let reply = Reply::from(registers.read_register(register, &mut self.cx));
        self.settle(reply);
        reply
    }

    /// An `MSR` by the guest.
    pub fn write_register(&mut self, register: Register, value: u64) -> Reply {
        let registers = self.parts.registers.expect("a component with system registers");
        let reply = Reply::from(registers.write_register(register, value, &mut self.cx));
        self.settle(reply);
        reply
    }

    /// An `HVC` or `SMC` by the guest, with `arguments` from x1 up. Gives x0 to
    /// x3, and asserts that no other register changed (DEN 0028 §2.6).
    pub fn call(&mut self, function: u32, arguments: &[u64]) -> [u64; 4] {
        let calls = self.parts.calls.expect("a component with calls");
        let mut registers: CallRegisters = core::array::from_fn(|n| 0xa5a5_0000 + n as u64);
        registers[0] = u64::from(function);
        registers.iter_mut().skip(1).zip(arguments).for_each(|(to, from)| *to = *from);
        let before = registers;
        let reply = Reply::from(calls.call(function, &mut registers, &mut self.cx));
        self.settle(reply);
        assert_eq!(reply.status, Status::Done, "call of {function:#x}");
        assert_eq!(registers[4..], before[4..], "call of {function:#x} changed x4 to x17");
        [reply.value, registers[1], registers[2], registers[3]]
    }

    /// Who holds it by a handle has it do something.
    ///
    /// # Errors
    /// What the component says.
    pub fn invoke(
        &mut self,
        operation: u32,
        mut words: [u64; 5],
        through: &Through,
    ) -> Result<[u64; 3], Error> {
        let port = self.parts.invoke.expect("a component that handles lead to").port;
        let reply = Reply::from(port.invoke(operation, &mut words, through, &mut self.cx));
        self.settle(reply);
        let [x1, x2, x3, ..] = words;
        match Error::of(reply.value) {
            _ if reply.status == Status::Absent => Err(Error::NotSupported),
            None => Ok([x1, x2, x3]),
            Some(error) => Err(error),
        }
    }

    /// Notifies the component.
    pub fn notify(&mut self, tag: u32, value: u64) -> Reply {
        let notify = self.parts.notify.expect("a component that can be notified");
        let reply = Reply::from(notify.notify(tag, value, &mut self.cx));
        self.settle(reply);
        reply
    }

    /// Notifies the component with bytes.
    pub fn notify_with(&mut self, tag: u32, value: u64, bytes: &[u8]) -> Reply {
        self.cx.set_bytes(bytes);
        self.notify(tag, value)
    }

    /// Bytes arrive from the console.
    pub fn type_in(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(Bytes::MOST) {
            let _ = self.notify_with(tag::CONSOLE_INPUT, 0, chunk);
        }
    }

    /// Connects a holder to a backend's `port`.
    pub fn connect(&mut self, port: u32) {
        let backend = self.parts.backend.expect("a backend");
        backend.connect(port, self.world.holder(port));
    }

    /// Connects a holder in the VM called `vm` to a backend's `port`, or one in none.
    pub fn connect_of(&mut self, port: u32, vm: Option<&str>) {
        let backend = self.parts.backend.expect("a backend");
        backend.held_by(port, vm);
        self.connect(port);
    }

    /// eVisor's own lines.
    pub fn messages(&self) -> &'static FakeMessages {
        self.world.messages
    }

    /// Opens a backend's `port` onto its part number `part`, and connects a holder
    /// to it: gives how many blocks there are, and where their bytes go.
    ///
    /// # Errors
    /// What the backend says.
    pub fn open(
        &mut self,
        port: u32,
        part: u32,
        read_only: bool,
    ) -> Result<(u64, &'static BlockBuffer), BuildError> {
        let buffer: &'static BlockBuffer = Box::leak(Box::default());
        let backend = self.parts.backend.expect("a backend");
        let blocks = backend.open(port, &BlockOpening { part, read_only, buffer })?;
        self.connect(port);
        Ok((blocks, buffer))
    }

    /// Whether the store was asked for something, and has not answered.
    pub fn has_asked(&self) -> bool {
        !self.requests.is_empty()
    }

    fn take_request(&mut self) -> Option<BlockRequest> {
        let request = self.requests.pop_front()?;
        let same = self.store().buffer.with_words(|words| words == self.lent.as_slice());
        assert!(same, "the buffer was changed while the store had it");
        Some(request)
    }

    /// The store does what it was asked, and says so; true if there was something.
    pub fn answer_blocks(&mut self) -> bool {
        let Some(request) = self.take_request() else { return false };
        let done = self.store().serve(request);
        let _ = self.notify(tag::BLOCK_DONE, done.encode());
        true
    }

    /// The medium fails at what the store was asked; true if there was something.
    pub fn fail_blocks(&mut self) -> bool {
        let Some(_) = self.take_request() else { return false };
        let _ = self.notify(tag::BLOCK_DONE, BlockDone::Failed.encode());
        true
    }

    /// Lets the store answer and deadlines pass until neither has anything to do.
    pub fn settle_blocks(&mut self) {
        while self.answer_blocks() || self.pass_due() {}
    }

    /// Lets a deadline that is due pass; true if there was one.
    fn pass_due(&mut self) -> bool {
        use evisor_contract::Clock as _;
        let now = self.world.clock.now();
        let due = self.deadline().is_some_and(|deadline| deadline <= now);
        if due {
            self.advance(0);
        }
        due
    }

    /// The store that the component was granted blocks of.
    pub fn store(&self) -> &'static FakeStore {
        self.world.store.expect("a component that stores blocks")
    }

    /// The memory of its VM.
    pub fn guest_memory(&self) -> &'static FakeRam {
        self.world.ram.expect("a component that was granted the VM's memory")
    }

    /// Its end of a channel.
    pub fn end(&self) -> &'static FakeEnd {
        self.world.end.expect("a component with an end of a channel")
    }

    /// The memory of its own, or what its end of a channel shares.
    pub fn storage(&self) -> &'static FakeRam {
        self.world.storage.expect("a component with memory of its own")
    }

    /// The board's card.
    pub fn disk(&self) -> DiskEnd {
        self.world.disk.clone().expect("a board with a card")
    }

    /// The firmware's end of its mailbox.
    pub fn mailbox(&self) -> MailboxEnd {
        self.world.mailbox.clone().expect("a board with a mailbox")
    }

    /// The device of the board that it stands for.
    pub fn device(&self) -> DeviceEnd {
        self.world.device.clone()
    }

    /// The board's pins.
    pub fn gpio(&self) -> GpioEnd {
        self.world.gpio.clone()
    }

    /// Lets `counts` of the clock pass, and the deadline with them. What the store
    /// was asked before is answered first.
    pub fn advance(&mut self, counts: u64) {
        use evisor_contract::Clock as _;
        self.answer_blocks();
        let now = self.world.clock.now().saturating_add(counts);
        self.world.clock.set(now);
        let here = self.cx.vcpu();
        let due = self.deadlines.iter().filter(|(_, deadline)| **deadline <= now);
        for vcpu in due.map(|(vcpu, _)| *vcpu).collect::<Vec<_>>() {
            self.deadlines.remove(&vcpu);
            self.switch_to(vcpu);
            let _ = self.notify(tag::DEADLINE, now);
        }
        self.switch_to(here);
    }

    /// Counts of the clock a second.
    pub fn frequency(&self) -> u64 {
        use evisor_contract::Clock as _;
        self.world.clock.frequency()
    }

    /// Sets the calendar, as at count 0.
    pub fn set_unix_seconds(&mut self, seconds: u64) {
        self.world.clock.unix.store(seconds, Ordering::Relaxed);
    }

    /// The other end of the board's serial line.
    pub fn serial(&self) -> SerialEnd {
        self.world.serial.clone()
    }

    /// The lines that hardware drives: the node's index and the host's INTID.
    pub fn hardware_lines(&self) -> &[(usize, u32)] {
        &self.world.linked
    }

    /// The memory behind its window.
    pub fn memory(&self) -> &'static FakeMemory {
        self.world.memory.expect("a component with memory behind its window")
    }

    /// How large its windows are together.
    pub(crate) fn windows(&self) -> u64 {
        self.windows
    }

    /// The level lines that are up.
    pub(crate) fn lines(&self) -> &BTreeSet<u32> {
        &self.lines
    }

    /// Whether level line `index` is up.
    pub fn line(&self, index: u32) -> bool {
        self.lines.contains(&index)
    }

    /// Has whoever its lines lead to believe of each the opposite.
    pub(crate) fn turn_lines_over(&mut self, setup: &Setup) {
        let driven = |line: &usize| self.hardware_lines().iter().all(|(index, _)| index != line);
        let all: BTreeSet<u32> =
            (0..lines(self.declaration, setup)).filter(driven).map(|line| line as u32).collect();
        self.lines = &all - &self.lines;
    }

    /// The deadline that the vCPU has asked for.
    pub fn deadline(&self) -> Option<u64> {
        self.deadlines.get(&self.cx.vcpu()).copied()
    }

    /// What the component did since this was last asked.
    pub fn events(&mut self) -> Vec<Event> {
        core::mem::take(&mut self.events)
    }

    /// What went to the console since events were last asked for; drops the rest.
    pub fn console_output(&mut self) -> Vec<u8> {
        let bytes = self.events().into_iter().filter_map(|event| match event {
            Event::Console(bytes) => Some(bytes),
            _ => None,
        });
        bytes.flatten().collect()
    }

    /// vCPU `index`, which was started, comes to its first instruction.
    pub fn arrive(&self, index: usize) {
        self.world.power.expect("a component that has the vCPUs").arrive(index);
    }

    /// The VM restarts. What the object did in this is the only event then.
    pub fn reset(&mut self) {
        self.parts.object.with(&mut |object| object.reset());
        self.deadlines.clear();
        self.lines.clear();
        self.events = core::mem::take(&mut *lock(&self.world.log));
    }

    /// The object's state.
    pub fn save(&self) -> Vec<u8> {
        let mut save = Save::default();
        self.parts.object.with(&mut |object| object.save(&mut save));
        save.into_bytes()
    }

    /// Gives the object a state.
    ///
    /// # Errors
    /// What the object says.
    pub fn restore(&mut self, state: &[u8]) -> Result<(), RestoreError> {
        let mut result = Ok(());
        self.parts.object.with(&mut |object| result = object.restore(&mut Restore::new(state)));
        result
    }

    /// Looks at the object itself.
    pub fn object<T: Object, R>(&self, look: impl FnOnce(&mut T) -> R) -> R {
        let mut look = Some(look);
        let mut seen = None;
        self.parts.object.with(&mut |object| {
            let object = object.downcast_mut::<T>().expect("an object of this type");
            seen = look.take().map(|look| look(object));
        });
        seen.expect("the port runs it")
    }

    /// Makes this rig's surroundings as `other`'s are: what is saved and restored
    /// elsewhere (lines, the clock, memory) when a whole VM is.
    pub fn take_surroundings(&mut self, other: &Self) {
        use evisor_contract::Clock as _;
        self.world.clock.set(other.world.clock.now());
        self.lines.clone_from(&other.lines);
        if let Some((memory, other)) = self.world.memory.zip(other.world.memory) {
            memory.copy(other);
        }
        if let Some((ram, other)) = self.world.ram.zip(other.world.ram) {
            ram.copy(other);
        }
        if let Some((storage, other)) = self.world.storage.zip(other.world.storage) {
            storage.copy(other);
        }
        if let Some((store, other)) = self.world.store.zip(other.world.store) {
            store.copy(other);
        }
        if let Some((end, other)) = self.world.end.zip(other.world.end) {
            end.copy(other);
        }
    }

    /// Checks what the contract demands and delivers the effects.
    fn settle(&mut self, reply: Reply) {
        assert!(!self.cx.take_overflow(), "too many effects in one invocation");
        assert!(
            matches!(reply.status, Status::Done | Status::Absent | Status::Again),
            "answered {reply:?}"
        );
        while let Some(effect) = self.cx.pop() {
            if effect.to.rights().contains(effect.right) {
                let _ = effect.to.follow().notify(effect.tag, effect.value, &mut self.cx);
            } else {
                lock(&self.world.log).push(Event::Refused);
            }
        }
        let arrived = core::mem::take(&mut *lock(&self.world.log));
        arrived.into_iter().for_each(|event| self.note(event));
    }

    fn note(&mut self, event: Event) {
        match &event {
            Event::Line { index, state: LineState::High } => drop(self.lines.insert(*index)),
            Event::Line { index, state: LineState::Low } => drop(self.lines.remove(index)),
            Event::Deadline(Some(count)) => drop(self.deadlines.insert(self.cx.vcpu(), *count)),
            Event::Deadline(None) => drop(self.deadlines.remove(&self.cx.vcpu())),
            Event::Block(request) => {
                assert!(self.requests.is_empty(), "two requests at once");
                self.requests.push_back(*request);
                self.lent = self.store().buffer.with_words(|words| words.to_vec());
            }
            _ => {}
        }
        self.events.push(event);
    }
}

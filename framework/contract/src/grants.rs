//! What a component holds after it was bound: its way to the outside.
//!
//! A grant that reaches another object only pushes an [`Effect`]; a *leaf* grant
//! (clock, window onto real registers) is used at once.

use crate::backing::Backing;
use crate::block::{BlockBuffer, BlockPort, HostDisk};
use crate::capability::{Capability, Rights};
use crate::channel::ChannelEnd;
use crate::context::{Bytes, Context, Effect};
use crate::host_device::{HostMailbox, HostPins, HostWindow};
use crate::inspect::Oversight;
use crate::memory::Memory;
use crate::node::BuildError;
use crate::port::NotifyPort;
use crate::scheduler::Share;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::ops::RangeInclusive;

/// A way to notify one tag of another object.
#[derive(Clone, Copy)]
pub(crate) struct Wire {
    to: &'static Capability<dyn NotifyPort>,
    right: Rights,
    tag: u32,
}

impl Wire {
    #[inline(always)]
    pub(crate) fn send(self, value: u64, cx: &mut Context) {
        cx.push(Effect { to: self.to, right: self.right, tag: self.tag, value });
    }
}

macro_rules! wire {
    ($(#[$doc:meta])* $name:ident, $right:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $name(Wire);

        impl $name {
            /// The kernel makes it when it binds a component.
            pub const fn new(to: &'static Capability<dyn NotifyPort>, tag: u32) -> Self {
                Self(Wire { to, right: Rights::$right, tag })
            }

            /// Whether what it stands for may still be used.
            pub fn permitted(&self) -> bool {
                self.0.to.rights().contains(self.0.right)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:#x})"), self.0.tag)
            }
        }
    };
}

wire!(
    /// An interrupt line: a window of one onto an interrupt controller.
    Line, INTERRUPT
);
wire!(
    /// A port of a console.
    ConsolePort, CALL
);
wire!(
    /// A slot of the kernel's timer: [`tag::DEADLINE`](crate::tag::DEADLINE) is
    /// notified when it passes.
    Deadline, CALL
);
wire!(
    /// Power over one's own VM, or over one that was given to oversee.
    VmControl, CONTROL
);

impl BlockPort {
    /// The kernel makes it when it binds a component.
    pub const fn new(
        to: &'static Capability<dyn NotifyPort>,
        tag: u32,
        blocks: u64,
        read_only: bool,
        buffer: &'static BlockBuffer,
    ) -> Self {
        Self::of(Wire { to, right: Rights::CALL, tag }, blocks, read_only, buffer)
    }
}

/// What happens on an interrupt line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineState {
    /// A level line goes down.
    Low,
    /// A level line goes up.
    High,
    /// An edge.
    Pulse,
    /// The physical interrupt with this INTID fired and is the line's own: it
    /// stays active until the guest deactivates it.
    Physical(u16),
}

impl LineState {
    /// As the value of a notification.
    #[inline(always)]
    pub const fn encode(self) -> u64 {
        match self {
            Self::Low => 0,
            Self::High => 1,
            Self::Pulse => 2,
            Self::Physical(intid) => 3 | (intid as u64) << 16,
        }
    }

    /// From the value of a notification.
    #[inline(always)]
    pub const fn decode(value: u64) -> Self {
        match value & 3 {
            0 => Self::Low,
            1 => Self::High,
            2 => Self::Pulse,
            _ => Self::Physical((value >> 16) as u16),
        }
    }

    /// An edge, as the value of a notification, that came by an interrupt of the very core
    /// that the vCPU in the context is on: the VM's controller can take it a short way. It
    /// looks like a physical interrupt, as which it came, and means something to interrupt
    /// controllers only.
    pub const PULSE_HERE: u64 = Self::Physical(0).encode() | 1 << 2;

    /// As the value of a notification: the physical interrupts that the line was driven by
    /// are another's from now on. Means something to interrupt controllers only, and there
    /// is no physical interrupt 0.
    ///
    /// The controller lets go of one that is pending or active for its guest, which is told
    /// no more of a pending one, and ends an active one by itself. It replies with the
    /// value 1 if whoever tells it has to deactivate it, 0 if there was none; and
    /// [`AGAIN`](crate::Reply::AGAIN) while a vCPU on another core has it: that was told, and
    /// this is to be said again.
    pub const RETIRE: u64 = Self::Physical(0).encode();

    /// The vCPU whose private line it is, where the notification says so: else it is that
    /// of the vCPU in the context.
    pub const fn vcpu(value: u64) -> Option<usize> {
        match value >> 8 & 0xff {
            0 => None,
            vcpu => Some(vcpu as usize - 1),
        }
    }
}

impl Line {
    /// Sets a level line. To say again what was said last is harmless.
    #[inline(always)]
    pub fn set(&self, up: bool, cx: &mut Context) {
        self.0.to.set_level(up);
        self.0.send(u64::from(up), cx);
    }

    /// Sets the private level line of vCPU `vcpu`, one of the first 255, which may be
    /// anywhere.
    pub fn set_of(&self, vcpu: usize, up: bool, cx: &mut Context) {
        self.0.send(u64::from(up) | (((vcpu as u64).wrapping_add(1) & 0xff) << 8), cx);
    }

    /// Sends an edge.
    #[inline(always)]
    pub fn pulse(&self, cx: &mut Context) {
        self.0.send(LineState::Pulse.encode(), cx);
    }
}

impl ConsolePort {
    /// Sends bytes, in one effect.
    #[inline(always)]
    pub fn send(&self, bytes: &Bytes, cx: &mut Context) {
        let Wire { to, right, tag } = self.0;
        cx.push_bytes(Effect { to, right, tag, value: 0 }, bytes);
    }
}

impl Deadline {
    /// Asks to be notified when the clock's count reaches `count`, in place of
    /// what was asked before.
    #[inline(always)]
    pub fn set(&self, count: u64, cx: &mut Context) {
        self.0.send(count, cx);
    }

    /// Asks no more.
    #[inline(always)]
    pub fn clear(&self, cx: &mut Context) {
        self.0.send(u64::MAX, cx);
    }
}

/// What a VM can be asked for: of itself the first three; the rest by who has power over
/// it from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmEvent {
    /// It turned itself off, or is to be off.
    Off,
    /// It wants to start anew, or is to.
    Reset,
    /// It says how its work ended, 0 for well; the last one counts.
    Verdict(u8),
    /// It is to start, if it is off.
    Start,
    /// Its vCPUs are to stand still, and its time with them.
    Pause,
    /// It is to go on where it was paused.
    Resume,
    /// It is to be off for good: nobody can start it any more.
    End,
    /// What it is now is to be kept, in the place of what was kept before.
    Checkpoint,
    /// It is to be what was kept, and to go on from there.
    RollBack,
}

impl VmEvent {
    /// As the value of a notification.
    pub const fn encode(self) -> u64 {
        match self {
            Self::Off => 0,
            Self::Reset => 1,
            Self::Verdict(code) => 2 | (code as u64) << 8,
            Self::Start => 3,
            Self::Pause => 4,
            Self::Resume => 5,
            Self::End => 6,
            Self::Checkpoint => 7,
            Self::RollBack => 8,
        }
    }

    /// From the value of a notification.
    pub const fn decode(value: u64) -> Option<Self> {
        match value & 0xff {
            0 => Some(Self::Off),
            1 => Some(Self::Reset),
            2 => Some(Self::Verdict((value >> 8) as u8)),
            3 => Some(Self::Start),
            4 => Some(Self::Pause),
            5 => Some(Self::Resume),
            6 => Some(Self::End),
            7 => Some(Self::Checkpoint),
            8 => Some(Self::RollBack),
            _ => None,
        }
    }
}

impl VmControl {
    /// Asks. The vCPU that is calling does not return from its call if the VM
    /// goes off.
    pub fn send(&self, event: VmEvent, cx: &mut Context) {
        self.0.send(event.encode(), cx);
    }
}

/// The power state of a vCPU (DEN 0022, AFFINITY_INFO).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// It runs, or waits for an interrupt.
    On,
    /// It was never started, or turned itself off.
    Off,
    /// It was started and has not come to its first instruction.
    Pending,
}

/// A leaf of the kernel: starting and stopping the vCPUs of one's own VM.
pub trait VcpuControl: Sync {
    /// The affinity (MPIDR_EL1's Aff3..Aff0 fields) of vCPU `index`, if there is
    /// one.
    fn affinity(&self, index: usize) -> Option<u64>;
    /// Whether vCPU `index` runs; off if there is none.
    fn power(&self, index: usize) -> Power;
    /// Starts it at `entry` with `context` in x0. The answer is what it was
    /// before: only one that was [`Power::Off`] starts. What an object's reset starts
    /// starts with the VM, beside the first.
    fn start(&self, index: usize, entry: u64, context: u64) -> Power;
    /// Stops the vCPU that is calling; it does not come back to its guest.
    fn stop_caller(&self, cx: &mut Context);
    /// The caller waits until it has an interrupt.
    fn wait(&self, cx: &mut Context);

    /// Whether vCPU `index` is the one in `cx`, on the core that asks: then what
    /// it has in that core's registers (list registers, say) may be touched.
    fn is_here(&self, index: usize, cx: &Context) -> bool {
        cx.vcpu() == index
    }

    /// Vcpu `index` is to look at its interrupts: wherever it is, it gets
    /// [`tag::REFRESH`](crate::tag::REFRESH) before it goes on.
    fn kick(&self, index: usize) {
        let _ = index;
    }

    /// The same, and somebody may be waiting for what it finds: it looks even if it is not
    /// its turn to go on.
    fn ask(&self, index: usize) {
        self.kick(index);
    }
}

/// A leaf of the kernel: the VM's time.
pub trait Clock: Sync {
    /// The count that the VM reads as CNTVCT_EL0.
    fn now(&self) -> u64;
    /// Counts a second.
    fn frequency(&self) -> u64;
    /// Seconds since 1970-01-01T00:00:00Z, or since the board started where it
    /// has no calendar.
    fn unix_seconds(&self) -> u64;
}

/// Real registers, word by word: a leaf. Nobody else holds a window onto the
/// same ones.
pub type Window = safe_mmio::UniqueMmioPointer<'static, [safe_mmio::fields::ReadPureWrite<u32>]>;

/// The serial line that the board keeps for consoles: a leaf, driven by the
/// board. None of its methods waits.
pub trait HostSerial: Send {
    /// Sends bytes while the transmitter has room, and says how many.
    fn write(&mut self, bytes: &[u8]) -> usize;
    /// A byte that was received.
    fn try_read(&mut self) -> Option<u8>;
    /// Whether to be interrupted when the transmitter has room. Reception
    /// interrupts are always on.
    fn interrupt_when_writable(&mut self, on: bool);
    /// Quiets the interrupt that is being handled.
    fn acknowledge(&mut self);
}

/// eVisor's own lines: a leaf. None of its methods waits.
pub trait Messages: Sync {
    /// From now on they wait until [`next`](Self::next) takes them, as who asks shows
    /// them between what else is on the line. [`HOST_INTERRUPT`](crate::tag::HOST_INTERRUPT) comes
    /// when one waits. A panic's go out at once all the same.
    fn keep(&self);
    /// The next bytes of what waits, [`Bytes::MOST`] at most. Only whole lines wait, each
    /// with a line feed at its end; no piece has bytes of two.
    fn next(&self) -> Bytes;
    /// Which of them are written.
    fn level(&self) -> Level;
    /// From now on those are written that are as grave as `level`, or graver.
    fn set_level(&self, level: Level);
}

/// How grave a line of eVisor's own is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something is gone.
    Error,
    /// Something is not as it should be.
    Warning,
    /// What happens to VMs.
    Info,
}

/// The half of the physical interrupt controller that serves virtual ones:
/// GICH, and where the guest's CPU interface is (IHI 0048B.b §5.3, §5.5).
pub struct VirtualInterface {
    /// The virtual interface control registers of the core that accesses them.
    pub control: Window,
    /// How many list registers it has, as GICH_VTR says.
    pub list_registers: usize,
}

/// One system register of the core that asks, as a leaf.
#[derive(Clone, Copy, Debug)]
pub struct HostRegister {
    /// Reads it.
    pub read: fn() -> u64,
    /// Writes it.
    pub write: fn(u64),
}

/// The half of a physical GICv3 that serves virtual interrupts (IHI 0069, the
/// ICH_* registers), of the core that accesses it.
#[derive(Clone, Copy, Debug)]
pub struct SystemInterface {
    /// ICH_LR<n>_EL2: as many as ICH_VTR_EL2 says.
    pub lists: &'static [HostRegister],
    /// ICH_HCR_EL2.
    pub hcr: HostRegister,
    /// ICH_VMCR_EL2.
    pub vmcr: HostRegister,
    /// ICH_AP0R<n>_EL2 and then as many ICH_AP1R<n>_EL2, as the priority bits in
    /// ICH_VTR_EL2 make accessible.
    pub active_priorities: &'static [HostRegister],
    /// ICH_VTR_EL2.
    pub vtr: u64,
    /// ICH_MISR_EL2.
    pub misr: fn() -> u64,
    /// ICH_EISR_EL2.
    pub eisr: fn() -> u64,
    /// ICH_ELRSR_EL2.
    pub elrsr: fn() -> u64,
}

/// A leaf: true random numbers of the machine.
pub trait Entropy: Sync {
    /// 64 bits of full entropy; `None` if the source has none to give just now.
    fn word(&self) -> Option<u64>;
}

const DEFECT: &str = "this is a defect of who builds it";

/// What a component may ask for while it is built.
///
/// Each method gives what the declaration's [`Needs`](crate::Needs) announced and
/// the node names, or an error that says what is missing where.
pub trait Grants {
    /// The node's `index`th interrupt.
    ///
    /// # Errors
    /// The node has fewer, or its interrupt controller has no such line.
    fn line(&mut self, index: usize) -> Result<Line, BuildError>;

    /// The console that the node names, or the VM's own.
    ///
    /// # Errors
    /// There is none.
    fn console(&mut self) -> Result<ConsolePort, BuildError>;

    /// A slot of the kernel's timer, whose interrupt comes on the core that sets
    /// it. Who has several looks at all of its own when it is notified.
    ///
    /// # Errors
    /// All are taken.
    fn deadline(&mut self) -> Result<Deadline, BuildError>;

    /// Power over the VM, with the control right if the node has it.
    ///
    /// # Errors
    /// The node is not in a VM.
    fn vm(&mut self) -> Result<VmControl, BuildError>;

    /// Its vCPUs.
    ///
    /// # Errors
    /// The node is not in a VM.
    fn vcpus(&mut self) -> Result<&'static dyn VcpuControl, BuildError>;

    /// How many vCPUs the VM has.
    fn vcpu_count(&self) -> usize;

    /// Where the VM has memory or registers, guest-physical. What is elsewhere can
    /// only abort. Everywhere, if that is not known.
    fn addresses(&self) -> Vec<RangeInclusive<u64>> {
        Vec::from([0..=u64::MAX])
    }

    /// The VM's time.
    fn clock(&self) -> &'static dyn Clock;

    /// The virtual half of the physical interrupt controller; and the guest's
    /// accesses to the node's window number `cpu_interface` go to it directly.
    ///
    /// # Errors
    /// The board has none of this kind.
    fn virtual_interface(&mut self, cpu_interface: usize) -> Result<VirtualInterface, BuildError>;

    /// The virtual half of the physical interrupt controller where it is made of
    /// system registers.
    ///
    /// # Errors
    /// The board has none of this kind.
    fn system_interface(&mut self) -> Result<SystemInterface, BuildError>;

    /// The machine's source of random numbers, if it has one.
    fn entropy(&self) -> Option<&'static dyn Entropy>;

    /// Memory behind the node's window number `window`, as large as that.
    ///
    /// # Errors
    /// The node has no such window, or is not in a VM, or the memory cannot be
    /// shown to a guest there.
    fn backing(&mut self, window: usize) -> Result<&'static dyn Backing, BuildError> {
        let _ = window;
        Err(BuildError::new("gets no memory here", DEFECT))
    }

    /// The board's interrupt with number `intid` (a PPI) drives the node's
    /// `index`th line in hardware.
    ///
    /// # Errors
    /// It is taken, or the node has fewer lines.
    fn hardware_line(&mut self, index: usize, intid: u32) -> Result<(), BuildError>;

    /// The board's serial line.
    ///
    /// # Errors
    /// It is taken, or the board has none.
    fn host_serial(&mut self) -> Result<Box<dyn HostSerial>, BuildError>;

    /// eVisor's own lines, for who has the serial line; `None` if they go out by
    /// themselves.
    fn messages(&self) -> Option<&'static dyn Messages> {
        None
    }

    /// Those of the VMs that `evisor,vms` names, to look at; and, with the control right,
    /// to change.
    ///
    /// # Errors
    /// The declaration does not say that it oversees VMs.
    fn oversight(&mut self) -> Result<Oversight, BuildError> {
        Err(BuildError::new("oversees no VMs here", DEFECT))
    }

    /// A system register of the core that eVisor runs on, as EL2 reads it; for
    /// identification registers only.
    fn host_register(&self, register: crate::Register) -> Option<u64>;

    /// The VM's memory, guest-physical: EL2 maps it for good.
    ///
    /// # Errors
    /// The node is not in a VM.
    fn guest_memory(&mut self) -> Result<&'static dyn Memory, BuildError> {
        Err(BuildError::new("gets no memory here", DEFECT))
    }

    /// The blocks that `evisor,block` names; a port of no blocks if the node has none,
    /// for a slot without a medium.
    ///
    /// # Errors
    /// It names no store, or the store has no such part.
    fn block(&mut self) -> Result<BlockPort, BuildError> {
        Err(BuildError::new("gets no blocks here", DEFECT))
    }

    /// Memory of its own, as large as the node says: what the node names as its
    /// image is there first, and zeros behind it. It is there when the first VM
    /// starts; its size is the second.
    ///
    /// # Errors
    /// The node says neither size nor image.
    fn storage(&mut self) -> Result<(&'static dyn Memory, u64), BuildError> {
        Err(BuildError::new("gets no memory here", DEFECT))
    }

    /// The board's card or disk; `None` if the board has no place for one.
    ///
    /// # Errors
    /// It is taken.
    fn host_disk(&mut self) -> Result<Option<Box<dyn HostDisk>>, BuildError> {
        Ok(None)
    }

    /// The end of a channel that `evisor,channel` names. When it is rung, the object is
    /// notified of [`tag::RUNG`](crate::tag::RUNG).
    ///
    /// # Errors
    /// It names none.
    fn channel(&mut self) -> Result<&'static dyn ChannelEnd, BuildError> {
        Err(BuildError::new("gets no channel here", DEFECT))
    }

    /// When its end of the channel is rung, the node's `index`th line has an edge, and the
    /// object is not notified.
    ///
    /// # Errors
    /// As [`channel`](Self::channel), or the line comes by level.
    fn doorbell(&mut self, index: usize) -> Result<(), BuildError> {
        let _ = index;
        Err(BuildError::new("gets no channel here", DEFECT))
    }

    /// The guest's accesses to the node's window number `window` go to what the ends of its
    /// channel share.
    ///
    /// # Errors
    /// As [`channel`](Self::channel).
    fn channel_window(&mut self, window: usize) -> Result<(), BuildError> {
        let _ = window;
        Err(BuildError::new("gets no channel here", DEFECT))
    }

    /// What the ends of its channel share, from address 0: EL2 maps it for good.
    ///
    /// # Errors
    /// As [`channel`](Self::channel).
    fn channel_memory(&mut self) -> Result<&'static dyn Memory, BuildError> {
        Err(BuildError::new("gets no channel here", DEFECT))
    }

    /// The general-purpose pins of the board that have a bit in `pins`. Who has some is
    /// reset when its VM stops, too.
    ///
    /// # Errors
    /// The board has none to give, it needs one of them itself, or another node has one.
    fn host_pins(&mut self, pins: u64) -> Result<HostPins, BuildError> {
        let _ = pins;
        Err(BuildError::new("gets no pins here", DEFECT))
    }

    /// The registers behind the node's window number `window`: of the device of the
    /// board that `evisor,device` names.
    ///
    /// # Errors
    /// It names none, or the registers cannot be given.
    fn host_window(&mut self, window: usize) -> Result<HostWindow, BuildError> {
        let _ = window;
        Err(BuildError::new("gets no registers here", DEFECT))
    }

    /// The `index`th interrupt of the device of the board that `evisor,device` names
    /// drives the node's line of that number in hardware.
    ///
    /// # Errors
    /// The device or the node has fewer, or the interrupt is another's.
    fn host_line(&mut self, index: usize) -> Result<(), BuildError> {
        let _ = index;
        Err(BuildError::new("gets no interrupt here", DEFECT))
    }

    /// Whether the VM's vCPUs are told how much of their time others had: one of them shares
    /// its core, and a node of the VM that may be called tells it.
    fn tells_stolen_time(&self) -> bool {
        false
    }

    /// For a scheduler: what the vCPUs of its core were promised, each at the number that
    /// it has as a member.
    fn members(&self) -> &[Share] {
        &[]
    }

    /// The property mailbox of the board's firmware, if it has one.
    fn host_mailbox(&self) -> Option<&'static dyn HostMailbox> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_states_round_trip() {
        for state in [LineState::Low, LineState::High, LineState::Pulse, LineState::Physical(1019)]
        {
            assert_eq!(LineState::decode(state.encode()), state);
            assert_ne!(state.encode(), LineState::PULSE_HERE);
        }
        assert_eq!(LineState::vcpu(LineState::PULSE_HERE), None);
    }

    #[test]
    fn a_line_says_whose_it_is() {
        for up in [0, 1] {
            assert_eq!(LineState::vcpu(up), None);
            let of_the_third = up | 3 << 8;
            assert_eq!(LineState::vcpu(of_the_third), Some(2));
            assert_eq!(LineState::decode(of_the_third), LineState::decode(up));
        }
        assert_eq!(LineState::vcpu(LineState::Physical(1019).encode()), None);
    }

    #[test]
    fn vm_events_round_trip() {
        let changes = [VmEvent::Start, VmEvent::Pause, VmEvent::Resume, VmEvent::End];
        let changes = changes.into_iter().chain([VmEvent::Checkpoint, VmEvent::RollBack]);
        for event in
            [VmEvent::Off, VmEvent::Reset, VmEvent::Verdict(255)].into_iter().chain(changes)
        {
            assert_eq!(VmEvent::decode(event.encode()), Some(event));
        }
        assert_eq!(VmEvent::decode(9), None);
    }
}

//! Grants that reach another object: each pushes an [`Effect`], and what its value says.

use crate::block::{BlockBuffer, BlockPort};
use crate::capability::{Capability, Rights};
use crate::context::{Bytes, Context, Effect};
use crate::port::NotifyPort;
use core::fmt;

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

/// What a device told its level line last, to tell it only what is new.
///
/// It is no part of a saved state: between the saving of the interrupt controller and that of
/// the device something may have been told, which the one that is restored never heard.
#[derive(Clone, Copy, Debug)]
pub struct Told(Option<bool>);

impl Told {
    /// Of a device that was reset: its interrupt controller knows of nothing, or is reset too.
    pub const LOW: Self = Self(Some(false));
    /// Of a device that was restored: whatever comes next is new.
    pub const UNKNOWN: Self = Self(None);

    /// Sets `line`, if it was told something else.
    #[inline(always)]
    pub fn set(&mut self, line: &Line, up: bool, cx: &mut Context) {
        if self.0 != Some(up) {
            self.0 = Some(up);
            line.set(up, cx);
        }
    }
}

impl Default for Told {
    fn default() -> Self {
        Self::LOW
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

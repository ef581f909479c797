//! What a guest may ask eVisor for by its handles, for both sides of the call.
//!
//! A handle is the name of a capability that its VM holds. The numbers here are an ABI:
//! what has one keeps it, and [`VERSION`] says what is there. `README.md` has every call
//! with its arguments; [`Capabilities`] has them as functions, for guests.

#![no_std]
#![forbid(unsafe_code)]

mod client;

pub use client::{Capabilities, Conduit, Described, Held, Narrow};

/// The version of all of this: the major number in the upper half, the minor one, which
/// counts what was added, in the lower.
pub const VERSION: u64 = 0x1_0002;

/// Function ids: vendor-specific hypervisor service calls (DEN 0028 §6.1), SMC64.
pub mod function {
    /// Which version of the ABI is there.
    pub const VERSION: u32 = 0xc600_0100;
    /// How many derivations the caller may have, and has left.
    pub const QUOTA: u32 = 0xc600_0101;
    /// The handle after one; the first after 0.
    pub const NEXT: u32 = 0xc600_0102;
    /// The window of a handle's capability.
    pub const DESCRIBE: u32 = 0xc600_0103;
    /// Has the object behind a handle do something.
    pub const INVOKE: u32 = 0xc600_0104;
    /// A narrower capability, for the caller.
    pub const DERIVE: u32 = 0xc600_0105;
    /// A narrower capability, for the VM at the other end of a handle.
    pub const HAND_OVER: u32 = 0xc600_0106;
    /// Takes away all that was derived from a handle's capability.
    pub const REVOKE: u32 = 0xc600_0107;
    /// Gives up a handle.
    pub const DROP: u32 = 0xc600_0108;

    /// The first id of the range.
    pub const FIRST: u32 = 0xc600_0100;
    /// The last one.
    pub const LAST: u32 = 0xc600_01ff;
}

/// What a call answers in x0 if it did nothing. What is not negative is an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub enum Error {
    /// Nobody answers this function, or the object has no such operation.
    NotSupported = -1,
    /// An argument is out of range.
    InvalidParameter = -3,
    /// The caller has no such handle: it never had, dropped it, or it was revoked.
    NoHandle = -16,
    /// The capability has not the right that this takes.
    NoRight = -17,
    /// What is asked for lies outside of the capability's window.
    Outside = -18,
    /// The caller has no derivation left.
    NoQuota = -19,
    /// The capability is [`DEPTH`] derivations away from the manifest's.
    TooDeep = -20,
    /// There is no VM at the other end of the handle, or it takes no capabilities.
    NoPeer = -21,
    /// Not now: again, later.
    Busy = -22,
    /// The object is not in a state in which it could.
    WrongState = -23,
}

impl Error {
    /// As x0.
    #[must_use]
    pub const fn code(self) -> u64 {
        (self as i64).cast_unsigned()
    }

    /// What x0 says; `None` if it is an answer. What is not known is
    /// [`NotSupported`](Self::NotSupported).
    #[must_use]
    pub const fn of(x0: u64) -> Option<Self> {
        Some(match x0.cast_signed() {
            0.. => return None,
            -3 => Self::InvalidParameter,
            -16 => Self::NoHandle,
            -17 => Self::NoRight,
            -18 => Self::Outside,
            -19 => Self::NoQuota,
            -20 => Self::TooDeep,
            -21 => Self::NoPeer,
            -22 => Self::Busy,
            -23 => Self::WrongState,
            _ => Self::NotSupported,
        })
    }
}

/// How many derivations may lie between a capability and the manifest's.
pub const DEPTH: usize = 16;

/// Rights, as bits.
pub mod rights {
    /// To see.
    pub const READ: u32 = 0x00f;
    /// To send bytes.
    pub const WRITE: u32 = 0x0f0;
    /// To raise interrupt lines.
    pub const INTERRUPT: u32 = 0x100;
    /// To change the state of what is behind.
    pub const CONTROL: u32 = 0x200;
    /// To hand on.
    pub const GRANT: u32 = 0x400;
    /// To ring, or to send a message.
    pub const CALL: u32 = 0x800;
    /// All.
    pub const ALL: u32 = 0xfff;
}

/// What is behind a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// Nothing any more: it was revoked, and goes.
    Gone = 0,
    /// A VM: [`vm`] has its operations.
    Vm = 1,
    /// A console: [`console`].
    Console = 2,
    /// Interrupt lines of another VM: [`doorbell`].
    Doorbell = 3,
    /// An end of a channel.
    Channel = 4,
    /// A device that can be taken from its VM: [`device`].
    Device = 5,
    /// Blocks of a store: [`store`].
    BlockStore = 6,
}

impl Kind {
    /// From its number.
    #[must_use]
    pub const fn of(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Gone,
            1 => Self::Vm,
            2 => Self::Console,
            3 => Self::Doorbell,
            4 => Self::Channel,
            5 => Self::Device,
            6 => Self::BlockStore,
            _ => return None,
        })
    }
}

/// Operations of a VM. Its window is of one.
pub mod vm {
    /// `READ`: x1 is its [state](state), x2 how many vCPUs it has, with its
    /// verdict in the upper half, x3 how often it crashed.
    pub const STATE: u32 = 0;
    /// `CONTROL`: it goes off.
    pub const STOP: u32 = 1;
    /// `CONTROL`: as if it had asked for a reset itself.
    pub const RESET: u32 = 2;
    /// `CONTROL`: it starts, if it is off.
    pub const START: u32 = 3;
    /// `CONTROL`: its vCPUs and its time stand still.
    pub const PAUSE: u32 = 4;
    /// `CONTROL`: they go on.
    pub const RESUME: u32 = 5;
    /// `READ`: x1 and x2 are the words x3 and x3 + 1 of the record of its last
    /// [crash](crash), x3 how often it crashed: if that changes meanwhile, the words
    /// are of two records. [`Outside`](crate::Error::Outside): there is none.
    pub const CRASH: u32 = 6;
    /// `READ`: of vCPU x3, x1 is whether it is on (0 off, 1 on, 2 about to be), with its
    /// core in the upper half; x2 its affinity; x3 where it last left its guest.
    pub const VCPU: u32 = 7;

    /// `CONTROL`: it goes off, and cannot be started any more.
    pub const END: u32 = 8;
    /// `CONTROL`: what it is now is kept, in the place of what was kept before.
    /// [`NotSupported`](crate::Error::NotSupported): its manifest sets nothing aside for that.
    pub const CHECKPOINT: u32 = 9;
    /// `CONTROL`: it is what was kept, and goes on from there, off or not.
    /// [`WrongState`](crate::Error::WrongState): it was never asked for a checkpoint.
    pub const ROLL_BACK: u32 = 10;

    /// Where a VM is in its life.
    pub mod state {
        /// It is off.
        pub const OFF: u64 = 0;
        /// It runs.
        pub const ON: u64 = 1;
        /// It was asked for a change, and makes it.
        pub const CHANGING: u64 = 2;
        /// It stands still.
        pub const PAUSED: u64 = 3;
        /// It crashed, and is off.
        pub const CRASHED: u64 = 4;
    }

    /// Words of the record of a crash.
    pub mod crash {
        /// The vCPU.
        pub const VCPU: u64 = 0;
        /// Why: 1 an SError, 2 no memory at its vectors, 3 a refused access, 4 a refused
        /// instruction.
        pub const WHY: u64 = 1;
        /// ELR_EL2.
        pub const ELR: u64 = 2;
        /// SPSR_EL2.
        pub const SPSR: u64 = 3;
        /// ESR_EL2.
        pub const ESR: u64 = 4;
        /// FAR_EL2.
        pub const FAR: u64 = 5;
        /// HPFAR_EL2.
        pub const HPFAR: u64 = 6;
        /// The VM's time, in nanoseconds.
        pub const TIME: u64 = 7;
        /// x0; x1 to x30 follow.
        pub const X0: u64 = 8;
        /// How many words there are.
        pub const WORDS: usize = 40;
    }
}

/// Operations of a console.
pub mod console {
    /// `WRITE`: the first x3 of the 32 bytes in x4 to x7, the lowest of x4 first.
    /// [`Busy`](crate::Error::Busy): nothing was taken, as it is full.
    pub const WRITE: u32 = 0;
    /// How many bytes one call writes at most.
    pub const MOST: usize = 32;
}

/// Operations of a doorbell. Its window is of lines.
pub mod doorbell {
    /// `CALL`: line x3 of the window pulses.
    pub const RING: u32 = 0;
}

/// Operations of a device that can be taken from its VM. Its window is of one.
pub mod device {
    /// `READ`: x1 is 1 while its VM has it.
    pub const STATE: u32 = 0;
    /// `CONTROL`: its VM has it no more: accesses abort, lines are down, it is reset.
    pub const TAKE: u32 = 1;
    /// `CONTROL`: its VM has it again, as after power-on.
    pub const GIVE: u32 = 2;
}

/// Operations of a block store. Its window is of blocks; of none while there is no medium.
///
/// A store answers when it is done: [`READ`](store::READ), [`WRITE`](store::WRITE) and
/// [`FLUSH`](store::FLUSH) ask, and give a ticket; [`FINISH`](store::FINISH) says how that went,
/// as soon as it is known. A VM has one request under way in a store: another one is
/// [`Busy`](crate::Error::Busy). One that was answered and not fetched gives way to the next.
pub mod store {
    /// `READ` or `WRITE`: x1 is the bytes of a block, x2 how many blocks one request has at
    /// most, x3 what has become of the VM's last one, a [state](state).
    pub const STATE: u32 = 0;
    /// `READ`: x4 blocks from block x3 of the window on. x1 is the ticket.
    pub const READ: u32 = 1;
    /// `WRITE`: the same, of what lies at x5 in the caller's memory when it calls; x5 is a
    /// multiple of 8. x1 is the ticket.
    pub const WRITE: u32 = 2;
    /// `WRITE`: what was written before is kept from then on. x1 is the ticket.
    pub const FLUSH: u32 = 3;
    /// What asking took, in rights and window: x1 is how the request with ticket x3
    /// [ended](done). What was read is put to x4 in the caller's memory, a multiple of 8.
    /// [`Busy`](crate::Error::Busy): it is under way.
    /// [`WrongState`](crate::Error::WrongState): there is none with that ticket, or its answer
    /// was fetched.
    pub const FINISH: u32 = 4;

    /// What has become of a request.
    pub mod state {
        /// There is none, or its answer was fetched.
        pub const NONE: u64 = 0;
        /// It is under way; or one is that nobody waits for any more.
        pub const UNDER_WAY: u64 = 1;
        /// It was answered.
        pub const ANSWERED: u64 = 2;
    }

    /// How a request ended.
    pub mod done {
        /// It was done.
        pub const DONE: u64 = 0;
        /// The store would not: nothing was done.
        pub const REFUSED: u64 = 1;
        /// The medium failed; some of it may have been done.
        pub const FAILED: u64 = 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_round_trip_and_answers_are_none() {
        for code in (-32..0).map(i64::cast_unsigned) {
            let error = Error::of(code).expect("an error");
            assert!(error == Error::NotSupported || error.code() == code);
        }
        assert_eq!(Error::of(0), None);
        assert_eq!(Error::of(u64::MAX >> 1), None);
    }

    #[test]
    fn kinds_round_trip() {
        let known = (0..).map_while(Kind::of).enumerate();
        assert!(known.clone().all(|(number, kind)| kind as usize == number));
        assert_eq!(known.count(), 7);
    }
}

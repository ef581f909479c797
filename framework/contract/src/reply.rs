//! What an object answers.

/// How an invocation ended. The vectors test it against zero, so [`Status::Done`]
/// is zero and everything else leaves the fast path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Status {
    /// It was done; [`Reply::value`] is the answer of a read or a call. For a
    /// physical interrupt: the kernel deactivates it now.
    Done = 0,
    /// A physical interrupt was handed on and stays active until its guest
    /// deactivates it through a hardware-linked list register (IHI 0048B.b
    /// §5.2.2). Anything but an interrupt never answers so.
    Held = 1,
    /// There is nothing under this name. The guest gets the architecture's own
    /// answer: external abort, UNDEFINED or NOT_SUPPORTED.
    Absent = 2,
    /// The component found itself in a state that it cannot be in. The kernel
    /// quarantines the object: from now on its capabilities answer as absent.
    Failed = 3,
}

/// The two words that come back from an invocation, in x0 and x1.
///
/// `repr(C)` and the size are what keeps them in registers; a third word, or a
/// `Result`, would go through memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[repr(C)]
pub struct Reply {
    /// How it ended.
    pub status: Status,
    /// What was read, zero-extended, or a call's x0. Zero where there is nothing
    /// to say.
    pub value: u64,
}

const _: () = assert!(size_of::<Reply>() == 16);

impl Reply {
    /// Done, with nothing to say.
    pub const DONE: Self = Self::value(0);
    /// A physical interrupt that the guest will deactivate.
    pub const HELD: Self = Self { status: Status::Held, value: 0 };
    /// Nothing is there.
    pub const ABSENT: Self = Self { status: Status::Absent, value: 0 };
    /// The object is broken.
    pub const FAILED: Self = Self { status: Status::Failed, value: 0 };

    /// Done, with what was read. It must fit the width of the access: a guest's
    /// register is written with all of it.
    #[inline(always)]
    pub const fn value(value: u64) -> Self {
        Self { status: Status::Done, value }
    }
}

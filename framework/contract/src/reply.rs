//! What an object answers.

/// How an invocation ended. The vectors test it against zero, so [`Status::Done`]
/// is zero and everything else leaves the fast path; and of an interrupt its lowest
/// bit, which [`Status::Held`] alone has.
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
    Failed = 4,
    /// The answer is not known yet, since another vCPU has to come out of its guest
    /// for it: the guest executes the instruction again. Only the load of a register
    /// in memory is answered so, and only until the other one was kicked and looked.
    Again = 6,
}

/// What an object answers: two words, so that they come back in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Reply {
    /// How it ended.
    pub status: Status,
    /// What was read, zero-extended, or a call's x0. Zero where there is nothing
    /// to say.
    pub value: u64,
}

impl Reply {
    /// Done, with nothing to say.
    pub const DONE: Self = Self::value(0);
    /// A physical interrupt that the guest will deactivate.
    pub const HELD: Self = Self { status: Status::Held, value: 0 };
    /// Nothing is there.
    pub const ABSENT: Self = Self { status: Status::Absent, value: 0 };
    /// The object is broken.
    pub const FAILED: Self = Self { status: Status::Failed, value: 0 };

    /// To be tried again.
    pub const AGAIN: Self = Self { status: Status::Again, value: 0 };

    /// Done, with what was read. It must fit the width of the access: a guest's
    /// register is written with all of it.
    #[inline(always)]
    pub const fn value(value: u64) -> Self {
        Self { status: Status::Done, value }
    }
}

/// A [`Reply`] on its way through a port: the status in x0, the value in x1
/// (AAPCS64 §6.9: a 128-bit integer).
///
/// One integer and not a structure of two, because the compiler turns a call
/// whose result is returned as it is into a jump only if the result is one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[repr(transparent)]
pub struct Words(u128);

impl Words {
    /// Nothing is there.
    pub const ABSENT: Self = Self(Status::Absent as u128);
    /// An interrupt that stays active.
    pub const HELD: Self = Self(Status::Held as u128);

    /// The status.
    #[inline(always)]
    pub const fn status(self) -> Status {
        match self.0 as u64 {
            0 => Status::Done,
            1 => Status::Held,
            2 => Status::Absent,
            6 => Status::Again,
            _ => Status::Failed,
        }
    }

    /// The value.
    #[inline(always)]
    pub const fn value(self) -> u64 {
        (self.0 >> 64) as u64
    }
}

impl From<Reply> for Words {
    #[inline(always)]
    fn from(reply: Reply) -> Self {
        Self(u128::from(reply.value) << 64 | reply.status as u128)
    }
}

impl From<Words> for Reply {
    #[inline(always)]
    fn from(words: Words) -> Self {
        Self { status: words.status(), value: words.value() }
    }
}

impl PartialEq<Reply> for Words {
    fn eq(&self, reply: &Reply) -> bool {
        *self == Self::from(*reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_carry_every_reply() {
        for status in [Status::Done, Status::Held, Status::Absent, Status::Failed, Status::Again] {
            let reply = Reply { status, value: 0xfedc_ba98_7654_3210 };
            assert_eq!(Reply::from(Words::from(reply)), reply);
        }
    }
}

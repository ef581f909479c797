//! The physical timer (CNTP_*) of one vCPU.

use crate::spec::CTL;
use evisor_contract::{Context, Deadline, Line, Restore, RestoreError, Save};
use tock_registers::LocalRegisterCopy;

/// One vCPU's timer. Its line is a PPI, so that of whoever makes the access; and
/// nobody but the vCPU itself makes one. Its deadline may pass while it is not on its
/// core.
pub(crate) struct Physical {
    compare: u64,
    /// ENABLE and IMASK.
    control: LocalRegisterCopy<u64, CTL::Register>,
    line: Line,
    deadline: Deadline,
}

impl Physical {
    pub fn new(line: Line, deadline: Deadline) -> Self {
        Self { compare: 0, control: LocalRegisterCopy::new(0), line, deadline }
    }

    /// CNTP_CVAL_EL0.
    pub fn compare(&self) -> u64 {
        self.compare
    }

    /// CNTP_TVAL_EL0 (§D12.2.4).
    pub fn value(&self, now: u64) -> u64 {
        self.compare.wrapping_sub(now) & 0xffff_ffff
    }

    /// CNTP_CTL_EL0.
    pub fn control(&self, now: u64) -> u64 {
        let met = self.control.is_set(CTL::ENABLE) && self.is_met(now);
        self.control.get() | CTL::ISTATUS.val(u64::from(met)).value
    }

    pub fn set_compare(&mut self, compare: u64) {
        self.compare = compare;
    }

    #[expect(clippy::cast_possible_truncation, reason = "the upper half is RES0")]
    pub fn set_value(&mut self, value: u64, now: u64) {
        self.compare = now.wrapping_add_signed(i64::from(value as i32));
    }

    pub fn set_control(&mut self, control: u64) {
        self.control.set(control & (CTL::ENABLE::SET + CTL::IMASK::SET).value);
    }

    /// The condition (§D12.2.4): the count as an unsigned number, not its distance.
    fn is_met(&self, now: u64) -> bool {
        now >= self.compare
    }

    /// The line follows ENABLE, IMASK and the condition; as long as that is only
    /// a matter of time, the time is waited for.
    pub fn update(&self, now: u64, cx: &mut Context) {
        let on = self.control.is_set(CTL::ENABLE) && !self.control.is_set(CTL::IMASK);
        let met = self.is_met(now);
        self.line.set(on && met, cx);
        if on && !met {
            self.deadline.set(self.compare, cx);
        } else {
            self.deadline.clear(cx);
        }
    }

    /// The same for vCPU `vcpu`, which is not the one that is here, after its deadline: it
    /// may have passed.
    pub fn expire(&self, vcpu: usize, now: u64, cx: &mut Context) {
        let on = self.control.is_set(CTL::ENABLE) && !self.control.is_set(CTL::IMASK);
        if on && self.is_met(now) {
            self.line.set_of(vcpu, true, cx);
        }
    }

    /// Off. Warm reset leaves the architecture's fields UNKNOWN; this is the state
    /// in which no firmware finds an interrupt that it did not ask for.
    pub fn reset(&mut self) {
        self.compare = 0;
        self.control.set(0);
    }

    pub fn save(&self, to: &mut Save) {
        to.double(self.compare);
        to.double(self.control.get());
    }

    pub fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        self.compare = from.double()?;
        let control = from.double()?;
        self.set_control(control);
        if self.control.get() == control { Ok(()) } else { Err(RestoreError::Impossible) }
    }
}

//! The ARM-local block of the BCM2836, which a BCM2711 still has beside its GIC: routing
//! and mailboxes between cores, for software that sets them up and looks at them. No
//! interrupt comes from here: those of the VM come by way of its GIC.
//!
//! The README says what is left out.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod spec;
mod state;
#[cfg(test)]
mod tests;

use evisor_contract::{
    Clock, Context, Mmio, Needs, Parts, Reply, Rights, Width, WindowNeed, component,
};
use spec::{KEPT, MAILBOXES, MONITORS, Register, WORDS};

component! {
    compatible: ["brcm,bcm2836-l1-intc"],
    needs: Needs {
        windows: &[WindowNeed { access: ACCESS, ..WindowNeed::new(spec::SIZE) }],
        ..Needs::NONE
    },
    properties: [],
    build: |_node, grants| Ok(Parts::new(Local::new(grants.clock())).mmio().done()),
    describe: |_node, _guest| Ok(()),
}

/// The registers are words.
const ACCESS: Rights = Rights::READ32.union(Rights::WRITE32);

/// One block.
struct Local {
    /// What was written to the registers that only keep it, by number.
    kept: [u32; WORDS],
    /// Performance monitor interrupts routing.
    monitors: u32,
    mailboxes: [u32; MAILBOXES],
    /// The upper half of the count when the lower one was read.
    high: u32,
    clock: &'static dyn Clock,
}

impl Local {
    fn new(clock: &'static dyn Clock) -> Self {
        let mut local =
            Self { kept: [0; WORDS], monitors: 0, mailboxes: [0; MAILBOXES], high: 0, clock };
        local.power_on();
        local
    }

    /// The lower half of the count, which is the one that the cores' timers have; the upper
    /// one waits.
    #[expect(clippy::cast_possible_truncation, reason = "halves")]
    fn count(&mut self) -> u32 {
        let now = self.clock.now();
        self.high = (now >> 32) as u32;
        now as u32
    }

    fn register(&mut self, register: Register) -> u32 {
        match register {
            Register::Kept(number) => self.kept.get(number).copied().unwrap_or_default(),
            Register::MonitorSet => self.monitors,
            Register::CountLow => self.count(),
            Register::CountHigh => self.high,
            Register::MailboxClear(number) => {
                self.mailboxes.get(number).copied().unwrap_or_default()
            }
            Register::MonitorClear | Register::MailboxSet(_) | Register::Zero => 0,
        }
    }

    fn set_register(&mut self, register: Register, value: u32) {
        match register {
            Register::Kept(number) => {
                if let Some((kept, bits)) = self.kept.get_mut(number).zip(KEPT.get(number)) {
                    *kept = value & bits;
                }
            }
            Register::MonitorSet => self.monitors |= value & MONITORS,
            Register::MonitorClear => self.monitors &= !value,
            Register::MailboxSet(number) => self.change(number, |mailbox| mailbox | value),
            Register::MailboxClear(number) => self.change(number, |mailbox| mailbox & !value),
            Register::CountLow | Register::CountHigh | Register::Zero => {}
        }
    }

    fn change(&mut self, number: usize, to: impl FnOnce(u32) -> u32) {
        if let Some(mailbox) = self.mailboxes.get_mut(number) {
            *mailbox = to(*mailbox);
        }
    }
}

impl Mmio for Local {
    fn read(&mut self, offset: u64, width: Width, _cx: &mut Context) -> Reply {
        let word = self.register(Register::at(offset & !3));
        Reply::value(u64::from(word) & width.mask())
    }

    #[expect(clippy::cast_possible_truncation, reason = "a word was written")]
    fn write(&mut self, offset: u64, _width: Width, value: u64, _cx: &mut Context) -> Reply {
        self.set_register(Register::at(offset & !3), value as u32);
        Reply::DONE
    }
}

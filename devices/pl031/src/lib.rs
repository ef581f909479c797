//! The PrimeCell real-time clock PL031 (DDI 0224): a count of seconds that starts
//! with the calendar's, and an interrupt when it matches a value.
//!
//! Nothing happens each second. The count is the VM's calendar and an offset that
//! the guest may set; a match is a second of the calendar, found by a deadline
//! when the guest wants the interrupt and by looking when it reads.
//!
//! The README says what is left out.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod spec;
mod state;
#[cfg(test)]
mod tests;

use evisor_contract::{
    Clock, Context, Deadline, Line, Mmio, Needs, Notify, Parts, Reply, Rights, Told, Width,
    WindowNeed, component, tag,
};
use spec::{IDENTIFICATION, INT, STARTED, offset};
use tock_registers::LocalRegisterCopy;

component! {
    compatible: ["arm,pl031"],
    needs: Needs {
        windows: &[WindowNeed { access: ACCESS, ..WindowNeed::new(0x1000) }],
        lines: 1,
        ..Needs::NONE
    },
    properties: [],
    build: |_node, grants| {
        let ends =
            Ends { line: grants.line(0)?, deadline: grants.deadline()?, clock: grants.clock() };
        Ok(Parts::new(Pl031::new(ends)).mmio().notify().done())
    },
    describe: |_node, guest| {
        let clock = guest.fixed_clock(24_000_000);
        guest.set_strings("compatible", &["arm,pl031", "arm,primecell"]);
        guest.set_cells("clocks", &[clock]);
        guest.set_strings("clock-names", &["apb_pclk"]);
        Ok(())
    },
}

/// The peripheral bus has no 64-bit accesses.
const ACCESS: Rights =
    Rights::READ.union(Rights::WRITE).difference(Rights::READ64.union(Rights::WRITE64));

/// The count comes round to the same value after so many seconds.
const ROUND: u64 = 1 << 32;

/// Where the device reaches the outside.
struct Ends {
    line: Line,
    deadline: Deadline,
    clock: &'static dyn Clock,
}

/// One clock.
struct Pl031 {
    /// What the count is ahead of the calendar.
    ahead: u32,
    matching: u32,
    loaded: u32,
    imsc: LocalRegisterCopy<u32, INT::Register>,
    ris: LocalRegisterCopy<u32, INT::Register>,
    /// The second of the calendar at which the count matches next.
    due: u64,
    told: Told,
    armed: bool,
    ends: Ends,
}

impl Pl031 {
    fn new(ends: Ends) -> Self {
        let mut clock = Self {
            ahead: 0,
            matching: 0,
            loaded: 0,
            imsc: LocalRegisterCopy::new(0),
            ris: LocalRegisterCopy::new(0),
            due: 0,
            told: Told::LOW,
            armed: false,
            ends,
        };
        clock.power_on();
        clock
    }

    /// RTCDR (§3.3.1).
    #[expect(clippy::cast_possible_truncation, reason = "the count has 32 bits")]
    fn count(&self) -> u32 {
        (self.ends.clock.unix_seconds() as u32).wrapping_add(self.ahead)
    }

    /// Seconds until the count matches: from 0.
    fn wait(&self) -> u64 {
        u64::from(self.matching.wrapping_sub(self.count()))
    }

    /// RTCLR (§3.3.3): the count goes on from `value`.
    fn load(&mut self, value: u32) {
        self.loaded = value;
        self.ahead = self.ahead.wrapping_add(value.wrapping_sub(self.count()));
        self.look_ahead();
    }

    /// The count or the match has changed: when do they meet?
    fn look_ahead(&mut self) {
        self.due = self.ends.clock.unix_seconds().wrapping_add(self.wait());
        self.armed = false;
        self.catch_up();
    }

    /// Sets the interrupt if the match has come (§3.3.6).
    fn catch_up(&mut self) {
        let now = self.ends.clock.unix_seconds();
        if now < self.due {
            return;
        }
        self.ris.write(INT::MATCH::SET);
        self.due = match self.wait() {
            0 => now.wrapping_add(ROUND),
            wait => now.wrapping_add(wait),
        };
    }

    /// The end of every action: the line follows RTCMIS, and a deadline stands if
    /// the guest waits for an interrupt.
    fn settle(&mut self, cx: &mut Context) {
        let up = self.masked() != 0;
        self.told.set(&self.ends.line, up, cx);
        let waits = self.imsc.is_set(INT::MATCH) && !up;
        if waits && !self.armed {
            let clock = self.ends.clock;
            let seconds = self.due.saturating_sub(clock.unix_seconds());
            let counts = seconds.saturating_mul(clock.frequency());
            self.ends.deadline.set(clock.now().saturating_add(counts), cx);
        } else if !waits && self.armed {
            self.ends.deadline.clear(cx);
        }
        self.armed = waits;
    }

    /// RTCMIS (§3.3.7).
    fn masked(&self) -> u32 {
        self.ris.get() & self.imsc.get()
    }

    fn register(&self, offset: u64) -> u32 {
        match offset {
            offset::DR => self.count(),
            offset::MR => self.matching,
            offset::LR => self.loaded,
            offset::CR => STARTED,
            offset::IMSC => self.imsc.get(),
            offset::RIS => self.ris.get(),
            offset::MIS => self.masked(),
            _ => identification(offset),
        }
    }

    fn set_register(&mut self, offset: u64, value: u32) {
        match offset {
            offset::MR => {
                self.matching = value;
                self.look_ahead();
            }
            offset::LR => self.load(value),
            offset::IMSC => self.imsc.set(value & INT::MATCH::SET.value),
            offset::ICR => self.ris.set(self.ris.get() & !value),
            _ => {}
        }
    }
}

impl Mmio for Pl031 {
    fn read(&mut self, offset: u64, width: Width, cx: &mut Context) -> Reply {
        self.catch_up();
        self.settle(cx);
        let word = self.register(offset & !3);
        Reply::value(u64::from(word) >> (8 * (offset & 3)) & width.mask())
    }

    #[expect(clippy::cast_possible_truncation, reason = "no register has more than 32 bits")]
    fn write(&mut self, offset: u64, _width: Width, value: u64, cx: &mut Context) -> Reply {
        self.catch_up();
        self.set_register(offset, value as u32);
        self.settle(cx);
        Reply::DONE
    }
}

impl Notify for Pl031 {
    fn notify(&mut self, tag: u32, _value: u64, cx: &mut Context) -> Reply {
        if tag != tag::DEADLINE {
            return Reply::ABSENT;
        }
        self.armed = false;
        self.catch_up();
        self.settle(cx);
        Reply::DONE
    }
}

fn identification(offset: u64) -> u32 {
    let index = offset.wrapping_sub(offset::PERIPH_ID0) / 4;
    let byte = usize::try_from(index).ok().and_then(|index| IDENTIFICATION.get(index));
    byte.copied().map_or(0, u32::from)
}

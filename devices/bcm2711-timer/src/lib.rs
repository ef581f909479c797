//! The system timer of the BCM2835 to BCM2711 (BCM2711 ARM Peripherals, chapter 10): a
//! count of microseconds, and four registers that raise an interrupt when its lower half
//! equals them.
//!
//! Nothing happens each microsecond. The count is the VM's time; what has matched is
//! found by looking back over the time since the last look, when a deadline for the next
//! match passes or the guest looks.
//!
//! The README says what is left out.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod count;
mod spec;
mod state;
#[cfg(test)]
mod tests;

use evisor_contract::{
    Clock, Context, Deadline, Line, Mmio, Needs, Notify, Parts, Reply, Rights, Told, Width,
    WindowNeed, component, tag,
};
use spec::{CHANNELS, FREQUENCY, MATCHES, offset};

component! {
    compatible: ["brcm,bcm2835-system-timer"],
    needs: Needs {
        windows: &[WindowNeed { access: ACCESS, ..WindowNeed::new(0x1000) }],
        optional_lines: CHANNELS,
        ..Needs::NONE
    },
    properties: [],
    build: |_node, grants| {
        let lines = [0, 1, 2, 3].map(|index| grants.line(index).ok());
        let timer = Timer::new(lines, grants.deadline()?, grants.clock());
        Ok(Parts::new(timer).mmio().notify().done())
    },
    describe: |_node, guest| {
        guest.set_cells("clock-frequency", &[FREQUENCY]);
        Ok(())
    },
}

/// The registers are words.
const ACCESS: Rights = Rights::READ32.union(Rights::WRITE32);

/// One compare register.
#[derive(Default)]
struct Channel {
    compare: u32,
    matched: bool,
    told: Told,
    line: Option<Line>,
}

impl Channel {
    /// Microseconds after `count` until the next match: from 1 to 2^32.
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is compared")]
    fn wait(&self, count: u64) -> u64 {
        u64::from(self.compare.wrapping_sub(count as u32).wrapping_sub(1)) + 1
    }

    fn settle(&mut self, cx: &mut Context) {
        if let Some(line) = &self.line {
            self.told.set(line, self.matched, cx);
        }
    }
}

/// One timer.
struct Timer {
    channels: [Channel; CHANNELS],
    /// The count up to which was looked for matches.
    seen: u64,
    /// The count for which the deadline stands.
    armed: Option<u64>,
    deadline: Deadline,
    clock: &'static dyn Clock,
}

impl Timer {
    fn new(lines: [Option<Line>; CHANNELS], deadline: Deadline, clock: &'static dyn Clock) -> Self {
        let channels = lines.map(|line| Channel { line, ..Channel::default() });
        let mut timer = Self { channels, seen: 0, armed: None, deadline, clock };
        timer.seen = timer.count();
        timer
    }

    /// CHI and CLO.
    fn count(&self) -> u64 {
        count::microseconds(self.clock.now(), self.clock.frequency())
    }

    /// Finds what has matched since the last look.
    fn catch_up(&mut self) {
        let now = self.count();
        let passed = now.saturating_sub(self.seen);
        for channel in &mut self.channels {
            channel.matched |= channel.wait(self.seen) <= passed;
        }
        self.seen = now;
    }

    /// The end of every action: the lines follow CS, and a deadline stands for the next
    /// match that would raise one.
    fn settle(&mut self, cx: &mut Context) {
        self.channels.iter_mut().for_each(|channel| channel.settle(cx));
        let waiting = self.channels.iter().filter(|c| !c.matched && c.line.is_some());
        let next = waiting.map(|channel| self.seen.saturating_add(channel.wait(self.seen))).min();
        if next == self.armed {
            return;
        }
        self.armed = next;
        match next {
            Some(next) => self.deadline.set(count::counts(next, self.clock.frequency()), cx),
            None => self.deadline.clear(cx),
        }
    }

    /// CS, of which the bits are the channels.
    fn status(&self) -> u32 {
        let bits = self.channels.iter().rev().map(|channel| u32::from(channel.matched));
        bits.fold(0, |status, bit| status << 1 | bit)
    }

    fn set_status(&mut self, status: u32) {
        for (bit, channel) in self.channels.iter_mut().enumerate() {
            channel.matched = status >> bit & 1 != 0;
        }
    }

    fn channel(&mut self, offset: u64) -> Option<&mut Channel> {
        let index = usize::try_from(offset.checked_sub(offset::C0)? / 4).ok()?;
        self.channels.get_mut(index)
    }

    /// A match with the present is a match.
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is compared")]
    fn set_compare(&mut self, offset: u64, value: u32) {
        let now = self.seen as u32;
        if let Some(channel) = self.channel(offset) {
            channel.compare = value;
            channel.matched |= value == now;
        }
    }
}

impl Mmio for Timer {
    /// The count is read without a look: a deadline sees to the matches.
    #[expect(clippy::cast_possible_truncation, reason = "the count has two halves")]
    fn read(&mut self, offset: u64, width: Width, cx: &mut Context) -> Reply {
        let word = match offset & !3 {
            offset::CLO => self.count() as u32,
            offset::CHI => (self.count() >> 32) as u32,
            offset::CS => {
                self.catch_up();
                self.settle(cx);
                self.status()
            }
            other => self.channel(other).map_or(0, |channel| channel.compare),
        };
        Reply::value(u64::from(word) >> (8 * (offset & 3)) & width.mask())
    }

    #[expect(clippy::cast_possible_truncation, reason = "the router lets words through only")]
    fn write(&mut self, offset: u64, _width: Width, value: u64, cx: &mut Context) -> Reply {
        self.catch_up();
        match offset {
            offset::CS => self.set_status(self.status() & !(value as u32) & MATCHES),
            offset::C0..=offset::C3 => self.set_compare(offset, value as u32),
            _ => {}
        }
        self.settle(cx);
        Reply::DONE
    }
}

impl Notify for Timer {
    fn notify(&mut self, tag: u32, _value: u64, cx: &mut Context) -> Reply {
        if tag != tag::DEADLINE {
            return Reply::ABSENT;
        }
        self.armed = None;
        self.catch_up();
        self.settle(cx);
        Reply::DONE
    }
}

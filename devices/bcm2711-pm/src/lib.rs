//! The power manager of a BCM2711 (and of the BCM2835 before it), which is how a Pi
//! resets: a watchdog, whose bite resets the VM or turns it off, and registers of power
//! domains that are always there.
//!
//! Nothing happens each tick. The watchdog is a count of the VM's clock at which it
//! bites, found by a deadline.
//!
//! The README says what is left out.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod spec;
mod state;
#[cfg(test)]
mod tests;

use evisor_contract::{
    BuildError, Clock, Context, Deadline, Grants, Mmio, Needs, Node, Notify, Parts, Reply, Rights,
    VmControl, VmEvent, Width, WindowNeed, component, tag,
};
use spec::{BRIDGE, DOMAIN, PARTITION, RSTC, RSTC_RESET, RSTS, TICK, TICKS, VALUE, offset};
use tock_registers::LocalRegisterCopy;

component! {
    compatible: ["brcm,bcm2711-pm"],
    needs: Needs {
        windows: &[window(spec::PM), window(spec::ASB), window(spec::ASB)],
        ..Needs::NONE
    },
    properties: [],
    build: build,
    describe: |_node, guest| {
        guest.set_strings("compatible", &["brcm,bcm2711-pm", "brcm,bcm2835-pm-wdt"]);
        Ok(())
    },
}

component! {
    compatible: ["brcm,bcm2835-pm"],
    needs: Needs { windows: &[window(spec::PM), window(spec::ASB)], ..Needs::NONE },
    properties: [],
    build: build,
    describe: |_node, guest| {
        guest.set_strings("compatible", &["brcm,bcm2835-pm", "brcm,bcm2835-pm-wdt"]);
        Ok(())
    },
}

component! {
    compatible: ["brcm,bcm2835-pm-wdt"],
    needs: Needs { windows: &[window(spec::WATCHDOG)], ..Needs::NONE },
    properties: [],
    build: build,
    describe: |_node, _guest| Ok(()),
}

fn build(_node: &Node<'_>, grants: &mut dyn Grants) -> Result<Parts, BuildError> {
    let ends = Ends { vm: grants.vm()?, deadline: grants.deadline()?, clock: grants.clock() };
    Ok(Parts::new(Pm::new(ends)).mmio().notify().done())
}

/// The registers are words.
const fn window(size: u64) -> WindowNeed {
    WindowNeed { access: Rights::READ32.union(Rights::WRITE32), ..WindowNeed::new(size) }
}

/// Words in all windows together.
const WORDS: usize = ((spec::PM + 2 * spec::ASB) / 4) as usize;

/// Where the device reaches the outside.
struct Ends {
    vm: VmControl,
    deadline: Deadline,
    clock: &'static dyn Clock,
}

/// One power manager.
struct Pm {
    rstc: LocalRegisterCopy<u32, RSTC::Register>,
    rsts: LocalRegisterCopy<u32, RSTS::Register>,
    /// What the watchdog starts from.
    ticks: u32,
    /// The count at which it bites, while it is armed.
    due: Option<u64>,
    /// What was written to the registers that only keep it.
    kept: [u32; WORDS],
    ends: Ends,
}

impl Pm {
    fn new(ends: Ends) -> Self {
        let mut pm = Self {
            rstc: LocalRegisterCopy::new(0),
            rsts: LocalRegisterCopy::new(RSTS::HADPOR::SET.value),
            ticks: 0,
            due: None,
            kept: [0; WORDS],
            ends,
        };
        pm.restart();
        pm
    }

    fn armed(&self) -> bool {
        self.rstc.read(RSTC::WRCFG) != RSTC::WRCFG::Clear.value
    }

    /// Counts of the clock in so many ticks.
    fn counts(&self, ticks: u32) -> u64 {
        let micros = u64::from(ticks).saturating_mul(TICK);
        micros.saturating_mul(self.ends.clock.frequency()) / 1_000_000
    }

    /// PM_WDOG: ticks until the watchdog bites, or would.
    fn left(&self) -> u32 {
        let Some(due) = self.due else { return self.ticks };
        let counts = due.saturating_sub(self.ends.clock.now());
        let tick = self.ends.clock.frequency().saturating_mul(TICK).max(1);
        let ticks = counts.saturating_mul(1_000_000).div_ceil(tick);
        u32::try_from(ticks).unwrap_or(TICKS).min(TICKS)
    }

    /// The watchdog goes on from `ticks`, if it is armed.
    fn load(&mut self, ticks: u32, cx: &mut Context) {
        self.ticks = ticks & TICKS;
        let due = self.ends.clock.now().saturating_add(self.counts(self.ticks));
        self.due = self.armed().then_some(due);
        self.ask(cx);
    }

    fn ask(&self, cx: &mut Context) {
        match self.due {
            Some(due) => self.ends.deadline.set(due, cx),
            None => self.ends.deadline.clear(cx),
        }
    }

    /// PM_RSTC. Armed again it goes on, and disarmed it stays where it is.
    fn configure(&mut self, value: u32, cx: &mut Context) {
        let left = self.left();
        self.rstc.set(value);
        if self.armed() != self.due.is_some() {
            self.load(left, cx);
        }
    }

    /// The watchdog bites. Where the firmware would halt, the VM goes off.
    fn bite(&mut self, cx: &mut Context) {
        self.rstc.set(RSTC_RESET);
        self.ticks = 0;
        self.due = None;
        if self.rsts.get() & PARTITION == PARTITION {
            self.rsts.set(RSTS::HADPOR::SET.value);
            self.ends.vm.send(VmEvent::Off, cx);
        } else {
            self.rsts.modify(RSTS::HADWRF::SET);
            self.ends.vm.send(VmEvent::Reset, cx);
        }
    }

    fn register(&self, offset: u64) -> u32 {
        let kept = self.kept.get(index(offset)).copied().unwrap_or_default();
        match offset {
            offset::RSTC => self.rstc.get(),
            offset::RSTS => self.rsts.get(),
            offset::WDOG => self.left(),
            offset::IMAGE | offset::GRAFX | offset::PROC => domain(kept),
            offset::ASB.. => bridges((offset - offset::ASB) % spec::ASB, kept),
            _ => kept,
        }
    }

    fn set_register(&mut self, offset: u64, value: u32, cx: &mut Context) {
        match offset {
            offset::RSTC => self.configure(value, cx),
            offset::RSTS => self.rsts.set(value),
            offset::WDOG => self.load(value, cx),
            _ => {
                if let Some(kept) = self.kept.get_mut(index(offset)) {
                    *kept = value;
                }
            }
        }
    }
}

impl Mmio for Pm {
    fn read(&mut self, offset: u64, width: Width, _cx: &mut Context) -> Reply {
        Reply::value(u64::from(self.register(offset & !3)) & width.mask())
    }

    #[expect(clippy::cast_possible_truncation, reason = "a word was written")]
    fn write(&mut self, offset: u64, _width: Width, value: u64, cx: &mut Context) -> Reply {
        let value = value as u32;
        if value >> 24 == spec::PASSWORD {
            self.set_register(offset, value & VALUE, cx);
        }
        Reply::DONE
    }
}

impl Notify for Pm {
    fn notify(&mut self, tag: u32, _value: u64, cx: &mut Context) -> Reply {
        if tag != tag::DEADLINE {
            return Reply::ABSENT;
        }
        match self.due {
            Some(due) if due <= self.ends.clock.now() => self.bite(cx),
            _ => self.ask(cx),
        }
        Reply::DONE
    }
}

fn index(offset: u64) -> usize {
    usize::try_from(offset / 4).unwrap_or(WORDS)
}

/// Power comes, and memories are repaired, at once.
fn domain(kept: u32) -> u32 {
    let mut domain = LocalRegisterCopy::<u32, DOMAIN::Register>::new(kept);
    let (up, repaired) = (domain.is_set(DOMAIN::POWUP), domain.is_set(DOMAIN::MEMREP));
    domain.modify(DOMAIN::POWOK.val(up.into()) + DOMAIN::MRDONE.val(repaired.into()));
    domain.get()
}

/// A bridge stops at once.
fn bridges(offset: u64, kept: u32) -> u32 {
    let mut bridge = LocalRegisterCopy::<u32, BRIDGE::Register>::new(kept);
    match offset {
        offset::BRIDGE_ID.. => spec::BRIDGE_ID,
        offset::BRIDGE.. => {
            let stopped = bridge.is_set(BRIDGE::REQ_STOP);
            bridge.modify(BRIDGE::ACK.val(stopped.into()));
            bridge.get()
        }
        _ => kept,
    }
}

//! The kernel on a machine that is not there.

/// An interrupt controller that does the block with the tag and the value that it is told, and its
/// declaration.
macro_rules! controller {
    (|$tag:ident, $value:ident| $heard:block) => {
        struct Controller;

        impl evisor_contract::Object for Controller {
            fn reset(&mut self) {}
        }

        impl evisor_contract::Notify for Controller {
            fn notify(
                &mut self,
                $tag: u32,
                $value: u64,
                _: &mut evisor_contract::Context,
            ) -> evisor_contract::Reply $heard
        }

        static CONTROLLER: evisor_contract::Declaration = evisor_contract::Declaration {
            name: "controller",
            compatible: &["example,controller"],
            needs: evisor_contract::Needs {
                interrupt_controller: true,
                ..evisor_contract::Needs::NONE
            },
            properties: &[],
            build: |_, _| Ok(evisor_contract::Parts::new(Controller).notify().done()),
            describe: |_, _| Ok(()),
        };
    };
}

mod bundle;
mod channels;
mod handles;
mod life;
mod lines;
mod overseer;
mod passed;
mod pins;
mod restarts;
mod shared;
mod stores;
mod tenure;
mod tenures;
mod timers;
mod vm;

use crate::host::Host;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use evisor_contract::{
    Entropy, HostGpio, HostRegisters, HostSerial, Register, SystemInterface, VirtualInterface,
    Width,
};
use spin::Mutex;

/// A machine whose clock the test moves, and that remembers what it was asked.
#[derive(Default)]
pub struct Fake {
    pub now: AtomicU64,
    pub timer: AtomicU64,
    /// 0: it needs none.
    pub tick: AtomicU64,
    pub kicked: Mutex<Vec<usize>>,
    /// Cores and the interrupts that they were sent.
    pub signalled: Mutex<Vec<(usize, u32)>>,
    /// What was done to shared interrupts, and whether one is in hand.
    pub interrupts: Mutex<Vec<(&'static str, u32)>>,
    pub in_hand: AtomicBool,
    /// It has pins, of which all but 14 and 15 are free.
    pub has_pins: bool,
}

impl Fake {
    pub fn new() -> &'static Self {
        Box::leak(Box::default())
    }
}

/// Where the machine has registers that eVisor drives.
pub const DRIVEN: u64 = 0xfe21_5000;

struct Nothing;

impl HostRegisters for Nothing {
    fn read(&mut self, _: u64, _: Width) -> Option<u64> {
        Some(0)
    }
    fn write(&mut self, _: u64, _: Width, _: u64) -> bool {
        true
    }
}

struct Pins;

impl HostGpio for Pins {
    fn free(&self) -> u64 {
        !(3 << 14)
    }
    fn set_outputs(&self, _: u64, _: u64) {}
    fn set_pulls(&self, _: u64, _: u64, _: u64) {}
    fn drive(&self, _: u64, _: u64) {}
    fn levels(&self) -> u64 {
        u64::MAX
    }
}

impl Host for Fake {
    fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }
    fn frequency(&self) -> u64 {
        1000
    }
    fn unix_seconds(&self) -> u64 {
        0
    }
    fn disable_interrupt(&self, intid: u32) {
        tenure::note("disabled");
        self.interrupts.lock().push(("disabled", intid));
    }
    fn clear_interrupt(&self, intid: u32) {
        self.interrupts.lock().push(("cleared", intid));
        self.in_hand.store(false, Ordering::Relaxed);
    }
    fn is_interrupt_active(&self, _: u32) -> bool {
        self.in_hand.load(Ordering::Relaxed)
    }
    fn lead_interrupt(&self, intid: u32, edge: bool, core: usize) {
        assert!(!edge);
        tenure::note(if core == 0 { "led to core 0" } else { "led to another core" });
        self.interrupts.lock().push(("led", intid));
    }
    fn allow_interrupt(&self, intid: u32) {
        tenure::note("allowed");
        self.interrupts.lock().push(("allowed", intid));
    }
    fn set_timer(&self, count: u64) {
        self.timer.store(count, Ordering::Relaxed);
    }
    fn tick(&self) -> Option<u64> {
        Some(self.tick.load(Ordering::Relaxed)).filter(|tick| *tick > 0)
    }
    fn timer_interrupt(&self) -> u32 {
        26
    }
    fn kick(&self, core: usize) {
        self.kicked.lock().push(core);
    }
    fn signal(&self, core: usize, sgi: u32) {
        self.signalled.lock().push((core, sgi));
    }
    fn identification(&self, _: Register) -> Option<u64> {
        None
    }
    fn virtual_interface(&self) -> Option<VirtualInterface> {
        None
    }
    fn system_interface(&self) -> Option<SystemInterface> {
        None
    }
    fn entropy(&self) -> Option<&'static dyn Entropy> {
        None
    }
    fn maintenance_interrupt(&self) -> Option<u32> {
        None
    }
    fn take_serial(&self) -> Option<(Box<dyn HostSerial>, u32)> {
        None
    }
    fn gpio(&self) -> Option<&'static dyn HostGpio> {
        self.has_pins.then_some(&Pins)
    }
    fn registers(&self, physical: u64, _: u64) -> Option<Box<dyn HostRegisters>> {
        (physical != DRIVEN).then(|| Box::new(Nothing) as Box<dyn HostRegisters>)
    }
}

//! The lives of VMs: starting, and what follows when one asks for a change or
//! crashes.

use crate::run::{Held, Running};
use crate::start::reset_board;
use evisor_aarch64::timer;
use evisor_contract::VmEvent;
use evisor_manifest::Outcome;
use log::{error, info};

/// The verdict of a VM that crashed and stays down, whatever it said before.
const CRASHED: u8 = 102;
/// The verdict of one that was left out, or whose memory could not be filled.
pub(crate) const UNSTARTED: u8 = 1;

impl Held {
    /// Fills its memory and starts its first vCPU. All are parked.
    pub fn start(&self, running: &Running) {
        match self.placed.lock().fill(running.bundle, &self.bound) {
            Ok(entry) => {
                let began = timer::nanoseconds(self.bound.vm.offset());
                let name = &self.plan.name;
                info!("{name}: starts; its time is the machine's less {began} ns");
                self.devices.starts();
                self.bound.vm.changed(Some(entry));
            }
            // Why was said there.
            Err(_) => running.ended(self, UNSTARTED),
        }
    }

    /// Makes the change that it asked for. All its vCPUs are parked.
    pub fn change(&self, running: &Running, event: VmEvent) {
        let (name, vm) = (&self.plan.name, self.bound.vm);
        self.devices.quiet();
        let crashed = vm.take_crash();
        let outcome = match event {
            _ if crashed => self.plan.on_crash,
            VmEvent::Reset => self.plan.on_reset,
            VmEvent::Off | VmEvent::Verdict(_) => Outcome::Stop,
        };
        let why = if crashed { " after its crash" } else { "" };
        match outcome {
            Outcome::Restart => {
                info!("{name}: restarts{why}");
                return self.start(running);
            }
            Outcome::ResetBoard => {
                running.drain();
                info!("{name}: resets the board{why}");
                reset_board();
                error!("the board cannot be reset");
            }
            Outcome::Stop => {}
        }
        let verdict = if crashed { CRASHED } else { vm.verdict() };
        running.drain();
        info!("{name}: off, verdict {verdict}");
        vm.changed(None);
        running.ended(self, verdict);
    }
}

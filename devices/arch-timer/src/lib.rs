//! The Arm generic timer (DDI 0487 §D11) as a guest has it: the virtual timer.
//!
//! Its registers are the hardware's own, switched with the vCPU, so that nothing
//! traps; what is left for this component is its interrupt. The physical PPI of
//! the virtual timer drives the guest's line through a hardware-linked list
//! register (IHI 0048B.b §5.2.2), and the guest's tree names it.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

use evisor_contract::{Needs, Object, Parts, component};

/// The node's one interrupt is the virtual timer's.
const VIRTUAL: usize = 0;

/// The host's PPI of the virtual timer, as the Base System Architecture fixes it
/// (DEN 0094 §3.6, PPI 11).
const HOST_INTID: u32 = 27;

component! {
    compatible: ["arm,armv8-timer", "arm,armv7-timer"],
    needs: Needs { lines: 1, ..Needs::NONE },
    properties: [],
    build: |_node, grants| {
        grants.hardware_line(VIRTUAL, HOST_INTID)?;
        Ok(Parts::new(Timer).done())
    },
    describe: |_node, guest| {
        guest.set_strings("compatible", &["arm,armv8-timer"]);
        // Without names the first would be the secure physical timer's.
        guest.set_strings("interrupt-names", &["virt"]);
        // A vCPU has no state in which its timer stops.
        guest.set_flag("always-on");
        Ok(())
    },
}

/// Its state is the vCPU's, which the kernel switches, saves and resets.
struct Timer;

impl Object for Timer {
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use evisor_testkit::{Rig, describe};

    #[test]
    fn the_virtual_timer_is_linked_to_the_hardware() {
        assert_eq!(Rig::new("arm,armv8-timer").hardware_lines(), [(0, 27)]);
    }

    #[test]
    fn guest_node() {
        let rig = Rig::new("arm,armv7-timer");
        let expected = "always-on\ncompatible = \"arm,armv8-timer\"\ninterrupt-names = \"virt\"";
        assert_eq!(describe(rig.declaration(), &[]), expected);
    }
}
